"""Every file type gives the same rows, and everything that is no feature array is refused."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

from duetal.core.errors import DuetalError
from duetal.features.arrays import FeatureArray, open_npy
from duetal.features.containers import list_arrays, open_only

Array = NDArray[np.floating]


def write_npy(path: Path, values: Array) -> None:
    np.save(path, values)


def write_npz(path: Path, values: Array) -> None:
    np.savez(path, values)


def write_compressed_npz(path: Path, values: Array) -> None:
    np.savez_compressed(path, values)


def write_safetensors(path: Path, values: Array) -> None:
    save_file({"x": np.ascontiguousarray(values)}, path)


def write_hdf5(path: Path, values: Array) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = values


WRITERS = [
    (".npy", write_npy),
    (".npz", write_npz),
    (".npz", write_compressed_npz),
    (".safetensors", write_safetensors),
    (".h5", write_hdf5),
    (".hdf5", write_hdf5),
]
Writer = Callable[[Path, Array], None]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize(("suffix", "write"), WRITERS)
def test_the_mean_of_crops_is_read(tmp_path: Path, suffix: str, write: Writer, dtype: str) -> None:
    crops = np.random.default_rng(0).normal(size=(50, 10, 6)).astype(dtype)
    write(tmp_path / f"video{suffix}", crops)
    array = open_file(tmp_path / f"video{suffix}")
    assert (array.header.length, array.header.dim, array.header.crops) == (50, 6, 10)
    np.testing.assert_allclose(array.rows(7, 31), crops[7:31].mean(axis=1, dtype="f4"), atol=1e-6)


def open_file(path: Path) -> FeatureArray:
    return open_npy(path) if path.suffix == ".npy" else open_only(path)


@pytest.fixture
def values() -> Array:
    return np.random.default_rng(0).normal(size=(50, 6))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("suffix", "write"), WRITERS)
def test_rows_are_the_written_ones(
    tmp_path: Path, values: Array, suffix: str, write: Writer, dtype: str
) -> None:
    path = tmp_path / f"video{suffix}"
    values = values.astype(dtype)
    write(path, values)
    array = open_file(path)
    assert (array.header.length, array.header.dim, array.header.dtype) == (50, 6, dtype)
    np.testing.assert_array_equal(array.rows(0, 50), values)
    np.testing.assert_array_equal(array.rows(7, 31), values[7:31])
    assert array.rows(9, 9).shape == (0, 6)


@pytest.mark.parametrize("write", [write_npy, write_npz])
def test_fortran_order(tmp_path: Path, values: Array, write: Writer) -> None:
    path = tmp_path / ("video.npy" if write is write_npy else "video.npz")
    write(path, np.asfortranarray(values))
    np.testing.assert_array_equal(open_file(path).rows(3, 8), values[3:8])


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_values_are_memory_mapped(tmp_path: Path, values: Array, suffix: str) -> None:
    path = tmp_path / f"video{suffix}"
    dict(WRITERS)[suffix](path, values)
    assert isinstance(open_file(path).rows(0, 5), np.memmap)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (np.zeros(5, np.float32), "must be (T, C)"),
        (np.zeros((5, 2, 2), np.float32), "must be (T, C)"),
        (np.float32(1), "must be (T, C)"),
        (np.zeros((0, 4), np.float32), "no snippet"),
        (np.zeros((4, 0), np.float32), "no channel"),
        (np.zeros((4, 4), np.int64), "holds int64"),
    ],
)
@pytest.mark.parametrize(("suffix", "write"), WRITERS)
def test_other_arrays_are_refused(
    tmp_path: Path, suffix: str, write: Writer, content: Array, cause: str
) -> None:
    if suffix == ".safetensors" and cause == "holds int64":
        cause = "holds I64"
    path = tmp_path / f"video{suffix}"
    write(path, content)
    with pytest.raises(DuetalError) as caught:
        open_file(path)
    assert caught.value.file == path
    assert cause in caught.value.cause


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "video.npy"
    np.save(path, np.array([np.zeros((2, 2)), None], dtype=object), allow_pickle=True)
    with pytest.raises(DuetalError, match="pickled"):
        open_npy(path)


@pytest.mark.parametrize(("suffix", "write"), WRITERS)
@pytest.mark.parametrize("keep", [0, 4, 60, 0.5, 0.99])
def test_truncated_files_are_refused(
    tmp_path: Path, values: Array, suffix: str, write: Writer, keep: float
) -> None:
    path = tmp_path / f"video{suffix}"
    write(path, values)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(DuetalError) as caught:
        open_file(path).rows(0, 50)
    assert caught.value.file == path


def test_file_that_shrinks_after_its_header_was_read(tmp_path: Path, values: Array) -> None:
    path = tmp_path / "video.npy"
    write_npy(path, values)
    array = open_npy(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DuetalError, match="shorter"):
        array.rows(0, 50)


@pytest.mark.parametrize(("suffix", "write"), WRITERS)
def test_missing_file_and_folder(tmp_path: Path, suffix: str, write: Writer) -> None:
    path = tmp_path / f"video{suffix}"
    with pytest.raises(DuetalError, match="no such file"):
        open_file(path)
    path.mkdir()
    with pytest.raises(DuetalError, match="cannot read"):
        open_file(path)


def test_several_arrays_in_a_videos_file(tmp_path: Path, values: Array) -> None:
    path = tmp_path / "video.npz"
    np.savez(path, features=values, other=values[:3])
    assert open_only(path).header.length == 50
    np.savez(path, a=values, b=values)
    with pytest.raises(DuetalError, match="none called 'features': a, b"):
        open_only(path)
    np.savez(path)
    with pytest.raises(DuetalError, match="holds no array"):
        open_only(path)


def test_hdf5_group_with_one_dataset_per_video(tmp_path: Path, values: Array) -> None:
    path = tmp_path / "all.h5"
    with h5py.File(path, "w") as file:
        file["one/c3d_features"] = values
        file["two/a"] = values
        file["two/b"] = values
    arrays = list_arrays(path)
    np.testing.assert_array_equal(arrays["one"]().rows(0, 50), values)
    with pytest.raises(DuetalError, match=r"all\.h5: array 'two': not an HDF5 dataset"):
        arrays["two"]()


def test_damaged_npz_member(tmp_path: Path, values: Array) -> None:
    path = tmp_path / "video.npz"
    write_compressed_npz(path, values)
    with zipfile.ZipFile(path) as archive:
        data_start = archive.infolist()[0].header_offset + 100
    content = bytearray(path.read_bytes())
    content[data_start : data_start + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(DuetalError, match="damaged"):
        open_only(path).rows(0, 50)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in a header's Python literal
@pytest.mark.parametrize(("suffix", "write"), WRITERS)
def test_any_damage_is_a_value_or_an_error(tmp_path: Path, suffix: str, write: Writer) -> None:
    """Whatever bytes are changed, nothing but DuetalError escapes and no row is invented."""
    path = tmp_path / f"video{suffix}"
    write(path, np.ones((20, 3), np.float32))
    whole = path.read_bytes()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4))
    def damage(changes: list[tuple[int, int]]) -> None:
        content = bytearray(whole)
        for position, byte in changes:
            content[position] = byte
        path.write_bytes(content)
        try:
            array = open_file(path)
            rows = array.rows(0, min(array.header.length, 5))
        except DuetalError:
            return
        assert rows.ndim == 2

    damage()
