"""The table that ends a training run: mAP of every stage."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from duetal.cli.terminal import plain_console, plain_table, printable
from duetal.evaluation import protocol_named

if TYPE_CHECKING:
    from duetal.results.schema import RunEvaluation
    from duetal.runs.label_evaluation import LabelEvaluation
    from duetal.runs.seeds import SeedSummary


def print_run(found: "RunEvaluation") -> None:
    """Print mAP by stage, with what the numbers mean."""
    first = found.stages[0]
    rows = {
        stage.title: _percent(stage.tiou, stage.mean_ap)
        | {name: f"{100 * value:.1f}" for name, value in stage.averages.items()}
        for stage in found.stages
    }
    _print_table(rows, first.protocol, list(first.averages))
    counts = f"{first.videos:,} videos, {first.segments:,} segments"
    _print_meaning(found.protocol, counts, found.selection, simulated=found.simulated)
    for note in dict.fromkeys(note for stage in found.stages for note in stage.notes):
        plain_console().print(f"note:       {printable(note)}")


def print_seeds(summary: "SeedSummary") -> None:
    """Print mean and standard deviation over seeds by stage."""
    rows = {}
    for scores in summary.stages:
        spreads = dict(zip(map(_column, scores.tiou), scores.spreads, strict=True))
        rows[scores.title] = {
            name: f"{100 * spread.mean:.1f}"
            + ("" if spread.std is None else f" ± {100 * spread.std:.1f}")
            for name, spread in (spreads | dict(scores.averages)).items()
        }
    first = summary.stages[0]
    _print_table(rows, summary.protocol, list(first.averages))
    seeds = ", ".join(map(str, summary.seeds))
    counts = f"mean ± standard deviation over the seeds {seeds}"
    _print_meaning(summary.protocol, counts, summary.selection, simulated=summary.simulated)


def print_labels(found: "LabelEvaluation") -> None:
    """Print how well the labels of held-out videos are told, where no segment is known."""
    console = plain_console()
    table = Table(box=None, padding=(0, 1), pad_edge=False, collapse_padding=True)
    table.add_column("labels of held-out videos", no_wrap=True)
    for column in ("mAP (%)", "surest label right (%)"):
        table.add_column(column, justify="right", no_wrap=True)
    for stage in found.stages:
        table.add_row(stage.title, f"{100 * stage.mean_ap:.1f}", f"{100 * stage.first_right:.1f}")
    console.print()
    console.print(table)
    console.print()
    console.print(
        f"meaning:    mAP is how far up the videos of each class come when all "
        f"{len(found.videos):,} are ranked by it; a random order has {100 * found.chance:.1f}"
    )
    console.print(
        "            no segment is marked in them, so when the actions are was not judged "
        "(no mAP at tIoU)"
    )
    console.print(f"checkpoint: {found.selection}")


def _percent(tiou: Sequence[float], values: Sequence[float]) -> dict[str, str]:
    return {_column(t): f"{100 * value:.1f}" for t, value in zip(tiou, values, strict=True)}


def _column(tiou: float) -> str:
    return f"{tiou:g}"


def _print_table(
    rows: Mapping[str, Mapping[str, str]], protocol: str, averages: Sequence[str]
) -> None:
    """A row per stage; columns: the protocol's shown thresholds and the averages.

    What does not fit beside each other into a terminal goes below each other.
    """
    console = plain_console()
    left = list(map(_column, protocol_named(protocol).shown)) + list(averages)
    console.print()
    while left:
        count = len(left)
        while count > 1 and _width(_table(rows, left[:count]), console) > console.width:
            count -= 1
        console.print(_table(rows, left[:count]))
        console.print()
        left = left[count:]


def _width(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update(width=1000)).maximum


def _table(rows: Mapping[str, Mapping[str, str]], columns: Sequence[str]) -> Table:
    table = plain_table("mAP (%) at tIoU", *columns)
    for title, cells in rows.items():
        table.add_row(title, *(cells[column] for column in columns))
    return table


def _print_meaning(protocol: str, counts: str, selection: str, *, simulated: bool) -> None:
    console = plain_console()
    console.print(f"protocol:   {protocol} ({protocol_named(protocol).summary}); {counts}")
    console.print(f"checkpoint: {selection}")
    if simulated:
        console.print("features:   simulated (duetal simulate); they stand for no real video")
