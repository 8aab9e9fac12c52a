"""`duetal import-features`: public features of one or two branches become a dataset on one grid."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from duetal.cli.shared_options import PATH
from duetal.cli.terminal import say

if TYPE_CHECKING:
    from duetal.core.grid import TimeGrid

_GRID = "FPS/STRIDE/WINDOW"


@click.command("import-features")
@click.option("--out", type=PATH, required=True, help="The dataset's folder; made if missing.")
@click.option("--cbp", type=PATH, help="Features of CBP: a folder, or a file for all videos.")
@click.option("--cbp-grid", metavar=_GRID, help="Their grid, such as 30/4/16; or even.")
@click.option("--vlp", type=PATH, help="Features of VLP, likewise.")
@click.option("--vlp-grid", metavar=_GRID, help="Their grid; or even.")
@click.option("--grid", metavar=_GRID, help="The grid of the dataset.  [default: CBP's, or VLP's]")
@click.option("--ending", help="Take the arrays VIDEO_ENDING alone, such as i3d.")
@click.option("--annotations", type=PATH, help="Annotations that say how long each video is.")
@click.option("--text-encoder", help="The model of VLP's features: a hub name or a folder.")
def command(
    out: Path,
    cbp: Path | None,
    cbp_grid: str | None,
    vlp: Path | None,
    vlp_grid: str | None,
    grid: str | None,
    ending: str | None,
    annotations: Path | None,
    text_encoder: str | None,
) -> int:
    """Write public features as a dataset whose branches share one time grid.

    A grid is FPS/STRIDE/WINDOW: 25/16/16 are rows every 16 frames of 25 a second, each of which
    sees 16; 30/4/16 is ActionFormer's of THUMOS14. "even" are any number of rows, spread evenly
    over a video. Rows on another grid than the dataset's are put on it, by seconds. Features
    whose number of rows does not fit the stated grid and the video's duration are refused.
    """
    from duetal.core.errors import UsageError
    from duetal.datasets.importing import Published, import_features
    from duetal.formats import read_annotations

    sources = []
    for branch, place, stated in (("cbp", cbp, cbp_grid), ("vlp", vlp, vlp_grid)):
        if place is None:
            continue
        if stated is None:
            raise UsageError(f"--{branch}-grid: must state the grid of the {branch} features")
        own = None if stated == "even" else _grid(stated, f"--{branch}-grid")
        sources.append(Published(branch, place, own, ending))
    if not sources:
        raise UsageError("--cbp or --vlp: name the features to import")
    durations = {}
    if annotations is not None:
        known = read_annotations(annotations)
        durations = {video.name: video.duration for video in known if video.duration is not None}
    target = None if grid is None else _grid(grid, "--grid")
    done = import_features(out, sources, target, durations, text_encoder)
    seconds = done.grid.seconds_per_snippet
    say(f"{out}: {done.videos:,} videos, a row every {seconds:g} s")
    for branch in done.moved:
        say(f"note: the {branch} features were put on another grid")
    for rule in done.renamed:
        say(f"note: names of {rule}")
    if done.missing:
        first = repr(done.missing[0])
        say(f"left out, of one branch alone: {len(done.missing):,} videos, {first} the first")
    return 0


def _grid(text: str, option: str) -> "TimeGrid":
    from pydantic import TypeAdapter, ValidationError

    from duetal.core.errors import UsageError
    from duetal.core.grid import TimeGrid

    try:
        fps, stride, window = text.split("/")
        values = {"fps": float(fps), "stride": int(stride), "window": int(window)}
        return TypeAdapter(TimeGrid).validate_python(values)
    except (ValueError, ValidationError) as error:
        raise UsageError(f"not a grid: {text!r}; one is FPS/STRIDE/WINDOW", place=option) from error
