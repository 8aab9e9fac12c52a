"""What an evaluated run holds, and that its files agree with each other."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from safetensors.numpy import load_file

import duetal
from duetal.core.errors import DuetalError
from duetal.datasets import open_dataset
from duetal.evaluation import evaluate
from duetal.formats import read_annotations
from duetal.formats.activitynet import read_detections
from duetal.localization.localization_settings import LocalizationSettings
from duetal.results.reading import read_run
from duetal.results.schema import RunEvaluation
from duetal.runs import run_evaluation as module
from duetal.runs.localizing import (
    choose_videos,
    localize,
    unknown_classes,
)
from duetal.runs.run import open_run
from duetal.runs.run_evaluation import (
    evaluate_run,
    evaluation_seconds,
    ground_truth,
    is_evaluated,
    run_evaluation,
)
from duetal.runs.stage_scoring import stage_scorer

pytestmark = pytest.mark.recipe

CPU = torch.device("cpu")
FABRIC = Fabric(accelerator="cpu", devices=1)
TITLES = {
    "cbp-warmup": "CBP after warm-up",
    "vlp-zeroshot": "Zero-shot VLP",
    "vlp-b1": "VLP after B1",
    "cbp-f1": "CBP after F1",
    "ensemble": "Ensemble",
}


def silent(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def evaluation(tiny_run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tiny_run / "evaluation.json").read_text())
    return found


def test_every_stage_is_there_in_order(evaluation: dict[str, Any]) -> None:
    assert {row["stage"]: row["title"] for row in evaluation["stages"]} == TITLES
    assert [row["stage"] for row in evaluation["stages"]] == list(TITLES)
    assert evaluation["protocol"] == "seconds"
    assert evaluation["simulated"] is True
    assert evaluation["selection"].endswith("the test set chose nothing")
    for row in evaluation["stages"]:
        assert len(row["mAP"]) == len(row["tiou"]) == 7
        assert row["averages"]["0.1:0.7"] == pytest.approx(np.mean(row["mAP"]))
        assert row["videos"] == 3


def test_diagnostics_have_the_promised_keys(evaluation: dict[str, Any]) -> None:
    diagnostics = evaluation["diagnostics"]
    assert list(diagnostics["stages"]) == list(TITLES)
    assert all(set(row) == {"precision", "recall", "f1"} for row in diagnostics["stages"].values())
    assert list(diagnostics["pseudo_labels"]) == ["B1", "F1"]
    for row in diagnostics["pseudo_labels"].values():
        kinds = {f"{a}_{b}" for a in ("foreground", "background") for b in ("precision", "recall")}
        assert set(row) == kinds


@pytest.mark.parametrize("stage", TITLES)
def test_scores_are_those_of_the_stored_detections(
    tiny_run: Path, evaluation: dict[str, Any], stage: str
) -> None:
    results = read_detections(tiny_run / "detections" / f"{stage}.json")
    truth = read_annotations(tiny_run / "ground_truth.json")
    row = next(row for row in evaluation["stages"] if row["stage"] == stage)
    again = evaluate(results, truth, "seconds").to_json()
    assert again == {key: row[key] for key in again}
    assert "the test set chose nothing" in results.external_data["selection"]


def test_stored_scores_are_the_final_branches_probabilities(
    tiny_run: Path, tiny_dataset: Path
) -> None:
    run, dataset = open_run(tiny_run), open_dataset(tiny_dataset)
    index = json.loads((tiny_run / "scores" / "index.json").read_text())
    assert index["classes"] == list(dataset.classes)
    assert index["grid"] == {"fps": 25.0, "stride": 16, "window": 16}
    for branch, stage in (("cbp", "cbp-f1"), ("vlp", "vlp-b1")):
        stored = load_file(tiny_run / "scores" / f"{branch}.safetensors")
        assert set(stored) == set(dataset.evaluation)
        score = stage_scorer(run, [stage], dataset, CPU)
        for name, values in stored.items():
            np.testing.assert_array_equal(values, score(name).snippets)


@pytest.mark.parametrize("stage", ["cbp-f1", "vlp-b1"])
def test_stored_scores_are_localized_into_the_same_detections(tiny_run: Path, stage: str) -> None:
    run, branch = open_run(tiny_run), stage.partition("-")[0]
    grid, settings = run.model.grid, run.config.localization.model_dump()
    found = duetal.localize_scores(
        load_file(run.folder.scores(branch)),
        run.model.classes,
        fps=grid.fps,
        stride=grid.stride,
        window=grid.window,
        kind="probabilities",
        video_scores=load_file(run.folder.video_scores(branch)),
        settings=settings,
    )
    stored = read_detections(run.folder.detections(stage))
    assert len(found) > 10
    for column in ("start", "end", "score"):
        # By video and label, because files may order them otherwise.
        rows, known = (
            sorted(
                (d.videos[v], d.classes[k], x)
                for v, k, x in zip(d.video, d.label, getattr(d, column), strict=True)
            )
            for d in (found, stored)
        )
        assert rows == known


def test_localizing_gives_what_the_evaluation_saw(tiny_run: Path, tiny_dataset: Path) -> None:
    run, dataset = open_run(tiny_run), open_dataset(tiny_dataset)
    found = localize(run, dataset, dataset.evaluation, stages=["cbp-f1", "vlp-b1"])
    stored = read_detections(tiny_run / "detections" / "ensemble.json")
    assert found.videos == stored.videos
    np.testing.assert_allclose(found.score, stored.score, atol=1e-6)
    np.testing.assert_allclose(found.start, stored.start)


def test_literal_localization_scores_by_the_maximum(tiny_run: Path, tiny_dataset: Path) -> None:
    run, dataset = open_run(tiny_run), open_dataset(tiny_dataset)
    name = dataset.evaluation[0]
    run = replace(run, config=run.config.replace(class_threshold=0.0))
    found = localize(run, dataset, [name], stages=["vlp-zeroshot"], literal=True)
    probabilities = stage_scorer(run, ["vlp-zeroshot"], dataset, CPU)(name).snippets
    for label in np.unique(found.label):
        best = found.score[found.label == label].max()
        assert best == pytest.approx(probabilities[:, label].max(), abs=1e-6)
    assert (found.score > 0.001).all()
    assert len(found) < len(localize(run, dataset, [name], stages=["vlp-zeroshot"]))


def test_settings_of_the_run_reach_localization(tiny_run: Path) -> None:
    own = open_run(tiny_run).config.replace(class_threshold=0.7, nms_sigma=0.9).localization
    for settings in (own, own.literal()):
        assert (settings.class_threshold, settings.nms_sigma) == (0.7, 0.9)
    assert own.thresholds == LocalizationSettings().thresholds
    assert own.literal().scoring == "max"


def test_every_setting_of_localization_reaches_the_detections(
    tiny_run: Path, tiny_dataset: Path
) -> None:
    run, dataset = open_run(tiny_run), open_dataset(tiny_dataset)
    before = localize(run, dataset, dataset.evaluation, stages=run.model.finals())
    changes = {
        "class_threshold": 0.9,
        "thresholds": (0.5,),
        "min_max": False,
        "scoring": "max",
        "margin": 2.0,
        "scale_by_video_probability": True,
        "nms_method": "hard",
        "nms_sigma": 5.0,
        "min_score": 0.1,
        "max_per_class": 1,
        "ensemble_weight": 0.9,
        "ensemble_mean": "probability",
    }
    for name, value in changes.items():
        config = run.config.model_copy(
            update={"localization": run.config.localization.replace(**{name: value})}
        )
        other = replace(run, config=config)
        found = localize(other, dataset, dataset.evaluation, stages=run.model.finals())
        same = len(found) == len(before) and np.array_equal(found.score, before.score)
        assert not same, name


def test_nothing_lasts_longer_than_its_video(tiny_run: Path, tiny_dataset: Path) -> None:
    run, dataset = open_run(tiny_run), open_dataset(tiny_dataset)
    cut = {video.name: replace(video, duration=20.25) for video in dataset.annotations}
    shorter = replace(dataset, annotations=replace(dataset.annotations, videos=cut))
    found = localize(run, shorter, dataset.evaluation, stages=["vlp-b1"])
    assert found.end.max() == 20.25
    unknown = replace(dataset, annotations=replace(dataset.annotations, videos={}))
    assert localize(run, unknown, dataset.evaluation, stages=["vlp-b1"]).end.max() > 20.25


def test_the_report_reads_the_run(tiny_run: Path) -> None:
    page = read_run(tiny_run)
    evaluation = page.seeds[0].evaluation
    assert evaluation is not None
    assert [stage.stage for stage in evaluation.stages] == list(TITLES)
    assert list(page.seeds[0].log.phases) == ["warmup", "B1", "F1"]


@pytest.mark.parametrize(
    "file",
    ["evaluation.json", "ground_truth.json", "scores/vlp.safetensors", "detections/cbp-f1.json"],
)
def test_a_missing_file_is_made_again(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path, file: str
) -> None:
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    before = (folder / file).read_bytes()
    (folder / file).unlink()
    run, dataset = open_run(folder), open_dataset(tiny_dataset)
    results = (run.folder.evaluation_file, run.folder.ground_truth_file)
    assert not is_evaluated(run, *results)
    found = run_evaluation(run, dataset, FABRIC, silent)
    assert (folder / file).read_bytes() == before
    assert is_evaluated(run, *results)
    assert found == RunEvaluation.read(folder / "evaluation.json")


def test_what_is_there_is_not_computed_again(
    tiny_run: Path, tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duetal.runs.run_evaluation.evaluate_run", None)
    found = run_evaluation(open_run(tiny_run), open_dataset(tiny_dataset), FABRIC, silent)
    assert found == RunEvaluation.read(tiny_run / "evaluation.json")


@pytest.mark.parametrize(("passes", "seconds"), [((9, 2, 7), 2), ((1500,), 1500)])
def test_how_long_it_will_take_is_measured_on_one_video(
    tiny_run: Path,
    tiny_dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    passes: tuple[int, ...],
    seconds: int,
) -> None:
    # In milliseconds; the clock stands still but for the passes.
    run, dataset = open_run(tiny_run), open_dataset(tiny_dataset)
    now, times = [0.0], iter(passes * 2)
    scored = []

    def score(network: Any, stream: Any, name: str, *how: Any) -> None:
        scored.append(name)
        now[0] += next(times) / 1000

    monkeypatch.setattr(module, "score_video", score)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    found = evaluation_seconds(run.config, dataset, run.method, CPU)
    # v_7 is the middle one of v_6, v_7 and v_8. Each branch scores for two stages and the ensemble.
    snippets = [dataset.length(name) for name in dataset.evaluation]
    measured = 2 * len(passes)
    assert scored == ["v_7"] * measured
    assert found == pytest.approx(6 * seconds / 1000 * sum(snippets) / snippets[1])


def test_progress_counts_the_videos_of_all_stages(tiny_run: Path, tmp_path: Path) -> None:
    told = []
    run = open_run(Path(shutil.copytree(tiny_run, tmp_path / "run")))
    run.folder.evaluation_file.unlink()
    dataset = open_dataset(Path(str(run.config.data.dataset)))
    run_evaluation(run, dataset, FABRIC, lambda *state: told.append(state))
    assert sorted({done for _, done, _ in told}) == [*range(16)]
    assert told == sorted(told, key=lambda state: state[1])
    assert {total for _, _, total in told} == {15}
    assert ("evaluating Zero-shot VLP", 4, 15) in told


def test_without_test_segments_there_is_nothing_to_score(
    tiny_run: Path, tiny_dataset: Path
) -> None:
    dataset = open_dataset(tiny_dataset)
    weak = {
        video.name: replace(video, segments=None) if video.subset == "test" else video
        for video in dataset.annotations
    }
    unmarked = replace(dataset, annotations=replace(dataset.annotations, videos=weak))
    assert run_evaluation(open_run(tiny_run), unmarked, FABRIC, silent) is None


def test_weak_training_videos_have_no_pseudo_label_diagnostics(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    dataset = open_dataset(tiny_dataset)
    weak = {
        video.name: replace(video, segments=None) if video.subset == "train" else video
        for video in dataset.annotations
    }
    unmarked = replace(
        dataset,
        annotations=replace(dataset.annotations, videos=weak),
        missing=("v_0",),
    )
    run = open_run(shutil.copytree(tiny_run, tmp_path / "run"))
    found = evaluate_run(run, unmarked, FABRIC, silent)
    assert found.diagnostics is not None
    assert found.diagnostics.pseudo_labels == {}
    assert found.diagnostics.stages
    assert found.stages[0].notes == ()


def test_evaluation_videos_without_features_are_noted(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    dataset = open_dataset(tiny_dataset)
    fewer = replace(dataset, evaluation=dataset.evaluation[1:], missing=dataset.evaluation[:1])
    run = open_run(shutil.copytree(tiny_run, tmp_path / "run"))
    found = evaluate_run(run, fewer, FABRIC, silent).stages[0]
    assert found.videos == 2
    assert found.notes == ("1 evaluation videos have no features and are left out",)
    for protocol, subset in (("seconds", "test"), ("activitynet/1.3", "validation")):
        assert {video.subset for video in ground_truth(fewer, protocol)} == {subset}


@pytest.mark.parametrize("content", ["[]", "{", '{"stages": [{"stage": "cbp-warmup"}]}'])
def test_a_damaged_evaluation_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(DuetalError) as caught:
        RunEvaluation.read(path)
    assert caught.value.file == path


def test_which_videos(tiny_dataset: Path) -> None:
    dataset = open_dataset(tiny_dataset)
    assert choose_videos(dataset, "train") == tuple(f"v_{n}" for n in range(6))
    assert choose_videos(dataset, "test") == ("v_6", "v_7", "v_8")
    assert choose_videos(dataset, "all") == tuple(f"v_{n}" for n in range(9))
    with pytest.raises(DuetalError, match="no video in the subset 'test'"):
        choose_videos(replace(dataset, evaluation=()), "test")


@pytest.mark.parametrize(
    ("classes", "unknown"),
    [
        (("HighJump", "Diving"), []),
        ((), []),
        (("Diving", "Shotput"), ["Shotput"]),
        (("Shotput",), None),
    ],
)
def test_classes_of_another_dataset(
    tiny_run: Path, tiny_dataset: Path, classes: tuple[str, ...], unknown: list[str] | None
) -> None:
    run, dataset = open_run(tiny_run), open_dataset(tiny_dataset)
    other = replace(dataset, annotations=replace(dataset.annotations, videos={}, classes=classes))
    if unknown is None:
        with pytest.raises(DuetalError, match="trained on none of its classes"):
            unknown_classes(run, other)
    else:
        assert unknown_classes(run, other) == unknown


@pytest.mark.parametrize(
    ("command_line", "rule"),
    [
        ((), "last checkpoint of each branch; the test set chose nothing"),
        (
            ("selection=heldout", "heldout_fraction=0.5"),
            "of each branch the checkpoint with the best video-level mAP on 3 training videos held "
            "out from training; the test set chose nothing",
        ),
    ],
)
def test_the_rule_is_stored_everywhere(
    tiny_dataset: Path,
    tiny_settings: tuple[str, ...],
    tmp_path: Path,
    duetal: Callable[..., tuple[int, str, str]],
    command_line: tuple[str, ...],
    rule: str,
) -> None:
    out = tmp_path / "run"
    arguments = [
        "train",
        "demo",
        f"dataset={tiny_dataset}",
        *tiny_settings,
        *command_line,
        "--out",
        out,
    ]
    code, printed, _ = duetal(*arguments)
    assert code == 0
    assert f"checkpoint: {rule}\n" in printed
    model = open_run(out).model
    assert model.selection == rule
    assert json.loads((out / "evaluation.json").read_text())["selection"] == rule
    stored = read_detections(out / "detections" / "ensemble.json").external_data
    assert stored["selection"] == rule
    if command_line:
        assert model.heldout is not None
        assert list(model.heldout.mean_ap) == [stage.name for stage in model.stages]
        dataset = open_dataset(tiny_dataset)
        trained = load_file(out / "pseudo_labels" / "B1.safetensors")
        assert set(trained) | set(model.heldout.videos) == set(dataset.training)
        assert set(trained).isdisjoint(model.heldout.videos)
        best = max(v for s, v in model.heldout.mean_ap.items() if s.startswith("cbp"))
        assert model.heldout.mean_ap[model.branch("cbp").final] == best


def test_held_out_videos_choose_the_best_checkpoint(
    tiny_dataset: Path,
    tiny_settings: tuple[str, ...],
    tmp_path: Path,
    duetal: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Were every stage worse than the one before, the first of each branch would be used."""
    values = iter([0.9, 0.8, 0.7, 0.6])
    monkeypatch.setattr("duetal.runs.training.video_mean_ap", lambda scores, labels: next(values))
    out = tmp_path / "run"
    command_line = (f"dataset={tiny_dataset}", *tiny_settings, "selection=heldout")
    assert duetal("train", "demo", *command_line, "--out", out)[0] == 0
    model = open_run(out).model
    assert model.finals() == ["cbp-warmup", "vlp-zeroshot"]
    assert model.heldout is not None
    stages = [stage.name for stage in model.stages]
    assert model.heldout.mean_ap == dict(zip(stages, [0.9, 0.8, 0.7, 0.6], strict=True))
    ensemble = read_detections(out / "detections" / "ensemble.json")
    assert ensemble.external_data["selection"] == model.selection
    found = localize(
        open_run(out),
        open_dataset(tiny_dataset),
        open_dataset(tiny_dataset).evaluation,
        stages=["cbp-warmup", "vlp-zeroshot"],
    )
    assert found.score.tolist() == ensemble.score.tolist()
