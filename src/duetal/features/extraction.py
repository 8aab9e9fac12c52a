"""From videos to I3D and CLIP features: the settings, and the pipeline that makes them.

Decoding, flow and the networks each run in a thread of their own (`duetal.features.stages`), so
that each works on another part of a video, or on the next video, at the same time.
"""

import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.backbones.clip import ImageEncoder, load_image_encoder
from duetal.backbones.i3d import FEATURES
from duetal.backbones.i3d_weights import load_i3d
from duetal.backbones.identity import WeightsIdentity
from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.features.frames import Decoding
from duetal.features.items import Broken, End, Job, Progress, Snippet
from duetal.features.networks import (
    Network,
    Passing,
    channels_first,
    choose_device,
    encode,
    scale_rgb,
    usual_batch,
)
from duetal.features.records import Failure, VideoRecord, versions
from duetal.features.snippets import Cutting
from duetal.features.sources import Video, readable
from duetal.features.stages import Stages
from duetal.features.store import Store
from duetal.features.writer import VideoWriter
from duetal.video.flow.engine_choice import open_flow
from duetal.video.flow.interface import FlowName, TVL1Settings

#: Of the layout and meaning of what a store holds; another one makes features incomparable.
FORMAT = 1
MODALITIES = ("rgb", "flow", "clip")
DTYPES = ("float16", "float32")
#: Frames that I3D sees at once, in its weights' training.
I3D_WINDOW = 16


@dataclass(frozen=True, slots=True)
class ExtractionSettings:
    """All that the features of a store depend on.

    The defaults are how the field's features are made.

    Args:
        grid: frame rate, stride and window.
        short_side: pixels that frames are resized to.
        crop: pixels of the central square that I3D sees.
        flow: the engine.
        flow_settings: its parameters.
        i3d_rgb: weights of I3D's RGB network: a record's name or a file.
        i3d_flow: of its flow network.
        clip: the image-text model: a hub name or a folder.
        modalities: which features are made, of "rgb", "flow" and "clip".
        dtype: "float16" or "float32", as which features are stored.

    Raises:
        UsageError: an impossible value.
    """

    grid: TimeGrid = field(default_factory=TimeGrid)
    short_side: int = 256
    crop: int = 224
    flow: FlowName = FlowName.TVL1
    flow_settings: TVL1Settings = field(default_factory=TVL1Settings)
    i3d_rgb: str = "i3d-rgb-kinetics"
    i3d_flow: str = "i3d-flow-kinetics"
    clip: str = "openai/clip-vit-base-patch16"
    modalities: tuple[str, ...] = MODALITIES
    dtype: str = "float16"

    def __post_init__(self) -> None:
        if self.grid.window != I3D_WINDOW or not 1 <= self.grid.stride <= I3D_WINDOW:
            raise UsageError(f"grid: I3D sees {I3D_WINDOW} frames, at a stride of no more")
        # I3D halves its input five times.
        if not 32 <= self.crop <= self.short_side:
            cause = f"crop: must be from 32 to the short side of {self.short_side}"
            raise UsageError(f"{cause} pixels, not {self.crop}")
        if self.dtype not in DTYPES:
            raise UsageError(f"dtype: must be one of {', '.join(DTYPES)}, not {self.dtype!r}")
        if not self.modalities or not set(self.modalities) <= set(MODALITIES):
            raise UsageError(f"modalities: must be some of {', '.join(MODALITIES)}")


