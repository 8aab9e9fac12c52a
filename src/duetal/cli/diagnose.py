"""`duetal diagnose`: the errors behind a score."""

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
from duetal.cli.terminal import say
from duetal.core.console import PlainConsole

if TYPE_CHECKING:
    from rich.table import Table

    from duetal.evaluation.diagnosis import Diagnosis


@click.command("diagnose")
@click.argument("detections", type=PATH, required=False)
@truth_option
@splits_option
@click.option("--protocol", "protocol_name", default="seconds", help="See duetal evaluate.")
@subset_option
@click.option(
    "--tiou", type=float, default=0.5, help="The threshold at which predictions are right or wrong."
)
@match_option
@json_option
@writes("json_file")
@click.option("--plots", type=PATH, help="Also draw figures into this folder.")
def command(
    detections: Path | None,
    annotations_path: Path | None,
    splits: Path | None,
    protocol_name: str,
    subset: str | None,
    tiou: float,
    match_names: bool,
    json_file: Path | None,
    plots: Path | None,
) -> None:
    """Classify the errors of DETECTIONS, and measure what each kind costs.

    The kinds of error and the characteristics of segments are those of DETAD (Alwassel et al.,
    2018). A kind is fixed by removing its predictions. With --splits: of each split, one after the
    other; the JSON holds them by name.
    """
    from duetal.api import diagnose
    from duetal.api.splits import DETECTIONS, TRUTH, split_folders
    from duetal.core.errors import UsageError
    from duetal.core.files import write_json

    if splits is not None and detections is None and annotations_path is None:
        files = {p.name: (p / DETECTIONS, p / TRUTH) for p in split_folders(splits)}
    elif splits is None and detections is not None and annotations_path is not None:
        files = {"": (detections, annotations_path)}
    else:
        raise UsageError("give DETECTIONS with --annotations, or --splits alone")
    found = {}
    for name, (one, truth) in files.items():
        diagnosis = diagnose(one, truth, protocol_name, subset, tiou=tiou, match_names=match_names)
        found[name] = diagnosis.to_json()
        if name:
            if len(found) > 1:
                say("")
            say(f"split {name}:")
        _print(diagnosis)
        if plots is not None:
            from duetal.pages.diagnosis_plots import write_plots

            for path in write_plots(diagnosis, plots / name):
                say(f"drawn: {path}")
    if json_file is not None:
        write_json(json_file, found if splits else found[""])


def _print(diagnosis: "Diagnosis") -> None:
    from duetal.cli.terminal import plain_table

    console = PlainConsole()
    evaluation, sensitivity = diagnosis.evaluation, diagnosis.sensitivity
    console.print(_kinds(diagnosis))
    console.print()
    for characteristic in sensitivity.characteristics:
        table = plain_table(
            f"{characteristic.name} ({characteristic.unit})",
            "segments",
            "missed (%)",
            "normalized mAP (%)",
        )
        for bucket in characteristic.buckets:
            span = f"{bucket.name}: up to {bucket.high:g}"
            if bucket.high == float("inf"):
                span = f"{bucket.name}: above {bucket.low:g}"
            table.add_row(
                span, f"{bucket.segments:,}", _percent(bucket.missed), _percent(bucket.mean_ap)
            )
        console.print(table)
        console.print()
    console.print(
        f"all segments: {_percent(sensitivity.missed)} % missed, "
        f"normalized mAP {_percent(sensitivity.mean_ap)} %"
    )
    console.print(_calibration(diagnosis))
    subset = f", subset {evaluation.subset}" if evaluation.subset else ""
    console.print(
        f"{evaluation.protocol}{subset}, right and wrong at tIoU {diagnosis.profile.tiou:g}: "
        f"{evaluation.videos:,} videos, {evaluation.segments:,} segments, "
        f"{evaluation.predictions:,} predictions"
    )
    for note in evaluation.notes:
        console.print(f"note: {note}")


def _kinds(diagnosis: "Diagnosis") -> "Table":
    from duetal.cli.terminal import plain_table
    from duetal.evaluation.false_positives import KINDS

    average = diagnosis.evaluation.averages[diagnosis.headline]
    profile = diagnosis.profile
    table = plain_table(
        "predictions", "top 1G", "top 5G", "top 10G", "all", "%", f"fixed: mAP {diagnosis.headline}"
    )
    columns = [*(profile.ranks[rank] for rank in (1, 5, 10)), profile.whole]
    sums = [sum(column.values()) for column in columns]
    for kind in KINDS:
        fixed = diagnosis.fixed.get(kind)
        gain = "" if fixed is None else f"{100 * fixed:.1f} ({100 * (fixed - average):+.1f})"
        share = f"{100 * profile.whole[kind] / max(1, sums[-1]):.1f}"
        table.add_row(kind, *(f"{column[kind]:,}" for column in columns), share, gain)
    table.add_row("sum", *(f"{count:,}" for count in sums), "", f"now {100 * average:.1f}")
    return table


def _calibration(diagnosis: "Diagnosis") -> str:
    found = diagnosis.calibration
    parts = []
    if found.error is not None:
        parts.append(f"expected calibration error {found.error:.3f}")
    if found.auc is not None:
        parts.append(f"a true prediction has the higher score {100 * found.auc:.0f} % of the time")
    if found.bins:
        low, high = found.bins[0], found.bins[-1]
        parts.append(
            f"precision {_percent(low.precision)} % in the lowest tenth of scores, "
            f"{_percent(high.precision)} % in the highest"
        )
    return "scores: " + ("; ".join(parts) or "none")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
