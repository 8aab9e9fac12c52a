"""Scores of whole videos: of the video alone, and of a checkpoint that fits."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.datasets import Dataset, open_dataset
from duetal.localization.localization_settings import EnsembleMean
from duetal.results import checkpoints
from duetal.results.folder import RunFolder
from duetal.runs.run import Run, open_run
from duetal.runs.stage_scoring import restore, stage_scorer

CPU = torch.device("cpu")


@pytest.fixture
def dataset(tiny_dataset: Path) -> Dataset:
    return open_dataset(tiny_dataset)


@pytest.fixture
def run(tiny_run: Path) -> Run:
    return open_run(tiny_run)


@pytest.fixture
def own_run(tiny_run: Path, tmp_path: Path) -> Run:
    """A copy whose files may be damaged."""
    return open_run(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.mark.recipe
@pytest.mark.parametrize("stage", ["cbp-warmup", "cbp-f1", "vlp-zeroshot", "vlp-b1"])
def test_a_score_is_the_same_in_any_batch(run: Run, dataset: Dataset, stage: str) -> None:
    """The network's own answer in a padded batch of all videos, against videos scored alone."""
    run = replace(run, config=run.config.replace(crop=256))
    stream = dataset.streams[stage[:3]]
    names = dataset.evaluation
    lengths = [stream.length(name) for name in names]
    assert len(set(lengths)) > 1
    batch = torch.zeros(len(names), max(lengths) + 9, stream.dim)
    mask = torch.zeros(batch.shape[:2], dtype=torch.bool)
    for row, name in enumerate(names):
        batch[row, : lengths[row]] = torch.from_numpy(stream.read(name))
        mask[row, : lengths[row]] = True
    with torch.inference_mode():
        network = restore(run, stage)
        together = torch.sigmoid(network(batch, mask)[0] / network.temperature).numpy()
    score = stage_scorer(run, [stage], dataset, CPU)
    for row, name in enumerate(names):
        alone = score(name).snippets
        np.testing.assert_allclose(together[row, : lengths[row]], alone, rtol=0, atol=1e-5)


@pytest.mark.recipe
@pytest.mark.parametrize("mean", [EnsembleMean.PROBABILITY, EnsembleMean.LOG_ODDS])
def test_the_ensemble_is_the_mean_of_both_branches(
    run: Run, dataset: Dataset, mean: EnsembleMean
) -> None:
    settings = {"ensemble_weight": 0.25, "ensemble_mean": mean}
    run = replace(run, config=run.config.replace(**settings))
    name = dataset.evaluation[0]
    cbp, vlp, both = (
        stage_scorer(run, stages, dataset, CPU)(name)
        for stages in (["cbp-f1"], ["vlp-b1"], ["cbp-f1", "vlp-b1"])
    )
    np.testing.assert_allclose(both.video, 0.75 * cbp.video + 0.25 * vlp.video, atol=1e-6)
    snippets = 0.75 * cbp.snippets + 0.25 * vlp.snippets
    if mean is EnsembleMean.LOG_ODDS:
        snippets = expit(0.75 * logit(cbp.snippets) + 0.25 * logit(vlp.snippets))
    np.testing.assert_allclose(both.snippets, snippets, atol=1e-5)


def logit(p: NDArray[np.floating]) -> NDArray[np.floating]:
    # One branch's certainty is not let drown the other.
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def expit(x: NDArray[np.floating]) -> NDArray[np.floating]:
    return 1 / (1 + np.exp(-x))


