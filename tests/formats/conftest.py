"""Small files of each form, written by hand after its description, and values to write."""

from pathlib import Path

import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections


@pytest.fixture
def samples() -> Path:
    """The folder of sample files; not to be written to."""
    return Path(__file__).parent / "data"


@pytest.fixture
def annotations() -> Annotations:
    """Three videos: overlapping segments, none in one, labels that mean something in XML."""
    first = (
        Segment(0.5, 2.25, "run & jump"),
        Segment(1.0, 3.0, "run & jump"),
        Segment(1.5, 2.0, '</script>"<b>'),
    )
    videos = [
        VideoAnnotation("v_1", "test", 9.5, ('</script>"<b>', "run & jump"), first),
        VideoAnnotation("v 2", "train", 3.0, ("Äpfel",), (Segment(0.0, 3.0, "Äpfel"),)),
        VideoAnnotation("v_3", "test", 4.0, (), ()),
    ]
    classes = ("run & jump", "Äpfel", '</script>"<b>')
    return Annotations({video.name: video for video in videos}, classes)


@pytest.fixture
def detections() -> Detections:
    """Five detections, not in the order of their videos; nothing in the last video."""
    rows = [
        ("v_1", "Diving", 0.5, 2.25, 0.875),
        ("v 2", "HighJump", 0.0, 3.0, 0.25),
        ("v_1", "Diving", 1.0, 3.0, 0.5),
        ("v_1", "HighJump", 4.0, 4.5, 0.125),
        ("v 2", "Diving", 1.0, 1.25, 1.0),
    ]
    return Detections.from_rows(rows, videos=["v_1", "v 2", "v_3"], classes=["HighJump", "Diving"])
