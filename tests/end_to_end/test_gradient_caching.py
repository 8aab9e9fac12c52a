"""The gradient at a backbone's weights, against that of one graph over the whole crop."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from _one_graph import OneGraph
from duetal.backbones.class_embeddings import load_text
from duetal.config import Config
from duetal.core.weak_videos import WeakVideos
from duetal.datasets import open_dataset
from duetal.end_to_end.backbone_plan import open_backbones, plan_backbones
from duetal.end_to_end.branch_backbone import BranchBackbone
from duetal.method.labelling import teach
from duetal.method.layers import BranchNetwork
from duetal.method.loop import Lesson, Method, compute_gradient
from duetal.method.sampling import Crop, load
from duetal.method.schedule import Phase, b_step, f_step, warm_up

SMALL = {
    "crop": 16,
    "embed_dim": 16,
    "levels": 2,
    # Two crops in one forward, and a third by itself.
    "micro_batch_snippets": 16,
    "micro_batch": 3,
    "train": "all",
}


@dataclass
class Opened:
    fabric: Fabric
    config: Config
    videos: WeakVideos
    students: dict[str, BranchNetwork]
    backbones: dict[str, BranchBackbone]


def opened(dataset: Path, folder: Path, **settings: Any) -> Opened:
    fabric = Fabric(accelerator="cpu")
    config = Config().replace(dataset=str(dataset), **SMALL | {"vlp.heads": 2} | settings)
    data = open_dataset(dataset)
    videos = data.weak()
    plan = plan_backbones(config.backbone, data)
    assert plan is not None
    backbones = open_backbones(plan, fabric, videos.names, folder.joinpath, 0)
    students = {b.name: b.build(config, videos, load_text) for b in Method().branches}
    for name, student in students.items():
        student.backbone = backbones[name]
    return Opened(fabric, config, videos, students, backbones)


def gradients(found: Opened, phase: Phase, *, one_graph: bool) -> tuple[dict[str, float], Tensor]:
    """Losses, and the gradient of a batch at all weights of the student and its backbone."""
    student, backbone = found.students[phase.student], found.backbones[phase.student]
    pseudo = None
    if phase.teacher is not None:
        teacher = Method().branch(phase.teacher)
        students, videos = found.students, found.videos
        pseudo = teach(found.fabric, found.config, videos, teacher, students[phase.teacher])
    lesson = Lesson(found.fabric, found.config, found.videos, phase, student, pseudo)
    weights = [*student.parameters()]
    student.zero_grad()
    student.train()
    torch.manual_seed(3)
    student.backbone = OneGraph(backbone) if one_graph else backbone  # type: ignore[assignment]
    losses = compute_gradient(lesson, [Crop(0, 0, 5), Crop(1, 1, 6), Crop(2, 0, 8), Crop(3, 2, 3)])
    student.backbone = backbone
    taken = [p.grad for p in weights if p.grad is not None]
    assert [p.grad for p in backbone.parameters() if p.grad is not None]
    return losses, torch.cat([grad.flatten() for grad in taken]).clone()


@pytest.mark.parametrize(
    ("train", "keep_mib"), [("all", 0), ("all", 256), ("last:1", 256), ("adapters", 0)]
)
@pytest.mark.parametrize(
    "phase",
    [
        warm_up(1),
        b_step(Config().schedule, 1),
        f_step(Config().schedule, 1),
    ],
    ids=lambda phase: phase.name,
)
def test_the_gradient_is_that_of_one_graph(
    rendered: Any, tmp_path: Path, train: str, keep_mib: int, phase: Phase
) -> None:
    own = {"train": train, "keep_mib": keep_mib, "vlp.zero_shot_start": False}
    found = opened(rendered.dataset, tmp_path, **own)
    if train == "adapters":
        # They start as nothing, with no gradient at one of their factors.
        with torch.no_grad():
            for parameter in found.backbones[phase.student].parameters():
                parameter.add_(0.05)
    losses, cached = gradients(found, phase, one_graph=False)
    expected, whole = gradients(found, phase, one_graph=True)
    assert losses == pytest.approx(expected, abs=1e-5)
    assert whole.abs().max() > 1e-3
    assert (cached - whole).abs().max() < 1e-5 * whole.abs().max()


def test_graphs_are_kept_as_far_as_there_is_room(
    rendered: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = opened(rendered.dataset, tmp_path, train="all", micro_batch=2)
    backbone, passes = found.backbones["cbp"], [0]
    encode, pieces = backbone._encode, 3 + 3 + 4 + 2

    def count(piece: Any) -> Tensor:
        passes[0] += 1
        return encode(piece)

    monkeypatch.setattr(backbone, "_encode", count)
    seen = []
    for keep_mib in (0, 256):
        backbone._settings = found.config.replace(keep_mib=keep_mib).backbone
        passes[0] = 0
        gradients(found, warm_up(1), one_graph=False)
        seen.append(passes[0])
    # Each micro-batch keeps its last piece, which is passed back at once.
    assert pieces < seen[0] < 2 * pieces
    assert seen[1] == pieces


def test_dropout_is_the_same_in_both_passes(rendered: Any, tmp_path: Path) -> None:
    found = opened(rendered.dataset, tmp_path, keep_mib=0)
    backbone, network = found.backbones["cbp"], found.backbones["cbp"]._parts[0].network
    for part in network.backbone.module.modules():  # type: ignore[union-attr]
        if isinstance(part, nn.Dropout):
            part.p = 0.5
    outputs = []
    original = network.features

    def remembered(batch: Tensor) -> Tensor:
        outputs.append(original(batch))
        return outputs[-1]

    network.features = remembered  # type: ignore[method-assign]
    micro = load(found.videos, found.videos.streams["cbp"], [Crop(2, 0, 8), Crop(1, 0, 2)])
    state = torch.get_rng_state()
    micro = replace(micro, features=backbone.compute(micro))
    assert torch.equal(torch.get_rng_state(), state)
    micro.features.square().sum().backward()
    backbone.backward(micro)
    # Two of a crop, then two, three and three of the other; the graph of the first two was kept.
    assert [len(output) for output in outputs] == [2, 2, 3, 3, 2, 3, 3]
    for first, second in zip(outputs[1:4], outputs[4:], strict=True):
        assert torch.equal(first, second)
    dropped = torch.cat(outputs[3:0:-1])
    assert torch.equal(micro.features[0], dropped)
    network.backbone.module.eval()  # type: ignore[union-attr]
    read = backbone._parts[0].frames.read("v2", 0, 8)
    assert not torch.allclose(original(torch.from_numpy(read)), dropped, atol=0.1)
