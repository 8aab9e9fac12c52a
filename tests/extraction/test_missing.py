"""A store is brought up to a list of videos; what failed, moved or changed is reported."""

import json
from pathlib import Path

import numpy as np
import pytest

from duetal.core.errors import DuetalError
from duetal.extraction.missing import extract_missing, manifest_rows, plan
from duetal.extraction.sources import Failure, fetched, find_videos
from duetal.extraction.store import open_store
from duetal.features.metadata import VideoRecord

SETTINGS = {
    "format": 1,
    "grid": {"fps": 25.0, "stride": 16, "window": 16},
    "modalities": ["clip"],
    "dtype": "float16",
}


class Pretending:
    """Makes features out of nothing; fails where the file is marked so."""

    def __init__(self):
        self.extracted = []

    def extract_all(self, videos, store, on_snippet):
        for video in videos:
            self.extracted.append(video.name)
            with fetched(video.source) as file:
                content = file.path.read_text()
                if content.startswith("bad"):
                    yield Failure(name=video.name, source=video.source, reason=content)
                    continue
                on_snippet(video, 1, 2)
                with store.writer() as writer:
                    writer.write("clip", np.ones((2, 3)))
                    record = VideoRecord(
                        name=video.name,
                        source=video.source,
                        sha256=file.sha256,
                        size=file.size,
                        frames=32,
                        source_frames=32,
                        duration=1.28,
                        snippets=2,
                        widths=writer.widths,
                        stream=0,
                        settings=dict(store.settings),
                        versions={},
                        seconds={},
                    )
                    store.finish(writer, record)
                yield record


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, content in {"a": "first", "b": "bad file", "c": "third"}.items():
        (folder / f"{name}.mp4").write_text(content)
    return folder


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store", SETTINGS) as store:
        yield store


def run(store, *inputs, retry_failed=False, attempts=None, callbacks=()):
    """Extract what is missing; give what was tried, the failures, and the plan."""
    found = find_videos([str(one) for one in inputs])
    planned = plan(found, store, retry_failed=retry_failed, attempts=attempts)
    extractor = Pretending()
    failures = extract_missing(planned, store, extractor, *callbacks)
    return extractor.extracted, {f.name: f.reason for f in failures}, planned


def recorded_failures(store):
    return [failure.name for failure in store.failures()]


def test_what_is_there_is_not_done_again_and_what_failed_is_not_tried_again(store, videos):
    assert run(store, videos)[:2] == (["a", "b", "c"], {"b": "bad file"})
    extracted, failures, planned = run(store, videos)
    assert (extracted, failures) == ([], {})
    assert [video.name for video in planned.complete] == ["a", "c"]
    assert [failure.reason for failure in planned.failed_before] == ["bad file"]


def test_failed_videos_are_tried_again_on_demand(store, videos):
    run(store, videos)
    assert run(store, videos, retry_failed=True)[:2] == (["b"], {"b": "bad file"})
    (videos / "b.mp4").write_text("good now")
    assert run(store, videos)[0] == []
    assert run(store, videos, retry_failed=True)[:2] == (["b"], {})
    assert recorded_failures(store) == []


def test_failed_videos_are_tried_again_where_damage_is_accepted(store, videos):
    run(store, videos)
    found = find_videos([str(videos)], damaged=True)
    assert [video.name for video in plan(found, store).todo] == ["b"]


def test_features_of_another_stream_are_not_taken(store, videos):
    run(store, videos)
    planned = plan(find_videos([str(videos / "a.mp4")], stream=1), store)
    assert [failure.reason for failure in planned.failures] == [
        f"{videos / 'a.mp4'}: the store has features of stream 0; take another store, or delete "
        "records/a.json there"
    ]


def test_a_failure_counts_for_the_file_it_was(store, videos, tmp_path):
    run(store, videos)
    (videos / "b.mp4").rename(tmp_path / "b.mp4")
    assert run(store, tmp_path / "b.mp4")[0] == ["b"]


def test_a_file_that_has_moved_is_recognized_by_its_content(store, videos, tmp_path):
    run(store, videos)
    moved = videos.rename(tmp_path / "moved")
    extracted, failures, planned = run(store, moved / "a.mp4")
    assert (extracted, failures, len(planned.complete)) == ([], {}, 1)


@pytest.mark.parametrize("content", ["FIRST", "another length"])
def test_another_video_of_the_name_is_refused_and_the_old_features_stay(
    store, videos, tmp_path, content
):
    run(store, videos)
    (tmp_path / "a.mp4").write_text(content)
    for _ in range(2):
        extracted, failures, _ = run(store, tmp_path / "a.mp4", videos / "c.mp4")
        assert extracted == []
        assert "another video of this name" in failures["a"]
        assert str(videos / "a.mp4") in failures["a"]
        assert failures["a"].endswith("take another store, or delete records/a.json there")
    assert store.is_complete("a")
    assert recorded_failures(store) == ["b"]
    (tmp_path / "store" / "records" / "a.json").unlink()
    assert run(store, tmp_path / "a.mp4")[:2] == (["a"], {})


