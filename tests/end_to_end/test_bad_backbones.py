"""What cannot be trained is refused in a line, before any training."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from duetal.backbones.protocol import Backbone, WeightsIdentity
from duetal.config import load_config
from duetal.core import extras
from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import open_dataset
from duetal.end_to_end import backbone_plan
from duetal.end_to_end.backbone_plan import open_backbones, plan_backbones
from duetal.end_to_end.branch_backbone import BranchBackbone
from duetal.extraction.networks import Network
from duetal.method.backbone_settings import BackboneSettings
from duetal.method.sampling import Crop, load
from duetal.simulation.clips import render_clip

Change = Callable[[Path], object]


def edit(file: str, change: Callable[[Any], object]) -> Change:
    """Change a JSON file of the data set."""

    def changed(dataset: Path) -> None:
        path = dataset / file
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return changed


def remove(file: str) -> Change:
    return lambda dataset: (dataset / file).unlink()


def resize(by: int) -> Change:
    """As many snippets more, or less, in the features of a video."""

    def change(dataset: Path) -> None:
        for file in dataset.glob("features/*/v1.npy"):
            array = np.load(file)
            np.save(file, np.concatenate([array, array[:by]]) if by > 0 else array[:by])

    return change


def read_as_vlp(dataset: Path) -> None:
    text = (dataset / "dataset.yaml").read_text()
    (dataset / "dataset.yaml").write_text(text.replace("features/videomae", "features/clip"))


def other_backbone(dataset: Path) -> None:
    (dataset / "features" / "videomae").rename(dataset / "features" / "colour")
    for file in ("dataset.yaml", "store.json"):
        text = (dataset / file).read_text().replace('"videomae"', '"colour"')
        (dataset / file).write_text(text.replace("features/videomae", "features/colour"))


@pytest.fixture
def dataset(rendered: Any, tmp_path: Path) -> Path:
    """A copy of the data set, its videos in a place of their own."""
    folder = tmp_path / "dataset"
    shutil.copytree(rendered.dataset, folder)
    shutil.copytree(rendered.videos, tmp_path / "videos")
    for file in folder.glob("records/*.json"):
        source = str(tmp_path / "videos" / f"{file.stem}.mp4")
        edit(f"records/{file.name}", lambda value, s=source: value.update(source=s))(folder)
    return folder


#: What the settings say, what is wrong with the data set, and the error.
PLANS: list[tuple[dict[str, Any], Change | None, str]] = [
    ({"features": ("rbg",)}, None, "backbone.features: unknown features 'rbg'"),
    ({}, remove("store.json"), "no record of how the features were made.*--videos"),
    ({}, edit("store.json", lambda s: s["videomae"].update(tuned="0" * 64)),
     "a backbone that a run has trained"),
    ({"features": ("videomae",)}, edit("store.json", lambda s: s["videomae"].update(crops=10)),
     "videomae features cannot be trained: ten crops"),
    ({}, edit("store.json", lambda s: s.update(dtype="int8")), "dtype: must be one of"),
    ({}, read_as_vlp, "two branches read the clip features.*branches="),
    ({}, other_backbone, "the 'colour' features cannot be trained: it is none of duetal's"),
    ({}, remove("records/v1.json"), "video 'v1': no record of its features"),
    ({}, resize(-1), r"v1\.mp4: video 'v1': its frames make 7 snippets, and its features have 6"),
    ({}, remove("../videos/v1.mp4"), r"v1\.mp4: video 'v1': the video is gone"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "change", "message"), PLANS)
def test_what_cannot_be_trained(
    dataset: Path, settings: dict[str, Any], change: Change | None, message: str
) -> None:
    if change is not None:
        change(dataset)
    with pytest.raises(DuetalError, match=message):
        plan_backbones(BackboneSettings(train="all", **settings), open_dataset(dataset))


@pytest.mark.parametrize("value", ["last:0", "last:", "some", "last:2 "])
def test_a_value_that_means_nothing(value: str) -> None:
    with pytest.raises(UsageError, match="must be none, adapters, last:N or all"):
        load_config("", "recipe", [f"backbone.train={value}"])


@pytest.mark.parametrize("named", [("flow",), None])
def test_flow_has_no_gradient(named: tuple[str, ...] | None) -> None:
    stored = {"modalities": ["flow"], "flow": {"branch": "cbp"}}
    with pytest.raises(UsageError, match=r"the flow features cannot be trained: .*no gradient"):
        backbone_plan._trainable(BackboneSettings(train="all", features=named), stored)
    both = {"modalities": ["rgb", "flow"], "rgb": {}, "flow": {}}
    assert backbone_plan._trainable(BackboneSettings(train="all"), both) == ["rgb"]


def open_all(dataset: Path, folder: Path, **settings: Any) -> dict[str, BranchBackbone]:
    found = open_dataset(dataset)
    plan = plan_backbones(BackboneSettings(**{"train": "all"} | settings), found)
    assert plan is not None
    return open_backbones(plan, Fabric(accelerator="cpu"), found.training, folder.joinpath, 0)


def lengthened(dataset: Path) -> None:
    """Features and record of a longer video than there is."""
    resize(1)(dataset)
    edit("records/v1.json", lambda record: record.update(snippets=8))(dataset)


OPENED: list[tuple[Change, str]] = [
    (edit("store.json", lambda s: s["videomae"].update(sha256="0" * 64)),
     "videomae: other weights than those that made the features"),
    (lambda dataset: render_clip(dataset.parent / "videos" / "v1.mp4", duration=3, size=(48, 36)),
     r"v1\.mp4: another video than the one"),
    (lengthened, r"v1\.mp4: its frames make 7 snippets, and its features have 8"),
    (lambda dataset: (dataset.parent / "videos" / "v1.mp4").write_bytes(b"no video"),
     r"v1\.mp4: .*; training a backbone reads the videos again"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), OPENED)
def test_what_is_found_when_frames_are_read(
    dataset: Path, tmp_path: Path, change: Change, message: str
) -> None:
    change(dataset)
    with pytest.raises(DuetalError, match=message):
        open_all(dataset, tmp_path)
    assert not [*dataset.glob("frames/*/v1-*")]


def test_a_family_without_a_network_of_its_own(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that computes with ONNX."""

    class Exported(Backbone):
        dim, identity = 32, WeightsIdentity("none", "0" * 64, "none")

    monkeypatch.setattr("duetal.backbones.presets._load", lambda *_: Exported())
    with pytest.raises(UsageError, match="videomae features cannot be trained: it has no network"):
        open_all(dataset, tmp_path)


