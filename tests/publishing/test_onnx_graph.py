"""A run as one ONNX graph: ONNX Runtime gives the scores of the run, for videos of any length."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from duetal.config import Config, make_config, read_values
from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import open_dataset
from duetal.detector.detecting import predict
from duetal.localization.ensemble import combine_branches
from duetal.localization.localization_settings import EnsembleMean
from duetal.method.layers import BranchNetwork
from duetal.method.video_scoring import probabilities, video_probabilities
from duetal.publishing import onnx_graph
from duetal.publishing.onnx_graph import TOLERANCE, ScoringGraph, export_onnx
from duetal.runs.detector_stage import restore_detector
from duetal.runs.run import Run, open_run
from duetal.runs.stage_scoring import stage_scorer

pytestmark = pytest.mark.recipe


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return open_run(tiny_run)


def with_settings(run: Run, **settings: object) -> Run:
    values = read_values(run.config.flat(), "test") | read_values(settings, "test")
    return replace(run, config=make_config(values, "test"))


@pytest.mark.parametrize(
    ("branch", "settings"),
    [
        ("cbp", {}),
        ("vlp", {"score_function": "softmax", "video_loss": "softmax"}),
        ("both", {"ensemble_mean": "min_max", "ensemble_weight": 0.7}),
        ("both", {"ensemble_mean": "probability", "ensemble_weight": 0.3}),
        ("both", {"ensemble_mean": "log_odds", "score_function": "sigmoid"}),
    ],
)
def test_its_scores_are_those_of_the_run(
    run: Run, tiny_dataset: Path, tmp_path: Path, branch: str, settings: dict[str, object]
) -> None:
    import onnxruntime

    # Longer than the videos, which are then scored in one window, as the graph scores them.
    changed = with_settings(run, crop=256, **settings)
    stages = run.model.stages_named(branch)
    path = tmp_path / "deep" / "run.onnx"
    exported = export_onnx(changed, stages, path)
    assert exported.difference <= TOLERANCE
    assert {1, 2, 255, 256, 257} <= set(exported.lengths)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_inputs()] == list(exported.inputs)
    dataset = open_dataset(tiny_dataset)
    scorer = stage_scorer(changed, stages, dataset, torch.device("cpu"))
    lengths = set()
    for name in dataset.streams["cbp"].names():
        streams = {f"{name}_features": stream for name, stream in dataset.streams.items()}
        fed = {key: streams[key].read(name).astype(np.float32) for key in exported.inputs}
        snippets, video = session.run(None, fed)
        expected = scorer(name)
        np.testing.assert_allclose(snippets, expected.snippets, atol=TOLERANCE)
        np.testing.assert_allclose(video, expected.video, atol=TOLERANCE)
        lengths.add(len(snippets))
    assert len(lengths) > 3
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == run.model.classes
    assert json.loads(about["grid"]) == {"fps": 25.0, "stride": 16, "window": 16}
    assert json.loads(about["stages"]) == stages
    assert "the test set chose nothing" in about["selection"]


def test_the_detectors_graph_predicts_what_it_is_localized_from(
    tiny_detector_run: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    import onnxruntime

    run = with_settings(open_run(tiny_detector_run), crop=256)
    path, stages = tmp_path / "run.onnx", run.model.stages_named("detector")
    exported = export_onnx(run, stages, path)
    assert exported.difference <= TOLERANCE
    assert list(exported.inputs) == ["cbp_features", "vlp_features"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    dataset = open_dataset(tiny_dataset)
    scorer = stage_scorer(run, run.model.finals(), dataset, torch.device("cpu"))
    detector = restore_detector(run, stages[0])
    for name in dataset.evaluation:
        features = [stream.read(name).astype(np.float32) for stream in dataset.streams.values()]
        outputs = session.run(None, dict(zip(exported.inputs, features, strict=True)))
        scores, start, end, video = outputs
        kept = (scores.max(axis=1) > 0) & (end > start)
        expected = predict(detector, dataset.streams, name, window=256)
        for got, same in ((scores, expected.scores), (start, expected.start), (end, expected.end)):
            np.testing.assert_allclose(got[kept], same, rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_allclose(video, scorer(name).video, atol=TOLERANCE)


def test_scores_that_differ_are_not_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = onnx_graph._session

    class Tampered:
        """ONNX Runtime with a weight that is another."""

        def __init__(self, path: Path):
            self.inner = session(path)

        def run(self, outputs: None, fed: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [scores + 2 * TOLERANCE for scores in self.inner.run(outputs, fed)]

    monkeypatch.setattr(onnx_graph, "_session", Tampered)
    path = tmp_path / "run.onnx"
    with pytest.raises(DuetalError, match=r"differ from PyTorch's by 2\.0e-04; not written"):
        export_onnx(run, ["cbp-f1"], path)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_give_no_numbers_are_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = onnx_graph.restore

    def damaged(run: Run, stage: str) -> torch.nn.Module:
        branch = restore(run, stage)
        for parameter in branch.parameters():
            parameter.data.fill_(float("nan"))
        return branch

    monkeypatch.setattr(onnx_graph, "restore", damaged)
    with pytest.raises(DuetalError) as raised:
        export_onnx(run, ["cbp-f1"], tmp_path / "run.onnx")
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_video_s_score_pools_as_training_does(run: Run) -> None:
    graph = ScoringGraph([onnx_graph.restore(run, "cbp-f1").eval()], run.config)
    with torch.inference_mode():
        snippets, video = graph(torch.randn(9, run.model.branch("cbp").dim))
    assert run.config.losses.topk_ratio == 8
    # The mean of the two highest logits of nine snippets.
    highest = torch.logit(snippets.double()).topk(2, dim=0).values.mean(0)
    torch.testing.assert_close(torch.sigmoid(highest), video.double(), atol=1e-5, rtol=1e-5)


class PassOn(BranchNetwork):
    """A network whose logits are its features."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


@pytest.mark.parametrize("mean", EnsembleMean)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_an_ensemble_of_any_number_of_branches(count: int, mean: EnsembleMean) -> None:
    config = Config().replace(ensemble_mean=mean, ensemble_weight=0.6)
    logits = [torch.randn(23, 5) for _ in range(count)]
    logits[-1][:, 2] = 0.0
    snippets, video = ScoringGraph([PassOn()] * count, config)(*logits)
    curves = {str(i): probabilities(each.numpy()) for i, each in enumerate(logits)}
    videos = {str(i): video_probabilities(each.numpy(), 8) for i, each in enumerate(logits)}
    expected = combine_branches(curves, config.localization) if count > 1 else curves["0"]
    np.testing.assert_allclose(snippets, expected, atol=1e-6)
    np.testing.assert_allclose(video, combine_branches(videos, config.localization), atol=1e-6)


def test_without_onnx_it_names_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install 'duetal\[onnx\]'"):
        export_onnx(run, ["cbp-f1"], tmp_path / "run.onnx")
