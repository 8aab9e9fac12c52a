import contextlib
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duetal.core import files
from duetal.core.errors import DuetalError
from duetal.core.pickled_arrays import as_text, load_object_array


def npy_of_pickle(payload: bytes, shape: tuple[int, ...] = (1,)) -> bytes:
    """A `.npy` file whose header promises objects and whose content is any pickle at all."""
    buffer = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + payload


def objects(*values: object) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def plain(value: object) -> object:
    """Lists instead of arrays all the way down, and every value with its type."""
    if isinstance(value, np.ndarray | list | tuple):
        kind = type(value).__name__ if isinstance(value, list | tuple) else "array"
        return [kind, *(plain(each) for each in value)]
    return type(value), value


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array([b"a", b"bcd"]),
        np.array(["é", "bcd"]),
        np.zeros((0, 2), dtype=np.float32),
        objects([b"x", "y", 1, 2.5, None, True], [], [[1.0, 2.0], (3, 4)]),
        objects(np.array([1.5, 2.5]), np.array([[1, 2]], dtype=">i4"), np.array(["a", "bc"])),
        objects(np.float64(0.5), np.int64(7), np.bool_(True), np.str_("s")),
        objects(objects([1], "nested")),
        np.array([[None, 1], ["a", b""]], dtype=object),
    ],
    ids=str,
)
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_what_numpy_writes(tmp_path: Path, array: np.ndarray, protocol: int) -> None:
    path = tmp_path / "a.npy"
    if array.dtype.hasobject:
        path.write_bytes(npy_of_pickle(pickle.dumps(array, protocol), array.shape))
    else:
        np.save(path, array)
    loaded = load_object_array(path)
    assert type(loaded) is np.ndarray
    assert loaded.dtype == array.dtype
    assert plain(loaded) == plain(array)


def test_python_2_strings_come_as_bytes(tmp_path: Path) -> None:
    # What Python 2 wrote: protocol 2 with SHORT_BINSTRING, for a one-element object array.
    payload = pickle.dumps(objects(["WORD"]), 2).replace(b"X\x04\x00\x00\x00WORD", b"U\x04WORD")
    payload = payload.replace(b"X\x02\x00\x00\x00O8", b"U\x02O8").replace(
        b"X\x01\x00\x00\x00|", b"U\x01|"
    )
    path = tmp_path / "a.npy"
    path.write_bytes(npy_of_pickle(payload))
    assert load_object_array(path).tolist() == [[b"WORD"]]
    assert as_text(b"WORD") == as_text("WORD") == "WORD"


class Evil:
    def __init__(self, function: object, *arguments: object):
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Evil(os.system, "touch /tmp/duetal-was-here"), r"posix\.system|nt\.system"),
        (Evil(eval, "1"), r"__builtin__\.eval"),
        (Evil(bytearray, 1 << 40), r"__builtin__\.bytearray"),
        (Path("x"), r"pathlib"),
        ({1, 2}, None),
    ],
)
def test_refuses_what_could_run(tmp_path: Path, value: object, named: str | None) -> None:
    path = tmp_path / "evil.npy"
    path.write_bytes(npy_of_pickle(pickle.dumps(objects(value), 2)))
    with pytest.raises(DuetalError, match=f"evil.npy: .*refuses to load .*{named or 'set'}"):
        load_object_array(path)


@pytest.mark.parametrize(
    "state",
    [
        (1, (10**9,), np.dtype("O"), False, []),
        (1, (-1,), np.dtype("O"), False, []),
        (1, (2,), np.dtype("f8"), False, b"short"),
        (1, (1,), np.dtype([("a", "O")]), False, b"12345678"),
        (1, (1,), np.dtype("O"), False, b"12345678"),
        (1, (1,), "no type", False, [1]),
        "nonsense",
    ],
)
def test_a_false_array_state_is_an_error(tmp_path: Path, state: object) -> None:
    class Liar:
        def __reduce__(self) -> tuple:
            return (np.empty(0).__reduce__()[0], (np.ndarray, (0,), b"b"), state)

    path = tmp_path / "liar.npy"
    path.write_bytes(npy_of_pickle(pickle.dumps(Liar(), 2)))
    with pytest.raises(
        DuetalError, match=r"liar.npy: .*(not a readable pickled array|pickle|of (shape|type))"
    ):
        load_object_array(path)


def test_bytes_cannot_allocate(tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    path.write_bytes(npy_of_pickle(pickle.dumps(objects(Evil(bytes, 1 << 40)), 2)))
    with pytest.raises(DuetalError, match="calls something other than numpy's own"):
        load_object_array(path)


def test_what_is_too_large_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(100))
    monkeypatch.setattr(files, "MOST_BYTES", 500)
    with pytest.raises(DuetalError, match=r"a\.npy: is too large: 928 bytes, at most 500 are read"):
        load_object_array(path)


def test_lists_within_lists_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.npy"
    nested = pickle.dumps(objects([]), 2).replace(b"]", b"](" * 5000 + b"]" + b"e" * 5000, 1)
    path.write_bytes(npy_of_pickle(nested))
    with pytest.raises(DuetalError, match=r"deep\.npy"):
        load_object_array(path)


def test_shared_lists_are_made_once(tmp_path: Path) -> None:
    """Thirty lists, each of the one before twice: a billion values if each were copied."""
    value: list[object] = ["x"]
    for _ in range(30):
        value = [value, value]
    path = tmp_path / "shared.npy"
    path.write_bytes(npy_of_pickle(pickle.dumps(objects(value), 2)))
    (loaded,) = load_object_array(path)
    assert loaded[0] is loaded[1]


@pytest.mark.parametrize("kept", [0, 5, 60, -1, -20])
def test_truncated(tmp_path: Path, kept: int) -> None:
    for name, array in {"n": np.arange(9.0), "o": objects([1], ["a"])}.items():
        path = tmp_path / f"{name}.npy"
        np.save(path, array, allow_pickle=True)
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(DuetalError, match=name):
            load_object_array(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DuetalError, match="no such file"):
        load_object_array(tmp_path / "none.npy")
    with pytest.raises(DuetalError, match="cannot read"):
        load_object_array(tmp_path)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damage_is_a_value_or_a_duetal_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    array = objects(["a", b"b"], [1.5, 2], np.arange(3.0))
    content = bytearray(npy_of_pickle(pickle.dumps(array, 2), (3,)))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "a.npy"
    path.write_bytes(bytes(content))
    with contextlib.suppress(DuetalError):
        assert isinstance(load_object_array(path), np.ndarray)


@pytest.mark.real
def test_w_talc_labels(real_data: Path) -> None:
    folder = real_data / "thumos14" / "Thumos14reduced-Annotations"
    labels = load_object_array(folder / "labels.npy")
    assert labels.shape == (412,)
    assert sum(len(each) for each in labels) == 6365
    assert as_text(labels[0][0]) == "Billiards"
    names = load_object_array(folder / "videoname.npy")
    assert as_text(names[0]) == "video_validation_0000051"
