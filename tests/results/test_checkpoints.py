"""Checkpoints: whole or refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from duetal.core.errors import DuetalError
from duetal.results.checkpoints import load, load_into, save


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "x.safetensors"
    save(path, nn.Linear(3, 2).state_dict(), {"stage": "x", "metrics": 7})
    return path


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    layer = nn.Linear(3, 2)
    tied = layer.weight
    save(tmp_path / "x.safetensors", {"a": tied, "b": tied, "c": tied.T}, {"stage": "x"})
    checkpoint = load(tmp_path / "x.safetensors")
    assert checkpoint.record == {"stage": "x"}
    assert torch.equal(checkpoint.tensors["a"], layer.weight)
    assert torch.equal(checkpoint.tensors["b"], layer.weight)
    assert torch.equal(checkpoint.tensors["c"], layer.weight.T)
    assert list(tmp_path.iterdir()) == [tmp_path / "x.safetensors"]


def test_a_truncated_file_is_refused_at_every_length(saved: Path) -> None:
    content = saved.read_bytes()
    for size in range(len(content)):
        saved.write_bytes(content[:size])
        with pytest.raises(DuetalError, match=r"x\.safetensors: truncated or damaged checkpoint"):
            load(saved)


def test_a_checkpoint_of_another_kind_is_refused(saved: Path) -> None:
    assert load(saved, needs=("stage", "metrics")).record["metrics"] == 7
    with pytest.raises(DuetalError, match=r"x\.safetensors: .* another kind: has no phase"):
        load(saved, needs=("metrics", "phase"))
    save_file({"a": torch.zeros(1)}, saved, metadata={"duetal": "[]"})
    with pytest.raises(DuetalError, match="another kind: has no metrics"):
        load(saved, needs=("metrics",))


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(DuetalError, match="no such checkpoint"):
        load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(DuetalError, match="no checkpoint of duetal"):
        load(path)
    save_file({"a": torch.zeros(1)}, path, metadata={"duetal": "{"})
    with pytest.raises(DuetalError, match="damaged"):
        load(path)
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DuetalError, match="damaged"):
        load(path)


@pytest.mark.parametrize(
    ("module", "place"),
    [
        pytest.param(nn.Linear(4, 2), "weight.*another configuration.*shape", id="another shape"),
        pytest.param(
            nn.Sequential(nn.Linear(3, 2)), "0.bias.*another configuration: not in it", id="missing"
        ),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused_whole(
    saved: Path, module: nn.Module, place: str
) -> None:
    before = [p.detach().clone() for p in module.parameters()]
    with pytest.raises(DuetalError, match=place):
        load_into(module, load(saved).tensors, saved)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
