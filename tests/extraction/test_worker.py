"""A worker without its cluster: what it reports, and what it does not begin with."""

import os
import threading
import time

import pytest

import duetal
from duetal.core.errors import DuetalError, UsageError
from duetal.extraction import worker as module
from duetal.extraction.sources import Failure, Video
from duetal.extraction.store import open_store
from duetal.extraction.worker import Worker

SETTINGS = {
    "format": 1,
    "grid": {"fps": 25.0, "stride": 16, "window": 16},
    "modalities": ["clip"],
    "dtype": "float16",
    "clip": {"name": "c", "sha256": "aa", "architecture": "CLIP", "licence": None},
}
#: Long enough for any machine; nothing waits for it when all goes well.
LONG = 30.0


class Pretending:
    """Every video fails, for a reason that names which ones went through the pipeline together."""

    store_settings = SETTINGS
    may_begin = threading.Event()

    def __init__(self, settings, *, device, batch, threads):
        if settings == "wrong":
            raise UsageError("no such file", file="rgb.pt")
        self.how = (device, batch, threads)

    def extract_all(self, videos, store, on_snippet):
        assert self.may_begin.wait(LONG)
        together = []
        for video in videos:
            together.append(video.name)
            if video.name == "full":
                raise DuetalError("cannot write: No space left on device", file=store.place.name)
            if video.name == "bug":
                raise ZeroDivisionError("division by zero")
            on_snippet(video, 1, 2)
        for name in together:
            yield Failure(name=name, source=f"{name}.mp4", reason="+".join(together))


@pytest.fixture(autouse=True)
def pretending(monkeypatch):
    monkeypatch.setattr(module, "Extractor", Pretending)
    Pretending.may_begin.set()


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store", SETTINGS) as store:
        yield store


@pytest.fixture
def sample(tmp_path):
    (tmp_path / "a.mp4").touch()
    return Video("a", str(tmp_path / "a.mp4"))


@pytest.fixture
def ready(store, sample):
    worker = Worker()
    assert worker.load(None, device="cpu", batch=None, threads=1) == SETTINGS
    assert worker.open(str(store.place.local), sample) is None
    return worker


def named(*names):
    return [Video(name, f"{name}.mp4") for name in names]


def until(worker, count, *names):
    """Hand videos, and collect this many outcomes."""
    outcomes = list(worker.work(named(*names), LONG).outcomes)
    while len(outcomes) < count:
        report = worker.work([], LONG)
        assert report.outcomes
        outcomes += report.outcomes
    return outcomes


def test_it_introduces_itself_in_plain_values():
    found = Worker().introduce()
    assert found == {"version": duetal.__version__, "host": found["host"], "pid": os.getpid()}


def test_every_video_comes_back_and_those_at_hand_go_through_together(ready):
    Pretending.may_begin.clear()
    assert ready.work(named("a", "b", "c"), 0).outcomes == ()
    Pretending.may_begin.set()
    outcomes = until(ready, 3)
    assert [(outcome.name, outcome.reason) for outcome in outcomes] == [
        ("a", "a+b+c"),
        ("b", "a+b+c"),
        ("c", "a+b+c"),
    ]


def test_a_video_alone_does_not_wait_for_company(ready):
    for name in "xy":
        (outcome,) = until(ready, 1, name)
        assert (outcome.name, outcome.reason) == (name, name)


def test_it_reports_in_time_when_nothing_has_ended(ready):
    began = time.monotonic()
    report = ready.work([], 0.05)
    assert (report.outcomes, report.stopped) == ((), None)
    assert time.monotonic() - began < LONG / 2


def test_it_reports_what_it_works_on(ready):
    until(ready, 1, "a")
    assert ready.work([], 0).progress == (*named("a"), 1, 2)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("full", DuetalError, "store: cannot write: No space left on device"),
        ("bug", RuntimeError, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_ends_its_work_is_reported(ready, name, kind, message):
    stopped = ready.work(named("a", name), LONG).stopped
    assert type(stopped) is kind
    assert message in str(stopped)


def test_without_the_weights_it_reports_that():
    error = Worker().load("wrong", device="cpu", batch=None, threads=1)
    assert isinstance(error, UsageError)
    assert str(error) == "rgb.pt: no such file"


def test_it_does_not_begin_where_it_cannot_see_the_store_or_the_videos(store, sample, tmp_path):
    worker = Worker()
    worker.load(None, device="cpu", batch=None, threads=1)
    for place, video, message in (
        (tmp_path / "elsewhere", sample, "elsewhere: not a feature store"),
        (store.place.local, Video("b", f"{tmp_path}/b.mp4"), "b.mp4: no such file there; local"),
    ):
        error = worker.open(str(place), video)
        assert isinstance(error, DuetalError)
        assert message in str(error)
    assert not (tmp_path / "elsewhere").exists()


def test_it_does_not_begin_with_other_weights_than_the_stores(tmp_path, sample):
    other = SETTINGS | {"clip": SETTINGS["clip"] | {"sha256": "bb"}}
    with open_store(tmp_path / "other", other):
        worker = Worker()
        worker.load(None, device="cpu", batch=None, threads=1)
        error = worker.open(str(tmp_path / "other"), sample)
    assert isinstance(error, UsageError)
    assert str(error) == "its features would differ from the store's: clip.sha256"


def test_it_leaves_alone_what_others_are_writing(store, ready, sample):
    """Its driver holds the store; what a worker opens must not clear up other workers' files."""
    begun = store.place.local / "features" / ".a.npy.x.part"
    begun.parent.mkdir(parents=True)
    begun.touch()
    store.close()
    another = Worker()
    another.load(None, device="cpu", batch=None, threads=1)
    assert another.open(str(store.place.local), sample) is None
    assert begun.exists()
