"""`duetal evaluate`: mAP of detections under a named protocol."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from duetal.cli.shared_options import (
    PATH,
    json_option,
    match_option,
    splits_option,
    subset_option,
    truth_option,
    writes,
)
from duetal.core.console import PlainConsole

if TYPE_CHECKING:
    from rich.console import Console

    from duetal.api.splits import SplitScores
    from duetal.evaluation import Evaluation, Protocol


@click.command("evaluate")
@click.argument("detections", type=PATH, required=False)
@truth_option
@splits_option
@click.option(
    "--protocol",
    "protocol_name",
    required=True,
    help="thumos14/seconds-210, thumos14/tad-211, thumos14/tad-212, thumos14/grid-212, "
    "activitynet/1.2, activitynet/1.3, or seconds for other data.",
)
@subset_option
@match_option
@click.option(
    "--count-excluded",
    is_flag=True,
    help="Count predictions in videos that the protocol excludes as false positives.",
)
@json_option
@writes("json_file")
def command(
    detections: Path | None,
    annotations_path: Path | None,
    splits: Path | None,
    protocol_name: str,
    subset: str | None,
    match_names: bool,
    count_excluded: bool,
    json_file: Path | None,
) -> None:
    """Temporal mAP of DETECTIONS (ActivityNet results JSON, CSV, …) under a named protocol.

    AP is ActivityNet's. Printed in percent; the JSON holds fractions. With --splits: the mean over
    splits of the classes, as open vocabularies are evaluated, its spread, and each split.
    """
    from duetal.core.errors import UsageError
    from duetal.core.files import write_json
    from duetal.evaluation import evaluate, protocol_named
    from duetal.formats import read_annotations, read_detections

    protocol = protocol_named(protocol_name)
    how = {"match_names": match_names, "count_excluded": count_excluded}
    if splits is not None:
        from duetal.api.splits import evaluate_splits

        if detections is not None or annotations_path is not None:
            raise UsageError("--splits: each split has its own detections and annotations")
        scores = evaluate_splits(splits, protocol, subset, **how)
        if json_file is not None:
            write_json(json_file, scores.to_json())
        _print_splits(scores, protocol)
        return
    if detections is None or annotations_path is None:
        raise UsageError("give DETECTIONS with --annotations, or --splits")
    found = read_detections(detections)
    truth = read_annotations(annotations_path)
    evaluation = evaluate(found, truth, protocol, subset, **how)
    about = {
        key: value for key in _SHOWN if (value := found.external_data.get(key)) not in (None, "")
    }
    if json_file is not None:
        write_json(json_file, evaluation.to_json() | about)
    _print(evaluation, protocol, about)


#: The facts of detections that are shown with their score, and what each is called.
_SHOWN = {"selection": "checkpoint", "trained_on": "labels"}


def _print(evaluation: "Evaluation", protocol: "Protocol", about: Mapping[str, object]) -> None:
    console = PlainConsole()
    _print_table(console, evaluation, protocol)
    counts = (
        f"{evaluation.videos:,} videos, {evaluation.segments:,} segments, "
        f"{evaluation.predictions:,} predictions"
    )
    dropped = ", ".join(f"{count:,} ({why})" for why, count in evaluation.dropped.items())
    subset = f", subset {evaluation.subset}" if evaluation.subset else ""
    console.print(f"{evaluation.protocol}{subset}: {counts}; dropped: {dropped or 'none'}")
    console.print(f"protocol: {protocol.summary}")
    for key, value in about.items():
        console.print(f"{_SHOWN[key]}: {value}")
    for note in evaluation.notes:
        console.print(f"note: {note}")


def _print_splits(scores: "SplitScores", protocol: "Protocol") -> None:
    """A row per split, then their mean and the sample standard deviation."""
    from duetal.cli.terminal import plain_table

    summary = scores.summary
    shown = [summary.tiou.index(threshold) for threshold in protocol.shown]
    names = [f"{summary.tiou[index]:g}" for index in shown]
    table = plain_table("mAP (%) at tIoU", *names, *summary.averages, "classes", "videos")

    def row(name: str, values: "list[float | None]", *counts: str) -> None:
        table.add_row(name, *("-" if v is None else f"{100 * v:.2f}" for v in values), *counts)

    for name, each in scores.splits.items():
        values = [each.mean_ap[index] for index in shown]
        counts = f"{len(each.per_class):,}", f"{each.videos:,}"
        row(f"split {name}", [*values, *each.averages.values()], *counts)
    mean = [summary.mean_ap[index] for index in shown]
    spread = [summary.std[index] for index in shown]
    row("mean", [*mean, *(each.mean for each in summary.averages.values())])
    row("std", [*spread, *(each.std for each in summary.averages.values())])
    console = PlainConsole()
    console.print(table)
    console.print(f"{summary.protocol}: {len(scores.splits):,} splits; {protocol.summary}")
    for name, each in scores.splits.items():
        for note in each.notes:
            console.print(f"note: split {name}: {note}")


def _print_table(console: "Console", evaluation: "Evaluation", protocol: "Protocol") -> None:
    """A row per class and one for their mean; columns: the shown thresholds and the averages."""
    from rich import box
    from rich.table import Table

    shown = [evaluation.tiou.index(threshold) for threshold in protocol.shown]
    within = {
        name: [i for i, tiou in enumerate(evaluation.tiou) if low <= tiou <= high]
        for name, (low, high) in protocol.averages.items()
    }
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, show_footer=True)
    table.add_column("AP (%) at tIoU", footer="mAP", overflow="fold")
    for index in shown:
        footer = f"{100 * evaluation.mean_ap[index]:.2f}"
        table.add_column(f"{evaluation.tiou[index]:g}", footer, justify="right", no_wrap=True)
    for name, average in evaluation.averages.items():
        table.add_column(name, f"{100 * average:.2f}", justify="right", no_wrap=True)
    for label, values in evaluation.per_class.items():
        cells = [values[index] for index in shown]
        cells += [sum(values[i] for i in rows) / len(rows) for rows in within.values()]
        table.add_row(label, *(f"{100 * cell:.2f}" for cell in cells))
    console.print(table)
