"""Draw the figures of the documentation from the run of `make demo`: `make figures`.

    python scripts/draw_figures.py demo/run demo/dataset docs/images

Everything drawn is read from the run's files or computed with its checkpoints. The features are
simulated, and every figure says so. Equal runs give equal files, byte by byte.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from duetal.core.annotations import VideoAnnotation
from duetal.core.files import read_json, replacing
from duetal.datasets import Dataset, open_dataset
from duetal.method.pseudo_labels import BACKGROUND, FOREGROUND
from duetal.results.training_log import read_training_log
from duetal.runs.diagnostics import read_pseudo_labels, snippet_truth
from duetal.runs.run import Run, open_run
from duetal.runs.stage_scoring import stage_scorer

Values = NDArray[np.floating]

#: Told apart without colour vision (Okabe and Ito).
COLOURS = {"cbp": "#0072b2", "vlp": "#d55e00", "ensemble": "#009e73"}
TRUTH, GREY = "#c9c9c9", "#5f5f5f"


@dataclass(frozen=True)
class Story:
    """One video, and its scores by every stage of a run.

    Args:
        run: a finished run of two modalities.
        dataset: what it was trained on.
        video: whose segments are known.
    """

    run: Run
    dataset: Dataset
    video: VideoAnnotation

    @property
    def label(self) -> str:
        """The class that is looked at: the video's most frequent."""
        labels = [segment.label for segment in self.video.segments or ()]
        return max(self.video.labels, key=labels.count)

    @property
    def column(self) -> int:
        """Its column in scores and pseudo-labels."""
        return self.dataset.classes.index(self.label)

    def scores(self, stages: Sequence[str]) -> Values:
        """(T,) probability of the class by one checkpoint, or by the ensemble of two."""
        score = stage_scorer(self.run, list(stages), self.dataset, torch.device("cpu"))
        return np.asarray(score(self.video.name).snippets[:, self.column], dtype=np.float64)

    def shade_truth(self, axes: Axes) -> None:
        """Shade where the class really is."""
        for segment in self.video.segments or ():
            if segment.label == self.label:
                axes.axvspan(segment.start, segment.end, color=TRUTH, linewidth=0)

    def seconds(self, length: int) -> Values:
        """(T + 1,) where snippets begin and the last one ends."""
        return self.dataset.grid.start(np.arange(length + 1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("images", type=Path)
    options = parser.parse_args(arguments)
    run, dataset = open_run(options.run), open_dataset(options.dataset)
    figures: dict[str, Callable[[Run, Dataset], Figure]] = {
        "scores": scores,
        "pseudo-labels": pseudo_labels,
        "alternation": alternation,
        "precision-recall": precision_recall,
    }
    options.images.mkdir(parents=True, exist_ok=True)
    for name, draw in figures.items():
        path = options.images / f"{name}.svg"
        with replacing(path) as temporary, drawing():
            draw(run, dataset).savefig(temporary, format="svg", metadata={"Date": None})
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def drawing() -> AbstractContextManager[None]:
    """How all figures look; text becomes paths, so that it is the same everywhere."""
    return rc_context(
        {
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.fonttype": "path",
            "svg.hashsalt": "duetal",
        }
    )


def scores(run: Run, dataset: Dataset) -> Figure:
    """Both branches over one test video, before and after they taught each other."""
    story = _story(run, dataset, dataset.evaluation)
    last = _last_stages(run)
    pairs = {
        "Before: each branch by itself": ("cbp-warmup", "vlp-zeroshot"),
        "After: each taught by the other": last,
    }
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (title, stages) in zip(panels, pairs.items(), strict=True):
        story.shade_truth(axes)
        for stage in stages:
            curve = _stretched(story.scores([stage]))
            record = run.model.stage(stage)
            name, colour = record.title, COLOURS[record.branch]
            axes.stairs(curve, story.seconds(len(curve)), baseline=None, color=colour, label=name)
        _finish(axes, title)
        axes.set(ylim=(0, 1.02), yticks=(0, 0.5, 1), ylabel="score, stretched to 0..1")
    panels[-1].set_xlabel(f"seconds · grey: where {story.label} really is · simulated features")
    return figure


def pseudo_labels(run: Run, dataset: Dataset) -> Figure:
    """Scores and pseudo-labels of the first two teachers on one training video."""
    story = _story(run, dataset, dataset.training)
    settings = run.config.losses
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    teachers = {
        "B1": ("cbp-warmup", "B step: CBP teaches VLP"),
        "F1": ("vlp-b1", "F step: VLP teaches CBP"),
    }
    for axes, (phase, (stage, title)) in zip(panels, teachers.items(), strict=True):
        story.shade_truth(axes)
        labels = read_pseudo_labels(run.folder.pseudo_labels(phase))[story.video.name]
        own = labels[:, story.column]
        edges = story.seconds(len(own))
        kinds = {FOREGROUND: ("foreground", "#009e73"), BACKGROUND: ("background", "#56b4e9")}
        for kind, (name, colour) in kinds.items():
            strip = np.where(own == kind, -0.04, np.nan)
            axes.stairs(
                strip, edges, baseline=-0.16, fill=True, color=colour, label=f"confident {name}"
            )
        probability = story.scores([stage])
        curve = _stretched(_as_thresholded(probability, settings.pseudo_score))
        axes.stairs(curve, edges, baseline=None, color=COLOURS[run.model.stage(stage).branch])
        for value, name in ((settings.pseudo_high, "δ_h"), (settings.pseudo_low, "δ_l")):
            axes.axhline(value, color=GREY, linestyle=":", linewidth=0.9)
            axes.annotate(name, (1.005, value), xycoords=("axes fraction", "data"), va="center")
        _finish(axes, title)
        axes.set(ylim=(-0.18, 1.02), yticks=(0, 0.5, 1), ylabel="score, stretched to 0..1")
    panels[-1].set_xlabel(f"seconds · grey: where {story.label} really is · simulated features")
    return figure


def alternation(run: Run, dataset: Dataset) -> Figure:
    """The loss of every epoch, phase after phase: which branch learns, and who teaches it."""
    log = read_training_log(run.folder.path / "metrics.jsonl")
    figure = Figure(figsize=(7.6, 2.9), layout="constrained")
    axes = figure.subplots()
    begin = 0
    titles = {branch.name: branch.title for branch in run.model.branches}
    for name, by_number in log.epochs.items():
        epochs = (by_number[number] for number in sorted(by_number))
        losses = [math.nan if epoch.loss is None else epoch.loss for epoch in epochs]
        end = begin + len(losses)
        phase = log.phases[name]
        colour = COLOURS[phase.student]
        axes.axvspan(begin + 0.5, end + 0.5, color=colour, alpha=0.08, linewidth=0)
        axes.plot(range(begin + 1, end + 1), losses, color=colour, marker=".", markersize=4)
        teacher = "labels" if phase.teacher is None else titles[phase.teacher]
        axes.annotate(
            f"{name}\n{teacher}\n→ {titles[phase.student]}", ((begin + end + 1) / 2, 1.02),
            xycoords=("data", "axes fraction"), ha="center", va="bottom", color=colour,
        )  # fmt: skip
        begin = end
    axes.set(xlabel="epochs · simulated features", ylabel="loss", ylim=(0, None))
    axes.set_xlim(0.5, begin + 0.5)
    return figure


def precision_recall(run: Run, dataset: Dataset) -> Figure:
    """Precision and recall of every stage's scores, joined in the order of training."""
    points = read_json(run.folder.evaluation_file)["diagnostics"]["stages"]
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.subplots()
    titled: list[tuple[str, float, float, str]] = []
    for branch, colour in COLOURS.items():
        stages = [s.name for s in run.model.stages if s.branch == branch and s.name in points]
        recall = [points[stage]["recall"] for stage in stages]
        precision = [points[stage]["precision"] for stage in stages]
        axes.plot(recall, precision, color=colour, marker="o", markersize=5, linewidth=1)
        titled += [(run.model.title_of(stage), x, y, colour)
                   for stage, x, y in zip(stages, recall, precision, strict=True)]  # fmt: skip
    axes.margins(0.2)
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_xlim(right=1.02)
    axes.set(xlabel="recall of snippets", ylabel="precision of snippets")
    axes.set_title("Test videos, at half of a video's score range; simulated features")
    figure.draw_without_rendering()  # Where the axes are is known from here on.
    drawn = (
        axes.transData.transform(line.get_path().interpolated(30).vertices) for line in axes.lines
    )
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in np.concatenate(list(drawn))]
    for title, x, y, colour in titled:
        taken.append(_annotate_free(axes, title, (x, y), colour, taken))
    return figure


def _annotate_free(
    axes: Axes, title: str, place: tuple[float, float], colour: str, taken: Sequence[Bbox]
) -> Bbox:
    """Write a title beside a point where it is inside the axes and clear of what is taken."""
    spots = [(side, up) for up in (6, -6, 16, -16, 26, -26) for side in (1, -1)]
    for side, up in spots:
        text = axes.annotate(
            title, place, (7 * side, up), textcoords="offset points", color=colour,
            ha="left" if side > 0 else "right", va="center",
        )  # fmt: skip
        box = text.get_window_extent()
        is_inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
        if (is_inside and not box.count_overlaps(taken)) or (side, up) == spots[-1]:
            return box
        text.remove()
    raise AssertionError("the last spot is taken in any case")


def _story(run: Run, dataset: Dataset, names: Sequence[str]) -> Story:
    """The video in which the class fills most nearly a third, so that both errors can show."""
    stories = [Story(run, dataset, dataset.annotations.videos[name]) for name in names]

    def distance(story: Story) -> tuple[bool, float]:
        length = dataset.streams["cbp"].length(story.video.name)
        truth, _ = snippet_truth(story.video, dataset.classes, length, dataset.grid)
        return len(story.video.labels) > 1, abs(float(truth[:, story.column].mean()) - 1 / 3)

    return min(stories, key=distance)


def _last_stages(run: Run) -> tuple[str, str]:
    """The final checkpoints of CBP and VLP."""
    cbp, vlp = run.model.stages_named("both")
    return cbp, vlp


def _as_thresholded(probability: Values, score: str) -> Values:
    """The scores that a pseudo-label thresholds: probabilities or logits."""
    if score == "probability":
        return probability
    kept = np.clip(probability, 1e-7, 1 - 1e-7)
    return np.asarray(np.log(kept / (1 - kept)))


def _stretched(values: Values) -> Values:
    """The same from 0 to 1."""
    return np.asarray((values - values.min()) / max(values.max() - values.min(), 1e-12))


def _finish(axes: Axes, title: str) -> None:
    """Title and legend above a panel, out of the curves' way."""
    axes.set_title(title)
    axes.margins(x=0)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 0.98), ncols=3, frameon=False, borderaxespad=0
    )


if __name__ == "__main__":
    main()
