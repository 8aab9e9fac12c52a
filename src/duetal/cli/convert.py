"""`duetal convert`: annotations and detections from one form to another."""

from pathlib import Path
from typing import Any

import click

from duetal.cli.shared_options import PATH, finite
from duetal.cli.terminal import say

#: Names of `duetal.formats.forms.Format`, as text, so that `--help` imports none of them.
FORMATS = (
    "activitynet",
    "basnet",
    "boris",
    "csv",
    "cvat",
    "elan",
    "fiftyone",
    "label-studio",
    "strong",
    "thumos14",
    "via",
    "weak",
    "webvtt",
    "w-talc",
)


@click.command("convert")
@click.argument("source", metavar="IN", type=PATH)
@click.argument("target", metavar="OUT", type=PATH)
@click.option("--from", "source_format", type=click.Choice(FORMATS), help="The form of IN.")
@click.option("--to", "target_format", type=click.Choice(FORMATS), help="The form of OUT.")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["annotations", "detections"]),
    help="What to read of a file that may hold both.",
)
@click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    help="Frames per second of the videos, for forms that count frames.",
)
@click.option(
    "--videos",
    "inputs",
    multiple=True,
    metavar="PATH",
    help="The videos, whose own rates count frames: of CVAT, FiftyOne and, to write, Label Studio.",
)
@click.option("--subset", help="The subset of videos whose source names none, such as test.")
@click.option("--min-score", type=float, callback=finite, help="Leave out detections below.")
@click.option(
    "--media-root",
    show_default=False,
    default="",
    help="The folder or address under which an annotation tool finds the videos.",
)
@click.option("--media-suffix", default=".mp4", help="Of the videos' files.")
@click.option(
    "--tier", help="The tier, attribute, field, variable or control that holds the labels."
)
@click.option(
    "--class-list",
    type=PATH,
    help="The classes, one a line, of a file that has their numbers (from 0, or as listed).",
)
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
def command(
    source: Path,
    target: Path,
    source_format: str | None,
    target_format: str | None,
    kind: str | None,
    inputs: tuple[str, ...],
    subset: str | None,
    min_score: float | None,
    class_list: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Convert annotations or detections from IN to OUT.

    The form of IN is guessed from its content, that of OUT from its suffix. What OUT can't hold is
    named, with its count.
    """
    from duetal.core.outputs import refuse_existing
    from duetal.formats.conversion import convert
    from duetal.formats.forms import ContentKind, Format
    from duetal.formats.options import FormatOptions, read_class_numbers

    classes = None
    if class_list is not None:
        refuse_existing(target, [class_list], force=force)
        classes = read_class_numbers(class_list)
    if inputs:
        from duetal.own_videos.frame_clocks import frame_clocks

        options["videos"], failures = frame_clocks(inputs)
        for failure in failures:
            say(f"note: {failure}")
    done = convert(
        source,
        target,
        source_format=None if source_format is None else Format(source_format),
        target_format=None if target_format is None else Format(target_format),
        kind=None if kind is None else ContentKind(kind),
        options=FormatOptions(**options, classes=classes),
        subset=subset,
        min_score=min_score,
        force=force,
    )
    what = "segments" if done.kind is ContentKind.ANNOTATIONS else "detections"
    counts = f"{done.videos:,} videos, {done.rows:,} {what}"
    say(f"{done.source_format} → {done.target_format}: {counts}: {target}")
    for path in done.files:
        say(f"also written: {path}")
    for note in done.notes:
        say(f"note: {note}")
    for line in done.lines or ("nothing is lost",):
        say(line)
