"""The table at the end of a training run: mAP of every stage."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from duetal.cli.terminal import plain_table
from duetal.core.console import PlainConsole
from duetal.evaluation import protocol_named
from duetal.evaluation.result import Summary, over_seeds

if TYPE_CHECKING:
    from duetal.evaluation import Evaluation
    from duetal.results.schema import LabelEvaluation, RunEvaluation, SeedSummary


def print_run(found: "RunEvaluation") -> None:
    """Print mAP by stage, the protocol and the choice of checkpoint."""
    first = found.stages[0]
    rows = {stage.title: _cells(stage) for stage in found.stages}
    _print_scores(rows, found, f"{first.videos:,} videos, {first.segments:,} segments")
    for note in dict.fromkeys(note for stage in found.stages for note in stage.notes):
        PlainConsole().print(f"note:       {note}")


def print_unseen(scores: "Mapping[str, Evaluation | Summary]", counts: str) -> None:
    """Print mAP of the classes that were not trained on, by what found them."""
    first = next(iter(scores.values()))
    rows = {title: _cells(one) for title, one in scores.items()}
    console = _print_rows(rows, first.protocol, first.averages, "unseen, mAP (%) at tIoU")
    console.print(f"unseen:     {counts}")


def print_seeds(summary: "SeedSummary") -> None:
    """Print mean and standard deviation over seeds by stage."""
    rows = {stage.title: _cells(stage) for stage in summary.stages}
    _print_scores(rows, summary, over_seeds(summary.seeds))


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
    _print_labels(console, found.trained_on)


def _print_labels(console: PlainConsole, trained_on: str) -> None:
    if trained_on:
        console.print(f"labels:     {trained_on}")


def _cells(one: "Evaluation | Summary") -> dict[str, str]:
    """The scores in percent, by column."""
    if isinstance(one, Summary):
        spreads = dict(zip(one.tiou, one.spreads, strict=True)) | one.averages
        return {
            _column(name): f"{100 * spread.mean:.1f}"
            + ("" if spread.std is None else f" ± {100 * spread.std:.1f}")
            for name, spread in spreads.items()
        }
    values = dict(zip(one.tiou, one.mean_ap, strict=True)) | one.averages
    return {_column(name): f"{100 * value:.1f}" for name, value in values.items()}


def _column(name: float | str) -> str:
    return name if isinstance(name, str) else f"{name:g}"


def _print_scores(
    rows: Mapping[str, Mapping[str, str]], found: "RunEvaluation | SeedSummary", counts: str
) -> None:
    """A row per stage, and what it means."""
    protocol = protocol_named(found.protocol)
    console = _print_rows(rows, found.protocol, found.stages[0].averages, "mAP (%) at tIoU")
    console.print(f"protocol:   {found.protocol} ({protocol.summary}); {counts}")
    console.print(f"checkpoint: {found.selection}")
    _print_labels(console, found.trained_on)
    if found.simulated:
        console.print("features:   simulated (duetal simulate); they stand for no real video")


def _print_rows(
    rows: Mapping[str, Mapping[str, str]], protocol: str, averages: Iterable[str], corner: str
) -> PlainConsole:
    """The rows; columns: the protocol's shown thresholds, the averages.

    Columns that do not fit into the width of the terminal follow in further tables.
    """
    console = PlainConsole()
    left = [f"{t:g}" for t in protocol_named(protocol).shown] + list(averages)
    console.print()
    while left:
        count = len(left)
        while count > 1 and _width(_table(rows, left[:count], corner), console) > console.width:
            count -= 1
        console.print(_table(rows, left[:count], corner))
        console.print()
        left = left[count:]
    return console


def _width(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update(width=1000)).maximum


def _table(rows: Mapping[str, Mapping[str, str]], columns: Sequence[str], corner: str) -> Table:
    table = plain_table(corner, *columns)
    for title, cells in rows.items():
        table.add_row(title, *(cells[column] for column in columns))
    return table
