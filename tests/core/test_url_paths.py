"""Files and folders at URLs, as paths: listed, read, and what a store that fails is told as."""

import errno
import itertools
import pickle
from pathlib import Path

import pytest

from _object_store import error
from duetal.core import url_paths
from duetal.core.errors import DuetalError
from duetal.core.files import read_json, write_text
from duetal.core.url_paths import FileMark, UrlPath, as_path, find_unlisted, read_range


@pytest.fixture
def folder(object_store, tmp_path):
    here = tmp_path / "folder"
    (here / "deep").mkdir(parents=True)
    (here / "a.json").write_text('{"a": 1}')
    (here / "b.txt").write_bytes(bytes(range(100)))
    (here / "deep" / "c.txt").write_text("c")
    return UrlPath(object_store.put(here))


@pytest.mark.parametrize("name", ["s3://bucket/a/b.json", "https://example.org/a/b.json"])
def test_is_a_path_that_keeps_its_url(name):
    path = as_path(name)
    assert isinstance(path, Path)
    assert str(path) == name
    assert str(path.parent / "c.txt") == name.replace("b.json", "c.txt")
    assert path.absolute() is path
    assert (path.suffix, path.stem) == (".json", "b")
    assert as_path(path) is path
    assert str(pickle.loads(pickle.dumps(path))) == name
    assert type(as_path("a/b.json")) is type(Path())


def test_folder_is_listed_once(folder, object_store):
    assert folder.is_dir()
    assert [path.name for path in folder.iterdir()] == ["a.json", "b.txt", "deep"]
    assert [path.name for path in folder.glob("*.txt")] == ["b.txt"]
    asked = len(object_store.requests)
    assert (folder / "a.json").is_file()
    assert not (folder / "nothing").exists()
    assert (folder / "a.json").stat().st_size == 8
    assert len(object_store.requests) == asked
    assert (folder / "deep" / "c.txt").is_file()
    assert not (folder / "deep" / "d.txt").exists()
    assert len(object_store.requests) == asked + 1


def test_text_is_read_by_the_readers_of_paths(folder, object_store, tmp_path):
    assert read_json(folder / "a.json") == {"a": 1}
    assert read_json(folder / "a.json") == {"a": 1}
    assert (
        sum(method == "GET" and "a.json" in path for method, path, _ in object_store.requests) == 1
    )
    with pytest.raises(DuetalError, match=f"^{folder}/x.json: no such file$"):
        read_json(folder / "x.json")
    with pytest.raises(
        DuetalError, match=f"^{folder}/x.txt: cannot write: results are written to a lo"
    ):
        write_text(folder / "x.txt", "")
    # What changes is read anew once the folder is.
    (tmp_path / "new.json").write_text("2")
    object_store.put(tmp_path / "new.json", str(folder / "a.json").removeprefix("s3://bucket/"))
    folder.refresh()
    assert read_json(folder / "a.json") == 2


def every_tenth(status, code):
    count = itertools.count(1)
    return lambda request: error(status, code, "Try again.") if next(count) % 3 == 0 else None


def only_gets(status, code, message):
    return lambda request: (
        error(status, code, message) if request["REQUEST_METHOD"] == "GET" else None
    )


def truncated(request, body):
    return body[:-1] if "HTTP_RANGE" in request and next(truncated.times) < 2 else body


@pytest.mark.parametrize(
    ("fault", "edit"),
    [
        (every_tenth("503 Slow Down", "SlowDown"), None),
        (every_tenth("500 Internal Server Error", "InternalError"), None),
        (None, truncated),
    ],
    ids=["slow down", "internal error", "truncated"],
)
def test_a_store_that_fails_now_and_then_is_asked_again(folder, object_store, fault, edit):
    truncated.times = itertools.count()
    path = folder / "b.txt"
    known = FileMark.of(path)
    object_store.fault = fault or object_store.fault
    object_store.edit = edit or object_store.edit
    for start in range(4):
        assert read_range(path, start, start + 50, known) == bytes(range(start, start + 50))


@pytest.mark.parametrize(
    ("status", "code", "message", "told"),
    [
        (
            "403 Forbidden",
            "ExpiredToken",
            "The provided token has expired.",
            "the credentials have exp",
        ),
        (
            "400 Bad Request",
            "ExpiredToken",
            "The token.",
            "the credentials have expired (The token.);",
        ),
        ("403 Forbidden", "AccessDenied", "Access Denied", "cannot read: Access Denied"),
        ("404 Not Found", "NoSuchKey", "It is gone.", "no such file"),
    ],
)
def test_a_refusal_is_one_line_at_once(folder, object_store, status, code, message, told):
    path = folder / "b.txt"
    assert folder.is_dir()
    known = FileMark.of(path)
    object_store.requests.clear()
    object_store.fault = only_gets(status, code, message)
    with pytest.raises(DuetalError) as caught:
        read_range(path, 0, 50, known)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(object_store.requests) == 1


@pytest.mark.parametrize("size", [100, 101])
def test_an_object_that_changes_under_way_is_told(folder, object_store, tmp_path, size):
    path = folder / "b.txt"
    assert folder.is_dir()
    known = FileMark.of(path)
    assert read_range(path, 0, 50, known)
    (tmp_path / "other").write_bytes(bytes(size))
    object_store.put(tmp_path / "other", str(path).removeprefix("s3://bucket/"))
    with pytest.raises(DuetalError, match=r"b\.txt: has changed since it was opened"):
        read_range(path, 0, 50, known)
    folder.refresh()
    with pytest.raises(DuetalError, match=r"b\.txt: has changed since it was opened"):
        read_range(path, 0, 50, known)


def test_a_file_that_is_not_listed_is_found_by_its_name(folder, object_store):
    object_store.edit = lambda request, body: body.replace(b"b.txt", b"z.txt")
    assert folder.is_dir()
    path = folder / "b.txt"
    assert not path.exists()
    mark = find_unlisted(path)
    assert mark is not None
    assert read_range(path, 1, 3, mark) == b"\1\2"
    assert find_unlisted(folder / "nothing") is None


@pytest.mark.parametrize("scheme", ["nosuch", "s3"])
def test_a_store_that_cannot_be_reached_is_one_line(scheme, monkeypatch):
    monkeypatch.setattr(url_paths, "_PAUSES", ())
    if scheme == "s3":
        pytest.importorskip("s3fs")
        monkeypatch.setattr(
            url_paths, "_system", lambda *_: (_ for _ in ()).throw(ImportError("s3fs"))
        )
    with pytest.raises(DuetalError, match=rf"^{scheme}://a/b: cannot open: ") as caught:
        as_path(f"{scheme}://a/b").exists()
    assert "\n" not in str(caught.value)


def test_annotations_are_read_over_http(tmp_path):
    import http.server
    import threading
    from functools import partial

    (tmp_path / "gt.json").write_text('{"database": {}}')
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert read_json(as_path(f"{url}/gt.json")) == {"database": {}}
        with pytest.raises(DuetalError, match="no such file"):
            read_json(as_path(f"{url}/other.json"))
        server.shutdown()


def test_writing_is_refused(folder):
    with pytest.raises(OSError, match="local folder") as caught:
        (folder / "x").mkdir()
    assert caught.value.errno == errno.EROFS
