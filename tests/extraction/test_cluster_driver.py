"""The driver's bookkeeping, over a Ray of plain calls: what it accepts, refuses and gives up."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from duetal.core.errors import DuetalError, UsageError
from duetal.extraction import cluster as module
from duetal.extraction.cluster import Cluster
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.machines import Machine
from duetal.extraction.sources import Failure, Video
from duetal.extraction.store import open_store
from duetal.extraction.worker import WorkerReport
from duetal.features.metadata import VideoRecord

SETTINGS = {
    "format": 1,
    "grid": {"fps": 25.0, "stride": 16, "window": 16},
    "modalities": ["clip"],
    "dtype": "float16",
    "clip": {"name": "c", "sha256": "aa", "architecture": "CLIP", "licence": None},
}


class RayError(Exception):
    pass


class OutOfMemoryError(RayError):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        self.cause = cause


class PlainRay:
    """What the driver uses of Ray; a method is called when somebody waits for it."""

    def __init__(self):
        self.exceptions = SimpleNamespace(
            RayError=RayError, OutOfMemoryError=OutOfMemoryError, RayTaskError=RayTaskError
        )
        self.started = []
        self.killed = []
        self.is_down = False

    def remote(self, kind):
        return SimpleNamespace(options=lambda **how: SimpleNamespace(remote=lambda: self.new(kind)))

    def new(self, kind):
        worker = kind(len(self.started))
        self.started.append(worker)
        return Handle(worker)

    def wait(self, references, num_returns=1, timeout=None):
        return references[:num_returns], references[num_returns:]

    def get(self, reference):
        return reference()

    def kill(self, handle):
        self.killed.append(handle.worker)

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": 2.0}}]

    def shutdown(self):
        self.is_down = True


class Handle:
    def __init__(self, worker):
        self.worker = worker

    def __getattr__(self, name):
        method = getattr(self.worker, name)
        return SimpleNamespace(remote=lambda *args, **how: lambda: method(*args, **how))


class Crew:
    """A worker that does its work; `do` returns the outcome of a video."""

    def __init__(self, number):
        self.number = number
        self.place = None

    def introduce(self):
        import duetal

        return {"version": duetal.__version__, "host": "h", "pid": self.number}

    def load(self, settings, *, device, batch, threads):
        return SETTINGS

    def open(self, place, sample):
        self.place = place

    def work(self, videos, timeout):
        outcomes = []
        for video in videos:
            outcome = self.do(video)
            if isinstance(outcome, Exception):
                return WorkerReport(tuple(outcomes), None, outcome)
            outcomes.append(outcome)
        return WorkerReport(tuple(outcomes), None, None)

    def do(self, video):
        return finish(self.place, video)


def finish(place, video):
    store = open_store(place)
    record = VideoRecord(
        name=video.name,
        source=video.source,
        sha256="cc",
        size=10,
        frames=32,
        source_frames=32,
        duration=1.28,
        snippets=2,
        widths={"clip": 3},
        settings=SETTINGS,
        versions={},
        seconds={},
    )
    with store.writer() as writer:
        writer.write("clip", np.ones((2, 3)))
        store.finish(writer, record)
    return record


VIDEOS = [Video(name, f"{name}.mp4") for name in "abcdefg"]


@pytest.fixture
def ray(monkeypatch):
    ray = PlainRay()
    monkeypatch.setattr(module, "join", lambda address: ray)
    monkeypatch.setattr(module, "machines_of", lambda ray: [Machine(2, 0)])
    return ray


@pytest.fixture
def extract(ray, monkeypatch, tmp_path):
    """Extract the videos with workers of a kind; give the outcomes and the lines."""

    def run(kind, videos=VIDEOS):
        monkeypatch.setattr(module, "Worker", kind)
        lines = []
        how = {"workers": 2, "cpus_per_worker": 1, "notify": lines.append}
        with (
            Cluster("local", ExtractionSettings(), **how) as cluster,
            open_store(tmp_path / "store", cluster.store_settings) as store,
        ):
            outcomes = list(cluster.extract_all(iter(videos), store))
        assert ray.is_down
        return outcomes, lines

    return run


def names(outcomes, kind=VideoRecord):
    return sorted(outcome.name for outcome in outcomes if isinstance(outcome, kind))


def test_every_video_ends_once(extract):
    outcomes, lines = extract(Crew)
    assert (names(outcomes), lines) == (list("abcdefg"), [])
    assert extract(Crew, []) == ([], [])


@pytest.mark.parametrize(
    ("lost_by", "because"),
    [
        (OutOfMemoryError("..."), "its machine ran out of memory"),
        (RayError("The actor died: its node has died."), "its machine was lost"),
        (RayError("The actor died"), "its process ended"),
        (RayTaskError(KeyError("x")), "KeyError: 'x'"),
    ],
)
def test_a_video_that_loses_every_worker_is_given_up_and_no_other_is(extract, lost_by, because):
    class Lost(Crew):
        def do(self, video):
            if video.name == "c":
                raise lost_by
            return super().do(video)

    outcomes, lines = extract(Lost)
    assert names(outcomes) == list("abdefg")
    (failure,) = (outcome for outcome in outcomes if isinstance(outcome, Failure))
    lost = "3 workers were lost over it, the last one because"
    assert failure.reason == f"c.mp4: {lost} {because}"
    assert failure.attempts == 3
    assert len(lines) == 3
    assert all(because in line for line in lines)


def test_a_worker_lost_between_finishing_and_saying_so_has_finished(extract):
    class Mute(Crew):
        def do(self, video):
            super().do(video)
            raise RayError("lost")

    outcomes, lines = extract(Mute)
    assert names(outcomes) == list("abcdefg")
    assert not any("a," in line for line in lines)


def test_what_a_worker_calls_a_fault_of_its_own_is_tried_elsewhere(extract):
    """A temporary folder that is full, on one machine of two."""

    class Full(Crew):
        def do(self, video):
            if self.number == 0:
                return DuetalError("cannot write features: No space left on device")
            return super().do(video)

    outcomes, lines = extract(Full)
    assert names(outcomes) == list("abcdefg")
    assert len(lines) == 1
    assert "No space left on device; tried again: " in lines[0]


def test_a_store_that_nobody_can_write_to_ends_it_and_blames_no_video(extract, tmp_path):
    class Full(Crew):
        def do(self, video):
            return DuetalError("cannot write: No space left on device", file=self.place)

    with pytest.raises(DuetalError, match="No space left on device"):
        extract(Full)
    assert list(open_store(tmp_path / "store").failures()) == []


def test_a_worker_that_crashes_by_itself_is_replaced(extract, ray):
    class Crashing(Crew):
        def do(self, video):
            if video.name == "b" and self.number == 0:
                return RuntimeError("CUDA error: an illegal memory access was encountered")
            return super().do(video)

    outcomes, _ = extract(Crashing)
    assert names(outcomes) == list("abcdefg")
    # What stopped working is ended, or it would keep its GPU.
    assert [worker.number for worker in ray.killed] == [0]


class Old(Crew):
    def introduce(self):
        return {"version": "0.0.1", "host": "h", "pid": self.number}


class WithoutWeights(Crew):
    def load(self, settings, *, device, batch, threads):
        return UsageError("no such file", file="rgb.pt")


class OtherWeights(Crew):
    def load(self, settings, *, device, batch, threads):
        clip = SETTINGS["clip"] | {"sha256": "aa" if self.number == 0 else "bb"}
        return SETTINGS | {"clip": clip}


class Blind(Crew):
    def open(self, place, sample):
        return DuetalError("not a feature store", file=place)


class NotInstalled(Crew):
    def introduce(self):
        error = RayError("Creation failed\nModuleNotFoundError: No module named 'duetal'")
        error.actor_init_failed = True
        raise error


class StillBorn(Crew):
    def load(self, settings, *, device, batch, threads):
        raise RayError("died")


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (Old, UsageError, r"^h \(process 0\): has duetal 0.0.1, and the driver "),
        (WithoutWeights, UsageError, r"^h \(process 0\): rgb.pt: no such file"),
        (OtherWeights, UsageError, r"^h \(process 1\): .* clip.sha256 is bb, not aa"),
        (Blind, DuetalError, r"^h \(process 0\): .*store: not a feature store"),
        (NotInstalled, UsageError, "has to be installed on every machine.* No module named"),
        (StillBorn, DuetalError, r"\(process \d\) was lost before it was ready: its process ended"),
    ],
)
def test_a_worker_that_cannot_be_used_ends_it(extract, ray, kind, error, message):
    with pytest.raises(error, match=message) as caught:
        extract(kind)
    assert type(caught.value) is error
    assert ray.is_down


def test_one_that_is_lost_as_it_starts_is_started_anew(extract):
    counted = itertools.count()

    class Slow(Crew):
        def load(self, settings, **how):
            if next(counted) in (0, 1, 3):
                raise RayError("died")
            return super().load(settings, **how)

    assert names(extract(Slow)[0]) == list("abcdefg")


def test_the_largest_come_first():
    from duetal.extraction.missing import Plan

    sizes = dict(zip(VIDEOS, [3, 9, 1, 9, 5, 0, 2], strict=True))
    ordered = Plan(sizes, (), (), (), ()).longest_first()
    assert "".join(video.name for video in ordered.todo) == "bdeagcf"
