"""What comes is read before it is asked for, in order and in bounded memory."""

import threading
from pathlib import Path

import numpy as np
import pytest

from duetal.core.errors import DuetalError
from duetal.core.weak_videos import expect_reads, whole_videos
from duetal.features import FeatureStream, open_part
from duetal.features.reading_ahead import READERS, ReadingAhead


class Slow:
    """Answers no read before it is let, and counts them."""

    def __init__(self):
        self.begun, self.let = [], threading.Event()

    def __call__(self, read):
        self.begun.append(read)
        assert self.let.wait(30)
        if read[0] == "bad":
            raise DuetalError("damaged", file=Path("bad.npy"))
        return np.full((read[2] - read[1], 1), read[1], np.float32)


def test_reads_begin_before_they_are_wanted_and_no_more_than_bounded():
    slow, coming = Slow(), [("a", start, start + 2) for start in range(1000)]
    ahead = ReadingAhead(slow, coming, 1)
    slow.let.set()
    for read in coming[:100]:
        assert ahead.take(read)[0, 0] == read[1]
    ahead.close()
    assert len(slow.begun) <= 100 + 2 * READERS
    assert set(slow.begun) >= set(coming[:100])


def test_memory_is_bounded_by_bytes():
    slow = Slow()
    ahead = ReadingAhead(slow, [("a", 0, 2**14)] * 100, 2**10)
    assert len(ahead._ready) == 4
    slow.let.set()
    ahead.close()


def test_what_was_not_expected_is_not_there_and_what_is_skipped_is_dropped():
    slow = Slow()
    slow.let.set()
    ahead = ReadingAhead(slow, [("a", 0, 1), ("a", 1, 2), ("a", 0, 1), ("a", 5, 6)], 1)
    assert ahead.take(("b", 0, 1)) is None
    assert ahead.take(("a", 1, 2)) is not None
    assert ahead.take(("a", 0, 1)) is not None
    assert ahead.take(("a", 0, 1)) is None
    assert ahead.take(("a", 5, 6)) is not None


def test_what_cannot_be_read_raises_where_it_is_wanted():
    slow = Slow()
    slow.let.set()

    def coming():
        yield "a", 0, 1
        yield "bad", 0, 1
        raise DuetalError("no features", file=Path("c.npy"))

    ahead = ReadingAhead(slow, coming(), 1)
    assert ahead.take(("a", 0, 1)) is not None
    with pytest.raises(DuetalError, match=r"bad\.npy: damaged"):
        ahead.take(("bad", 0, 1))


def test_a_stream_of_a_store_reads_ahead(object_store, tmp_path):
    folder = tmp_path / "cbp"
    folder.mkdir()
    arrays = {f"v{n}": np.full((9, 4), n, np.float32) for n in range(6)}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    from duetal.core.url_paths import UrlPath

    local = FeatureStream("cbp", [open_part("cbp", [folder])])
    expect_reads(local, whole_videos(arrays))
    assert local._ahead is None
    stream = FeatureStream("cbp", [open_part("cbp", [UrlPath(object_store.put(folder))])])
    expect_reads(stream, whole_videos(arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(stream.read(name), array)
    assert not stream._ahead._ready
    expect_reads(stream, [("v0", 2, 5), ("v1", 0, 99)])
    np.testing.assert_array_equal(stream.read("v0", 2, 5), arrays["v0"][2:5])
    np.testing.assert_array_equal(stream.read("v1", 0, 99), arrays["v1"])
    np.testing.assert_array_equal(stream.read("v3", 1), arrays["v3"][1:])
