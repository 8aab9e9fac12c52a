"""Figures of a diagnosis: errors by kind, their cost, missed segments, calibration."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from duetal.core.files import replacing
from duetal.evaluation.diagnosis import Diagnosis
from duetal.evaluation.false_positives import ERRORS, KINDS, PredictionKind

#: Distinct without colour vision (Okabe and Ito); true positives in a muted one.
COLOURS = {
    PredictionKind.TRUE_POSITIVE: "#9fb4c7",
    PredictionKind.DOUBLE_DETECTION: "#56b4e9",
    PredictionKind.WRONG_LABEL: "#cc79a7",
    PredictionKind.LOCALIZATION: "#e69f00",
    PredictionKind.CONFUSION: "#d55e00",
    PredictionKind.BACKGROUND: "#5b5b5b",
}


def write_plots(diagnosis: Diagnosis, folder: Path) -> list[Path]:
    """Draw every figure as a PNG into a folder, which is made if missing; returns the files.

    Raises:
        DuetalError: the folder can't be written.
    """
    written = []
    for draw in (false_positives, fixed, missed, calibration):
        path = folder / f"{draw.__name__}.png"
        with rc_context({"font.size": 8, "axes.titlesize": 9}), replacing(path) as temporary:
            draw(diagnosis).savefig(temporary, format="png", dpi=150)
        written.append(path)
    return written


def false_positives(diagnosis: Diagnosis) -> Figure:
    """Kinds of the top-scoring 1G to 10G predictions and of all, as shares."""
    figure, axes = _figure(6.4, 3.6)
    profile = diagnosis.profile
    bars = {f"{rank}G": counts for rank, counts in profile.ranks.items()} | {"all": profile.whole}
    names, bottom = list(bars), [0.0] * len(bars)
    for kind in KINDS:
        sizes = [100 * bars[n][kind] / max(1, sum(bars[n].values())) for n in names]
        axes.bar(names, sizes, bottom=bottom, width=0.82, color=COLOURS[kind], label=kind)
        bottom = [a + b for a, b in zip(bottom, sizes, strict=True)]
    axes.set(ylabel="share of predictions (%)", ylim=(0, 100))
    axes.set_xlabel("top-scoring predictions of each class")
    axes.set_title(f"Kinds of predictions at tIoU {profile.tiou:g} (G: segments of the class)")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
    )
    return figure


def fixed(diagnosis: Diagnosis) -> Figure:
    """Gain in mAP when each kind of error is removed."""
    figure, axes = _figure(6.4, 2.6)
    now = diagnosis.evaluation.averages[diagnosis.headline]
    gains = {kind: 100 * (diagnosis.fixed[kind] - now) for kind in ERRORS}
    names = list(gains)[::-1]
    bars = axes.barh(names, [gains[n] for n in names], color=[COLOURS[n] for n in names])
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.margins(x=0.12)
    axes.set(xlabel=f"points of mAP {diagnosis.headline} (now {100 * now:.1f})")
    axes.set_title("Gain from fixing each kind of error")
    return figure


def missed(diagnosis: Diagnosis) -> Figure:
    """Missed segments by characteristic, beside the share of all that are missed."""
    found = diagnosis.sensitivity
    figure = Figure(figsize=(2.9 * len(found.characteristics), 3.0), layout="constrained")
    panels = figure.subplots(1, len(found.characteristics), sharey=True, squeeze=False)[0]
    for axes, characteristic in zip(panels, found.characteristics, strict=True):
        _quiet(axes)
        buckets = [bucket for bucket in characteristic.buckets if bucket.missed is not None]
        names = [f"{bucket.name}\n{bucket.segments}" for bucket in buckets]
        bars = axes.bar(names, [100 * (b.missed or 0.0) for b in buckets], color="#d55e00")
        axes.bar_label(bars, fmt="%.0f", padding=2)
        axes.axhline(100 * found.missed, color="#5b5b5b", linewidth=1, linestyle="--")
        axes.set_title(f"by {characteristic.name}")
    panels[0].set(ylabel=f"missed segments (%) at tIoU {found.tiou:g}", ylim=(0, 108))
    return figure


def calibration(diagnosis: Diagnosis) -> Figure:
    """Precision of predictions of about the same score."""
    figure, axes = _figure(3.8, 3.4)
    found = diagnosis.calibration
    scores, precisions = [b.score for b in found.bins], [b.precision for b in found.bins]
    axes.plot(scores, precisions, marker="o", color="#0072b2")
    if found.error is not None:
        axes.plot([0, 1], [0, 1], color="#5b5b5b", linewidth=1, linestyle="--")
        axes.set(xlim=(0, 1))
        axes.set_title(f"Calibration (expected error {found.error:.2f})")
    else:
        axes.set_title("Scores and precision")
    axes.set(xlabel="score", ylabel=f"precision at tIoU {found.tiou:g}", ylim=(0, 1))
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    # Not through pyplot: no window system, no state that outlives the figure.
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _quiet(axes)
    return figure, axes


def _quiet(axes: Axes) -> None:
    """Take away the top and right spines."""
    axes.spines[["top", "right"]].set_visible(False)
