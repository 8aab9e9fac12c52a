"""From videos to features: the pipeline that makes them.

Decoding, flow and the backbones each run in a thread of their own (`duetal.extraction.threads`), so
that each works on another part of a video, or on the next video, at the same time.
"""

import importlib.metadata
import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import duetal
from duetal.backbones.presets import FLOW_SECONDS, PRESETS
from duetal.backbones.protocol import OnDownload, Reads
from duetal.core.errors import DuetalError, UsageError
from duetal.extraction.extraction_settings import ExtractionSettings, absolute
from duetal.extraction.items import Broken, Decoding, End, Job, OnSnippet, Passing, Snippet, ignore
from duetal.extraction.networks import Network, choose_device, computes_in_bf16, encode, usual_batch
from duetal.extraction.snippets import cut, decode
from duetal.extraction.sources import Failure, Video, find_videos, readable
from duetal.extraction.store import Store, VideoWriter
from duetal.extraction.threads import Stages
from duetal.features.metadata import VideoRecord
from duetal.video.flow.interface import FlowEngine, open_flow

#: Of the layout and meaning of what a store holds; another one makes features incomparable.
FORMAT = 1


class Extractor:
    """Makes the features of videos; holds the networks, so it is made once and used for many.

    They are loaded when they are first needed. It can be pickled, without them: each process loads
    its own. `on_download` and `notify` stay behind.

    Args:
        settings: what the features depend on.
        device: "auto", "cpu", "cuda" or "cuda:1".
        batch: snippets that a network encodes at once; None finds what fits.
        threads: that each stage may use on the CPU; None takes all cores.
        compiled: compile the networks, which takes a minute, and saves time from then on.
        on_download: called with the bytes of weights downloaded, and in all.
        notify: called, before anything is downloaded, with a line about all that will be.

    Where networks are loaded, `DuetalError` is raised for weights that can't be had, that are
    damaged or have another hash; `UsageError` for no such device, engine or weights.
    """

    def __init__(
        self,
        settings: ExtractionSettings,
        *,
        device: str = "auto",
        batch: int | None = None,
        threads: int | None = None,
        compiled: bool = False,
        on_download: OnDownload | None = None,
        notify: Callable[[str], object] = lambda line: None,
    ):
        self.settings = settings
        self._how: dict[str, Any] = {"device": device, "batch": batch, "threads": threads}
        self._how["compiled"] = compiled
        self._on_download, self._notify = on_download, notify

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(Extractor, self.settings.from_anywhere(), **self._how), ()

    @cached_property
    def device(self) -> torch.device:
        """Where the networks are; UsageError if it is not here."""
        return choose_device(self._how["device"])

    @cached_property
    def _threads(self) -> int:
        return self._how["threads"] or usable_cpus()

    @cached_property
    def _batch(self) -> int:
        return self._how["batch"] or usual_batch(self.device)

    @cached_property
    def networks(self) -> list[Network]:
        """The later stages, in the order of the backbones; loads them, and raises as the class."""
        settings = self.settings
        if settings.bf16 and not computes_in_bf16(self.device):
            raise UsageError(f"--bf16: {self.device} does not compute in bfloat16")
        networks = []
        named = [(record, settings.sources[record.name]) for record in settings.backbones]
        absent = [f"{name} ({r.option})" for r, name in named if not r.is_at_hand(name)]
        if absent:
            self._notify(
                f"weights to be downloaded: {', '.join(absent)}; each option takes a local file or "
                "folder instead"
            )
        for record in settings.backbones:
            backbone = record.load(settings.sources[record.name], self._on_download)
            if record.name in settings.tuned:
                settings.tuned[record.name].apply(backbone)
            seconds = record.input.sound_seconds
            if record.input.reads is Reads.SOUND and seconds > backbone.longest:
                cause = f"a window of {seconds:g} s; {record.name} reads {backbone.longest:g} s"
                raise UsageError(f"grid: {cause} of sound at most")
            how: dict[str, Any] = {"device": self.device, "threads": self._threads}
            how |= {"batch": self._batch, "compiled": self._how["compiled"]}
            networks.append(Network(record, backbone, bf16=settings.bf16, **how))
        return networks

    @cached_property
    def _flow(self) -> FlowEngine | None:
        settings, backbones = self.settings, self.settings.backbones
        if any(record.input.reads is Reads.FLOW for record in backbones):
            how: dict[str, Any] = {"device": str(self.device), "threads": self._threads}
            return open_flow(settings.flow, settings.flow_settings, **how)
        if any(record.branch == "cbp" and record.name in PRESETS for record in backbones):
            saved = f"{60 * FLOW_SECONDS * settings.grid.fps:,.0f} core-minutes an hour of video"
            self._notify(f"no backbone reads flow, which saves about {saved} on a CPU")
        return None

    @cached_property
    def store_settings(self) -> dict[str, Any]:
        """The settings as a store keeps them; weights are known by their hashes.

        Loads the networks, and raises as the class.
        """
        settings, networks = self.settings, self.networks
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
        for network in networks:
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
                with store.writer() as writer:

                    def write(modality: str, row: NDArray[Any], to: VideoWriter = writer) -> None:
                        to.write(modality, row[None])

                    end = self._collect(job, of_video, write, on_snippet)
                    if isinstance(end, DuetalError):
                        yield Failure.of(job.video, end)
                        continue
                    record = self._record(end, dict(store.settings))
                    yield store.finish(writer, record)

    def __call__(self, video: Video | str) -> tuple[dict[str, NDArray[np.floating]], VideoRecord]:
        """The features of one video, by modality, and how they were made.

        They are those that `extract_all` puts into a store, bit for bit; `Store.put` does so too. A
        path or URL is a video of its file's name. All of a video's features are in memory.

        Raises:
            DuetalError: the video can't be extracted; no such file, or no usable name.
        """
        if isinstance(video, str):
            found = find_videos([video])
            if len(found.videos) != 1:
                raise DuetalError(f"names {len(found.videos)} videos, not one", file=video)
            video = found.videos[0]
        rows: dict[str, list[NDArray[np.floating]]] = defaultdict(list)

        def take(modality: str, row: NDArray[np.floating]) -> None:
            rows[modality].append(row)

        with Stages() as stages:
            items = self.passing(stages, self.decoded([video]))
            first = next(items)
            end = self._collect(first.job, itertools.chain([first], items), take)
        if isinstance(end, DuetalError):
            raise end
        arrays = {modality: np.stack(found) for modality, found in rows.items()}
        return arrays, self._record(end, self.store_settings)

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
        self,
        job: Job,
        items: Iterable[Passing],
        take: Callable[[str, NDArray[np.floating]], object],
        on_snippet: OnSnippet = ignore,
    ) -> End | DuetalError:
        """Take one video's rows by modality, as they come out; why it can't be extracted, if so."""
        for item in items:
            if isinstance(item, Broken):
                return item.error
            if isinstance(item, End):
                return item
            try:
                rows = self.stored(item)
            except DuetalError as error:
                return error
            for modality, row in rows.items():
                take(modality, row)
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

    def _record(self, end: End, settings: dict[str, Any]) -> VideoRecord:
        job = end.job
        return VideoRecord(
            name=job.video.name,
            source=readable(job.video.source),
            sha256=job.sha256,
            size=job.size,
            **asdict(end.decoded),
            snippets=self.settings.grid.snippets(end.decoded.frames),
            widths={network.name: network.backbone.dim for network in self.networks},
            settings=settings,
            versions=dict(versions()),
            seconds={stage: round(seconds, 3) for stage, seconds in job.seconds.items()},
        )


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
