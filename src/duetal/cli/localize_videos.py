"""`duetal localize` of raw videos: features, detections, and the page on which they are watched."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from duetal.cli.video_page import VideoPage
    from duetal.core.detections import Detections
    from duetal.features.records import Failure
    from duetal.features.sources import Found, Video
    from duetal.runs.folder import Run


def localize_raw(
    run: "Run",
    words: Sequence[str],
    out: Path,
    *,
    stages: list[str],
    literal: bool,
    accelerator: str,
    features: str | None,
    i3d_rgb: str | None,
    i3d_flow: str | None,
    clip: str | None,
    min_score: float | None,
    no_copies: bool,
) -> int:
    """Extract what is missing, localize, and write all forms of the result.

    Args:
        run: a trained run.
        words: files, folders, lists, patterns and URLs of videos.
        out: the folder of results.
        stages: see `duetal.runs.localize.localize`.
        literal: see there.
        accelerator: where to compute.
        features: the store; within `out` unless given.
        i3d_rgb: weights, where they are not those that the run names.
        i3d_flow: likewise.
        clip: likewise.
        min_score: the floor of subtitles, and of the page at first.
        no_copies: leave videos alone that browsers do not play.

    Returns:
        The exit code: 1 where a video could not be looked into, or not be copied.
    """
    from duetal.cli.extraction_options import print_failures
    from duetal.cli.video_page import VideoPage
    from duetal.core.errors import DuetalError
    from duetal.features.sources import find_videos, readable
    from duetal.localization.apart import floor_of_the_surest
    from duetal.runs.video_features import local_store
    from duetal.runs.video_results import open_results, write_results

    folder = open_results(out)
    store = local_store(features) if features else folder.features
    found = find_videos(words, without=folder.media)
    weights = {"rgb": i3d_rgb, "flow": i3d_flow, "clip": clip}
    failures = _extract(run, found, store, weights, accelerator)
    failed = {failure.name for failure in failures}
    videos = [video for video in found.videos if readable(video.name) not in failed]
    if not videos:
        print_failures("failed", failures)
        raise DuetalError("none of the videos could be looked into", file=out)
    page = VideoPage(run, folder, store, copies=not no_copies)
    detections = _localize(run, videos, store, stages, literal, accelerator, page)
    floor = floor_of_the_surest(detections) if min_score is None else min_score
    write_results(folder, detections, run, stages, literal=literal, floor=floor)
    page.write(stages, failures, floor)
    click.echo(f"{len(videos):,} videos, {len(detections):,} detections: {folder.page}")
    click.echo(f"checkpoint: {run.model.rule(stages)}")
    print_failures("failed", failures)
    print_failures("not copied for the page", page.uncopied)
    return 1 if failures or page.uncopied else 0


def _extract(
    run: "Run",
    found: "Found",
    store: Path,
    weights: Mapping[str, str | None],
    accelerator: str,
) -> "tuple[Failure, ...]":
    from duetal.cli.extraction_options import extract_with_progress
    from duetal.runs.video_features import extract_for

    if run.model.features is None:
        click.echo(
            "note: the run was trained on features that do not say how they were made; "
            "whether those of the videos match them cannot be verified"
        )
    return extract_for(
        run,
        found,
        store,
        {modality: source for modality, source in weights.items() if source is not None},
        # Features are made on no other accelerator.
        device=accelerator if accelerator in ("auto", "cuda") else "cpu",
        extract=extract_with_progress,
    )


def _localize(
    run: "Run",
    videos: "Sequence[Video]",
    store: Path,
    stages: list[str],
    literal: bool,
    accelerator: str,
    page: "VideoPage",
) -> "Detections":
    """Localize video by video; each goes onto the page, and into one table of all."""
    from duetal.cli.terminal import VideoProgress
    from duetal.datasets import open_dataset
    from duetal.localization.proposals import VideoDetections, assemble
    from duetal.runs.localize import localization_settings, localize_videos
    from duetal.runs.processes import device_of
    from duetal.runs.scoring import stage_scorer

    dataset = open_dataset(store)
    scorer = stage_scorer(run, stages, dataset, device_of(accelerator))
    settings = localization_settings(run.config, literal=literal)
    names = [video.name for video in videos]
    results: list[VideoDetections] = []
    with VideoProgress() as progress:
        for localized in localize_videos(scorer, dataset, names, settings):
            page.add(videos[len(results)], localized)
            results.append(localized.detections)
            progress("localizing", len(results), len(names))
    return assemble(results, names, run.model.classes)
