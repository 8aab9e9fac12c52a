"""From videos to features: the settings, and the pipeline that makes them.

Decoding, flow and the backbones each run in a thread of their own (`duetal.extraction.threads`), so
that each works on another part of a video, or on the next video, at the same time.
"""

import importlib.metadata
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import duetal
from duetal.backbones import BACKBONES
from duetal.backbones.presets import FLOW_SECONDS, PRESETS, known_record
from duetal.backbones.protocol import BackboneRecord, OnDownload, Reads
from duetal.backbones.tuned_weights import TunedWeights
from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.extraction.items import Broken, Decoding, End, Job, OnSnippet, Passing, Snippet, ignore
from duetal.extraction.networks import Network, choose_device, computes_in_bf16, encode, usual_batch
from duetal.extraction.snippets import cut, decode
from duetal.extraction.sources import Failure, Video, readable
from duetal.extraction.store import Store, VideoWriter
from duetal.extraction.threads import Stages
from duetal.features.metadata import Settings, VideoRecord
from duetal.video.flow.interface import FlowName, TVL1Settings, open_flow

#: Of the layout and meaning of what a store holds; another one makes features incomparable.
FORMAT = 1
DTYPES = ("float16", "float32")
TEN_CROPS = 10
#: Pixels of the central square, where a store without cropped frames does not name them.
_CROP = 224


