"""Localizing actions in raw videos with a trained run: features first, then detections."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from duetal.core.detections import Detections
from duetal.datasets import open_dataset
from duetal.extraction.sources import Failure, Video, find_videos, readable
from duetal.localization.proposals import VideoDetections, assemble
from duetal.own_videos.video_features import Extract, extract_for
from duetal.runs.localizing import (
    Localized,
    Progress,
    localize_videos,
    with_facts,
)
from duetal.runs.processes import device_of
from duetal.runs.run import Run
from duetal.runs.stage_scoring import stage_scorer

UNVERIFIABLE = (
    "the run was trained on features that do not say how they were made; "
    "whether those of the videos match them cannot be verified"
)


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
    # Features are made on no other accelerator.
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
    dataset = open_dataset(prepared.store)
    scorer = stage_scorer(run, stages, dataset, device_of(accelerator))
    settings = run.config.localization.literal() if literal else run.config.localization
    names = [video.name for video in prepared.videos]
    results: list[VideoDetections] = []
    for localized in localize_videos(scorer, dataset, names, settings):
        on_video(prepared.videos[len(results)], localized)
        results.append(localized.detections)
        progress("localizing", len(results), len(names))
    found = assemble(results, names, run.model.classes)
    return with_facts(found, run, stages, literal=literal)
