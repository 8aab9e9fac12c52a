"""The W-TALC pack is read where it lies: every pickle protocol, nothing executed."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.features.containers import list_pack

Array = NDArray[np.floating]


def object_array(items: list[object]) -> NDArray[np.object_]:
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def write_pack(path: Path, pickled: object, protocol: int = 4, count: int = 1) -> None:
    """A .npy file of dtype object around any pickle."""
    data = pickled if isinstance(pickled, bytes) else pickle.dumps(pickled, protocol)
    with path.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(data)


@pytest.fixture
def videos() -> list[Array]:
    rng = np.random.default_rng(0)
    lengths = [3, 40, 700, 1]
    videos: list[Array] = [rng.normal(size=(t, 16)).astype(np.float32) for t in lengths]
    fortran = np.asfortranarray(rng.normal(size=(30, 16)))
    swapped = rng.normal(size=(9, 16)).astype(">f4")
    return [*videos, fortran, swapped, videos[1], rng.normal(size=(5, 16)).astype(np.float16)]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_are_the_pickled_ones(tmp_path: Path, videos: list[Array], protocol: int) -> None:
    path = tmp_path / "x-I3D-JOINTFeatures.npy"
    write_pack(path, object_array(list(videos)), protocol)
    for opener, video in zip(list_pack(path), videos, strict=True):
        array = opener()
        assert (array.header.length, array.header.dim) == video.shape
        np.testing.assert_array_equal(array.rows(0, len(video)), video)
        np.testing.assert_array_equal(array.rows(1, 3), video[1:3])
        # Protocol 2 holds bytes as text, which cannot be mapped.
        assert isinstance(array.rows(0, 1), np.memmap) == (protocol > 2)


def test_as_numpy_saves_it(tmp_path: Path, videos: list[Array]) -> None:
    path = tmp_path / "x-I3D-JOINTFeatures.npy"
    np.save(path, object_array(list(videos)), allow_pickle=True)
    arrays = list_pack(path)
    np.testing.assert_array_equal(arrays[2]().rows(0, 700), videos[2])


def python2_pickle(values: Array) -> bytes:
    """What Python 2 wrote for an object array of one array: bytes in `str` opcodes."""

    def array(shape: bytes, code: bytes, content: bytes) -> bytes:
        kind = b"U" + bytes([len(code)]) + code
        order, flags = (b"U\x01|", b"K\x3f") if code == b"O8" else (b"U\x01<", b"K\x00")
        return (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
            + (b"(K\x01" + shape + b"\x85" if len(shape) == 2 else b"(K\x01" + shape)
            + (b"cnumpy\ndtype\n" + kind + b"K\x00K\x01\x87R")
            + (b"(K\x03" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff" + flags + b"tb\x89")
            + (content + b"tb")
        )

    rows, columns = values.shape
    data = values.tobytes()
    inner_shape = b"M" + struct.pack("<H", rows) + b"K" + bytes([columns]) + b"\x86"
    inner = array(inner_shape, b"f4", b"T" + struct.pack("<I", len(data)) + data)
    return b"\x80\x02" + array(b"K\x01", b"O8", b"](" + inner + b"e") + b"."


def test_written_by_python_2(tmp_path: Path) -> None:
    path = tmp_path / "x-I3D-JOINTFeatures.npy"
    values = np.random.default_rng(0).normal(size=(300, 8)).astype("<f4")
    write_pack(path, python2_pickle(values))
    assert np.array_equal(np.load(path, allow_pickle=True, encoding="bytes")[0], values)
    (opener,) = list_pack(path)
    array = opener()
    assert isinstance(array.rows(10, 20), np.memmap)
    np.testing.assert_array_equal(array.rows(10, 20), values[10:20])


def test_plain_array_of_equally_long_videos(tmp_path: Path) -> None:
    path = tmp_path / "x-I3D-JOINTFeatures.npy"
    values = np.random.default_rng(0).normal(size=(3, 10, 4)).astype(np.float32)
    np.save(path, values)
    for opener, video in zip(list_pack(path), values, strict=True):
        np.testing.assert_array_equal(opener().rows(0, 10), video)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DuetalError, match="array 2: truncated"):
        list_pack(path)[2]()


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("pickled", "cause"),
    [
        (Hostile(), "refuses to load posix.system"),
        (object_array([Hostile()]), "refuses to load posix.system"),
        (object_array([np.zeros((3, 2)), Hostile()]), "refuses to load posix.system"),
        (object_array([np.zeros((2, 2)).view(Subclass)]), "refuses to load"),
        (np.array([np.ones((2, 2))] * 3, dtype=object), "holds single numbers, not arrays"),
        (object_array([1, 2]), "something other than arrays"),
        (object_array([["a"]]), "something other than arrays"),
        (object_array([{}]), "more than hold arrays"),
        (object_array([np.zeros((3, 2)), object_array([1])]).reshape(2, 1), "one-dimensional"),
        ([1, 2], "not a one-dimensional array"),
        (b"\x80\x02cos\nsystem\nU\x04true\x85R.", "refuses to load os.system"),
        (b"\x80\x02(ios\nsystem\n.", "more than hold arrays"),
        (b"\x80\x02\x82\x01.", "more than hold arrays"),
        (b"\x80\x02K\x01K\x02R.", "something other than numpy's own"),
        (b"\x80\x02cnumpy\ndtype\n}b.", "more than hold arrays"),
        (b"\x80\x02cnumpy\ndtype\n)b.", "something other than an array"),
        (b"\x80\x02R.", "damaged"),
        (b"", "truncated"),
    ],
)
def test_other_pickles_are_refused(tmp_path: Path, pickled: object, cause: str) -> None:
    path = tmp_path / "x-I3D-JOINTFeatures.npy"
    write_pack(path, pickled)
    with pytest.raises(DuetalError) as caught:
        list_pack(path)
    assert cause in caught.value.cause
    assert caught.value.file == path
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("item", "cause"),
    [
        (np.zeros(3), "must be (T, C)"),
        (np.zeros((3, 2), np.int64), "holds int64"),
        (np.zeros((0, 2)), "no snippet"),
        (object_array([1]), "pickled Python objects"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_one_bad_array_leaves_the_others(
    tmp_path: Path, item: Array, cause: str, protocol: int
) -> None:
    path = tmp_path / "x-I3D-JOINTFeatures.npy"
    write_pack(path, object_array([np.ones((3, 2)), item]), protocol)
    good, bad = list_pack(path)
    assert good().header.length == 3
    with pytest.raises(DuetalError) as caught:
        bad()
    assert cause in caught.value.cause
    assert caught.value.place == "array 1"


@pytest.mark.parametrize("keep", [0.05, 0.5, 0.9, 0.999])
def test_truncated_pack(tmp_path: Path, videos: list[Array], keep: float) -> None:
    path = tmp_path / "x-I3D-JOINTFeatures.npy"
    write_pack(path, object_array(list(videos)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DuetalError, match="truncated"):
        list_pack(path)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in a header's Python literal
@pytest.mark.parametrize("protocol", [2, 4])
def test_any_damage_is_a_value_or_an_error(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x-I3D-JOINTFeatures.npy"
    write_pack(path, object_array([np.ones((4, 3)), np.zeros((2, 3), np.float32)]), protocol)
    whole = path.read_bytes()

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=3))
    def damage(changes: list[tuple[int, int]]) -> None:
        content = bytearray(whole)
        for position, byte in changes:
            content[position] = byte
        path.write_bytes(content)
        try:
            for opener in list_pack(path):
                array = opener()
                assert array.rows(0, array.header.length).ndim == 2
        except DuetalError:
            return

    damage()
