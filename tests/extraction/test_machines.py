"""Dividing a cluster's machines, and addresses at which there is none."""

import socket
import sys
import time

import pytest

from duetal.core.errors import DuetalError, UsageError
from duetal.extraction.machines import Machine, Share, divide, join

LAPTOP = Machine(cpus=2, gpus=0)
SERVER = Machine(cpus=32, gpus=0)
GPUS = Machine(cpus=64, gpus=8)
HEAD = Machine(cpus=0, gpus=0)


@pytest.mark.parametrize(
    ("machines", "device", "workers", "cpus", "share"),
    [
        ([LAPTOP], "auto", None, None, Share(1, 2, 0)),
        ([SERVER, LAPTOP], "auto", None, None, Share(8, 4, 0)),
        ([SERVER, LAPTOP], "auto", None, 2, Share(17, 2, 0)),
        ([SERVER], "auto", 3, None, Share(3, 4, 0)),
        # A GPU for each worker, and its share of the cores.
        ([GPUS, GPUS], "auto", None, None, Share(16, 8, 1)),
        ([GPUS, SERVER], "auto", None, None, Share(8, 8, 1)),
        ([GPUS], "cuda", None, 16, Share(4, 16, 1)),
        ([GPUS], "cpu", None, None, Share(16, 4, 0)),
        # Machines that are still to come.
        ([HEAD], "auto", 5, None, Share(5, 1, 0)),
        ([HEAD], "cuda", 5, 8, Share(5, 8, 1)),
    ],
)
def test_each_worker_has_a_gpu_or_some_cores(machines, device, workers, cpus, share):
    assert divide(machines, device, workers, cpus) == share


@pytest.mark.parametrize(
    ("machines", "device", "cpus", "cause"),
    [
        ([LAPTOP], "auto", 3, "no machine of the cluster has 3 CPU cores; --workers N waits"),
        ([LAPTOP], "cuda", None, "no machine of the cluster has 1 CPU core and a GPU"),
        ([HEAD], "auto", None, "no machine of the cluster has 1 CPU core"),
        ([GPUS], "cuda:1", None, "a cluster chooses its devices itself"),
    ],
)
def test_a_cluster_without_room_is_refused(machines, device, cpus, cause):
    with pytest.raises(UsageError, match=cause):
        divide(machines, device, None, cpus)


@pytest.mark.parametrize("address", ["", "here", "host", "http://host:1", "host:port", "ray://h"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UsageError, match="must be auto, local, HOST:PORT or ray://HOST:PORT"):
        join(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_without_a_cluster_is_refused_at_once(scheme):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(DuetalError, match="no Ray cluster answers: Connection refused"):
        join(f"{scheme}127.0.0.1:{port}")
    assert time.monotonic() - began < 30
    with pytest.raises(DuetalError, match="no Ray cluster answers"):
        join(f"{scheme}127.0.0.1:99999")


def test_without_ray_the_error_names_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install \"duetal\[cluster\]\""):
        join("local")


def test_a_failure_of_ray_is_reported_in_one_line(monkeypatch):
    ray = pytest.importorskip("ray")

    def refuse(*args, **how):
        message = (
            "Failed to connect. Last error: Traceback (most recent call last):\n  File x\nNo token"
        )
        raise ConnectionError("Failed") from RuntimeError(message)

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(DuetalError) as caught:
        join("auto")
    assert str(caught.value) == "auto: cannot join the Ray cluster: No token"
