"""Which backbones of a run are trained, found in the record of its features, and loaded."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duetal.backbones.protocol import BackboneRecord, Reads
from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.core.files import is_url
from duetal.datasets import Dataset
from duetal.extraction.store import recorded_settings
from duetal.features.metadata import Settings, VideoRecord, recorded, settings_hash
from duetal.features.streams import FeatureStream
from duetal.method.backbone_settings import BackboneSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from duetal.end_to_end.branch_backbone import BranchBackbone
    from duetal.extraction.extraction_settings import ExtractionSettings

_PLACE = "backbone.train"


@dataclass(frozen=True)
class BackbonePlan:
    """The backbones that are trained, of one data set."""

    settings: BackboneSettings
    streams: Mapping[str, FeatureStream]  #: By branch, those with a backbone that is trained.
    store: Path
    stored: Settings  #: How the features of these backbones were made.
    extraction: "ExtractionSettings"
    records: Mapping[str, VideoRecord]  #: Of all videos.

    def trained(self, branch: str) -> list[BackboneRecord]:
        """The backbones behind a branch that are trained."""
        names = [part.place.name for part in self.streams[branch].parts]
        return [record for record in self.extraction.backbones if record.name in names]


def plan_backbones(settings: BackboneSettings, dataset: Dataset) -> BackbonePlan | None:
    """Find what can be trained, before anything is loaded; None where nothing is to be.

    Raises:
        UsageError: features that are named and not read, or whose backbone cannot be trained.
        DuetalError: features without a record of how they were made, or whose videos are gone.
    """
    if settings.train is None:
        return None
    stored = recorded_settings(list(dataset.streams.values()))
    if stored is None:
        cause = f"{_PLACE}={settings.train}: no record of how the features were made, so there "
        cause += "are no videos to read again; duetal train --videos, or extract, leaves one"
        raise DuetalError(cause, file=dataset.source)
    names = _trainable(settings, stored)
    stored = _restricted(stored, names)
    streams = {
        branch: stream
        for branch, stream in dataset.streams.items()
        if any(part.place.name in names for part in stream.parts)
    }
    read = [part.place.name for stream in streams.values() for part in stream.parts]
    for name in names:
        if read.count(name) > 1:
            cause = f"two branches read the {name} features, and each would train a backbone of its"
            raise UsageError(f"{cause} own; data.branches=[cbp] trains one branch", place=_PLACE)
    part = next(iter(streams.values())).parts[0]
    videos = dict.fromkeys((*dataset.training, *dataset.evaluation))
    records = {name: _record(part.place, name, dataset.length(name)) for name in videos}
    return BackbonePlan(
        settings,
        streams,
        part.place.parent.parent,
        stored,
        _extraction(stored, part.place),
        records,
    )


def _trainable(settings: BackboneSettings, stored: Settings) -> list[str]:
    """The features whose backbones are trained."""
    able: dict[str, str | None] = {}
    for name in stored["modalities"]:
        able[name] = None
        if name == str(Reads.FLOW):
            able[name] = "it reads optical flow, whose engine has no gradient"
        elif stored[name].get("crops", 1) > 1:
            able[name] = "ten crops of each picture would be trained on; extract with one"
    names = settings.features or tuple(name for name, reason in able.items() if reason is None)
    for name in names or able:
        if name not in able:
            raise UsageError(unknown("features", name, able), place="backbone.features")
        if (reason := able[name]) is not None:
            cause = f"the backbone of the {name} features cannot be trained: {reason}"
            raise UsageError(cause, place=_PLACE)
    return list(names)


def _restricted(stored: Settings, names: Iterable[str]) -> dict[str, object]:
    """A store's settings without those of other backbones; flow is never among them."""
    names = list(names)
    unused = {*stored["modalities"], "flow_engine"}.difference(names)
    return {k: v for k, v in stored.items() if k not in unused} | {"modalities": names}


def _extraction(stored: Settings, file: Path) -> "ExtractionSettings":
    from duetal.extraction.extraction_settings import ExtractionSettings

    try:
        return ExtractionSettings.recorded(stored, {})
    except KeyError as error:
        cause = f"the backbone of the {error} features cannot be trained: it is none of duetal's"
        raise UsageError(cause, place=_PLACE) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise DuetalError(f"made in a way that is not supported: {error}", file=file) from error


def _record(features: Path, name: str, length: int) -> VideoRecord:
    """The record of a video that is still there, and whose features are those of the record."""
    record, place = recorded(features, name), f"video {name!r}"
    if record is None:
        cause = "no record of its features, so its frames cannot be read again"
        raise DuetalError(cause, file=features, place=place)
    if record.snippets != length:
        cause = f"its frames make {record.snippets} snippets, and its features have {length}"
        raise DuetalError(cause, file=record.source, place=place)
    if not is_url(record.source) and not Path(record.source).is_file():
        cause = "the video is gone, and training a backbone reads it again"
        raise DuetalError(cause, file=record.source, place=place)
    return record


def open_backbones(
    plan: BackbonePlan,
    fabric: "Fabric",
    names: tuple[str, ...],
    folder: Callable[[str], Path],
    seed: int,
) -> "dict[str, BranchBackbone]":
    """Load the backbones by branch, and decode the videos that are not decoded yet.

    `names` are the training videos, in the order of their indices; `folder` gives the folder for
    the features of a stage, and `seed` is of what is random.

    Raises:
        UsageError: a backbone without weights, blocks or layers that can be trained.
        DuetalError: weights that can't be had or are others than those of the features; videos that
            are damaged, gone or other ones; a full disk.
    """
    import torch

    from duetal.end_to_end.branch_backbone import BranchBackbone, TrainedPart
    from duetal.end_to_end.frame_cache import FrameCache
    from duetal.extraction.networks import Network, usual_batch

    how: dict[str, Any] = {
        "device": fabric.device,
        "batch": usual_batch(fabric.device),
        "bf16": plan.extraction.bf16,
    }
    found = {}
    for branch, stream in plan.streams.items():
        parts = []
        for record in plan.trained(branch):
            one = _restricted(plan.stored, [record.name])
            backbone = record.load(plan.extraction.sources[record.name], None)
            if backbone.module is None:
                cause = f"the backbone of the {record.name} features cannot be trained: it has no "
                raise UsageError(f"{cause}network with weights", place=_PLACE)
            if backbone.identity.sha256 != plan.stored[record.name]["sha256"]:
                cause = "other weights than those that made the features"
                raise DuetalError(cause, file=backbone.identity.name, place=record.name)
            network = Network(record, backbone, threads=torch.get_num_threads(), **how)
            kept = Path(plan.settings.frames or plan.store / "frames")
            cache = FrameCache(kept / f"{record.name}-{settings_hash(one)[:8]}", plan.records)
            if fabric.is_global_zero:
                cache.fill(network, plan.extraction)
            fabric.barrier()
            parts.append(TrainedPart(network, cache, _columns(stream, record.name)))
        stored = _restricted(plan.stored, [part.network.name for part in parts])
        found[branch] = BranchBackbone(
            fabric, plan.settings, parts, stream, names, stored, folder, seed
        )
    return found


def _columns(stream: FeatureStream, name: str) -> slice:
    """The channels of a backbone in a stream."""
    start = 0
    for part in stream.parts:
        if part.place.name == name:
            return slice(start, start + part.dim)
        start += part.dim
    raise AssertionError("the stream has no such part")
