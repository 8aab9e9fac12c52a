"""Files of weights that somebody else made: nothing in them is executed, and damage is named."""

import os
import pickle
import struct
from collections import OrderedDict

import hypothesis
import hypothesis.strategies as st
import pytest
import torch
from safetensors.torch import save_file

from duetal.backbones.state_dicts import read_state_dict
from duetal.core.errors import DuetalError

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


class Bomb:
    """Executes a command when a plain unpickler meets it."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_a_bomb_does_not_go_off(tmp_path, zipped, nested):
    bomb = Bomb(f"touch {tmp_path / 'exploded'}")
    content = {"state_dict": WEIGHTS | {"b": bomb}} if nested else WEIGHTS | {"b": bomb}
    path = tmp_path / "bomb.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DuetalError, match=r"refused: besides tensors it holds posix.system"):
        read_state_dict(path)
    # A bare pickle is no checkpoint at all.
    path.write_bytes(pickle.dumps(bomb))
    with pytest.raises(DuetalError, match="not PyTorch weights"):
        read_state_dict(path)
    assert not (tmp_path / "exploded").exists()


def test_a_whole_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(DuetalError, match=r"refused: .*Linear") as caught:
        read_state_dict(tmp_path / "module.pt")
    # PyTorch's own message advises to load it without protection.
    assert "weights_only" not in str(caught.value)


def short_string(text: str) -> bytes:
    return b"U" + struct.pack("<B", len(text)) + text.encode()


def integer(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def python_2_checkpoint(weights) -> bytes:
    """What PyTorch 0.3 wrote under Python 2, as `rgb_imagenet.pt` was: pickle opcodes by hand."""
    items, storages = b"", b""
    for number, (key, tensor) in enumerate(weights.items()):
        storage = b"(" + short_string("storage") + b"ctorch\nFloatStorage\n"
        storage += short_string(str(number)) + short_string("cpu") + integer(tensor.numel()) + b"Nt"
        shape, stride = (
            b"(" + b"".join(map(integer, sizes)) + b"t" for sizes in (tensor.shape, tensor.stride())
        )
        arguments = b"(" + storage + b"Q" + integer(0) + shape + stride + b"t"
        items += short_string(key) + b"ctorch._utils\n_rebuild_tensor\n" + arguments + b"R"
        storages += struct.pack("<q", tensor.numel()) + tensor.numpy().tobytes()
    content = b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4, "long": 4}}
    head = (0x1950A86A20F9469CFC6C, 1001, system)
    order = [str(number) for number in range(len(weights))]
    parts = [*(pickle.dumps(part, protocol=2) for part in head), content]
    return b"".join(parts) + pickle.dumps(order, protocol=2) + storages


def test_a_checkpoint_of_the_first_years_is_read(tmp_path):
    (tmp_path / "old.pt").write_bytes(python_2_checkpoint(WEIGHTS))
    read = read_state_dict(tmp_path / "old.pt")
    assert read.keys() == WEIGHTS.keys()
    assert all(torch.equal(read[key], WEIGHTS[key]) for key in WEIGHTS)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ([1, 2], "no weights by name in it, but list"),
        (torch.zeros(2), "no weights by name in it, but Tensor"),
        ({}, "no weights"),
        ({"state_dict": {}}, "no weights"),
        ({"epoch": 3}, "epoch: not a tensor by name, but int"),
        ({"state_dict": {"a": [1.0]}}, "a: not a tensor by name, but list"),
        ({7: torch.zeros(2)}, "7: not a tensor by name"),
    ],
)
def test_what_is_not_weights_is_named(tmp_path, content, cause):
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(DuetalError, match=cause):
        read_state_dict(tmp_path / "file.pt")


def test_a_prefix_is_taken_off_only_where_all_keys_have_it(tmp_path):
    mixed = OrderedDict({"module.a": torch.zeros(1), "b": torch.zeros(1)})
    torch.save(mixed, tmp_path / "file.pt")
    assert read_state_dict(tmp_path / "file.pt").keys() == mixed.keys()


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "missing.pt", tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(DuetalError):
            read_state_dict(path)


def saved(path, kind):
    if kind == "safetensors":
        save_file(WEIGHTS, path)
    elif kind == "python 2":
        path.write_bytes(python_2_checkpoint(WEIGHTS))
    else:
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=kind == "zip")
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["zip", "legacy", "python 2", "safetensors"])
def test_a_truncated_file_is_a_clear_error(tmp_path, kind):
    path = tmp_path / ("file.safetensors" if kind == "safetensors" else "file.pt")
    whole = saved(path, kind)
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(
            DuetalError, match=r"not PyTorch weights|not a whole safetensors"
        ) as caught:
            read_state_dict(path)
        assert "\n" not in str(caught.value)


@hypothesis.given(
    kind=st.sampled_from(["zip", "legacy", "python 2", "safetensors"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1),
)
@hypothesis.settings(
    max_examples=200,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_a_damaged_file_is_read_or_refused(tmp_path, kind, changes):
    path = tmp_path / ("file.safetensors" if kind == "safetensors" else "file.pt")
    content = bytearray(saved(path, kind))
    for place, value in changes:
        content[int(place * len(content))] = value
    path.write_bytes(content)
    try:
        read_state_dict(path)
    except DuetalError as error:
        message = str(error)
        assert "\n" not in message
