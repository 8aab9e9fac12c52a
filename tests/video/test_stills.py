import io

import numpy as np
import pytest
from PIL import Image

from duetal.core.annotations import Segment
from duetal.core.errors import DuetalError
from duetal.simulation.clips import render_clip
from duetal.video.stills import filmstrip


@pytest.mark.parametrize("how", [{}, {"rotation": 90}, {"codec": "libvpx-vp9", "name": "a.webm"}])
def test_the_pictures_are_those_of_their_times(tmp_path, how):
    how = {"name": "a.mp4"} | how
    path = tmp_path / how.pop("name")
    actions = [Segment(2.0, 4.0, "HighJump")]
    render_clip(path, duration=4, fps=10, size=(64, 36), actions=actions, **how)
    strip = np.asarray(Image.open(io.BytesIO(filmstrip(path, count=4))), dtype=float)
    assert strip.shape == (72, 4 * 128, 3)
    first, second, third, fourth = np.split(strip, 4, axis=1)
    # Without an action the pictures are alike; in it a patch is seen.
    assert np.abs(first - second).mean() < 4 < 6 < np.abs(first - third).mean()
    assert np.abs(first - fourth).mean() > 6


def test_what_is_no_video_is_an_error(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DuetalError, match=r"a\.mp4"):
        filmstrip(tmp_path / "a.mp4", count=4)
