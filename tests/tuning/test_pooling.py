"""The share of a video that a class fills, found from labels alone."""

from collections.abc import Callable

import numpy as np
import pytest

from duetal.core.weak_videos import WeakVideos
from duetal.tuning.held_out import thinned
from duetal.tuning.pooling import pooled_ratios, probe_linear

Make = Callable[..., WeakVideos]


def test_shares_are_found_from_labels(make_videos: Make) -> None:
    shares = probe_linear(make_videos([0.1, 0.25, 0.5]), "cbp", 0).shares()
    assert list(np.argsort(shares)) == [0, 1, 2]
    assert shares == pytest.approx([0.1, 0.25, 0.5], abs=0.09)


@pytest.mark.parametrize(
    ("share", "ratio"),
    [(0.24, 1 / 0.24), (0.16, 0.24 / 0.16**2), (0.6, 2.0), (0.01, 16.0), (0.0, 16.0)],
)
def test_a_ratio_is_bounded_and_stretches_the_share(share: float, ratio: float) -> None:
    assert pooled_ratios(np.array([share])) == pytest.approx((ratio,), abs=0.01)


def test_of_long_videos_a_part_is_read(make_videos: Make) -> None:
    videos = make_videos([0.2], count=3, length=1201)
    stream = thinned(videos, 0).streams["cbp"]
    assert [stream.length(name) for name in videos.names] == [401] * 3
    whole = videos.streams["cbp"].read("v0")
    assert (stream.read("v0", 2, 5) == whole[::3][2:5]).all()
