"""Evaluation by labels alone: the ranking of held-out videos, and what is kept of it."""

import itertools
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from duetal.core.errors import DuetalError
from duetal.datasets import Dataset, open_dataset
from duetal.formats.activitynet import read_detections
from duetal.results.schema import LabelEvaluation, LabelScores
from duetal.runs.run import Run, open_run
from duetal.runs.run_evaluation import (
    chance_ap,
    run_label_evaluation,
)
from duetal.tuning.held_out import video_mean_ap

pytestmark = pytest.mark.recipe
CPU = torch.device("cpu")
FABRIC = Fabric(accelerator="cpu", devices=1)


def silent(what: str, done: int, total: int) -> None:
    """Progress is not shown."""


@pytest.fixture
def weak(tiny_dataset: Path) -> Dataset:
    """The tiny dataset, of whose test videos only labels are known."""
    dataset = open_dataset(tiny_dataset)
    videos = {video.name: replace(video, segments=None) for video in dataset.annotations}
    return replace(dataset, annotations=replace(dataset.annotations, videos=videos))


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    return open_run(shutil.copytree(tiny_run, tmp_path / "run"))


def without_labels(dataset: Dataset, names: Iterable[str]) -> Dataset:
    names = set(names)
    videos = {
        video.name: replace(video, labels=()) if video.name in names else video
        for video in dataset.annotations
    }
    return replace(dataset, annotations=replace(dataset.annotations, videos=videos))


def test_every_stage_is_judged_by_the_ranking_of_the_videos(run: Run, weak: Dataset) -> None:
    found = run_label_evaluation(run, weak, FABRIC, silent)
    assert found is not None
    assert tuple(found.videos) == weak.evaluation
    assert [stage.stage for stage in found.stages] == list(run.model.evaluated_stages())
    assert LabelEvaluation.read(run.folder.label_evaluation_file) == found
    for stage in found.stages:
        assert stage.mean_ap == pytest.approx(np.mean(list(stage.per_class.values())))
        # Each of the three classes is in one of the three videos: 1, 1/2 or 1/3.
        assert set(stage.per_class.values()) <= {1.0, 1 / 2, 1 / 3}
        file = run.folder.detections(stage.stage)
        assert read_detections(file).videos == weak.evaluation


def test_its_numbers_are_those_of_the_scores(
    run: Run, weak: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"v_6": [0.9, 0.2, 0.1], "v_7": [0.8, 0.3, 0.2], "v_8": [0.1, 0.5, 0.4]}

    def localize(run: Run, dataset: Dataset, stage: str, *how: Any) -> tuple[None, list[Any]]:
        videos = [type("Scores", (), {"video": np.array(scores[v])}) for v in dataset.evaluation]
        return None, [how[-1](type("Localized", (), {"scores": video})) for video in videos]

    monkeypatch.setattr("duetal.runs.run_evaluation.localize_stage", localize)
    found = run_label_evaluation(run, weak, FABRIC, silent)
    assert found is not None
    # The labels of v_6, v_7 and v_8 are Diving, GolfSwing and HighJump.
    assert found.stages[0].per_class == {"Diving": 1.0, "GolfSwing": 0.5, "HighJump": 1.0}
    assert found.stages[0].first_right == pytest.approx(1 / 3)
    assert found.chance == pytest.approx(chance_ap(1, 3))


def test_what_is_there_is_not_computed_again_but_for_other_videos(
    run: Run, weak: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_label_evaluation(run, weak, FABRIC, silent)
    with monkeypatch.context() as nothing:
        nothing.setattr("duetal.runs.run_evaluation.localize_stage", None)
        assert run_label_evaluation(run, weak, FABRIC, silent) == first
    fewer = replace(weak, evaluation=weak.evaluation[1:])
    found = run_label_evaluation(run, fewer, FABRIC, silent)
    assert found is not None
    assert tuple(found.videos) == weak.evaluation[1:]
    run.folder.detections("ensemble").unlink()
    assert run_label_evaluation(run, fewer, FABRIC, silent) == found
    assert run.folder.detections("ensemble").is_file()


def test_videos_without_labels_are_ranked_and_not_scored(run: Run, weak: Dataset) -> None:
    found = run_label_evaluation(run, without_labels(weak, ["v_8"]), FABRIC, silent)
    assert found is not None
    assert set(found.stages[0].per_class) == {"Diving", "GolfSwing"}
    assert found.stages[0].first_right in (0, 1 / 2, 1)


def test_without_labels_there_is_no_evaluation(run: Run, weak: Dataset) -> None:
    assert run_label_evaluation(run, without_labels(weak, weak.evaluation), FABRIC, silent) is None
    assert run_label_evaluation(run, replace(weak, evaluation=()), CPU, silent) is None


@pytest.mark.parametrize("videos", [1, 2, 3, 6])
def test_chance_is_the_mean_over_all_orders(videos: int) -> None:
    for positives in range(1, videos + 1):
        labels = np.arange(videos)[:, None] < positives
        orders = itertools.permutations(range(videos))
        values = [video_mean_ap(np.array(order, float)[:, None], labels) for order in orders]
        assert chance_ap(positives, videos) == pytest.approx(np.mean(values))


@pytest.mark.parametrize("text", ["{}", "[]", '{"stages": [{"stage": 1}]}', '{"stages": 3}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "label_evaluation.json"
    file.write_text(text)
    with pytest.raises(DuetalError) as caught:
        LabelEvaluation.read(file)
    assert caught.value.file == file


def test_it_is_written_as_plain_values() -> None:
    values = {"stage": "cbp-f1", "per_class": {"A": 0.5, "B": 1.0}, "first_right": 0.25}
    found = LabelEvaluation(videos=["v"], chance=0.4, stages=[LabelScores(**values)]).to_json()
    assert found["stages"][0]["mAP"] == 0.75
    assert found["videos"] == ["v"]
