"""Localizing actions in raw videos with a trained run: features first, then detections."""

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import open_dataset
from duetal.datasets.layouts import find_pieces
from duetal.extraction.sources import (
    LIST_SUFFIX,
    VIDEO_SUFFIXES,
    Failure,
    Video,
    find_videos,
    readable,
)
from duetal.features.places import is_url
from duetal.own_videos.video_features import Extract, extract_for
from duetal.runs.localizing import Localized, Progress, localize
from duetal.runs.processes import device_of
from duetal.runs.run import Run

UNVERIFIABLE = (
    "the run was trained on features without a record of how they were made; "
    "whether those of the videos match them cannot be verified"
)
_YAML_SUFFIXES = (".yaml", ".yml")


def is_dataset(inputs: Sequence[str]) -> bool:
    """Whether the inputs are one dataset; otherwise they are videos.

    An input that is neither is taken for a dataset, whose opening reports what is missing.

    Raises:
        UsageError: a dataset among other inputs, or a folder that is both.
    """
    datasets = [name for name in inputs if _could_be_dataset(name)]
    if datasets and len(inputs) > 1:
        cause = "is a dataset, or nothing; give one dataset, or videos alone"
        raise UsageError(cause, file=datasets[0])
    return bool(datasets)


def _could_be_dataset(name: str) -> bool:
    path = Path(name)
    if is_url(name) or path.suffix.lower() in (*VIDEO_SUFFIXES, LIST_SUFFIX):
        return False
    if path.suffix.lower() in _YAML_SUFFIXES:
        return True
    if not path.is_dir():
        # A file of any name may be a video; a pattern may find some.
        return not path.exists() and not glob.has_magic(name)
    has_features, has_videos = _has_features(path), _has_videos(path)
    if has_features and has_videos:
        cause = "holds features and videos; name its dataset.yaml, or its videos by a pattern"
        raise UsageError(cause, file=path)
    return has_features or not has_videos


def _has_features(folder: Path) -> bool:
    if any((folder / f"dataset{suffix}").is_file() for suffix in _YAML_SUFFIXES):
        return True
    try:
        find_pieces(folder)
    except DuetalError:
        # Opening the dataset reports what is wrong with it.
        return (folder / "features").is_dir()
    return True


def _has_videos(folder: Path) -> bool:
    try:
        found = find_videos([str(folder)])
    except DuetalError:
        return False
    return bool(found.videos or found.failures)


@dataclass(frozen=True)
class PreparedVideos:
    """Raw videos whose features are there.

    Args:
        videos: those that have features.
        failures: those that have none, and why.
        store: the folder of the features.
    """

    videos: tuple[Video, ...]
    failures: tuple[Failure, ...]
    store: Path


def prepare_videos(
    run: Run,
    inputs: Sequence[str],
    store: Path,
    weights: Mapping[str, str],
    *,
    accelerator: str = "auto",
    without: Path | None = None,
    extract: Extract | None = None,
) -> PreparedVideos:
    """Extract the features of raw videos that are not there yet.

    Args:
        run: a trained run.
        inputs: files, folders, lists, patterns and URLs; see `find_videos`.
        store: where the features are kept; those that are there are used again.
        weights: see `extract_for`.
        accelerator: "auto", "cpu", "cuda" or "mps".
        without: a folder that is not searched.
        extract: how to extract what is missing.

    Raises:
        UsageError: weights, or a store, other than those that the run was trained on.
        DuetalError: no video there, weights that can't be read, a store that can't be written.
    """
    found = find_videos(inputs, without=without)
    # Extraction supports no other accelerator.
    device = accelerator if accelerator in ("auto", "cuda") else "cpu"
    failures = extract_for(run, found, store, weights, device=device, extract=extract)
    failed = {failure.name for failure in failures}
    videos = tuple(video for video in found.videos if readable(video.name) not in failed)
    return PreparedVideos(videos, failures, store)


def localize_prepared(
    run: Run,
    prepared: PreparedVideos,
    *,
    stages: list[str],
    literal: bool = False,
    accelerator: str = "auto",
    on_video: Callable[[Video, Localized], object] = lambda video, localized: None,
    progress: Progress = lambda what, done, total: None,
) -> Detections:
    """Find the actions in videos whose features are there.

    Args:
        run: a trained run.
        prepared: the videos.
        stages: see `duetal.runs.localizing.localize`.
        literal: see there.
        accelerator: where to compute.
        on_video: called with every video as it is localized.
        progress: called after every video.

    Raises:
        DuetalError: a checkpoint or features that do not fit or are damaged.
    """
    videos = {video.name: video for video in prepared.videos}
    return localize(
        run,
        open_dataset(prepared.store),
        list(videos),
        stages=stages,
        literal=literal,
        device=device_of(accelerator),
        on_video=lambda localized: on_video(videos[localized.name], localized),
        progress=progress,
    )
