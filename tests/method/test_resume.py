"""A run killed at any moment and taken up again ends in the weights of one that was not."""

import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from duetal.config import Config
from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos
from duetal.results import checkpoints
from duetal.runs.journal import Journal

Train = Callable[[Config, WeakVideos, Path], list[str]]
SameRun = Callable[[Path, Path], None]

#: Everything that has a state: Adam, networks that learn in turn, dropout, normalisation, prompts,
#: the contrastive term. Points grow by the weights as they are.
STATEFUL: dict[str, Any] = {
    "cbp.members": 2,
    "dropout": 0.2,
    "feature_normalization": True,
    "contrastive_weight": 0.1,
    "weight_decay": 0.01,
    "repeats_per_epoch": 2,
}


class Camera:
    """Keeps, at chosen moments, a copy of a run's folder: what kill -9 would leave on the disk."""

    def __init__(self, folder: Path, album: Path):
        self.folder = folder
        self.album = album
        self.pictures: dict[str, int] = {}

    def take(self, moment: str) -> None:
        number = self.pictures[moment] = self.pictures.get(moment, 0) + 1
        shutil.copytree(self.folder, self.album / f"{moment}-{number:02}")


@pytest.fixture
def photographed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Camera], None]:
    """Have pictures taken at every update, in every write of a checkpoint, in every record."""

    def arrange(camera: Camera) -> None:
        step, record, save_file = Journal.step, Journal.record, checkpoints.save_file

        def step_then_picture(self: Journal, *arguments: Any) -> None:
            step(self, *arguments)
            camera.take("update")

        def save_in_halves(tensors: Any, path: Path, **rest: Any) -> None:
            save_file(tensors, path, **rest)
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])
            camera.take("half-checkpoint")
            path.write_bytes(content)

        def record_in_halves(self: Journal, event: Mapping[str, Any]) -> None:
            path = self.folder.metrics_file
            before = path.read_bytes() if path.exists() else b""
            record(self, event)
            after = path.read_bytes()
            path.write_bytes(before + after[len(before) :][: (len(after) - len(before)) // 2])
            camera.take("half-record")
            path.write_bytes(after)

        monkeypatch.setattr(Journal, "step", step_then_picture)
        monkeypatch.setattr(Journal, "record", record_in_halves)
        monkeypatch.setattr(checkpoints, "save_file", save_in_halves)

    return arrange


#: What is written on the way: updates, records, checkpoints.
WRITTEN = {
    "alternate": {
        "update": 3 * 2 * 2,  # phases, epochs, batches
        "half-record": 3 * 2 + 2 * 3 + 2,  # epochs, both ends of phases, pseudo-labels
        "half-checkpoint": 3 + 4 + 2,  # within phases, of stages, pseudo-labels
    },
    "online": {
        "update": (4 + 2) * 2,  # epochs of CBP and of VLP, batches
        "half-record": 4 + 2 + 2 * 2 + 2,
        "half-checkpoint": 4 + 3 + 2,
    },
}


@pytest.mark.recipe
@pytest.mark.parametrize("mode", WRITTEN)
def test_from_every_moment(
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
    photographed: Callable[[Camera], None],
    make_config: Callable[..., Config],
    pointed: WeakVideos,
    train: Train,
    assert_same_run: SameRun,
    tmp_path: Path,
) -> None:
    """Resume from what the disk held after each update, and within each write, of every phase."""
    config = make_config(**STATEFUL, batch_size=10, mode=mode, teacher_every=2)
    whole = tmp_path / "whole"
    camera = Camera(whole, tmp_path / "album")
    photographed(camera)
    train(config, pointed, whole)
    monkeypatch.undo()
    assert camera.pictures == WRITTEN[mode]
    for picture in sorted((tmp_path / "album").iterdir()):
        torch.rand(3)  # a new process would not have the random state of the old one
        train(config, pointed, picture)
        assert_same_run(picture, whole)


def test_a_finished_run_is_left_as_it_is(
    make_config: Callable[..., Config],
    videos: WeakVideos,
    train: Train,
    assert_same_run: SameRun,
    tmp_path: Path,
) -> None:
    config = make_config()
    stages = train(config, videos, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert train(config, videos, tmp_path / "run") == stages
    assert_same_run(tmp_path / "run", tmp_path / "copy")


@pytest.mark.parametrize("damage", ["truncated", "of another configuration"])
def test_a_damaged_checkpoint_is_refused_and_nothing_lost(
    make_config: Callable[..., Config],
    videos: WeakVideos,
    train: Train,
    tmp_path: Path,
    damage: str,
) -> None:
    train(make_config(), videos, tmp_path)
    path = tmp_path / "checkpoints" / "cbp-warmup.safetensors"
    config = make_config()
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    else:
        config = make_config({"cbp.embed_dim": 32})
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != "log.txt"}
    with pytest.raises(DuetalError, match=rf"cbp-warmup\.safetensors: .*{damage}"):
        train(config, videos, tmp_path)
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("seed", "checkpoint_every", "mode"),
    [(0, 1, "alternate"), (1, 2, "alternate"), (2, 2, "online")],
)
def test_killed_at_random_moments(
    make_config: Callable[..., Config],
    videos: WeakVideos,
    train: Train,
    forked: Any,
    assert_same_run: SameRun,
    tmp_path: Path,
    seed: int,
    checkpoint_every: int,
    mode: str,
) -> None:
    """kill -9, again and again, until the run gets through; spread over its whole duration."""
    config = make_config(**STATEFUL, checkpoint_every=checkpoint_every, b_epochs=3, mode=mode)
    began = time.monotonic()
    assert forked(train, config, videos, tmp_path / "timed").wait() == 0
    duration = time.monotonic() - began
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(config, videos, whole)
    assert_same_run(tmp_path / "timed", whole)

    random, kills = np.random.default_rng(seed), 0
    for attempt in range(100):
        process = forked(train, config, videos, killed)
        # Once at the first checkpoint; then later and later, so that a slow machine gets through.
        while attempt == 0 and process.is_alive() and not any(killed.glob("checkpoints/*")):
            time.sleep(0.001)
        if attempt:
            process.join(duration * (random.uniform(0.1, 0.8) + 0.02 * attempt))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    assert process.exitcode == 0
    assert kills
    assert_same_run(killed, whole)
