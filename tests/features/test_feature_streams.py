"""Streams: names from a folder or file, lengths from headers, rows checked and cast."""

import resource
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from duetal.core.errors import DuetalError
from duetal.features import FeatureStream, open_part


def stream_of(*folders: Path) -> FeatureStream:
    return FeatureStream("cbp", [open_part(folder.name, [folder]) for folder in folders])


def save(folder: Path, name: str, values: np.ndarray) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", values)
    return values


def random(length: int, width: int = 4, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(length).normal(size=(length, width)).astype(dtype)


def test_folder_of_files(tmp_path: Path) -> None:
    values = {name: save(tmp_path, name, random(5)) for name in ("b", "a", "c.d")}
    (tmp_path / "notes.txt").write_text("not a feature")
    (tmp_path / ".a.npy.x.part").write_text("half written")
    stream = stream_of(tmp_path)
    assert stream.names() == ("a", "b", "c.d")
    assert stream.dim == 4
    assert stream.length("a") == 5
    assert stream.path("c.d") == tmp_path / "c.d.npy"
    np.testing.assert_array_equal(stream.read("b"), values["b"])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rows_are_float32_and_the_callers_own(tmp_path: Path, dtype: str) -> None:
    values = save(tmp_path, "a", random(9, dtype=dtype))
    read = stream_of(tmp_path).read("a", 2, 7)
    assert read.dtype == np.float32
    assert read.flags.writeable
    assert read.base is None
    np.testing.assert_array_equal(read, values[2:7].astype(np.float32))


def test_a_stop_beyond_the_end_means_the_end(tmp_path: Path) -> None:
    save(tmp_path, "a", random(9))
    stream = stream_of(tmp_path)
    assert len(stream.read("a", 6, 100)) == 3
    assert len(stream.read("a", 9)) == 0
    with pytest.raises(ValueError, match=r"snippets \[10, 9\) of 9"):
        stream.read("a", 10)


def test_joined_parts_first_channels_first(tmp_path: Path) -> None:
    rgb, flow = save(tmp_path / "rgb", "a", random(5, 3)), save(tmp_path / "flow", "a", random(5))
    save(tmp_path / "rgb", "no-flow", random(5, 3))
    stream = stream_of(tmp_path / "rgb", tmp_path / "flow")
    assert stream.names() == ("a",)
    assert stream.dim == 7
    np.testing.assert_array_equal(stream.read("a", 1), np.concatenate([rgb, flow], axis=1)[1:])
    with pytest.raises(DuetalError, match="no flow features of video 'no-flow'"):
        stream.read("no-flow")


def test_joined_parts_of_different_length_name_both_files(tmp_path: Path) -> None:
    save(tmp_path / "rgb", "a", random(5))
    save(tmp_path / "flow", "a", random(6))
    stream = stream_of(tmp_path / "rgb", tmp_path / "flow")
    with pytest.raises(DuetalError) as caught:
        stream.length("a")
    message = str(caught.value)
    assert str(tmp_path / "rgb" / "a.npy") in message
    assert str(tmp_path / "flow" / "a.npy") in message
    assert "T = 6" in message
    assert "T = 5" in message


def test_another_width_than_the_stream_s(tmp_path: Path) -> None:
    save(tmp_path, "a", random(5, 4))
    save(tmp_path, "b", random(5, 3))
    with pytest.raises(DuetalError, match=r"b\.npy: video 'b': C = 3, but a\.npy has C = 4"):
        stream_of(tmp_path).read("b")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_not_finite_names_file_and_snippet(tmp_path: Path, bad: float, dtype: str) -> None:
    values = random(50, dtype=dtype)
    values[30, 2] = bad
    save(tmp_path, "a", values)
    stream = stream_of(tmp_path)
    assert len(stream.read("a", 0, 30)) == 30
    with pytest.raises(DuetalError) as caught:
        stream.read("a", 10)
    assert caught.value.file == tmp_path / "a.npy"
    assert caught.value.place == "snippet 30"
    assert caught.value.cause == f"the feature's channel 2 is {bad}"


def test_a_double_beyond_float32(tmp_path: Path) -> None:
    save(tmp_path, "a", np.full((2, 2), 1e300))
    with pytest.raises(DuetalError, match=r"1e\+300, beyond float32"):
        stream_of(tmp_path).read("a")


def test_same_name_twice(tmp_path: Path) -> None:
    save(tmp_path, "a", random(5))
    np.savez(tmp_path / "a.npz", random(5))
    with pytest.raises(DuetalError, match="second cbp features of 'a'"):
        open_part("cbp", [tmp_path])
    reported: list[DuetalError] = []
    part = open_part("cbp", [tmp_path], report=reported.append)
    assert list(part.entries) == ["a"]
    assert len(reported) == 1


@pytest.mark.parametrize("suffix", [".h5", ".safetensors", ".npz"])
def test_one_file_for_all_videos(tmp_path: Path, suffix: str) -> None:
    values = {"b": random(5), "a": random(7)}
    path = tmp_path / f"all{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.update(values)
    elif suffix == ".npz":
        np.savez(path, **values)
    else:
        save_file(values, path)
    stream = FeatureStream("cbp", [open_part("cbp", [path])])
    assert stream.names() == ("a", "b")
    assert stream.path("a") == path
    np.testing.assert_array_equal(stream.read("b", 2, 4), values["b"][2:4])


def test_error_in_a_file_for_all_names_the_array(tmp_path: Path) -> None:
    path = tmp_path / "all.npz"
    np.savez(path, a=random(3), b=np.full((3, 4), np.nan))
    stream = FeatureStream("cbp", [open_part("cbp", [path])])
    with pytest.raises(DuetalError) as caught:
        stream.read("b")
    assert caught.value.place == "array 'b', snippet 0"


@pytest.mark.parametrize("key", ["../x", "a/b", "a\\b", "..", "a\nb"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, key: str) -> None:
    path = tmp_path / "all.safetensors"
    save_file({"good": random(3), key: random(3)}, path)
    with pytest.raises(DuetalError, match="not a usable video name") as caught:
        open_part("cbp", [path])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: path.mkdir(), "no cbp features"),
        (lambda path: path.write_text("x"), "suffix '.txt' is unknown"),
    ],
)
def test_places_without_features(tmp_path: Path, make, cause: str) -> None:
    path = tmp_path / "place.txt"
    make(path)
    with pytest.raises(DuetalError, match=cause):
        open_part("cbp", [path])


def test_pack_needs_names_one_for_each_array(tmp_path: Path) -> None:
    path = tmp_path / "x-I3D-JOINTFeatures.npy"
    np.save(path, np.stack([random(5), random(5)]))
    with pytest.raises(DuetalError, match="needs their names"):
        open_part("cbp", [path])
    with pytest.raises(DuetalError, match="2 arrays for 1 video names"):
        open_part("cbp", [path], ["a"])
    assert list(open_part("cbp", [path], ["z", "a"]).entries) == ["z", "a"]


def test_many_videos_need_no_file_handles(tmp_path: Path) -> None:
    """More files than may be open at once, each read and its header kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    names = [f"v{i}" for i in range(200)]
    for name in names:
        save(tmp_path, name, random(3))
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        stream = stream_of(tmp_path)
        kept = [stream.read(name) for name in names]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(kept) == 200
