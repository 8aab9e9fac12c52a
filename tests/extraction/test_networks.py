"""Batches: any size gives the same features, and what does not fit is made smaller."""

import shutil

import numpy as np
import pytest
import torch

from duetal.backbones.i3d import FLOW, RGB
from duetal.backbones.protocol import Backbone
from duetal.core.errors import DuetalError, UsageError
from duetal.extraction import networks
from duetal.extraction.items import End, Job, Snippet
from duetal.extraction.networks import Network, choose_device, encode, usual_batch
from duetal.extraction.sources import Video
from duetal.video.decoding.video_reader import Decoded


class Sum(Backbone):
    """The sum of each input; out of memory above so many inputs."""

    dim = 1

    def __init__(self, limit=1000, error=None):
        self.limit = limit
        self.error = error or torch.OutOfMemoryError("CUDA out of memory.")
        self.sizes = []

    def encode(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > self.limit:
            raise self.error
        return batch.sum(dim=(1, 2))[:, None]


def network(backbone, batch):
    return Network(FLOW, backbone, device=torch.device("cpu"), batch=batch, threads=1)


def snippets(job, count, offset=0):
    return [
        Snippet(job, k, {"flow": np.full((2, 3), offset + k, np.float32)}) for k in range(count)
    ]


def end(job):
    return End(job, Decoded(16, 16, 1.0, 0.0, 25.0, 0, ()))


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 100])
def test_items_keep_their_order_and_their_features(batch):
    a, b = Job(Video("a", "a")), Job(Video("b", "b"))
    items = [*snippets(a, 5), end(a), end(b), *snippets(b, 4, 10), end(b)]
    found = list(encode(iter(items), network(Sum(), batch)))
    assert found == items
    for item in found:
        if isinstance(item, Snippet):
            assert item.features["flow"] == 6 * (item.index + (10 if item.job is b else 0))
            assert item.inputs == {}
    assert set(a.seconds) == set(b.seconds) == {"flow network"}


def test_a_batch_holds_snippets_of_several_videos():
    a, b = Job(Video("a", "a")), Job(Video("b", "b"))
    module = Sum()
    list(encode(iter([*snippets(a, 1), end(a), *snippets(b, 1)]), network(module, 2)))
    assert module.sizes == [2]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(error):
    module = Sum(limit=3, error=error)
    net = network(module, 16)
    items = snippets(Job(Video("a", "a")), 20)
    found = list(encode(iter(items), net))
    assert [float(item.features["flow"][0]) for item in found] == [6.0 * k for k in range(20)]
    assert net.batch == 2
    assert module.sizes[:4] == [16, 8, 4, 2]
    assert module.sizes.count(16) == 1


def test_one_snippet_that_does_not_fit_is_an_error():
    with pytest.raises(DuetalError, match="not one snippet fits \\(flow\\)") as caught:
        list(encode(iter(snippets(Job(Video("a", "a")), 2)), network(Sum(limit=0), 4)))
    assert caught.value.__notes__ == ["while the flow backbone encoded snippets of 'a'"]


def test_other_errors_are_not_taken_for_memory():
    module = Sum(limit=0, error=RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(encode(iter(snippets(Job(Video("a", "a")), 2)), network(module, 4)))
    assert module.sizes == [4]


def test_frames_are_normalized_by_the_record():
    clips = torch.tensor([0, 255, 51], dtype=torch.uint8).expand(2, 16, 5, 6, 3)

    class Noting(Sum):
        def encode(self, batch):
            assert batch.shape == (2, 16, 5, 6, 3)
            torch.testing.assert_close(batch[0, 3, 2, 1], torch.tensor([-1.0, 1.0, -0.6]))
            return batch.mean(dim=(1, 2, 3))

    net = Network(RGB, Noting(), device=torch.device("cpu"), batch=2, threads=1)
    assert net(list(clips.numpy())).shape == (2, 3)


def test_the_first_batch_fits_into_the_memory_there_is(monkeypatch):
    cpu = torch.device("cpu")
    for gibibytes, batch in ((0.1, 1), (3, 1), (5, 2), (100, 2)):
        monkeypatch.setattr(networks, "total_memory", lambda g=gibibytes: int(g * 2**30))
        assert usual_batch(cpu) == batch
    assert usual_batch(torch.device("cuda")) > 4


def test_the_total_memory_is_a_number_of_bytes():
    assert 2**20 < networks.total_memory() < 2**50


@pytest.mark.parametrize("name", ["tpu9", "", "meta", "mps", "cuda:99"])
def test_a_device_that_is_not_there_is_wrong_usage(name):
    with pytest.raises(UsageError):
        choose_device(name)


def test_auto_is_a_device():
    assert choose_device("auto").type in ("cpu", "cuda")


class Layer(Sum):
    """A network that is worth compiling."""

    def encode(self, batch):
        return torch.tanh(batch).flatten(1).cumsum(1)[:, -2:]


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_compiled_networks_make_the_same_features(monkeypatch):
    inputs = list(np.linspace(-2, 2, 30, dtype=np.float32).reshape(5, 2, 3))
    how = {"device": torch.device("cpu"), "batch": 2, "threads": 1}
    compiled = Network(FLOW, Layer(), compiled=True, **how)
    np.testing.assert_allclose(compiled(inputs), Network(FLOW, Layer(), **how)(inputs), rtol=1e-6)
    # Where there is no compiler, one line says so.
    torch._dynamo.reset()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    with pytest.raises(DuetalError, match=r"flow cannot be compiled here \(.*leave --compile out"):
        Network(FLOW, Layer(), compiled=True, **how)([array[:1] for array in inputs])