def test_a_file_that_is_not_there_is_reported_and_not_recorded(store, videos):
    extracted, failures, _ = run(store, videos / "new.mp4", videos / "a.mp4")
    assert (extracted, failures) == (["a"], {"new": f"{videos}/new.mp4: no such file"})
    (videos / "new.mp4").write_text("here")
    assert run(store, videos / "new.mp4")[0] == ["new"]


def test_two_of_one_name_are_recorded_until_there_is_one(store, videos):
    (videos / "c.mkv").write_text("other")
    extracted, failures, _ = run(store, videos)
    assert extracted == ["a", "b"]
    assert "c.mkv" in failures["c"]
    assert "c.mp4" in failures["c"]
    assert [failure.reason for failure in store.failures()] == ["bad file", failures["c"]]
    (videos / "c.mkv").unlink()
    assert run(store, videos)[0] == ["c"]
    assert recorded_failures(store) == ["b"]


def test_what_another_process_has_made_meanwhile_is_not_made_again(store, videos):
    planned = plan(find_videos([str(videos)]), store)
    run(store, videos / "c.mp4")
    extractor = Pretending()
    extract_missing(planned, store, extractor)
    assert extractor.extracted == ["a", "b"]


def test_damaged_features_are_made_again(store, videos):
    run(store, videos)
    path = Path(store.place.name) / "features" / "clip" / "a.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert run(store, videos)[0] == ["a"]
    assert store.is_complete("a")


def test_the_callbacks_are_called_for_every_video(store, videos):
    calls = []

    def on_snippet(video, done, expected):
        calls.append((video.name, done, expected))

    def on_outcome(outcome):
        calls.append((outcome.name, type(outcome).__name__))

    run(store, videos, callbacks=(on_snippet, on_outcome))
    assert calls == [
        ("a", 1, 2),
        ("a", "VideoRecord"),
        ("b", "Failure"),
        ("c", 1, 2),
        ("c", "VideoRecord"),
    ]


@pytest.mark.parametrize("method", ["names", "failures", "record", "agrees"])
def test_a_store_that_cannot_be_read_ends_everything(store, videos, monkeypatch, method):
    run(store, videos / "a.mp4")

    def refuse(*names):
        raise DuetalError("cannot read: Input/output error", file=store.place.name)

    monkeypatch.setattr(store, method, refuse)
    with pytest.raises(DuetalError, match="Input/output error"):
        run(store, videos)


def test_failures_are_json_that_names_the_video(store, videos):
    run(store, videos)
    (path,) = (Path(store.place.name) / "failures").iterdir()
    assert json.loads(path.read_text())["name"] == "b"
    assert [failure.name for failure in store.failures()] == ["b"]


def test_what_fails_again_and_again_is_set_aside_and_counted_across_commands(store, videos):
    for attempt in range(1, 4):
        tried = run(store, videos, retry_failed=True, attempts=3)[0]
        assert tried == (["a", "b", "c"] if attempt == 1 else ["b"])
        assert store.failure("b").attempts == attempt
    tried, failures, planned = run(store, videos, retry_failed=True, attempts=3)
    assert (tried, failures, planned.failed_before) == ([], {}, ())
    assert [(failure.name, failure.attempts) for failure in planned.set_aside] == [("b", 3)]
    assert run(store, videos, attempts=4)[2].set_aside == ()
    assert run(store, videos, retry_failed=True)[0] == ["b"]
    (videos / "b.mp4").write_text("good now")
    run(store, videos, retry_failed=True)
    assert store.record("b").attempts == 5
    assert store.record("a").attempts == 1
    assert store.failure("b") is None


def test_another_file_of_the_name_begins_to_count_anew(store, videos, tmp_path):
    for _ in range(3):
        run(store, videos, retry_failed=True)
    (videos / "b.mp4").rename(tmp_path / "b.mp4")
    assert run(store, tmp_path / "b.mp4", attempts=3)[0] == ["b"]
    assert store.failure("b").attempts == 1


def test_the_manifest_has_a_row_for_each_video(store, videos):
    (videos / "c.mkv").write_text("other")
    for _ in range(2):
        planned = run(store, videos, videos / "gone.mp4", retry_failed=True)[2]
    (videos / "new.mp4").write_text("new")
    planned = plan(find_videos([str(videos), str(videos / "gone.mp4")]), store)
    rows = {row["name"]: row for row in manifest_rows(store, planned, attempts=2)}
    states = {name: (row["state"], row["attempts"]) for name, row in rows.items()}
    assert states == {
        "a": ("done", 1),
        "b": ("set aside", 2),
        "c": ("failed", 0),
        "gone": ("missing", 0),
        "new": ("missing", 0),
    }
    assert (rows["a"]["frames"], rows["a"]["snippets"], rows["a"]["seconds"]) == (32, 2, 0)
    assert rows["b"]["reason"] == "bad file"
    assert rows["new"]["source"] == str(videos / "new.mp4")


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_every_video_is_in_one_part(videos, parts):
    (videos / "c.mkv").write_text("other")
    found = find_videos([str(videos)])
    several = [found.part(number, parts) for number in range(1, parts + 1)]
    assert sorted(v.name for one in several for v in one.videos) == ["a", "b"]
    assert [failure.name for one in several for failure in one.failures] == ["c"]
