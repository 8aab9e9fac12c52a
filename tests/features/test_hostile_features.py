"""Files made to hold a reader up, to lead it elsewhere, or to fill its memory."""

import json
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from duetal.core.errors import DuetalError
from duetal.features.arrays import open_npy, reading
from duetal.features.containers import open_only

SOME = np.arange(24, dtype=np.float32).reshape(6, 4)


def _npy(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(32)


def _h5(make: Callable[[h5py.File, Path], object]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path.with_name("other.h5"), "w") as other:
            other["x"] = SOME
        with h5py.File(path, "w") as file:
            make(file, path.with_name("other.h5"))

    return write


def _virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout(SOME.shape, "f4")
    layout[:] = h5py.VirtualSource(other, "x", SOME.shape)
    file.create_virtual_dataset("features", layout)


def _external(file: h5py.File, other: Path) -> None:
    outside = [(str(other), 0, SOME.nbytes)]
    file.create_dataset("features", SOME.shape, "f4", external=outside)


def _in_group(file: h5py.File, other: Path) -> None:
    file.create_group("video")["x"] = h5py.ExternalLink(other, "/x")


def _by_soft_link(file: h5py.File, other: Path) -> None:
    file.create_group("there")["x"] = h5py.ExternalLink(other, "/x")
    file["features"] = h5py.SoftLink("/there/x")


@pytest.mark.parametrize(
    ("name", "make", "cause"),
    [
        ("a.npy", os.mkfifo, "a pipe or a device"),
        ("a.h5", os.mkfifo, "a pipe or a device"),
        ("a.npz", os.mkfifo, "a pipe or a device"),
        ("a.safetensors", os.mkfifo, "a pipe or a device"),
        ("a.npy", lambda path: path.write_bytes(_npy("(True, 8)")), "header is damaged"),
        ("a.npy", lambda path: path.write_bytes(_npy("(-1, 8)")), "header is damaged"),
        ("a.npy", lambda path: path.write_bytes(_npy("(" * 5000 + ")" * 5000)), "damaged"),
        ("a.h5", _h5(lambda file, _: file.create_dataset("f", (10**12, 8), "f4", chunks=(9, 8))),
         "chunks promised, 0 there"),
        ("a.h5", _h5(lambda file, _: file.create_dataset("f", (10**12, 8), "f4")),
         "bytes promised, 0 there"),
        ("a.h5", _h5(_virtual), "lie in other files"),
        ("a.h5", _h5(_external), "lie in other files"),
        ("a.h5", _h5(_in_group), "not an HDF5 dataset of this file"),
        ("a.h5", _h5(_by_soft_link), "not an HDF5 dataset of this file"),
        ("a.h5", _h5(lambda file, _: file.update({"f": h5py.SoftLink("/f")})), "of this file"),
    ],
)  # fmt: skip
def test_it_gets_its_line_at_once(
    tmp_path: Path, name: str, make: Callable[[Path], object], cause: str
) -> None:
    path = tmp_path / name
    make(path)
    began = time.monotonic()
    with pytest.raises(DuetalError, match=cause) as caught:
        (open_npy if path.suffix == ".npy" else open_only)(path)
    assert time.monotonic() - began < 2
    assert "\n" not in str(caught.value)


def test_nested_metadata(tmp_path: Path) -> None:
    deep = ('{"__metadata__":' + "[" * 100_000 + "]" * 100_000 + "}").encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(deep).to_bytes(8, "little") + deep)
    with pytest.raises(DuetalError, match=r"not a \.safetensors file"):
        open_only(path)


def test_links_within_a_file_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["there/x"] = SOME
        file["features"] = h5py.SoftLink("there/x")
    np.testing.assert_array_equal(open_only(path).rows(0, 6), SOME)


def test_no_memory_is_not_called_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, SOME)
    with (
        pytest.raises(DuetalError, match="does not fit into memory"),
        reading(path, damage="damaged"),
    ):
        raise MemoryError


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_long_member_is_decompressed_once(
    tmp_path: Path, save: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    save(tmp_path / "a.npz", features=values)
    array = open_only(tmp_path / "a.npz")
    for start in range(0, 20_000, 1000):
        np.testing.assert_array_equal(array.rows(start, start + 1000), values[start : start + 1000])
    np.testing.assert_array_equal(array.rows(3, 8), values[3:8])
    np.testing.assert_array_equal(array.rows(19_990, 20_000), values[-10:])
    # Of a piece at the end no byte before it is decompressed again.
    inflated = 0
    make = zlib.decompressobj

    class Counting:
        def __init__(self, bits: int):
            self.inner = make(bits)

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal inflated
            inflated += len(piece := self.inner.decompress(data, most))
            return piece

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    again = open_only(tmp_path / "a.npz")
    monkeypatch.setattr("duetal.features.containers.zlib.decompressobj", Counting)
    for start in range(0, 20_000, 1000):
        again.rows(start, start + 1000)
    assert inflated <= values.nbytes + 1000


def test_changed_contents_of_a_compressed_member(tmp_path: Path) -> None:
    """The sum of all bytes is compared once the last one has been read."""
    path = tmp_path / "a.npz"
    values = np.random.default_rng(0).normal(size=(9000, 8))
    np.savez_compressed(path, features=values)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 16
    content[at] ^= 1
    path.write_bytes(content)
    array = open_only(path)
    array.rows(0, 3)
    with pytest.raises(DuetalError, match="damaged"):
        array.rows(3, 9000)


def test_aliases_of_aliases(tmp_path: Path) -> None:
    from duetal.core.files import read_yaml

    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, key in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]")
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(DuetalError, match="its aliases make more than"):
        read_yaml(path)
    path.write_text("a: &a [x]\nb: [*a, *a]\n")
    assert read_yaml(path) == {"a": ["x"], "b": [["x"], ["x"]]}
    path.write_text("a: &a [*a]\n")
    with pytest.raises(DuetalError, match="its aliases make more than"):
        read_yaml(path)


def test_a_pipe_as_text(tmp_path: Path) -> None:
    from duetal.core.files import read_json

    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(DuetalError, match="a pipe or a device"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_text(json.dumps([1]))
    assert read_json(tmp_path / "b.json") == [1]
