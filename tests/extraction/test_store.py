"""A video is in the store whole, with a record that fits it, or it is not there."""

import itertools
import json
import multiprocessing
import os
import pickle
import signal
import uuid
from pathlib import Path

import numpy as np
import pytest

from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import open_dataset
from duetal.extraction.sources import Failure, check_storable
from duetal.extraction.store import failure_file, open_store
from duetal.features import places
from duetal.features.metadata import VideoRecord

SETTINGS = {
    "format": 1,
    "grid": {"fps": 25.0, "stride": 16, "window": 16},
    "modalities": ["rgb", "flow", "clip"],
    "dtype": "float16",
    "crop": 224,
    "flow": {"engine": "tvl1", "tau": 0.25},
    "rgb": {"name": "rgb.pt", "sha256": "aa", "architecture": "i3d-rgb", "licence": None},
    "clip": {"name": "owner/clip", "sha256": "bb", "architecture": "CLIP", "licence": "MIT"},
}
WIDTHS = {"rgb": 6, "flow": 6, "clip": 4}


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    return tmp_path / "store" if request.param == "local" else f"memory://{uuid.uuid4()}/store"


def record_of(name, snippets, settings=SETTINGS, source="a.mp4"):
    return VideoRecord(
        name=name,
        source=source,
        sha256=f"cc{snippets}",
        size=10,
        frames=16 * snippets + 3,
        source_frames=90,
        duration=(16 * snippets + 3) / 25,
        snippets=snippets,
        widths=WIDTHS,
        settings=settings,
        versions={"duetal": "1"},
        seconds={"decode": 0.1},
    )


def rows_of(modality, snippets):
    return np.arange(snippets * WIDTHS[modality], dtype=np.float32).reshape(snippets, -1)


def put(store, name, snippets=5):
    with store.writer() as writer:
        for modality in store.modalities:
            rows = rows_of(modality, snippets)
            writer.write(modality, rows[:2])
            writer.write(modality, rows[2:])
        store.finish(writer, record_of(name, snippets, dict(store.settings)))


def test_what_was_written_is_read_and_is_complete(place):
    with open_store(place, SETTINGS) as store:
        assert not store.is_complete("a")
        put(store, "a")
        put(store, "b \"<script>&' ü")
    again = open_store(place)
    assert again.names() == ["a", "b \"<script>&' ü"]
    assert all(again.is_complete(name) for name in again.names())
    assert again.record("a").snippets == 5


def test_a_store_can_be_sent_to_another_process(place):
    with open_store(place, SETTINGS) as store:
        there = pickle.loads(pickle.dumps(store))
        put(there, "a")
        assert store.is_complete("a")


def test_the_store_is_a_dataset(tmp_path):
    with open_store(tmp_path, SETTINGS) as store:
        put(store, "a", 5)
        put(store, "b", 7)
        store.fail(Failure(name="c", source="c.mp4", reason="broken"))
    dataset = open_dataset(tmp_path)
    assert dataset.evaluation == ("a", "b")
    assert [dataset.length(name) for name in dataset.evaluation] == [5, 7]
    assert dataset.text_encoder == "owner/clip"
    assert dataset.duration("b") == (16 * 7 + 3) / 25
    np.testing.assert_array_equal(dataset.streams["vlp"].read("b"), rows_of("clip", 7))


@pytest.mark.parametrize(
    ("modalities", "width"), [(["rgb"], 6), (["flow", "clip"], 6), (["clip"], 4)]
)
def test_a_store_of_fewer_modalities_is_a_dataset_too(tmp_path, modalities, width):
    settings = SETTINGS | {"modalities": modalities}
    if "clip" not in modalities:
        settings = {key: value for key, value in settings.items() if key != "clip"}
    with open_store(tmp_path, settings) as store, store.writer() as writer:
        for modality in modalities:
            writer.write(modality, rows_of(modality, 3))
        widths = {modality: WIDTHS[modality] for modality in modalities}
        record = record_of("a", 3, settings).model_copy(update={"widths": widths})
        store.finish(writer, record)
        assert store.is_complete("a")
    assert open_dataset(tmp_path).streams["cbp"].dim == width


def shorten(path: Path):
    path.write_bytes(path.read_bytes()[:-2])


