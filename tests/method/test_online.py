"""Online training: who teaches whom with which weights, how crops are labelled, and how often."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from duetal.backbones.class_embeddings import load_text
from duetal.config import Config
from duetal.core.weak_videos import WeakVideos
from duetal.method.labelling import teach
from duetal.method.layers import BranchNetwork
from duetal.method.loop import Method, alternate
from duetal.method.online import OnlineCallback, OnlineStudent, train_online
from duetal.method.pseudo_labels import PseudoLabels
from duetal.method.sampling import Crop
from duetal.method.schedule import Phase
from duetal.method.weight_average import average_weights, averaged

FABRIC = Fabric(accelerator="cpu", devices=1)
MakeConfig = Callable[..., Config]


class Observer(OnlineCallback):
    """Counts updates, and keeps what each teacher is and what its students are taught by."""

    def __init__(self) -> None:
        self.updates: Counter[str] = Counter()
        self.averages: list[dict[str, dict[str, Tensor]]] = []
        self.teachers: list[dict[str, dict[str, Tensor]]] = []
        self.pseudo: dict[str, PseudoLabels] = {}
        self.ends: dict[str, dict[str, Tensor]] = {}

    def on_step(self, phase: Phase, losses: Mapping[str, float]) -> None:
        self.updates[phase.student] += 1

    def on_online_epoch(
        self,
        epoch: int,
        students: Sequence[OnlineStudent],
        losses: Mapping[str, Mapping[str, float]],
        *,
        is_last: bool,
    ) -> None:
        self.averages.append({s.phase.student: clone(s.averaged_state()) for s in students})
        self.teachers.append(
            {
                str(s.phase.teacher): clone(s._teacher.state_dict())
                for s in students
                if s._teacher is not None
            }
        )

    def on_phase_end(self, phase: Phase, student: BranchNetwork) -> None:
        self.ends[phase.student] = clone(student.inference_state())


def clone(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}


def observe(config: Config, videos: WeakVideos) -> Observer:
    observer = Observer()
    if config.schedule.mode == "alternate":
        alternate(FABRIC, config, videos, load_text, observer, Method())
    else:
        train_online(FABRIC, config, lambda: videos, load_text, observer, Method())
    return observer


@pytest.mark.parametrize(
    "epochs",
    [(2, 1, 1, 1), (1, 2, 1, 2), (4, 1, 2, 1), (1, 3, 1, 1)],
    ids=lambda epochs: "warm-up {}, B {}, F {}, alternations {}".format(*epochs),
)
def test_as_many_updates_as_in_turns(
    make_config: MakeConfig, videos: WeakVideos, epochs: tuple[int, ...]
) -> None:
    names = ("warmup_epochs", "b_epochs", "f_epochs", "alternations")
    settings: dict[str, Any] = dict(zip(names, epochs, strict=True))
    found = [
        observe(make_config(**settings, mode=mode), videos).updates
        for mode in ("alternate", "online")
    ]
    assert found[0] == found[1]
    assert found[0]["vlp"]


@pytest.mark.parametrize("members", [1, 2])
def test_a_teacher_is_the_others_average(
    make_config: MakeConfig, videos: WeakVideos, members: int
) -> None:
    """Taken at the beginning of an epoch, and here not again: there are fewer updates than that."""
    settings = {"cbp.members": members}
    seen = observe(make_config(settings, mode="online", teacher_every=1000), videos)
    for before, teachers in zip(seen.averages[1:], seen.teachers[2:], strict=False):
        assert set(teachers) == {"cbp", "vlp"}
        for name, teacher in teachers.items():
            assert all(torch.equal(before[name][key], value) for key, value in teacher.items())
    # And what remains in the end is the average too.
    for name, end in seen.ends.items():
        if name == "cbp":
            expected = seen.averages[-1][name] | {"temperature": end["temperature"]}
            assert all(torch.equal(expected[key], value) for key, value in end.items())


def test_weights_are_back_after_their_averages() -> None:
    network = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    history = []
    for _ in range(3):
        network(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        average_weights(optimizer, 0.5)
        history.append(clone(network.state_dict()))
    now = clone(network.state_dict())
    with averaged(optimizer):
        inside = clone(network.state_dict())
    assert all(torch.equal(now[name], value) for name, value in network.state_dict().items())
    assert not torch.equal(inside["weight"], now["weight"])
    assert inside["weight"].min() > now["weight"].min()


@pytest.fixture
def student(
    make_config: MakeConfig,
    make_branch: Callable[[Config, str], BranchNetwork],
    videos: WeakVideos,
) -> Callable[..., OnlineStudent]:
    """VLP, taught by a CBP that scores anything."""

    def make(**settings: Any) -> OnlineStudent:
        config = make_config(mode="online", crop=32, **settings)
        [_, _, phase] = Method().schedule(config.schedule, videos.streams)
        network = make_branch(config, "vlp")
        student = OnlineStudent(FABRIC, config, Method(), phase, network)
        teacher = make_branch(config, "cbp")
        with torch.no_grad():
            teacher.decoder[-1].conv.weight.mul_(20)  # type: ignore[index, operator, union-attr]
        student.learn_from(teacher.inference_state(), videos)
        return student

    return make


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("over", ["video", "class", "none"])
def test_a_whole_video_is_labelled_as_in_turns(
    student: Callable[..., OnlineStudent], videos: WeakVideos, over: str, score: str
) -> None:
    made = student(pseudo_normalization=over, pseudo_score=score)
    assert made._teacher is not None
    branch = made.method.branch("cbp")
    expected = teach(FABRIC, made.settings, videos, branch, made._teacher)
    batch = [Crop(n, 0, videos.length(name)) for n, name in enumerate(videos.names)]
    found = made.label(videos, batch)
    assert found is not None
    kinds = set()
    for number, labels in enumerate(expected):
        # In one batch or by itself: the last bits of a score may differ at a threshold.
        assert (found[number] == labels).mean() > 0.98
        kinds |= set(np.unique(labels).tolist())
    assert kinds == {-1, 0, 1}


def test_a_part_of_a_video_is_scaled_by_what_is_known_of_it(
    student: Callable[..., OnlineStudent], videos: WeakVideos
) -> None:
    made = student(pseudo_score="logit", relabel_every=1)
    longest = int(np.argmax([videos.length(name) for name in videos.names]))
    name = videos.names[longest]
    length = videos.length(name)
    half = Crop(longest, 0, length // 2)
    found = made.label(videos, [half])
    assert found is not None
    assert (found[longest][length // 2 :] == -2).all()  # What nobody has labelled.
    alone = found[longest].copy()
    narrow = made.extents[name].copy()
    made.label(videos, [Crop(longest, 0, length)])
    whole = made.extents[name].copy()
    assert not np.allclose(whole, narrow)
    known = made.label(videos, [half])
    assert known is not None
    assert (known[longest] != alone).any()


@pytest.mark.parametrize(
    ("known", "seen", "share", "expected"),
    [
        pytest.param(None, (0, 4), 0.5, (0, 4), id="first"),
        pytest.param((1, 2), (0, 4), 0.1, (0, 4), id="widened at once"),
        pytest.param((0, 4), (1, 2), 0.5, (0.5, 3), id="shrunk by what was seen"),
        pytest.param((0, 4), (1, 2), 1.0, (1, 2), id="seen whole"),
    ],
)
def test_extents(
    student: Callable[..., OnlineStudent],
    known: tuple[float, float] | None,
    seen: tuple[float, float],
    share: float,
    expected: tuple[float, float],
) -> None:
    made = student()
    if known is not None:
        made.extents["v"] = np.array(known, dtype=np.float32)[:, None]
    logits = np.array([[seen[0]], [seen[1]], [seen[0]]], dtype=np.float32)
    assert made._widen("v", logits, share).ravel().tolist() == list(expected)


def test_videos_that_join_are_trained_on_with_the_old_ones(
    make_config: MakeConfig, videos: WeakVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(mode="online", warmup_epochs=1, b_epochs=2, f_epochs=2)
    grown = iter(
        [replace(videos, names=videos.names[:n], labels=videos.labels[:n]) for n in (7, 7, 9)]
    )
    trained: list[set[str]] = []
    update = OnlineStudent.update

    def noting(self: OnlineStudent, read: WeakVideos, *arguments: Any) -> Any:
        batch = arguments[2]
        trained.append({read.names[crop.video] for crop in batch})
        return update(self, read, *arguments)

    monkeypatch.setattr(OnlineStudent, "update", noting)
    train_online(FABRIC, config, lambda: next(grown), load_text, OnlineCallback(), Method())
    epochs = [
        trained[:2],
        trained[2:6],
        trained[6:],
    ]  # Batches of 4; both branches from the second.
    assert [len(set().union(*epoch)) for epoch in epochs] == [7, 7, 9]


def test_labels_are_kept_for_some_epochs(
    student: Callable[..., OnlineStudent], videos: WeakVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a teacher said lasts, for the epochs that it is to last and for these labels alone."""
    made = student(relabel_every=3, b_epochs=18)
    batch = [Crop(n, 0, videos.length(name)) for n, name in enumerate(videos.names)]
    label_crop, asked = OnlineStudent._label_crop, list[int]()

    def noting(self: OnlineStudent, read: WeakVideos, crop: Crop, logits: Any) -> None:
        asked.append(crop.video)
        label_crop(self, read, crop, logits)

    monkeypatch.setattr(OnlineStudent, "_label_crop", noting)
    every = list(range(10))
    for epoch, expected in enumerate([every, [2, 5, 8], [1, 4, 7], [0, 3, 6, 9]]):
        made.epochs_done = epoch
        asked.clear()
        made.label(videos, batch)
        assert sorted(asked) == expected
    made.epochs_done = 1
    corrected = replace(videos, labels=videos.labels.copy())
    corrected.labels[0] = ~videos.labels[0]
    asked.clear()
    found = made.label(corrected, batch[:2])
    assert asked == [0]
    assert found is not None
    assert (found[0][:, ~corrected.labels[0]] == 0).all()


def test_a_short_phase_is_labelled_more_often(
    student: Callable[..., OnlineStudent], videos: WeakVideos
) -> None:
    for epochs, due in ((6, True), (18, False)):
        made = student(relabel_every=3, b_epochs=epochs, alternations=1)
        crop = Crop(0, 0, videos.length(videos.names[0]))
        made.label(videos, [crop])
        made.epochs_done = 1
        assert made._is_due(videos, crop) is due