@dataclass(frozen=True, slots=True)
class ExtractionSettings:
    """All that the features of a store depend on.

    The defaults are how the field's features are made. Impossible values raise UsageError.
    """

    #: Which features are made, in the order in which they are joined.
    backbones: tuple[BackboneRecord, ...] = BACKBONES
    #: By backbone, where they are not those that `BackboneRecord.weights` names.
    weights: Mapping[str, str] = field(default_factory=dict)
    grid: TimeGrid = field(default_factory=TimeGrid)
    #: Squares of each picture whose features are kept: 1, or 10 (corners and middle, mirrored).
    crops: int = 1
    #: Pixels that frames are resized to.
    short_side: int = 256
    #: Pixels of the central square that backbones read.
    crop: int = _CROP
    #: The engine that computes the flow, and its parameters.
    flow: FlowName = FlowName.TVL1
    flow_settings: TVL1Settings = field(default_factory=TVL1Settings)
    #: "float16" or "float32", as which features are stored.
    dtype: str = "float16"
    #: Whether networks multiply in bfloat16, on a device that does.
    bf16: bool = False
    #: By backbone, what a run has trained of its weights.
    tuned: Mapping[str, TunedWeights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.backbones:
            raise UsageError("backbones: at least one is needed")
        if not 1 <= self.grid.stride <= self.grid.window:
            cause = f"the stride must be from 1 to the window's {self.grid.window} frames"
            raise UsageError(f"grid: {cause}, not {self.grid.stride}")
        if self.crops not in (1, TEN_CROPS):
            raise UsageError(f"crops: must be 1 or {TEN_CROPS}, not {self.crops}")
        on_grid = []
        for record in self.backbones:
            try:
                on_grid.append(replace(record, input=record.input.on(self.grid, self.crops)))
            except ValueError as error:
                raise UsageError(f"grid: {record.name} {error}") from error
        object.__setattr__(self, "backbones", tuple(on_grid))
        # Backbones halve their input five times.
        if not 32 <= self.crop <= self.short_side:
            cause = f"crop: must be from 32 to the short side of {self.short_side}"
            raise UsageError(f"{cause} pixels, not {self.crop}")
        if self.dtype not in DTYPES:
            raise UsageError(f"dtype: must be one of {', '.join(DTYPES)}, not {self.dtype!r}")

    @classmethod
    def usual(
        cls, backbones: Sequence[BackboneRecord] = BACKBONES, **chosen: Any
    ) -> "ExtractionSettings":
        """The settings that the weights of backbones were trained for, but for those chosen.

        Of a grid its `fps`, `stride` and `window` can be chosen one by one.

        UsageError for an impossible value, or backbones that were trained for different settings.
        """
        inputs = [record.input for record in backbones]
        rates = {(one.fps, one.stride) for one in inputs}
        part = {name: chosen.pop(name) for name in ("fps", "stride", "window") if name in chosen}
        if not ("grid" in chosen or part.keys() >= {"fps", "stride"}) and len(rates) > 1:
            raise UsageError("backbones of different time grids need stores of their own")
        sizes = {(one.short_side, one.crop) for one in inputs if one.crop is not None}
        if not chosen.keys() >= {"short_side", "crop"} and len(sizes) > 1:
            raise UsageError("backbones of different sizes: name short_side and crop")
        usual: dict[str, Any] = {}
        for fps, stride in rates:
            # Those of fewer frames read the middle of the longest window.
            grid = TimeGrid(fps, stride, max(one.window for one in inputs))
            usual["grid"] = replace(grid, **part)
        for short_side, crop in sizes:
            usual |= {"short_side": short_side, "crop": crop}
        return cls(tuple(backbones), **usual | chosen)

    @classmethod
    def recorded(
        cls,
        stored: Settings,
        weights: Mapping[str, str],
        backbones: Sequence[BackboneRecord] = (),
        tuned: Mapping[str, TunedWeights] = MappingProxyType({}),
    ) -> "ExtractionSettings":
        """The settings with which a store's features were made, from its stored ones.

        `weights` names, by backbone, those that are no longer where they were; `backbones` are
        known besides those of the package; `tuned` is what a run has trained.

        Raises:
            UsageError: an impossible value.
            AttributeError, KeyError, TypeError, ValueError: not settings of this version.
        """
        known = {record.name: record for record in backbones}
        names = stored["modalities"]
        engine = dict(stored.get("flow_engine", {}))
        short_side = stored["short_side"]
        for name in names:
            if stored[name].get("tuned") and name not in tuned:
                cause = f"{name}: features of a backbone that a run has trained"
                raise UsageError(f"{cause}; duetal localize RUN makes more of them")
        return cls(
            tuple(known.get(name) or known_record(name, stored[name]) for name in names),
            {name: weights.get(name) or str(stored[name]["name"]) for name in names},
            grid=TimeGrid(**stored["grid"]),
            crops=stored.get("crops", 1),
            short_side=short_side,
            crop=stored.get("crop", min(_CROP, short_side)),
            flow=FlowName(engine.pop("engine", FlowName.TVL1)),
            flow_settings=TVL1Settings(**engine),
            dtype=stored["dtype"],
            bf16=bool(stored.get("bf16", False)),
            tuned={name: tuned[name] for name in names if name in tuned},
        )

    @property
    def sources(self) -> dict[str, str]:
        """The weights of each backbone, as the user names them."""
        return {one.name: self.weights.get(one.name, one.weights) for one in self.backbones}


class Extractor:
    """Makes the features of videos; holds the networks, so it is made once and used for many.

    Args:
        settings: what the features depend on.
        device: "auto", "cpu", "cuda" or "cuda:1".
        batch: snippets that a network encodes at once; None finds what fits.
        threads: that each stage may use on the CPU; None takes all cores.
        on_download: called with the bytes of weights downloaded, and in all.
        notify: called, before anything is downloaded, with a line about all that will be.

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
        on_download: OnDownload | None = None,
        notify: Callable[[str], object] = lambda line: None,
    ):
        self.settings = settings
        self.device = choose_device(device)
        self._threads = threads or usable_cpus()
        self._batch = batch or usual_batch(self.device)
        how: dict[str, Any] = {"device": self.device, "threads": self._threads}
        if settings.bf16 and not computes_in_bf16(self.device):
            raise UsageError(f"--bf16: {self.device} does not compute in bfloat16")
        #: The later stages, in the order of the backbones.
        self.networks = []
        named = [(record, settings.sources[record.name]) for record in settings.backbones]
        absent = [f"{name} ({r.option})" for r, name in named if not r.is_at_hand(name)]
        if absent:
            notify(
                f"weights to be downloaded: {', '.join(absent)}; each option takes a local file or "
                "folder instead"
            )
        for record in settings.backbones:
            backbone = record.load(settings.sources[record.name], on_download)
            if record.name in settings.tuned:
                settings.tuned[record.name].apply(backbone)
            seconds = record.input.sound_seconds
            if record.input.reads is Reads.SOUND and seconds > backbone.longest:
                cause = f"a window of {seconds:g} s; {record.name} reads {backbone.longest:g} s"
                raise UsageError(f"grid: {cause} of sound at most")
            network = Network(record, backbone, batch=self._batch, bf16=settings.bf16, **how)
            self.networks.append(network)
        self._flow = None
        if any(record.input.reads is Reads.FLOW for record in settings.backbones):
            how["device"] = str(self.device)
            self._flow = open_flow(settings.flow, settings.flow_settings, **how)
        elif any(
            record.branch == "cbp" and record.name in PRESETS for record in settings.backbones
        ):
            saved = f"{60 * FLOW_SECONDS * settings.grid.fps:,.0f} core-minutes an hour of video"
            notify(f"no backbone reads flow, which saves about {saved} on a CPU")

    @property
    def store_settings(self) -> dict[str, Any]:
        """The settings as a store keeps them; weights are known by their hashes."""
        settings = self.settings
        described: dict[str, Any] = {
            "format": FORMAT,
            "grid": asdict(settings.grid),
            "short_side": settings.short_side,
            "modalities": [record.name for record in settings.backbones],
            "dtype": settings.dtype,
        }
        if settings.bf16:
            described["bf16"] = True
        if settings.crops > 1:
            described["crops"] = settings.crops
        if any(record.input.crop is not None for record in settings.backbones):
            described["crop"] = settings.crop
        if self._flow is not None:
            parameters = asdict(settings.flow_settings)
            described["flow_engine"] = {"engine": str(settings.flow), **parameters}
        for network in self.networks:
            identity = network.backbone.identity
            record = network.record
            known: dict[str, Any] = {"name": absolute(identity.name), "branch": record.branch}
            if record.name in settings.tuned:
                known["tuned"] = settings.tuned[record.name].sha256
            # Recorded where a family's models differ in it.
            if record.input.spread:
                known["frames"] = record.input.frames
            if record.input.reads is Reads.SOUND:
                known["seconds"] = record.input.sound_seconds
            if record.input.crops > 1:
                known["crops"] = record.input.crops
            described[network.name] = asdict(identity) | known
        return described

    def extract_all(
        self, videos: Iterable[Video], store: Store, on_snippet: OnSnippet = ignore
    ) -> Generator[VideoRecord | Failure, None, None]:
        """Extract videos into a store, one outcome each, in their order.

        Videos are taken from the iterable a little before they are worked on. Failures are
        returned, not recorded. A generator that is not used up should be closed.

        Raises:
            DuetalError: the store can't be written to or is full, or a network does not fit into
                memory. Videos that were finished before are complete.
        """
        # Each stage is a little ahead of the next.
        with Stages() as stages:
            items = self.passing(stages, self.decoded(videos))
            # They keep the order, so the items of a video come one after the other.
            for job, of_video in itertools.groupby(items, lambda item: item.job):
                yield self._collect(job, of_video, store, on_snippet)

    def passing(
        self, stages: Stages, decoded: Generator[Decoding, None, None]
    ) -> Iterator[Passing]:
        """What comes out of the last stage, a thread each, for what comes out of the decoder."""
        frames = stages.ahead(decoded, 4)
        items: Iterator[Passing] = stages.ahead(self.cut(frames), 2 * self._batch)
        for network in self.networks:
            items = stages.ahead(encode(items, network), 2 * self._batch)
        return items

    def _collect(
        self, job: Job, items: Iterable[Passing], store: Store, on_snippet: OnSnippet
    ) -> VideoRecord | Failure:
        """Write one video as it comes out of the last stage."""
        with store.writer() as writer:
            for item in items:
                if isinstance(item, Broken):
                    return Failure.of(job.video, item.error)
                if isinstance(item, End):
                    return self._finish(store, writer, item)
                try:
                    rows = self.stored(item)
                except DuetalError as error:
                    return Failure.of(job.video, error)
                for modality, row in rows.items():
                    writer.write(modality, row[None])
                on_snippet(job.video, item.index + 1, max(job.expected or 0, item.index + 1))
        raise AssertionError("every video ends, or breaks")

    def decoded(self, videos: Iterable[Video]) -> Generator[Decoding, None, None]:
        """The first stage: frames."""
        return decode(
            videos,
            grid=self.settings.grid,
            short_side=self.settings.short_side,
            networks=self.networks,
            threads=self._threads,
            # A GPU works best on many pairs of frames at once.
            together=64 if self.device.type == "cuda" else 16,
        )

    def cut(self, frames: Iterable[Decoding]) -> Generator[Passing, None, None]:
        """The second stage: snippets, with the flow."""
        grid, crop, backbones = self.settings.grid, self.settings.crop, self.settings.backbones
        return cut(frames, grid=grid, crop=crop, flow=self._flow, backbones=backbones)

    def stored(self, snippet: Snippet) -> dict[str, NDArray[np.floating]]:
        """The features of a snippet as they are stored; DuetalError if a value is not finite."""
        rows = {}
        for modality, features in snippet.features.items():
            with np.errstate(over="ignore"):
                rows[modality] = features.astype(self.settings.dtype)
            if not np.isfinite(rows[modality]).all():
                cause = f"the {modality} features are not finite in {self.settings.dtype}"
                source, place = snippet.job.video.source, f"snippet {snippet.index}"
                raise DuetalError(cause, file=source, place=place)
        return rows

    def _finish(self, store: Store, writer: VideoWriter, end: End) -> VideoRecord:
        job = end.job
        record = VideoRecord(
            name=job.video.name,
            source=readable(job.video.source),
            sha256=job.sha256,
            size=job.size,
            **asdict(end.decoded),
            snippets=self.settings.grid.snippets(end.decoded.frames),
            widths={network.name: network.backbone.dim for network in self.networks},
            settings=dict(store.settings),
            versions=dict(versions()),
            seconds={stage: round(seconds, 3) for stage, seconds in job.seconds.items()},
        )
        store.finish(writer, record)
        return record


def absolute(name: str) -> str:
    """A local path as it is called in any folder; another name of weights as it is."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name


def usable_cpus() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def versions() -> Mapping[str, str]:
    """The versions of the programs that features depend on."""
    import av

    packages = ("av", "numpy", "torch", "transformers")
    found = {"duetal": duetal.__version__} | {p: importlib.metadata.version(p) for p in packages}
    for library in ("libavcodec", "libavformat", "libswscale"):
        found[library] = ".".join(map(str, av.library_versions[library]))
    return found