@pytest.mark.recipe
def test_no_more_than_a_window_is_read_at_once(
    run: Run, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dataset.streams["cbp"].length("v_8") > run.config.data.crop
    sizes = []
    read = dataset.streams["cbp"].read

    def note(name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        assert stop is not None
        sizes.append(stop - start)
        return read(name, start, stop)

    monkeypatch.setattr(dataset.streams["cbp"], "read", note)
    scores = stage_scorer(run, ["cbp-f1"], dataset, CPU)("v_8")
    assert len(scores.snippets) == dataset.streams["cbp"].length("v_8")
    assert max(sizes) == run.config.data.crop


@pytest.mark.recipe
def test_vlp_needs_no_text_encoder(run: Run, dataset: Dataset) -> None:
    without = replace(dataset, text_encoder="/nowhere")
    stage_scorer(run, ["vlp-b1"], without, CPU)(dataset.evaluation[0])


def truncate(run: Run) -> Run:
    path = run.folder.checkpoint("cbp-f1")
    path.write_bytes(path.read_bytes()[:-100])
    return run


def remove(run: Run) -> Run:
    run.folder.checkpoint("cbp-f1").unlink()
    return run


def another_class(run: Run) -> Run:
    model = run.model.model_copy(update={"classes": [*run.model.classes, "Shotput"]})
    return replace(run, model=model)


def other_dimensions(run: Run) -> Run:
    branches = [b.model_copy(update={"dim": b.dim + 2}) for b in run.model.branches]
    return replace(run, model=run.model.model_copy(update={"branches": branches}))


def another_embed_dim(run: Run) -> Run:
    return replace(run, config=run.config.replace(embed_dim=32, layers=3))


def mistaken(run: Run) -> Run:
    """The two final checkpoints exchanged."""
    folder = run.folder
    folder.checkpoint("cbp-f1").rename(folder.path / "other")
    folder.checkpoint("vlp-b1").rename(folder.checkpoint("cbp-f1"))
    (folder.path / "other").rename(folder.checkpoint("vlp-b1"))
    return run


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("damage", "stage", "message"),
    [
        (truncate, "cbp-f1", "truncated or damaged checkpoint"),
        (remove, "cbp-f1", "no such checkpoint"),
        (another_class, "cbp-f1", "checkpoint of another configuration"),
        (another_class, "vlp-b1", "checkpoint of another configuration"),
        (other_dimensions, "cbp-f1", "checkpoint of another configuration"),
        (other_dimensions, "vlp-b1", "checkpoint of another configuration"),
        (another_embed_dim, "cbp-f1", "checkpoint of another configuration"),
        (another_embed_dim, "vlp-b1", "checkpoint of another configuration"),
        (mistaken, "cbp-f1", "checkpoint of another configuration"),
        (mistaken, "vlp-b1", "checkpoint of another configuration"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(
    own_run: Run, damage: Callable[[Run], Run], stage: str, message: str
) -> None:
    with pytest.raises(DuetalError) as caught:
        restore(damage(own_run), stage)
    assert message in str(caught.value)
    assert caught.value.file == own_run.folder.checkpoint(stage)


@pytest.mark.recipe
def test_a_seemingly_fitting_text_is_found_out(own_run: Run) -> None:
    """VLP layers do not know how many classes there are; the stored text features do."""
    path = own_run.folder.checkpoint("vlp-b1")
    saved = checkpoints.load(path)
    for name in ("text.features", "initial_text", "zero_shot_text"):
        saved.tensors[name] = saved.tensors[name][:2]
    checkpoints.save(path, saved.tensors, saved.record)
    with pytest.raises(DuetalError, match=r"shape \(2, 8\), expected \(3, 8\)"):
        restore(own_run, "vlp-b1")


@pytest.mark.recipe
def test_features_that_do_not_fit_are_named(run: Run, dataset: Dataset) -> None:
    branches = [b.model_copy(update={"dim": 99}) for b in run.model.branches]
    model = run.model.model_copy(update={"branches": branches})
    with pytest.raises(DuetalError, match=r"C = 12; the run was trained on C = 99"):
        stage_scorer(replace(run, model=model), ["cbp-f1"], dataset, CPU)
    with pytest.raises(DuetalError, match="has no VLP features"):
        stage_scorer(
            run, ["vlp-b1"], replace(dataset, streams={"cbp": dataset.streams["cbp"]}), CPU
        )
    fast = replace(dataset, grid=TimeGrid(stride=4))
    with pytest.raises(DuetalError, match="stride 4, window 16; the run was trained on"):
        stage_scorer(run, ["cbp-f1"], fast, CPU)


def test_a_folder_lists_its_seeds(tmp_path: Path) -> None:
    for name in ("seed-10", "seed-2", "seed-x", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "seed-4").write_text("a file")
    assert RunFolder(tmp_path).seeds() == [2, 10]
    assert RunFolder(tmp_path / "none").seeds() == []
