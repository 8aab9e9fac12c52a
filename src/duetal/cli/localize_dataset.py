"""`duetal localize` of a dataset: its features are there."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from duetal.runs.run import Run


def localize_dataset(
    run: "Run",
    dataset: Path,
    out: Path,
    *,
    stages: list[str],
    literal: bool,
    accelerator: str,
    subset: str | None,
) -> int:
    """Localize the videos of a dataset and write ActivityNet results JSON, in seconds."""
    from duetal.cli.progress import VideoProgress
    from duetal.cli.terminal import printable
    from duetal.core.errors import UsageError
    from duetal.datasets import open_dataset
    from duetal.formats.activitynet import write_detections
    from duetal.runs.localizing import choose_videos, localize, unknown_classes
    from duetal.runs.processes import device_of

    videos = open_dataset(dataset)
    if out.is_dir():
        raise UsageError("--out: is a folder; the detections of a dataset are a file", file=out)
    names = choose_videos(videos, subset or "test")
    for label in unknown_classes(run, videos):
        click.echo(f"note: the run knows nothing of the class {printable(label)!r}")
    with VideoProgress() as progress:
        detections = localize(
            run,
            videos,
            names,
            stages=stages,
            literal=literal,
            device=device_of(accelerator),
            progress=progress,
        )
    write_detections(out, detections)
    click.echo(f"{len(names):,} videos, {len(detections):,} detections: {out}")
    click.echo(f"checkpoint: {run.model.rule(stages)}")
    return 0
