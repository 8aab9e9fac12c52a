"""Feature arrays in an object store: only what is wanted is asked for, and kept."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from duetal.core.errors import DuetalError
from duetal.core.local_cache import LocalCache
from duetal.core.url_paths import UrlPath
from duetal.features import FeatureStream, open_part, row_cache
from duetal.features.arrays import Header
from duetal.features.row_cache import Layout, RowCache

RANDOM = np.random.default_rng(0)


def values(length, *rest, dtype=np.float16):
    return RANDOM.normal(size=(length, *rest)).astype(dtype)


def write(folder, arrays, *, store=False):
    place = folder / "features" / "cbp"
    place.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)
    if store:
        settings = {"modalities": ["cbp"], "dtype": "float16", "grid": {}}
        (folder / "store.json").write_text(json.dumps(settings))


def opened(url):
    root = UrlPath(url)
    assert root.is_dir()
    return FeatureStream("cbp", [open_part("cbp", [root / "features" / "cbp"])])


def ranges(store):
    """The bytes of each request of an array."""
    spans = [
        span.removeprefix("bytes=").split("-")
        for _, path, span in store.requests
        if span[:1] == "b"
    ]
    return [int(stop) - int(start) + 1 for start, stop in spans]


@pytest.mark.parametrize(
    "array",
    [
        values(40, 6),
        values(40, 6, dtype=np.float32),
        values(40, 10, 6),
        np.asfortranarray(values(40, 6)),
        values(40, 6).astype(">f2"),
    ],
    ids=["half", "single", "crops", "columns first", "big-endian"],
)
@pytest.mark.parametrize("kept", ["20", "0"])
def test_rows_are_those_of_the_file(object_store, tmp_path, monkeypatch, array, kept):
    monkeypatch.setenv("DUETAL_CACHE_GB", kept)
    write(tmp_path, {"a": array})
    local = FeatureStream("cbp", [open_part("cbp", [tmp_path / "features" / "cbp"])])
    stream = opened(object_store.put(tmp_path))
    assert stream.length("a") == 40
    for start, stop in [(30, 35), (0, 3), (1, 33), (39, 40), (0, 40), (5, 6), (7, 7)]:
        np.testing.assert_array_equal(stream.read("a", start, stop), local.read("a", start, stop))


def test_only_rows_that_are_wanted_are_asked_for(object_store, tmp_path, monkeypatch):
    monkeypatch.setattr(row_cache, "_GAP", 0)
    write(tmp_path, {"a": values(5000, 64)}, store=True)
    stream = opened(object_store.put(tmp_path))
    stream.length("a")
    object_store.requests.clear()
    stream.read("a", 100, 200)
    assert ranges(object_store) == [100 * 128]
    stream.read("a", 120, 180)
    assert len(object_store.requests) == 1
    stream.read("a", 150, 250)
    stream.read("a", 4000, 4010)
    assert ranges(object_store)[1:] == [50 * 128, 10 * 128]
    # What lies between is not fetched for the sake of its ends.
    stream.read("a", 90, 4020)
    assert sum(ranges(object_store)[3:]) == (4020 - 90 - 150 - 10) * 128
    again = opened(f"s3://bucket/{object_store.requests[0][1].split('/')[2]}/{tmp_path.name}")
    object_store.requests.clear()
    again.read("a", 90, 4020)
    assert ranges(object_store) == []


def test_opening_a_store_asks_for_no_video(object_store, tmp_path):
    arrays = {f"v{number}": values(20 + number, 6) for number in range(50)}
    write(tmp_path, arrays, store=True)
    url = object_store.put(tmp_path)
    stream = opened(url)
    assert {name: stream.length(name) for name in stream.names()} == {
        name: len(array) for name, array in arrays.items()
    }
    # The folder, what is in it, its features, and one header.
    assert len(object_store.requests) <= 8
    assert len(ranges(object_store)) == 1


def test_a_store_of_arrays_of_two_kinds_is_told_when_they_are_read(object_store, tmp_path):
    write(tmp_path, {"a": values(20, 6), "b": values(20, 6, dtype=np.float32)}, store=True)
    stream = opened(object_store.put(tmp_path))
    stream.read("a")
    with pytest.raises(
        DuetalError, match=r"b\.npy: holds \(20, 6\) float32, which is not what its"
    ):
        stream.read("b")


def test_a_folder_that_is_no_store_may_hold_arrays_of_any_kind(object_store, tmp_path):
    arrays = {"a": values(20, 6), "b": values(30, 6, dtype=np.float32), "c": values(7, 5, 6)}
    write(tmp_path, arrays)
    (tmp_path / "features/cbp/broken.npy").write_bytes(b"x" * 300)
    stream = opened(object_store.put(tmp_path))
    for name, array in arrays.items():
        assert stream.length(name) == len(array)
    with pytest.raises(DuetalError, match=r"^s3://.*/broken.npy: not a .npy file"):
        stream.read("broken")


def test_an_array_that_is_cut_off_is_told(object_store, tmp_path):
    write(tmp_path, {"a": values(20, 6)})
    path = tmp_path / "features/cbp/a.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(
        DuetalError, match=r"^s3://.*/a.npy: truncated: 240 bytes of values promised"
    ):
        opened(object_store.put(tmp_path)).length("a")


@pytest.mark.parametrize("ending", ["npz", "h5", "safetensors"])
def test_a_file_for_all_videos_is_fetched_whole(object_store, tmp_path, ending):
    from safetensors.numpy import save_file

    arrays = {"a": values(20, 6), "b": values(30, 6)}
    file = tmp_path / f"cbp.{ending}"
    if ending == "npz":
        np.savez(file, **arrays)
    elif ending == "safetensors":
        save_file(arrays, file)
    else:
        import h5py

        with h5py.File(file, "w") as written:
            for name, array in arrays.items():
                written[name] = array
    url = UrlPath(object_store.put(file))
    stream = FeatureStream("cbp", [open_part("cbp", [url])])
    np.testing.assert_array_equal(stream.read("b", 3, 9), arrays["b"][3:9].astype(np.float32))
    assert stream.path("b") == url
    for copy in (tmp_path / "cache").rglob(f"*.{ending}"):
        copy.unlink()
    np.testing.assert_array_equal(stream.read("a"), arrays["a"].astype(np.float32))
    with pytest.raises(DuetalError, match=rf"^{url.parent}/b.{ending}: no such file"):
        open_part("cbp", [url.with_name(f"b.{ending}")])


def test_many_readers_share_what_is_kept(tmp_path):
    array = values(500, 8)
    layout = Layout(Header(500, 8, array.dtype), 128)
    fetched = []

    def fetch(start, stop):
        fetched.append((start, stop))
        return array[start:stop]

    def read(seed):
        cache = RowCache(LocalCache(tmp_path / "cache", 10**9), "a")
        for start in np.random.default_rng(seed).integers(0, 450, size=50):
            rows = cache.rows(layout, int(start), int(start) + 50, fetch)
            np.testing.assert_array_equal(rows, array[start : start + 50])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    before = len(fetched)
    read(0)
    assert len(fetched) == before


def test_rows_that_were_not_written_whole_are_fetched_again(tmp_path):
    array = values(20, 8)
    layout = Layout(Header(20, 8, array.dtype), 128)
    local = LocalCache(tmp_path / "cache", 10**9)
    cache = RowCache(local, "a")
    cache.rows(layout, 0, 20, lambda a, b: array[a:b])
    (file,) = (tmp_path / "cache").glob("*/*")
    content = bytearray(file.read_bytes())
    content[-40:] = bytes(40)
    file.write_bytes(content)
    asked = []
    rows = cache.rows(layout, 0, 20, lambda a, b: asked.append((a, b)) or array[a:b])
    np.testing.assert_array_equal(rows, array)
    assert asked == [(17, 20)]
    # What is no such file at all, too.
    file.write_bytes(b"x" * 10)
    assert cache.layout() is None
    np.testing.assert_array_equal(cache.rows(layout, 0, 20, lambda a, b: array[a:b]), array)


def test_a_disk_that_is_full_stops_nothing(tmp_path, monkeypatch, capsys):
    import errno

    def refuse(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(row_cache, "replacing", refuse)
    array = values(20, 8)
    layout = Layout(Header(20, 8, array.dtype), 128)
    cache = RowCache(LocalCache(tmp_path / "cache", 10**9), "a")
    for _ in range(3):
        rows = cache.rows(layout, 2, 20, lambda a, b: array[a:b])
        np.testing.assert_array_equal(rows, array[2:])
    assert capsys.readouterr().err.count("No space left on device") == 1
