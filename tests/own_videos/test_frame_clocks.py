"""The frame rates of videos, and when their first pictures are shown."""

import shutil
from pathlib import Path

import pytest

from duetal.core.errors import DuetalError
from duetal.own_videos.frame_clocks import frame_clocks
from duetal.simulation.clips import render_clip

CASES = Path(__file__).parents[1] / "cases" / "video"


def test_each_video_has_its_own_clock(tmp_path):
    render_clip(tmp_path / "b.mp4", fps=30, duration=1.0, size=(48, 32))
    shutil.copy(CASES / "video_begins_2s_late.mp4", tmp_path / "late.mp4")
    (tmp_path / "x.mp4").write_bytes(b"no video")
    clocks, failures = frame_clocks([str(tmp_path)])
    assert clocks == {"b": (30.0, 0.0), "late": (25.0, 2.0)}
    assert [Path(line.partition(": ")[0]).name for line in failures] == ["x.mp4"]
    with pytest.raises(DuetalError, match="no video there"):
        frame_clocks([str(tmp_path / "none*.mp4")])