def lengthen(path: Path):
    path.write_bytes(path.read_bytes() + b"\0\0")


def other_shape(path: Path):
    np.save(path, np.zeros((6, 5), np.float16))


def other_type(path: Path):
    np.save(path, np.zeros((5, 6), np.int16))


@pytest.mark.parametrize("damage", [Path.unlink, shorten, lengthen, other_shape, other_type])
def test_an_array_that_does_not_fit_the_record_makes_the_video_incomplete(tmp_path, damage):
    with open_store(tmp_path, SETTINGS) as store:
        put(store, "a")
        assert store.is_complete("a")
        damage(tmp_path / "features" / "flow" / "a.npy")
        assert not store.is_complete("a")
        put(store, "a")
        assert store.is_complete("a")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"name": 3}', "[" * 100_000])
def test_a_damaged_record_is_no_record(tmp_path, content):
    with open_store(tmp_path, SETTINGS) as store:
        put(store, "a")
        (tmp_path / "records" / "a.json").write_text(content)
        assert not store.is_complete("a")


def test_a_record_of_other_settings_does_not_count(tmp_path):
    with open_store(tmp_path, SETTINGS) as store:
        put(store, "a")
        path = tmp_path / "records" / "a.json"
        record = json.loads(path.read_text())
        record["settings"]["crop"] = 112
        path.write_text(json.dumps(record))
        assert not store.is_complete("a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": 112}, "crop is 224 there and 112 here"),
        ({"dtype": "float32"}, "dtype is float16 there and float32 here"),
        ({"grid": SETTINGS["grid"] | {"stride": 8}}, "grid.stride is 16 there and 8 here"),
        ({"flow": {"engine": "tvl1", "tau": 0.3}}, "flow.tau is 0.25 there and 0.3 here"),
        ({"rgb": SETTINGS["rgb"] | {"sha256": "dd"}}, "rgb.sha256 is aa there and dd here"),
        ({"modalities": ["rgb"]}, "modalities is"),
        ({"new": 1}, "new is absent there and 1 here"),
    ],
)
def test_other_settings_are_refused_by_name(place, change, message):
    open_store(place, SETTINGS).close()
    with pytest.raises(UsageError) as caught:
        open_store(place, SETTINGS | change)
    assert message in str(caught.value)


def test_the_same_weights_under_another_name_are_the_same(place):
    open_store(place, SETTINGS).close()
    renamed = SETTINGS | {"rgb": SETTINGS["rgb"] | {"name": "copy.pt", "licence": "x"}}
    open_store(place, renamed).close()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"modalities": 3}'])
def test_a_damaged_store_is_one_line_that_names_it(tmp_path, content):
    open_store(tmp_path, SETTINGS).close()
    (tmp_path / "store.json").write_text(content)
    for settings in (None, SETTINGS):
        with pytest.raises(DuetalError, match=r"store\.json: not"):
            open_store(tmp_path, settings)


def test_what_is_no_store_is_not_read_as_one(tmp_path):
    with pytest.raises(DuetalError, match="not a feature store"):
        open_store(tmp_path)


def test_an_unknown_protocol_is_named():
    with pytest.raises(DuetalError, match="cannot open"):
        open_store("nosuch://bucket/store")


def test_a_video_that_was_abandoned_leaves_nothing(place):
    with open_store(place, SETTINGS) as store:
        with store.writer() as writer:
            writer.write("rgb", rows_of("rgb", 3))
        assert store.names() == []
        assert store.place.names("features/rgb", ".npy") == []


def test_success_takes_a_failure_away(place):
    with open_store(place, SETTINGS) as store:
        store.fail(Failure(name="a", source="a.mp4", reason="broken"))
        assert [failure.reason for failure in store.failures()] == ["broken"]
        put(store, "a")
        assert list(store.failures()) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\nb", "\udcff", ".hidden", "x" * 300, "ü" * 120]
)
def test_unusable_names_are_refused_and_still_can_fail(tmp_path, name):
    with pytest.raises(DuetalError, match="not a usable video name"):
        check_storable(name, "a.mp4")
    with open_store(tmp_path / "store", SETTINGS) as store:
        store.fail(Failure(name=repr(name), source="a.mp4", reason="name"))
    path = tmp_path / "store" / failure_file(name)
    path.touch()
    assert path.resolve().parent == tmp_path / "store" / "failures"
    assert not path.name.startswith(".")


