"""Files of other tools as users met them, each with what it means."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import pytest

from duetal.core.annotations import Annotations
from duetal.formats import read_annotations
from duetal.formats.options import FormatOptions

CASES = Path(__file__).parents[1] / "cases" / "formats"
AT_25 = FormatOptions(fps=25)


def found_in(annotations: Annotations) -> dict[str, Any]:
    """The segments of each video, or its labels where its segments are unknown."""
    return {
        video.name: {*video.labels}
        if video.segments is None
        else [(s.label, s.start, s.end) for s in sorted(video.segments)]
        for video in annotations
    }


TASKS = {
    "v_a": [("Diving", 1.0, 3.92), ("High jump", 2.0, 6.0)],
    "v_b": [("Diving", 0.2, 1.4)],
}
#: Of each file, what it says of its videos, and what of it is not read.
MEANT: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "ls_choices.json": ({"a": {"Diving"}, "b": {"Diving", "HighJump"}}, ()),
    "ls_json_min.json": (TASKS, ()),
    "ls_export.csv": (TASKS, ()),
    "ls_export.tsv": (TASKS, ()),
    "ls_full_export.json": (
        {"v_GGSY1Qvo990": [("Clean and jerk", 4.56, 12.8)], "y": []},
        (
            "further annotations of a task: 1",
            "remarks on regions: 1",
            "results of type 'choices': 1",
            "results of type 'textarea': 1",
            "tasks without annotations: 1",
        ),
    ),
    "notes_style_voices.vtt": (
        {"notes_style_voices": [("Clean & jerk", 1.0, 2.5)]},
        (
            "NOTE blocks: 1",
            "STYLE blocks: 1",
            "lines of the header: 1",
            "settings of cues: 1",
            "voices of cues: 1",
        ),
    ),
    "refineloc_like.csv": (
        {
            "clip_one": [("Long jump", 3.2, 9.6), ("Long jump", 12.0, 15.5)],
            "clip_two": [("Shot put", 0.8, 4.4)],
        },
        ("fps: 3", "video-num-frames: 3"),
    ),
    "cvat_video.xml": (
        {"kitchen": [("stir", 3.0, 7.52), ("pour", 9.0, 10.0)]},
        ("positions of shapes: 6", "values of attributes: 1"),
    ),
    "ls_localkey.json": ({"a": [("run", 0.0, 1.0)]}, ()),
    "ls_mts.json": ({"a": [("run", 0.0, 1.0)]}, ()),
    "elan_wav_same_stem.eaf": ({"day1": [("run", 4.5, 9.0)]}, ("further media files: 1",)),
    "elan_ref.eaf": ({"cam": [("run", 3.0, 7.5)]}, ()),
    "elan_mts.eaf": ({"00001": [("run", 3.0, 7.5)]}, ()),
    "boris_creation_date.boris": ({"a": [("run", 3.0, 7.5)]}, ()),
    "boris_agg_2players.tsv": ({"a": [("run", 3.0, 7.5)]}, ("further players: 1",)),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_a_file_means(name: str, tmp_path: Path) -> None:
    segments, left_out = MEANT[name]
    annotations = read_annotations(CASES / name, options=AT_25)
    assert found_in(annotations) == segments
    assert annotations.left_out == left_out
    packed = tmp_path / f"{name}.gz"
    with (CASES / name).open("rb") as source, gzip.open(packed, "wb") as target:
        shutil.copyfileobj(source, target)
    if not name.endswith((".eaf", ".xml", ".vtt")):
        assert found_in(read_annotations(packed, options=AT_25)) == segments
