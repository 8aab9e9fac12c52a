"""What was fetched stays in a folder of bounded size, and a disk that refuses stops nothing."""

import errno
import os
from pathlib import Path

import pytest

from duetal.core import local_cache
from duetal.core.errors import DuetalError, UsageError
from duetal.core.local_cache import LocalCache, cache_limit, local_copy, local_model
from duetal.core.url_paths import UrlPath


def keep(cache, key, size):
    path = cache.file(key)

    def write():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))

    cache.keep(size, write)
    return path


def kept(cache):
    return sum(path.stat().st_size for path in cache.folder.glob("*/*"))


def test_what_was_read_longest_ago_makes_room(tmp_path):
    cache = LocalCache(tmp_path / "cache", 2**22)
    first, second = (keep(cache, key, 2**20) for key in "ab")
    os.utime(second, (0, 0))
    for number in range(20):
        keep(cache, f"c{number}", 2**19)
        os.utime(first)
        assert kept(cache) <= cache.limit + cache.limit // 16
    assert first.exists()
    assert not second.exists()
    assert cache.writes


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_told_once(tmp_path, refusal, capsys):
    cache = LocalCache(tmp_path / "cache", 2**30)

    def refuse():
        raise OSError(refusal, os.strerror(refusal))

    for _ in range(2):
        cache.keep(10, refuse)
    assert not cache.writes
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert os.strerror(refusal) in told
    assert "DUETAL_CACHE" in told


def test_a_disk_that_is_nearly_full_is_left_to_others(tmp_path, monkeypatch, capsys):
    cache = LocalCache(tmp_path / "cache", 2**30)
    usage = type("Usage", (), {"free": local_cache._RESERVE - 1})
    monkeypatch.setattr(local_cache.shutil, "disk_usage", lambda _: usage)
    keep(cache, "a", 100)
    assert kept(cache) == 0
    assert "no room on the disk" in capsys.readouterr().err


@pytest.mark.parametrize(("named", "limit"), [("0", 0), ("0.5", 5 * 10**8), ("-1", 0)])
def test_size_by_the_environment(monkeypatch, named, limit):
    monkeypatch.setenv("DUETAL_CACHE_GB", named)
    assert cache_limit() == limit


@pytest.mark.parametrize("named", ["much", "inf", "nan"])
def test_bad_size(monkeypatch, named):
    monkeypatch.setenv("DUETAL_CACHE_GB", named)
    with pytest.raises(UsageError, match="DUETAL_CACHE_GB"):
        cache_limit()


def test_whole_files_are_fetched_once(object_store, tmp_path, monkeypatch):
    (tmp_path / "a.h5").write_bytes(bytes(range(200)))
    monkeypatch.setattr(local_cache, "_PIECE", 64)
    path = UrlPath(object_store.put(tmp_path / "a.h5"))
    for _ in range(2):
        copy = local_copy(path)
        assert copy.suffix == ".h5"
        assert copy.read_bytes() == bytes(range(200))
    gets = [request for request in object_store.requests if request[0] == "GET"]
    assert len(gets) == 4
    monkeypatch.setenv("DUETAL_CACHE_GB", "0.0000001")
    copy.unlink()
    with pytest.raises(
        DuetalError, match=rf"^{path}: is one file of 200 bytes, for which the cache"
    ):
        local_copy(path)


def test_models_are_fetched_whole(object_store, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "names.npy", "names.json"):
        (folder / name).write_text(name)
    url = object_store.put(folder)
    names = sorted(file.name for file in folder.iterdir())
    assert sorted(file.name for file in Path(local_model(url)).iterdir()) == names
    array = Path(local_model(f"{url}/names.npy"))
    assert array.read_text() == "names.npy"
    assert array.with_suffix(".json").is_file()
    assert local_model("openai/clip") == "openai/clip"
