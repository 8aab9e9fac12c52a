"""A dataset in an object store is the local one: by few requests, whatever the store does."""

import itertools
import json
import shutil

import numpy as np
import pytest

from _object_store import error
from duetal.core.errors import DuetalError
from duetal.core.url_paths import as_path
from duetal.datasets import open_dataset
from duetal.datasets.examination import examine
from duetal.datasets.layouts import find_pieces
from duetal.features.metadata import VideoRecord


@pytest.fixture
def store(tiny_dataset, tmp_path):
    """The tiny dataset as a store of `duetal extract` has it, with records."""
    folder = tmp_path / "store"
    shutil.copytree(tiny_dataset, folder)
    settings = {"modalities": ["cbp", "vlp"], "dtype": "float16", "grid": {}}
    (folder / "store.json").write_text(json.dumps(settings))
    (folder / "records").mkdir()
    for file in (folder / "features" / "cbp").iterdir():
        length = len(np.load(file))
        record = VideoRecord(
            name=file.stem,
            source=f"{file.stem}.mp4",
            sha256="0" * 64,
            size=1,
            frames=16 * length,
            source_frames=16 * length,
            duration=0.64 * length,
            offset=0.5,
            snippets=length,
            widths={"cbp": 12, "vlp": 8},
            settings={},
            versions={},
            seconds={},
        )
        (folder / "records" / f"{file.stem}.json").write_text(record.model_dump_json())
    return folder


def test_is_the_local_dataset(store, object_store):
    local, remote = open_dataset(store), open_dataset(as_path(object_store.put(store)))
    assert len(object_store.requests) <= 12
    assert remote.weak().fingerprint() == local.weak().fingerprint()
    # One header of each stream: all other lengths are told by the sizes of files.
    assert len(object_store.requests) <= 14
    for name in local.training:
        assert remote.offset(name) == 0.5
        for branch, stream in local.streams.items():
            np.testing.assert_array_equal(remote.streams[branch].read(name), stream.read(name))
    assert find_pieces(as_path(str(remote.source))).text_encoder == f"{remote.source}/text_encoder"


def test_is_checked_as_the_local_one(store, object_store):
    array = store / "features" / "cbp" / "v_1.npy"
    values = np.load(array)
    values[3, 2] = np.nan
    np.save(array, values)
    (store / "features" / "vlp" / "v_2.npy").unlink()
    url = object_store.put(store)
    found, expected = examine(as_path(url)), examine(store)
    told = [str(problem).replace(str(store), url) for problem in expected.problems]
    assert [str(problem) for problem in found.problems][-len(told) :] == told
    # What the store has a record of is missing, and told as such.
    assert "no vlp features of video 'v_2', of which the store has a record" in str(
        found.problems[0]
    )
    assert (found.training, found.hours) == (expected.training, expected.hours)


def test_pieces_may_lie_anywhere(store, object_store, tmp_path):
    url = object_store.put(store)
    (tmp_path / "dataset.yaml").write_text(
        f"cbp: {url}/features/cbp\nvlp: {url}/features/vlp\nannotations: {url}/annotations.json\n"
    )
    dataset = open_dataset(tmp_path / "dataset.yaml")
    assert dataset.training == open_dataset(store).training
    (tmp_path / "dataset.yaml").write_text(f"cbp: {url}/features/cbp\nannotations: {url}/no.json\n")
    with pytest.raises(DuetalError, match=rf"^{url}/no.json: no such file$"):
        open_dataset(tmp_path / "dataset.yaml")


def hidden(request, body):
    """Lists one array late."""
    return body.replace(b"/v_1.npy<", b"/v_1.txt<") if request["QUERY_STRING"] else body


def failing(status, code):
    count = itertools.count(1)
    return lambda request: error(status, code, "Try again.") if next(count) % 10 == 0 else None


@pytest.mark.parametrize(
    ("fault", "edit"),
    [
        (failing("503 Slow Down", "SlowDown"), None),
        (failing("500 Internal Server Error", "InternalError"), None),
        (None, hidden),
    ],
    ids=["slow down", "internal error", "listed late"],
)
def test_every_feature_is_read_whatever_the_store_does(store, object_store, fault, edit):
    url = object_store.put(store)
    object_store.fault = fault or object_store.fault
    object_store.edit = edit or object_store.edit
    dataset, local = open_dataset(as_path(url)), open_dataset(store)
    assert dataset.training == local.training
    for name in (*dataset.training, *dataset.evaluation):
        for branch, stream in local.streams.items():
            np.testing.assert_array_equal(dataset.streams[branch].read(name), stream.read(name))


def test_a_store_that_is_not_there_or_closed(object_store, store):
    url = object_store.put(store)
    with pytest.raises(DuetalError, match="no such file or folder"):
        open_dataset(as_path(f"{url}x"))
    object_store.fault = lambda request: error("403 Forbidden", "ExpiredToken", "It has expired.")
    with pytest.raises(DuetalError, match=rf"^{url}: cannot read: the credentials have expired"):
        open_dataset(as_path(url))
