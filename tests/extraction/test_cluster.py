"""Extraction on a real Ray cluster of two nodes, whose workers are killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from duetal.backbones import BACKBONES
from duetal.extraction import cluster as module
from duetal.extraction.cluster import Cluster
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.missing import extract_missing, plan
from duetal.extraction.pipeline import Extractor
from duetal.extraction.sources import find_videos
from duetal.extraction.store import open_store
from duetal.extraction.worker import Worker
from duetal.simulation.clips import render_clip

ray = pytest.importorskip("ray")
# What is defined here is sent to the workers as it is: they could not import it.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.recipe

#: Seconds of the clips that can be extracted.
CLIPS = {f"v{number}": 0.7 + 0.5 * number for number in range(9)}
MODALITIES = ("rgb", "clip")
#: Longer than a busy machine takes to start a worker; nothing waits for it when all goes well.
LONG = 240


class Deadly(Worker):
    """Is killed by one video as soon as it is handed it, with whatever else it has at hand."""

    def work(self, videos, timeout):
        if any(video.name == "killer" for video in videos):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().work(videos, timeout)


@contextmanager
def node(log, *arguments):
    """A Ray node, of one core, for as long as it is needed."""
    line = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1"]
    line += ["--object-store-memory=80000000", "--disable-usage-stats", *arguments]
    with log.open("w") as output:
        # In a group of its own: what belongs to it can be ended with it.
        process = subprocess.Popen(
            line, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + LONG
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_ports(count):
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


@pytest.fixture(scope="module")
def address(bucket):
    """A cluster of two nodes, which may reach the object store."""
    # Ray makes sockets below it, whose names may not be long.
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    port, client_port = free_ports(2)
    head = ["--head", f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false"]
    head += [f"--ray-client-server-port={client_port}"]
    address = f"127.0.0.1:{port}"
    try:
        with node(folder / "1.log", *head), node(folder / "2.log", f"--address={address}"):
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def settings(tiny_backbones):
    return ExtractionSettings(
        tuple(record for record in BACKBONES if record.name in MODALITIES),
        tiny_backbones,
        short_side=36,
        crop=32,
        dtype="float32",
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for seed, (name, duration) in enumerate(CLIPS.items()):
        render_clip(folder / f"{name}.mp4", duration=duration, size=(48, 36), seed=seed)
    # These are small, so they come last: when the other worker is killed, nobody has them yet.
    (folder / "broken.mp4").write_text("To be or not to be")
    (folder / "killer.mp4").write_text("That is the question")
    return folder


class Noting:
    """Counts how often each video ends, and kills a worker after the first."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.ends = Counter()
        self.killed = None

    def __call__(self, outcome):
        self.ends[outcome.name] += 1
        if self.killed is None:
            self.killed = self.cluster.processes[0].pid
            os.kill(self.killed, signal.SIGKILL)


@pytest.fixture(scope="module")
def extracted(address, settings, clips, tmp_path_factory):
    """All clips, extracted while workers are killed; what the driver noted."""
    place = tmp_path_factory.mktemp("cluster") / "store"
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Worker", Deadly)
        with (
            Cluster(address, settings, cpus_per_worker=1, notify=lines.append) as cluster,
            open_store(place, cluster.store_settings) as store,
        ):
            planned = plan(find_videos([str(clips)]), store).longest_first()
            watcher = Noting(cluster)
            failures = extract_missing(planned, store, cluster, on_outcome=watcher)
    return place, watcher, failures, lines


def test_every_video_is_in_the_store_once_and_nothing_is_lost(extracted):
    place, watcher, _, _ = extracted
    store = open_store(place)
    assert set(store.names()) == set(CLIPS)
    assert all(store.is_complete(name) for name in CLIPS)
    assert watcher.ends == Counter([*CLIPS, "broken", "killer"])
    # What a killed worker was writing stays until the store is next opened to be written.
    open_store(place, store.settings).close()
    assert not list(place.rglob("*.part"))


def test_the_features_are_those_of_one_machine(extracted, settings, clips, tmp_path):
    place = extracted[0]
    extractor = Extractor(settings, device="cpu", threads=1)
    videos = find_videos([str(clips / f"{name}.mp4") for name in CLIPS])
    with open_store(tmp_path, extractor.store_settings) as store:
        assert extract_missing(plan(videos, store), store, extractor) == ()
        assert open_store(place).settings == store.settings
    for name in CLIPS:
        for modality in MODALITIES:
            found, expected = (
                np.load(Path(root) / "features" / modality / f"{name}.npy")
                for root in (place, tmp_path)
            )
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_what_cannot_be_extracted_is_a_failure_with_its_reason(extracted, clips):
    place, _, failures, _ = extracted
    reasons = {failure.name: failure.reason for failure in failures}
    assert reasons == {failure.name: failure.reason for failure in open_store(place).failures()}
    assert reasons.keys() == {"broken", "killer"}
    assert reasons["broken"].startswith(f"{clips}/broken.mp4: not a video: ")
    lost = "3 workers were lost over it, the last one because its process ended"
    assert reasons["killer"] == f"{clips}/killer.mp4: {lost}"


def test_every_lost_worker_is_reported(extracted):
    _, watcher, _, lines = extracted
    # One by hand, and three by the video that kills.
    assert len(lines) == 4
    assert sum(f"(process {watcher.killed}) was lost: its process ended" in li for li in lines) == 1
    assert sum("killer" in line for line in lines) == 2


RUN = "from duetal.cli.main import main; main()"


def test_a_killed_driver_is_gone_on_with_from_and_to_an_object_store(
    duetal, address, bucket, clips, tiny_extraction, tmp_path
):
    """On the cluster until the driver is killed, then on this machine alone."""
    import s3fs

    files = s3fs.S3FileSystem(use_listings_cache=False)
    for name in ("v0", "v1", "v2", "v3"):
        files.put_file(str(clips / f"{name}.mp4"), f"{bucket}/videos/{name}.mp4")
    store = f"{bucket}/store"
    arguments = ["extract", f"{bucket}/videos", "--out", store, *tiny_extraction, "--without=flow"]
    crew = ["--cluster", address, "--workers=1", "--cpus-per-worker=1"]
    log = tmp_path / "log"
    with log.open("w") as output:
        driver = subprocess.Popen(
            [sys.executable, "-c", RUN, *arguments, *crew], stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + LONG
        while not files.exists(f"{store}/records") or not files.ls(f"{store}/records"):
            assert driver.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
    finally:
        driver.kill()
        driver.wait()
    code, output, _ = duetal(*arguments)
    assert code == 0, output
    opened = open_store(store)
    assert opened.names() == ["v0", "v1", "v2", "v3"]
    assert all(opened.is_complete(name) for name in opened.names())
    assert "there already" in output
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    assert secret not in output + log.read_text()
    assert all(secret.encode() not in files.cat_file(path) for path in files.find(store))