class Extractor:
    """Makes the features of videos; holds the networks, so it is made once and used for many.

    Args:
        settings: what the features depend on.
        device: "auto", "cpu", "cuda" or "cuda:1".
        batch: snippets that a network sees at once; None finds what fits.
        threads: that each stage may use on the CPU; None takes all cores.
        told: takes the bytes of weights downloaded, and of all of them.

    Raises:
        UsageError: no such device, engine or weights.
        DuetalError: weights that can't be had, that are damaged, or that have another hash.
    """

    def __init__(
        self,
        settings: ExtractionSettings,
        *,
        device: str = "auto",
        batch: int | None = None,
        threads: int | None = None,
        told: Callable[[int, int | None], object] | None = None,
    ):
        self.settings = settings
        self.device = choose_device(device)
        self._threads = threads or usable_cpus()
        self._batch = batch or usual_batch(self.device)
        self._identities: dict[str, WeightsIdentity] = {}
        self._images: ImageEncoder | None = None
        #: The other stages, in the order of the modalities.
        self.networks: list[Network] = []
        for modality in settings.modalities:
            self.networks.append(self._load(modality, told))
        self._flow = None
        if "flow" in settings.modalities:
            self._flow = open_flow(
                settings.flow,
                settings.flow_settings,
                device=str(self.device),
                threads=self._threads,
            )

    def _load(self, modality: str, told: Callable[[int, int | None], object] | None) -> Network:
        settings = self.settings
        how: dict[str, Any] = {
            "device": self.device,
            "batch": self._batch,
            "threads": self._threads,
        }
        if modality == "clip":
            images = load_image_encoder(settings.clip)
            self._images = images
            self._identities["clip"] = images.identity
            return Network("clip", images, lambda pictures: pictures, **how)
        if modality == "rgb":
            module, identity = load_i3d("rgb", settings.i3d_rgb, progress=told)
        else:
            module, identity = load_i3d("flow", settings.i3d_flow, progress=told)
        self._identities[modality] = identity
        return Network(modality, module, scale_rgb if modality == "rgb" else channels_first, **how)

    @property
    def widths(self) -> dict[str, int]:
        """C of each modality."""
        clip = 0 if self._images is None else self._images.width
        return {m: clip if m == "clip" else FEATURES for m in self.settings.modalities}

    @property
    def store_settings(self) -> dict[str, Any]:
        """The settings as a store keeps them; weights are known by their hashes."""
        settings = self.settings
        described: dict[str, Any] = {
            "format": FORMAT,
            "grid": asdict(settings.grid),
            "short_side": settings.short_side,
            "modalities": list(settings.modalities),
            "dtype": settings.dtype,
        }
        if {"rgb", "flow"} & set(settings.modalities):
            described["crop"] = settings.crop
        if "flow" in settings.modalities:
            parameters = asdict(settings.flow_settings)
            described["flow_engine"] = {"engine": str(settings.flow), **parameters}
        for modality, identity in self._identities.items():
            described[modality] = asdict(_absolute(identity))
        return described

    def extract(
        self, video: Video, store: Store, progress: Progress = lambda video, done, expected: None
    ) -> VideoRecord | Failure:
        """Extract one video; see `extract_all`."""
        (outcome,) = self.extract_all([video], store, progress)
        return outcome

    def extract_all(
        self,
        videos: Iterable[Video],
        store: Store,
        progress: Progress = lambda video, done, expected: None,
    ) -> Generator[VideoRecord | Failure, None, None]:
        """Extract videos into a store, one outcome each, in their order.

        Videos are taken from the iterable a little before they are worked on. Failures are told,
        not recorded. A generator that is not used up should be closed.

        Raises:
            DuetalError: the store can't be written to or is full, or a network does not fit into
                memory. Videos that were finished before are complete.
        """
        with Stages() as stages:
            # The stages keep the order, so the items of a video come one after the other.
            for job, items in itertools.groupby(self._items(videos, stages), lambda item: item.job):
                yield self._collect(job, items, store, progress)

    def _collect(
        self, job: Job, items: Iterable[Passing], store: Store, progress: Progress
    ) -> VideoRecord | Failure:
        """Write down one video as it comes out of the last stage."""
        with store.writer() as writer:
            for item in items:
                if isinstance(item, Broken):
                    return _failure(job, item.error)
                if isinstance(item, End):
                    return self._finish(store, writer, item)
                try:
                    rows = self._rows(item)
                except DuetalError as error:
                    return _failure(job, error)
                for modality, row in rows.items():
                    writer.write(modality, row[None])
                progress(job.video, item.index + 1, max(job.expected, item.index + 1))
        raise AssertionError("every video ends, or breaks")

    @property
    def decoding(self) -> Decoding:
        """The first stage."""
        return Decoding(
            self.settings.grid,
            self.settings.short_side,
            None if self._images is None else self._images.preprocess,
            self._threads,
            # A GPU works best on many pairs of frames at once.
            together=64 if self.device.type == "cuda" else 16,
        )

    @property
    def cutting(self) -> Cutting:
        """The second stage, with the flow."""
        settings = self.settings
        return Cutting(settings.grid, settings.crop, self._flow, settings.modalities)

    def _items(self, videos: Iterable[Video], stages: Stages) -> Iterator[Passing]:
        """The stages, each a little ahead of the next."""
        frames = stages.ahead(self.decoding(videos), 4)
        items: Iterator[Passing] = stages.ahead(self.cutting(frames), 2 * self._batch)
        for network in self.networks:
            items = stages.ahead(encode(items, network), 2 * self._batch)
        return items

    def _rows(self, snippet: Snippet) -> dict[str, NDArray[np.floating]]:
        """The features of a snippet as they are stored.

        Raises:
            DuetalError: a value is not finite.
        """
        rows = {}
        for modality, features in snippet.features.items():
            with np.errstate(over="ignore"):
                rows[modality] = features.astype(self.settings.dtype)
            if not np.isfinite(rows[modality]).all():
                cause = f"the {modality} features are not finite in {self.settings.dtype}"
                place = f"snippet {snippet.index}"
                raise DuetalError(cause, file=snippet.job.video.source, place=place)
        return rows

    def _finish(self, store: Store, writer: VideoWriter, end: End) -> VideoRecord:
        job = end.job
        record = VideoRecord(
            name=job.video.name,
            source=readable(job.video.source),
            sha256=job.sha256,
            size=job.size,
            frames=end.frames,
            source_frames=end.source_frames,
            duration=end.duration,
            snippets=self.settings.grid.snippets(end.frames),
            widths=self.widths,
            notes=end.notes,
            settings=dict(store.settings),
            versions=dict(versions()),
            seconds={stage: round(seconds, 3) for stage, seconds in job.seconds.items()},
        )
        store.finish(writer, record)
        return record


def _failure(job: Job, error: DuetalError) -> Failure:
    return Failure(
        name=readable(job.video.name),
        source=readable(job.video.source),
        reason=readable(str(error)),
    )


def _absolute(identity: WeightsIdentity) -> WeightsIdentity:
    """A local path means nothing to whoever opens the store from another folder."""
    path = Path(identity.name).expanduser()
    return replace(identity, name=str(path.absolute())) if path.exists() else identity


def usable_cpus() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
