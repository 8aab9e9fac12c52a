"""The two streams err in opposite ways, and difficulty is a number that means something."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.backbones.text_towers import load_text_tower
from duetal.baselines import train_linear, train_supervised
from duetal.core.annotations import Annotations
from duetal.datasets import Dataset, open_dataset
from duetal.formats import read_annotations
from duetal.simulation.curved_world import CurvedWorld
from duetal.simulation.generate import simulate
from duetal.simulation.linear_world import directions
from duetal.simulation.world import Simulation

MakeAnnotations = Callable[[int], Annotations]


def truth(dataset: Dataset, name: str) -> NDArray[np.bool_]:
    """(T, K) whether a snippet's centre lies in a segment of the class."""
    segments = dataset.annotations.videos[name].segments or ()
    length = dataset.length(name)
    columns = []
    for label in dataset.classes:
        mine = [segment for segment in segments if segment.label == label]
        starts, ends = (np.array([getattr(s, end) for s in mine]) for end in ("start", "end"))
        columns.append(dataset.grid.cover(starts, ends, length))
    return np.stack(columns, axis=1)


# --- how well true segments can be learnt -------------------------------------------------------


def average_precision(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Mean, over the positives, of the precision at their rank."""
    hits = positive[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def snippets(dataset: Dataset, names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    features = [
        np.concatenate(
            [dataset.streams["cbp"].read(name), dataset.streams["vlp"].read(name)], axis=1
        )
        for name in names
    ]
    positive = [truth(dataset, name) for name in names]
    return torch.from_numpy(np.concatenate(features)), torch.from_numpy(np.concatenate(positive))


def supervised_ap(dataset: Dataset, network: Callable[[int, int], nn.Module], rate: float) -> float:
    """Mean AP on test snippets of a classifier trained on the training videos' true segments."""
    torch.manual_seed(0)
    x, y = snippets(dataset, dataset.training)
    mean, std = x.mean(0), x.std(0)
    net = network(x.shape[1], y.shape[1])
    adam = torch.optim.Adam(net.parameters(), lr=rate, weight_decay=1e-4)
    for _ in range(200):
        rows = torch.randint(len(x), (2048,))
        logits = net((x[rows] - mean) / std)
        adam.zero_grad()
        F.binary_cross_entropy_with_logits(logits, y[rows].float()).backward()
        adam.step()
    x, y = snippets(dataset, dataset.evaluation)
    with torch.no_grad():
        scores = net((x - mean) / std).numpy()
    shown = [k for k in range(y.shape[1]) if y[:, k].any()]
    return float(np.mean([average_precision(scores[:, k], y[:, k].numpy()) for k in shown]))


def linear(channels: int, classes: int) -> nn.Module:
    return nn.Linear(channels, classes)


def perceptron(channels: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(channels, 128), nn.ReLU(), nn.Linear(128, classes))


CLASSIFIERS = [(linear, 1e-2), (perceptron, 2e-3)]


@pytest.mark.parametrize("linear_world", [False, True])
def test_difficulty_makes_it_harder(
    tmp_path: Path, make_annotations: MakeAnnotations, linear_world: bool
) -> None:
    found = []
    for difficulty in (0.0, 0.5, 1.0):
        folder = tmp_path / str(difficulty)
        simulate(make_annotations(40), folder, Simulation(difficulty, linear=linear_world))
        found.append(supervised_ap(open_dataset(folder), *CLASSIFIERS[0]))
    easy, default, hard = found
    assert easy > default + 0.05
    assert default > hard + 0.05


@pytest.mark.real
def test_true_segments_do_not_solve_it(real_data: Path, tmp_path: Path) -> None:
    """Over THUMOS14, both streams of the linear world, at the default difficulty: below 0.85."""
    annotations = read_annotations(real_data / "thumos14" / "gt.json")
    chosen = [*annotations.training_names()[::2], *annotations.evaluation_names()[::3]]
    simulate(annotations.select(chosen), tmp_path / "data", Simulation(linear=True))
    dataset = open_dataset(tmp_path / "data")
    for network, rate in CLASSIFIERS:
        assert 0.5 < supervised_ap(dataset, network, rate) < 0.85


def test_a_curve_is_harder_for_a_linear_classifier(
    tmp_path: Path, make_annotations: MakeAnnotations
) -> None:
    """It loses more of what true segments teach than it does in the linear world."""
    lost = []
    for linear_world in (False, True):
        folder = tmp_path / str(linear_world)
        simulate(make_annotations(40), folder, Simulation(linear=linear_world))
        dataset = open_dataset(folder)
        known = {name: dataset.annotations.videos[name].segments or () for name in dataset.training}
        weak, strong = train_linear(dataset.weak()), train_supervised(dataset.weak(), known)
        lost.append(found_by(dataset, strong.score) / found_by(dataset, weak.score))
    curved, straight = lost
    assert curved > 1.3
    assert curved > straight + 0.2


def found_by(dataset: Dataset, score: Callable[..., tuple[NDArray[np.float32], Any]]) -> float:
    """Mean AP of a classifier's snippets in the test videos."""
    scores = [score(dataset.streams["cbp"].read(name))[0] for name in dataset.evaluation]
    positive = np.concatenate([truth(dataset, name) for name in dataset.evaluation])
    columns = zip(np.concatenate(scores).T, positive.T, strict=True)
    return float(np.mean([average_precision(*column) for column in columns]))


# --- incomplete and over-complete ---------------------------------------------------------------


def precision_and_recall(
    dataset: Dataset, score: Callable[[str], NDArray[np.float32]]
) -> tuple[float, float]:
    """Of the snippets whose score, scaled to [0, 1] per video and present class, is above 0.5."""
    hits = found = there = 0
    for video in dataset.annotations:
        positive, scores = truth(dataset, video.name), score(video.name)
        for label in video.labels:
            k = dataset.classes.index(label)
            curve = scores[:, k]
            above = (curve - curve.min()) / (curve.max() - curve.min()) > 0.5
            hits += int((above & positive[:, k]).sum())
            found += int(above.sum())
            there += int(positive[:, k].sum())
    return hits / found, hits / there


def smooth(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over five snippets, as far as a temporal network would see at the least."""
    padded = np.pad(scores, ((2, 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0)
    return np.asarray(windows.mean(axis=-1), dtype=np.float32)


def core_directions(
    settings: Simulation, classes: tuple[str, ...], text: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(K, C) the direction of each class's core; of a curve, its middle."""
    if settings.linear:
        return directions(settings, classes, text).core
    world = CurvedWorld(settings, classes, text)
    middle = [world.on_curve(k, np.zeros((2, 1)))[0] for k in range(len(classes))]
    return np.asarray(middle @ world.basis("cbp", world.curves.shape[-1], settings.cbp_channels))


@pytest.mark.parametrize("linear_world", [False, True])
@pytest.mark.parametrize("difficulty", [0.25, 0.5, 0.75])
def test_cbp_is_incomplete_and_vlp_over_complete(
    tmp_path: Path, make_annotations: MakeAnnotations, difficulty: float, linear_world: bool
) -> None:
    """The paper's premise, at the signals' own directions before anything is learnt."""
    settings = Simulation(difficulty, linear=linear_world)
    simulate(make_annotations(40), tmp_path / "data", settings)
    dataset = open_dataset(tmp_path / "data")
    assert dataset.text_encoder is not None
    vlp = dataset.streams["vlp"]
    text = load_text_tower(dataset.text_encoder, dataset.classes, prompts_before=0, prompts_after=0)
    plain = text.plain_features().double().numpy()
    cores = core_directions(settings, dataset.classes, plain)

    def core(name: str) -> NDArray[np.float32]:
        return smooth(dataset.streams["cbp"].read(name) @ cores.T.astype(np.float32))

    def zero_shot(name: str) -> NDArray[np.float32]:
        features = F.normalize(torch.from_numpy(vlp.read(name)), dim=-1)
        return smooth((features @ F.normalize(text.plain_features(), dim=-1).T).numpy())

    precision, recall = precision_and_recall(dataset, core)
    assert precision > recall + 0.1  # incomplete
    over_precision, over_recall = precision_and_recall(dataset, zero_shot)
    assert over_recall > over_precision + 0.1  # over-complete
    assert precision > over_precision
    assert over_recall > recall
