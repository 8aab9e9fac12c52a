"""`duetal localize` of raw videos: features, detections, and the page on which they are watched."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from duetal.runs.run import Run


def localize_raw(
    run: "Run",
    inputs: Sequence[str],
    out: Path,
    *,
    stages: list[str],
    literal: bool,
    accelerator: str,
    features: str | None,
    min_score: float | None,
    no_copies: bool,
    **weights: str | None,
) -> int:
    """Extract what is missing, localize, and write all forms of the result.

    Args:
        run: a trained run.
        inputs: files, folders, lists, patterns and URLs of videos.
        out: the folder of results.
        stages: see `duetal.runs.localizing.localize`.
        literal: see there.
        accelerator: where to compute.
        features: the store; within `out` unless given.
        min_score: the floor of subtitles, and of the page at first.
        no_copies: leave videos alone that browsers do not play.
        weights: values of `weights_options`, where they are not those that the run names.

    Returns:
        The exit code: 1 where a video could not be processed, or not be copied.
    """
    from duetal.cli.extraction_options import (
        extract_with_progress,
        print_failures,
        take_weights,
    )
    from duetal.cli.progress import VideoProgress
    from duetal.cli.video_page import VideoPage
    from duetal.core.errors import DuetalError
    from duetal.localization.non_overlapping import score_floor
    from duetal.own_videos.raw_videos import UNVERIFIABLE, localize_prepared, prepare_videos
    from duetal.own_videos.result_folder import open_results, write_results
    from duetal.own_videos.video_features import local_store

    folder = open_results(out)
    store = local_store(features) if features else folder.features
    if run.model.features is None:
        click.echo(f"note: {UNVERIFIABLE}")
    prepared = prepare_videos(
        run,
        inputs,
        store,
        take_weights(weights),
        accelerator=accelerator,
        without=folder.media,
        extract=extract_with_progress,
    )
    if not prepared.videos:
        print_failures("failed", prepared.failures)
        raise DuetalError("none of the videos could be processed", file=out)
    page = VideoPage(run, folder, store, copies=not no_copies)
    with VideoProgress() as progress:
        detections = localize_prepared(
            run,
            prepared,
            stages=stages,
            literal=literal,
            accelerator=accelerator,
            on_video=page.add,
            progress=progress,
        )
    floor = score_floor(detections) if min_score is None else min_score
    write_results(folder, detections, floor=floor)
    page.write(stages, prepared.failures, floor)
    click.echo(f"{len(prepared.videos):,} videos, {len(detections):,} detections: {folder.page}")
    click.echo(f"checkpoint: {run.model.rule(stages)}")
    print_failures("failed", prepared.failures)
    print_failures("not copied for the page", page.uncopied)
    return 1 if prepared.failures or page.uncopied else 0
