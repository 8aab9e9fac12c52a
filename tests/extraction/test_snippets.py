"""Frames become snippets on the time grid, and flow is computed where something moved."""

import numpy as np
import pytest

from duetal.backbones import BACKBONES
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.extraction import snippets as module
from duetal.extraction.items import Broken, End, FrameBlock, Job, Snippet
from duetal.extraction.snippets import Motion, crops
from duetal.extraction.sources import Video
from duetal.video.decoding.video_reader import Decoded

SIDE = 4


class CountingFlow:
    """Computes of each pair how much brighter the second frame is, in both components."""

    def __init__(self):
        self.pairs = 0

    def __call__(self, grey):
        self.pairs += len(grey) - 1
        brighter = np.diff(grey.astype(np.float32), axis=0)
        return np.stack([brighter, brighter], axis=-1)


def video(brightness, repeated=None, together=16, job=None):
    """The items of a video whose frames are of the given brightness."""
    job = job or Job(Video("v", "v.mp4"))
    images = np.empty((len(brightness), SIDE, SIDE + 2, 3), np.uint8)
    images[:] = np.asarray(brightness, np.uint8)[:, None, None, None]
    repeated = np.zeros(len(images), bool) if repeated is None else np.asarray(repeated)
    for first in range(0, len(images), together):
        part = slice(first, first + together)
        middles = [k for k in range(*part.indices(len(images))) if k >= 8 and k % 4 == 0]
        pictures = {"clip": {k: k for k in middles}}
        lost = np.zeros(len(images[part]), bool)
        yield FrameBlock(job, images[part], repeated[part], pictures, lost)
    yield End(job, Decoded(len(images), len(images), len(images) / 25, 0.0, 25.0, 0, ()))


def cut(items, flow=None, grid=None):
    how = {"grid": grid or TimeGrid(), "crop": SIDE, "backbones": BACKBONES}
    return list(module.cut(items, flow=flow or CountingFlow(), **how))


@pytest.mark.parametrize("frames", [16, 17, 31, 32, 33, 100])
@pytest.mark.parametrize("together", [1, 7, 16, 64])
@pytest.mark.parametrize("stride", [4, 16])
def test_snippet_t_has_the_frames_of_the_grid(frames, together, stride):
    grid = TimeGrid(stride=stride)
    *snippets, end = cut(video(range(frames), together=together), grid=grid)
    assert isinstance(end, End)
    assert [snippet.index for snippet in snippets] == list(range(grid.snippets(frames)))
    for snippet in snippets:
        first = snippet.index * stride
        assert snippet.inputs["rgb"].shape == (16, SIDE, SIDE, 3)
        np.testing.assert_array_equal(snippet.inputs["rgb"][:, 0, 0, 0], first + np.arange(16))
        np.testing.assert_allclose(snippet.inputs["flow"], 1 / 20)


def test_clip_reads_the_middle_frame():
    snippets = cut(video(range(70)))[:-1]
    assert [snippet.inputs["clip"] for snippet in snippets] == [8, 24, 40, 56]


def test_flow_k_is_from_frame_k_to_the_next_and_the_last_repeats():
    steps = [1, 3, 2, 5] * 8
    brightness = np.cumsum([0, *steps])[:32]
    first, second, _ = cut(video(brightness))
    flow = 20 * np.concatenate([first.inputs["flow"], second.inputs["flow"]])[:, 0, 0, 0]
    expected = np.diff(brightness)
    np.testing.assert_allclose(flow, [*expected, expected[-1]], rtol=1e-6)


def test_flow_is_clipped_and_scaled():
    (snippet, _) = cut(video([0, 200] * 8))
    assert snippet.inputs["flow"].min() == -1
    assert snippet.inputs["flow"].max() == 1


@pytest.mark.parametrize("together", [1, 5, 16])
def test_repeated_frames_have_no_flow_and_cost_none(together):
    brightness = np.repeat([0, 2, 5, 6], 8)
    repeated = np.arange(32) % 8 != 0
    engine = CountingFlow()
    *snippets, _ = cut(video(brightness, repeated, together), engine)
    assert engine.pairs == 3
    flow = 20 * np.concatenate([s.inputs["flow"] for s in snippets])[:, 0, 0, 0]
    expected = np.zeros(32)
    expected[[7, 15, 23]] = [2, 3, 1]
    np.testing.assert_allclose(flow, expected, rtol=1e-6)


def test_motion_of_one_frame_is_none():
    motion = Motion(CountingFlow())
    assert motion(np.zeros((1, 3, 5), np.uint8), np.array([False])).shape == (0, 3, 5, 2)
    assert motion(np.ones((1, 3, 5), np.uint8), np.array([False])).shape == (1, 3, 5, 2)


@pytest.mark.parametrize("modality", ["rgb", "flow", "clip"])
def test_only_what_is_wanted_is_made(modality):
    engine = CountingFlow()
    flow = engine if modality == "flow" else None
    backbones = [record for record in BACKBONES if record.name == modality]
    how = {"grid": TimeGrid(), "crop": SIDE, "backbones": backbones}
    items = list(module.cut(video(range(40)), flow=flow, **how))
    assert [set(item.inputs) for item in items[:-1]] == [{modality}] * 2
    assert engine.pairs == (39 if modality == "flow" else 0)


@pytest.mark.parametrize("frames", [1, 7, 15])
def test_a_video_without_a_whole_snippet_is_too_short(frames):
    (broken,) = cut(video(range(frames)))
    assert isinstance(broken, Broken)
    assert str(broken.error).startswith(f"v.mp4: too short: {frames} frames")


def test_a_broken_video_does_not_end_the_others():
    class Failing(CountingFlow):
        def __call__(self, grey):
            if grey[0, 0, 0] == 100:
                raise ZeroDivisionError("flow")
            return super().__call__(grey)

    jobs = [Job(Video(name, f"{name}.mp4")) for name in "abc"]
    items = [*video(range(40), job=jobs[0]), *video([100] * 99, job=jobs[1])]
    items += video(range(20), job=jobs[2])
    found = cut(items, Failing())
    kinds = [(type(item), item.job.video.name) for item in found]
    assert kinds == [(Snippet, "a")] * 2 + [(End, "a"), (Broken, "b"), (Snippet, "c"), (End, "c")]
    assert str(found[3].error) == "b.mp4: internal error: ZeroDivisionError: flow"


def test_an_error_of_an_earlier_stage_is_not_blamed_on_a_video():
    def items():
        yield from video(range(20))
        raise DuetalError("the store is gone")

    with pytest.raises(DuetalError, match=r"^the store is gone$"):
        cut(items())


def test_the_centre_is_cut_out():
    image = np.arange(5 * 8).reshape(1, 5, 8, 1)
    np.testing.assert_array_equal(crops(image, 4, 1)[0, :, :, 0], image[0, 0:4, 2:6, 0])
