"""`duetal compare`: differences of mAP between runs, with intervals."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from duetal.cli.shared_options import PATH, comparing_options, json_option, writes
from duetal.core.console import PlainConsole

if TYPE_CHECKING:
    from rich.console import Console

    from duetal.evaluation.comparison import Comparison, Difference

#: Classes and videos that the terminal shows; the JSON has all.
SHOWN = 8


@click.command("compare")
@click.argument("contenders", nargs=-1, required=True, type=PATH)
@comparing_options
@click.option("--draws", type=click.IntRange(100), default=1000, help="Resamples.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the resamples.")
@json_option
@writes("json_file")
def command(
    contenders: tuple[Path, ...],
    annotations_path: Path | None,
    protocol_name: str | None,
    subset: str | None,
    stage: str | None,
    draws: int,
    seed: int,
    match_names: bool,
    json_file: Path | None,
) -> None:
    """Compare CONTENDERS, run folders or detection files, with the first of them.

    The same ground truth for all, and a paired bootstrap over its videos: the difference of
    average mAP with a 95 % interval, the classes and the videos where they differ most. A run of
    several seeds counts with their mean.
    """
    from duetal.cli.progress import VideoProgress
    from duetal.core.errors import UsageError
    from duetal.core.files import write_json
    from duetal.evaluation.comparison import compare
    from duetal.runs.comparing import common_ground, open_contenders

    if len(contenders) < 2:
        raise UsageError("a comparison needs two runs or detection files, or more")
    with VideoProgress("steps", to_error=True) as progress:
        opened = open_contenders(contenders, stage, progress)
        annotations, protocol = common_ground(opened, annotations_path, protocol_name)
        rivals = [each.contender for each in opened]
        how: dict[str, Any] = {"draws": draws, "seed": seed, "match_names": match_names}
        result = compare(rivals, annotations, protocol, subset, progress=progress, **how)
    if json_file is not None:
        write_json(json_file, result.to_json())
    _print(result)


def _print(result: "Comparison") -> None:
    from duetal.cli.terminal import plain_table

    console = PlainConsole()
    _print_scores(console, result)
    baseline = next(iter(result.scores))
    for versus in result.versus:
        name = versus.name
        headline = versus.averages[result.headline]
        verdict = f"the interval {'excludes' if headline.is_significant else 'includes'} 0"
        console.print(f"{name} against {baseline}, mAP {result.headline} in points:")
        console.print(
            f"  {_points(headline)}: {verdict}; better in {100 * versus.better:.0f} % of resamples"
        )
        table = plain_table("class", "AP difference", fold=True)
        for label, difference in list(versus.per_class.items())[:SHOWN]:
            table.add_row(label, _points(difference))
        console.print(table)
        table = plain_table("video", "share of the difference", fold=True)
        for video in versus.videos[:SHOWN]:
            table.add_row(video.video, f"{100 * video.influence:+.2f}")
        console.print(table)
    left_out = max(0, len(result.versus[0].per_class) - SHOWN)
    left_out_videos = max(0, result.videos - SHOWN)
    if left_out or left_out_videos:
        console.print(
            f"not shown: {left_out:,} classes, {left_out_videos:,} videos (--json has all)"
        )
    subset = f", subset {result.subset}" if result.subset else ""
    console.print(
        f"{result.protocol}{subset}: {result.videos:,} videos, {result.segments:,} segments; "
        f"{result.draws:,} resamples of the videos, seed {result.seed}, 95 % intervals"
    )
    console.print(
        "a video's share: how much smaller the difference is without it; "
        "of many classes, 1 in 20 intervals excludes 0 by chance"
    )
    for note in result.notes:
        console.print(f"note: {note}")


def _print_scores(console: "Console", result: "Comparison") -> None:
    from duetal.cli.terminal import plain_table

    averages = list(next(iter(result.scores.values())))
    table = plain_table("mAP (%) averaged over tIoU", *averages, fold=True)
    differences = {versus.name: versus.averages for versus in result.versus}
    for name, scores in result.scores.items():
        cells = [f"{100 * scores[key]:.2f}" for key in averages]
        table.add_row(name, *cells)
        if name in differences:
            table.add_row("  difference", *(_points(differences[name][key]) for key in averages))
    console.print(table)


def _points(difference: "Difference") -> str:
    low, high = 100 * difference.low, 100 * difference.high
    return f"{100 * difference.value:+.2f} [{low:+.2f}, {high:+.2f}]"
