"""The table at the end of a training run: mAP of every stage."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.table import Table

from duetal.cli.terminal import plain_table, say
from duetal.core.console import PlainConsole
from duetal.evaluation import protocol_named

if TYPE_CHECKING:
    from duetal.evaluation import Evaluation
    from duetal.results.schema import LabelEvaluation, RunEvaluation, SeedSummary

Value = TypeVar("Value")


def print_run(found: "RunEvaluation") -> None:
    """Print mAP by stage, the protocol and the choice of checkpoint."""
    first = found.stages[0]
    rows = {
        stage.title: {
            name: f"{100 * value:.1f}"
            for name, value in (_by_column(stage.tiou, stage.mean_ap) | stage.averages).items()
        }
        for stage in found.stages
    }
    _print_scores(rows, found, f"{first.videos:,} videos, {first.segments:,} segments")
    for note in dict.fromkeys(note for stage in found.stages for note in stage.notes):
        PlainConsole().print(f"note:       {note}")


def print_unseen(scores: "Mapping[str, Evaluation]") -> None:
    """Print mAP of the classes that were not trained on, by the branches that found them."""
    if not scores:
        say("no evaluation video has a segment of an unseen class: those are not measured")
        return
    first = next(iter(scores.values()))
    protocol = protocol_named(first.protocol)
    shown = [first.tiou.index(threshold) for threshold in protocol.shown]
    names = [f"{first.tiou[index]:g}" for index in shown]
    table = plain_table("unseen, mAP (%) at tIoU", *names, *first.averages)
    for title, one in scores.items():
        values = [*(one.mean_ap[index] for index in shown), *one.averages.values()]
        table.add_row(title, *(f"{100 * value:.1f}" for value in values))
    console = PlainConsole()
    console.print()
    console.print(table)
    console.print()
    console.print(
        f"unseen:     {', '.join(first.per_class)}: found by their words, among one another, in "
        f"{first.videos:,} videos with {first.segments:,} segments"
    )


def print_seeds(summary: "SeedSummary") -> None:
    """Print mean and standard deviation over seeds by stage."""
    rows = {}
    for stage in summary.stages:
        spreads = _by_column(stage.tiou, stage.spreads) | stage.averages
        rows[stage.title] = {
            name: f"{100 * spread.mean:.1f}"
            + ("" if spread.std is None else f" ± {100 * spread.std:.1f}")
            for name, spread in spreads.items()
        }
    seeds = ", ".join(map(str, summary.seeds))
    _print_scores(rows, summary, f"mean ± standard deviation over the seeds {seeds}")


def print_labels(found: "LabelEvaluation") -> None:
    """Print how well held-out videos are ranked by label, where no segment is known."""
    console = PlainConsole()
    table = plain_table("labels of held-out videos", "mAP (%)", "top label right (%)")
    for stage in found.stages:
        table.add_row(stage.title, f"{100 * stage.mean_ap:.1f}", f"{100 * stage.first_right:.1f}")
    console.print()
    console.print(table)
    console.print()
    console.print(
        f"meaning:    mAP of ranking all {len(found.videos):,} videos by each class; "
        f"a random order has {100 * found.chance:.1f}"
    )
    console.print(
        "            their segments are unknown, so the times of the actions are not judged "
        "(no mAP at tIoU)"
    )
    console.print(f"checkpoint: {found.selection}")


def _by_column(tiou: Iterable[float], values: Iterable[Value]) -> dict[str, Value]:
    return {f"{t:g}": value for t, value in zip(tiou, values, strict=True)}


def _print_scores(
    rows: Mapping[str, Mapping[str, str]], found: "RunEvaluation | SeedSummary", counts: str
) -> None:
    """A row per stage, and what it means; columns: the protocol's shown thresholds, the averages.

    Columns that do not fit into the width of the terminal follow in further tables.
    """
    console = PlainConsole()
    protocol = protocol_named(found.protocol)
    left = [f"{t:g}" for t in protocol.shown] + list(found.stages[0].averages)
    console.print()
    while left:
        count = len(left)
        while count > 1 and _width(_table(rows, left[:count]), console) > console.width:
            count -= 1
        console.print(_table(rows, left[:count]))
        console.print()
        left = left[count:]
    console.print(f"protocol:   {found.protocol} ({protocol.summary}); {counts}")
    console.print(f"checkpoint: {found.selection}")
    if found.simulated:
        console.print("features:   simulated (duetal simulate); they stand for no real video")


def _width(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update(width=1000)).maximum


def _table(rows: Mapping[str, Mapping[str, str]], columns: Sequence[str]) -> Table:
    table = plain_table("mAP (%) at tIoU", *columns)
    for title, cells in rows.items():
        table.add_row(title, *(cells[column] for column in columns))
    return table