def test_damaged_frames_are_named(dataset: Path, tmp_path: Path) -> None:
    backbone = open_all(dataset, tmp_path)["cbp"]
    videos = open_dataset(dataset).weak()
    file = next(dataset.glob("frames/videomae-*/v1-*.npy"))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DuetalError, match=r"v1-.*npy: damaged frames; delete the file"):
        backbone.compute(load(videos, videos.streams["cbp"], [Crop(1, 0, 5)]))


@pytest.mark.parametrize(
    ("micro_batch", "train", "error", "message"),
    [
        (4, "all", torch.OutOfMemoryError("CUDA out of memory"), "4 snippets.*micro_batch=2"),
        (1, "all", MemoryError(), "1 snippets at once in a backbone; backbone.train=last:1"),
        (
            1,
            "last:1",
            RuntimeError("DefaultCPUAllocator: can't allocate"),
            "1 snippets at once in a backbone; a smaller model",
        ),
    ],
)
def test_out_of_memory_names_the_setting_that_helps(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    micro_batch: int, train: str, error: Exception, message: str,
) -> None:  # fmt: skip
    backbone = open_all(dataset, tmp_path, micro_batch=micro_batch, train=train)["cbp"]
    videos = open_dataset(dataset).weak()

    def full(*_: object) -> None:
        raise error

    micro = load(videos, videos.streams["cbp"], [Crop(0, 0, 4)])
    backbone.compute(micro)
    monkeypatch.setattr(Network, "features", full)
    with pytest.raises(DuetalError, match=f"out of memory with {message}"):
        backbone.compute(micro)


def test_out_of_memory_with_graphs_that_are_kept_names_their_setting(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = open_all(dataset, tmp_path, micro_batch=1, keep_mib=64)["cbp"]
    videos, encode, passes = open_dataset(dataset).weak(), Network.features, iter(range(9))

    def full(self: Network, batch: torch.Tensor) -> torch.Tensor:
        if next(passes) == 2:
            raise MemoryError
        return encode(self, batch)

    monkeypatch.setattr(Network, "features", full)
    with pytest.raises(DuetalError, match=r"a backbone; backbone\.keep_mib=32 keeps fewer"):
        backbone.compute(load(videos, videos.streams["cbp"], [Crop(0, 0, 4)]))


def test_adapters_need_their_extra(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.setattr(extras.metadata, "requires", lambda _: ["peft>=0.15; extra == 'adapters'"])
    with pytest.raises(UsageError, match=r"needs peft.*duetal\[adapters\]"):
        open_all(dataset, tmp_path, train="adapters")
