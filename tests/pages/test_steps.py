"""What a step taught, whether it was believed, and which steps made a branch worse."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from duetal.core.errors import DuetalError
from duetal.pages import render_report
from duetal.pages.scores import Score, score_table
from duetal.pages.steps import steps
from duetal.results.folder import RunFolder
from duetal.results.reading import read_run

Make = Callable[..., Path]


def set_scores(folder: Path, percents: tuple[float, ...]) -> None:
    """Give the stages these averages, in order; a stage past the ensemble is a detector's."""
    file = folder / "evaluation.json"
    evaluation = json.loads(file.read_text())
    detector = {"stage": "detector-1", "title": "Detector after round 1", "branch": "detector"}
    evaluation["stages"].append(evaluation["stages"][-1] | detector)
    stages = evaluation["stages"] = evaluation["stages"][: len(percents)]
    for stage, percent in zip(stages, percents, strict=True):
        stage["averages"] = {"0.1:0.7": percent / 100}
    file.write_text(json.dumps(evaluation))
    model = json.loads((folder / "model.json").read_text())
    phase = {"name": "D1", "title": "Detector, round 1", "student": "detector"}
    model["phases"].append(phase | {"teacher": "ensemble", "stage": "detector-1"})
    (folder / "model.json").write_text(json.dumps(model))


@pytest.mark.parametrize(
    ("percents", "told"),
    [
        ((30, 20, 21, 31, 22, 32, 33), "No step made its student worse."),
        ((30, 20, 21, 31, 22, 31, 33), "No step made its student worse."),
        ((30, 20, 21, 31, 22, 30.96, 33), "No step made its student worse."),
        (
            (30, 20, 18, 31, 22, 32, 33),
            "Made worse: VLP after B1 is 2.0 points below Zero-shot VLP.",
        ),
        (
            (30, 20, 21, 31, 20.5, 29, 33),
            "Made worse: VLP after B2 is 0.5 points below VLP after B1; "
            "CBP after F2 is 2.0 points below CBP after F1.",
        ),
        (
            (30, 20, 21, 31, 22, 32, 31.5),
            "Made worse: Ensemble is 0.5 points below CBP after F2.",
        ),
        (
            (30, 20, 21, 31, 40, 32, 33),
            "Made worse: Ensemble is 7.0 points below VLP after B2.",
        ),
        (
            (30, 20, 21, 31, 22, 32, 33, 30),
            "Made worse: Detector after round 1 is 3.0 points below Ensemble.",
        ),
    ],
)
def test_the_first_lines_tell_what_was_made_worse(
    fake_run: Make, percents: tuple[float, ...], told: str
) -> None:
    folder = fake_run(videos=1)
    set_scores(folder, percents)
    lede = render_report(folder).split('class="lede">')[1].split("</p>")[0]
    text = " ".join(lede.replace("<strong>", "").replace("</strong>", "").split())
    assert text.partition(". ")[2].endswith(told)
    assert text.count("below") == told.count("below")


F, B, I = 1, 0, -1  # noqa: E741 - foreground, background, ignored.


@pytest.mark.parametrize(
    ("labels", "believed"),
    [
        # VLP labels in F1 what B1 taught it; nobody asked it before.
        (
            {"B1": [B, B, F, I], "F1": [B, F, F, F]},
            {"B1": (None, (200 / 3, 100 / 3)), "F1": ((50.0, 25.0), None)},
        ),
        # An F step teaches foreground and background; CBP labels before it and after it.
        (
            {"B1": [B, B, I, F], "F1": [B, F, F, F], "B2": [B, F, I, B]},
            {
                "B1": (None, (200 / 3, 100 / 3)),
                "F1": ((50.0, 25.0), (50.0, 25.0)),
                "B2": ((200 / 3, 100 / 3), None),
            },
        ),
        # Nothing is taught, and no second step.
        ({"B1": [I, I, I, I]}, {"B1": (None, None)}),
    ],
)
def test_a_student_agrees_where_it_labels_likewise_in_its_turn(
    fake_run: Make, labels: dict[str, list[int]], believed: dict[str, object]
) -> None:
    folder = RunFolder(fake_run(videos=1, classes=["A", "B"]))
    folder.pseudo_labels("B1").parent.mkdir()
    for phase, column in labels.items():
        # The second class is not the video's: background to everyone.
        array = np.array([column, [B] * len(column)], dtype=np.int8).T
        save_file({"v": np.ascontiguousarray(array)}, folder.pseudo_labels(phase))
    found = {step.phase: step.believed for step in steps(read_run(folder.path), None)}
    for phase, expected in believed.items():
        assert found[phase] == expected, phase


def test_a_step_has_precision_loss_and_change(fake_seeds: Make) -> None:
    run = read_run(fake_seeds(videos=1, training=2))
    found = {step.phase: step for step in steps(run, score_table(run))}
    assert list(found) == ["B1", "F1", "B2", "F2"]
    step = found["F1"]
    assert (step.teacher, step.student) == ("vlp", "cbp")
    right = step.right["foreground_precision"]
    assert isinstance(right, Score)
    assert right.mean == pytest.approx(80)
    assert step.loss is not None
    first, last = step.loss
    assert 0.38 > first > last > 0.05
    assert step.change is not None
    assert step.change.before == "CBP after warm-up"
    assert step.change.points > 0
    assert all(pair and 0 < sum(pair) < 100 for pair in step.believed)


def test_a_damaged_file_of_pseudo_labels_is_named(fake_run: Make) -> None:
    folder = fake_run(videos=1, training=1)
    RunFolder(folder).pseudo_labels("F1").write_bytes(b"?")
    with pytest.raises(DuetalError, match="safetensors"):
        steps(read_run(folder), None)