def test_failures_of_different_names_lie_in_different_files():
    names = ["", ".", "..", "%2E", "a b", "a%20b", "x" * 300, "x" * 301, "ü", "\udcff", "\\udcff"]
    assert len({failure_file(name) for name in names}) == len(names)


def publish_until_killed(folder, moment, what):
    """Put a video into a store, and be killed at the so many-th of its files."""
    written = itertools.count()
    join = places._join

    def join_until_killed(pieces, path):
        if next(written) == moment:
            path.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        join(pieces, path)

    with open_store(folder, SETTINGS) as store:
        if what == "anew":
            put(store, "a", 4)
        places._join = join_until_killed
        put(store, "a")


@pytest.mark.parametrize(
    ("moment", "what"), [(0, "new"), (1, "new"), (2, "anew"), (3, "new"), (3, "anew")]
)
def test_a_kill_while_publishing_leaves_nothing_that_is_trusted(tmp_path, forked, moment, what):
    """Neither an old record for new arrays, nor a new one before the last array is there."""
    assert forked(publish_until_killed, tmp_path, moment, what).wait() == -signal.SIGKILL
    assert list(tmp_path.rglob("*.part"))
    with open_store(tmp_path, SETTINGS) as store:
        assert not store.is_complete("a")
        assert list(tmp_path.rglob("*.part")) == []
        put(store, "a")
        assert store.is_complete("a")


def test_what_another_process_is_writing_is_left_alone(tmp_path, forked):
    open_store(tmp_path, SETTINGS).close()
    opened, done = multiprocessing.Event(), multiprocessing.Event()

    def keep_open():
        with open_store(tmp_path, SETTINGS):
            opened.set()
            done.wait()

    other = forked(keep_open)
    assert opened.wait(60)
    half = tmp_path / "records" / ".a.json.12345678.duetal.part"
    half.parent.mkdir()
    half.touch()
    open_store(tmp_path, SETTINGS).close()
    assert half.exists()
    done.set()
    assert other.wait(60) == 0
    open_store(tmp_path, SETTINGS).close()
    assert not half.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line_and_nothing_is_lost(tmp_path, monkeypatch):
    with open_store(tmp_path, SETTINGS) as store:
        put(store, "a")
        monkeypatch.setattr(
            "tempfile.TemporaryFile",
            lambda dir: open("/dev/full", "wb"),  # noqa: SIM115, PTH123
        )
        with pytest.raises(DuetalError, match="cannot write features: No space left on device"):
            put(store, "b")
        assert store.is_complete("a")
        assert not store.is_complete("b")


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_file_that_the_system_will_not_take_is_one_line(tmp_path, forked):
    def put_too_much():
        import resource

        store = open_store(tmp_path, SETTINGS)
        put(store, "a")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # What is printed has to fit as well.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
        with pytest.raises(DuetalError) as caught:
            put(store, "b", 1000)
        print(caught.value)
        print(store.is_complete("a"), store.is_complete("b"))

    process = forked(put_too_much)
    assert process.wait() == 0, process.err
    assert process.out.splitlines() == [
        f"{tmp_path}: cannot write features: File too large",
        "True False",
    ]


def test_a_store_of_version_0_1_0_is_continued(tmp_path):
    """It did not record which branch a backbone is for, nor name the branches' folders."""
    with open_store(tmp_path, SETTINGS) as store:
        put(store, "a")
    (tmp_path / "dataset.yaml").write_text("grid: {fps: 25.0, stride: 16, window: 16}\n")
    branches = {"rgb": "cbp", "clip": "vlp"}
    now = {name: SETTINGS[name] | {"branch": branch} for name, branch in branches.items()}
    with open_store(tmp_path, SETTINGS | now) as store:
        assert store.is_complete("a")
        put(store, "b")
    assert all(open_store(tmp_path).is_complete(name) for name in "ab")
    dataset = open_dataset(tmp_path)
    assert tuple(stream.dim for stream in dataset.streams.values()) == (12, 4)
