"""Videos from an object store and features into one, over HTTP from a real S3 server."""

import itertools
import os
import signal
import uuid

import fsspec
import numpy as np
import pytest

from duetal.core.errors import DuetalError, UsageError
from duetal.extraction.missing import plan
from duetal.extraction.sources import Failure, fetched, find_videos
from duetal.extraction.store import open_store
from duetal.features.metadata import VideoRecord, array_file, record_file
from duetal.features.places import Place

SETTINGS = {
    "format": 1,
    "grid": {"fps": 25.0, "stride": 16, "window": 16},
    "modalities": ["rgb", "clip"],
    "dtype": "float16",
}
WIDTHS = {"rgb": 1024, "clip": 512}


@pytest.fixture
def place(bucket):
    """A folder of the bucket that is each test's own."""
    return f"{bucket}/{uuid.uuid4().hex}"


@pytest.fixture
def videos(place):
    folder = Place(f"{place}/videos")
    for name in ("a.mp4", "deep/b b.mp4", "deep/.hidden.mp4", "notes.txt"):
        folder.write_text(name, f"content of {name}")
    return folder.name


def put(store, video, snippets=3):
    """Features of a video, as an extractor would write them."""
    with fetched(video.source) as file, store.writer() as writer:
        for modality, width in WIDTHS.items():
            writer.write(modality, np.ones((snippets, width)))
        record = VideoRecord(
            name=video.name,
            source=video.source,
            sha256=file.sha256,
            size=file.size,
            frames=16 * snippets,
            source_frames=16 * snippets,
            duration=16 * snippets / 25,
            snippets=snippets,
            widths=WIDTHS,
            settings=SETTINGS,
            versions={},
            seconds={},
        )
        store.finish(writer, record)


def test_videos_are_found_and_fetched(videos):
    a, b = find_videos([videos]).videos
    assert (a.name, b.name) == ("a", "b b")
    assert b.source == f"{videos}/deep/b b.mp4"
    with fetched(a.source) as file:
        assert file.path.read_text() == "content of a.mp4"
        assert file.path.suffix == ".mp4"
    assert find_videos([f"{videos}/deep/*.mp4"]).videos[-1] == b
    Place(videos).write_text("list.txt", "deep/b b.mp4\n\na.mp4\n")
    assert find_videos([f"{videos}/list.txt"]).videos == (b, a)
    with pytest.raises(DuetalError, match="no video there"):
        find_videos([f"{videos}/nothing/*.mp4"])


def test_what_was_extracted_is_complete_and_not_done_again(place, videos):
    found = find_videos([videos])
    with open_store(f"{place}/store", SETTINGS) as store:
        assert list(plan(found, store).todo) == list(found.videos)
        assert list(plan(found, store).todo.values()) == [16, 23]
        put(store, found.videos[0])
        store.fail(Failure(name="b b", source=found.videos[1].source, reason="broken"))
    with open_store(f"{place}/store", SETTINGS) as store:
        planned = plan(found, store)
    assert planned.complete == found.videos[:1]
    assert [failure.reason for failure in planned.failed_before] == ["broken"]
    assert not planned.todo
    with fsspec.open(f"{place}/store/features/rgb/a.npy") as file:
        assert np.load(file).shape == (3, 1024)


@pytest.mark.parametrize("half", [array_file("clip", "a"), record_file("a")])
def test_half_an_object_is_not_trusted(place, videos, half):
    """No upload leaves one, but a copy between two stores may."""
    found = find_videos([f"{videos}/a.mp4"])
    with open_store(f"{place}/store", SETTINGS) as store:
        put(store, found.videos[0])
        content = store.place.read(half)
        with fsspec.open(store.place.path(half), "wb") as file:
            file.write(content[: len(content) // 2])
        assert list(plan(found, store).todo) == list(found.videos)
        put(store, found.videos[0])
        assert not plan(found, store).todo


def put_until_killed(video, place, moment):
    """Put a video into a store, and be killed after so many uploads."""
    import s3fs

    call, puts = s3fs.S3FileSystem._call_s3, itertools.count(1)

    async def killing(self, method, *args, **how):
        if method == "put_object" and next(puts) > moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return await call(self, method, *args, **how)

    with open_store(place, SETTINGS) as store:
        s3fs.S3FileSystem._call_s3 = killing
        put(store, video)


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_kill_between_two_uploads_leaves_nothing_that_is_trusted(place, videos, forked, moment):
    """Before the first array, between the arrays, and between the last of them and the record."""
    (video,) = find_videos([f"{videos}/a.mp4"]).videos
    assert forked(put_until_killed, video, f"{place}/store", moment).wait() == -signal.SIGKILL
    found = find_videos([videos])
    with open_store(f"{place}/store", SETTINGS) as store:
        arrays = [array_file(modality, "a") for modality in WIDTHS]
        assert sum(store.place.exists(file) for file in arrays) == moment
        assert list(plan(found, store).todo) == list(found.videos)
        put(store, found.videos[0])
        assert plan(found, store).complete == found.videos[:1]


def test_other_settings_are_refused_by_name(place):
    with open_store(f"{place}/store", SETTINGS):
        pass
    with pytest.raises(UsageError, match="dtype is float16 there and float32 here"):
        open_store(f"{place}/store", SETTINGS | {"dtype": "float32"})


@pytest.mark.parametrize("missing", ["video", "bucket"])
def test_what_is_not_there_is_one_line(place, videos, missing):
    url = f"{videos}/no.mp4" if missing == "video" else "s3://no-such-bucket/a.mp4"
    with pytest.raises(DuetalError) as caught, fetched(url):
        pass
    assert str(caught.value).startswith("s3://")
    assert str(caught.value).count("\n") == 0
    with pytest.raises(DuetalError):
        open_store("s3://no-such-bucket/store", SETTINGS)


def test_a_store_is_copied_to_be_trained_on(place, videos, tmp_path):
    from duetal.datasets import open_dataset

    with open_store(f"{place}/store", SETTINGS) as store:
        put(store, find_videos([videos]).videos[0])
    filesystem, path = fsspec.core.url_to_fs(f"{place}/store")
    filesystem.get(path, str(tmp_path / "store"), recursive=True)
    dataset = open_dataset(tmp_path / "store")
    assert dataset.evaluation == ("a",)
    assert dataset.length("a") == 3
