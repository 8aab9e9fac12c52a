"""`duetal evaluate`: mAP of detections under a named protocol."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from duetal.cli.shared_options import (
    PATH,
    json_option,
    match_option,
    subset_option,
    truth_option,
    writes,
)
from duetal.core.console import PlainConsole

if TYPE_CHECKING:
    from rich.console import Console

    from duetal.evaluation import Evaluation, Protocol


@click.command("evaluate")
@click.argument("detections", type=PATH)
@truth_option
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
    detections: Path,
    annotations_path: Path,
    protocol_name: str,
    subset: str | None,
    match_names: bool,
    count_excluded: bool,
    json_file: Path | None,
) -> None:
    """Temporal mAP of DETECTIONS (ActivityNet results JSON, CSV, …) under a named protocol.

    AP is ActivityNet's. Printed in percent; the JSON holds fractions.
    """
    from duetal.core.files import write_json
    from duetal.evaluation import evaluate, protocol_named
    from duetal.formats import read_annotations, read_detections

    protocol = protocol_named(protocol_name)
    found = read_detections(detections)
    truth = read_annotations(annotations_path)
    how = {"match_names": match_names, "count_excluded": count_excluded}
    evaluation = evaluate(found, truth, protocol, subset, **how)
    selection = found.external_data.get("selection")
    if json_file is not None:
        rule = {} if selection is None else {"selection": selection}
        write_json(json_file, evaluation.to_json() | rule)
    _print(evaluation, protocol, selection)


def _print(evaluation: "Evaluation", protocol: "Protocol", selection: object) -> None:

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
    if selection is not None:
        console.print(f"checkpoint: {selection}")
    for note in evaluation.notes:
        console.print(f"note: {note}")


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
