from pathlib import Path

import pytest

from duetal.core.annotations import Segment
from duetal.core.errors import DuetalError, UsageError
from duetal.formats import read_annotations
from duetal.formats.options import FormatOptions, FrameClock

LABELS = "<labels><label><name>run</name></label></labels>"
META = f"<meta><task><id>3</id><name>a task</name>{{}}{LABELS}</task></meta>"
VIDEO = META.format("<source>clips/v1.mp4</source>")
STEPS = META.format("<frame_filter>step=5</frame_filter>")
PROJECT = (
    "<meta><project><tasks><task><id>1</id><source>a.mp4</source></task>"
    "<task><id>2</id><source>b.mp4</source></task></tasks></project></meta>"
)


def box(frame: int, outside: int = 0, action: str = "", shape: str = "box") -> str:
    attribute = f'<attribute name="action">{action}</attribute>' if action else ""
    return f'<{shape} frame="{frame}" outside="{outside}" keyframe="1">{attribute}</{shape}>'


def track(*shapes: str, label: str = "run", about: str = "") -> str:
    return f'<track id="0" label="{label}" {about}>{"".join(shapes)}</track>'


def image(frame: int, *labels: str, element: str = "tag") -> str:
    things = "".join(f'<{element} label="{label}"></{element}>' for label in labels)
    return f'<image id="7" name="frame_{frame:06}">{things}</image>'


SKELETON = '<skeleton frame="0" outside="0"><points label="p" outside="1"/></skeleton>'


@pytest.mark.parametrize(
    ("content", "tier", "expected"),
    [
        (VIDEO, None, {"v1": []}),
        (META.format("").replace("</meta>", "<source>v 2.MP4</source></meta>"), None, {"v 2": []}),
        (VIDEO + track(box(75), box(187), box(188, 1)), None, {"v1": [("run", 3, 7.52)]}),
        # The last shape is that of the last picture of the task.
        (VIDEO + track(box(0), box(24)), None, {"v1": [("run", 0, 1)]}),
        (STEPS + track(box(0), box(20)), None, {"a task": [("run", 0, 1)]}),
        (
            VIDEO + track(box(50), box(75, 1), box(100), box(125, 1)),
            None,
            {"v1": [("run", 2, 3), ("run", 4, 5)]},
        ),
        (VIDEO + track(box(25, 1), box(0)), None, {"v1": [("run", 0, 1)]}),
        (VIDEO + track(SKELETON, box(25, 1, shape="mask")), None, {"v1": [("run", 0, 1)]}),
        (
            VIDEO + track(box(0, 0, "sit"), box(25, 0, "go"), box(50, 0, "__undefined__")),
            "action",
            {"v1": [("sit", 0, 1), ("go", 1, 2)]},
        ),
        (
            PROJECT + track(box(0), box(25, 1), about='task_id="2"'),
            None,
            {"a": [], "b": [("run", 0, 1)]},
        ),
        (
            VIDEO + "".join(image(frame, "x", "y") for frame in range(25)) + image(30, "x"),
            None,
            {"v1": [("x", 0, 1), ("y", 0, 1), ("x", 1.22, 1.22)]},
        ),
        (STEPS + image(5, "x") + image(0, "x", element="box"), None, {"a task": [("x", 0, 0.4)]}),
    ],
)
def test_what_is_marked(
    tmp_path: Path, content: str, tier: str | None, expected: dict[str, object]
) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(f"<annotations><version>1.1</version>{content}</annotations>")
    options = FormatOptions(fps=25, tier=tier)
    for source in (path, tmp_path):
        annotations = read_annotations(source, options=options)
        found = {v.name: [(s.label, s.start, s.end) for s in v.segments or ()] for v in annotations}
        assert found == expected


def test_attributes_are_counted_and_the_rate_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(f"<annotations>{VIDEO}{track(box(0, 0, 'sit'))}</annotations>")
    annotations = read_annotations(path, options=FormatOptions(fps=25))
    assert annotations.left_out == ("positions of shapes: 1", "values of attributes: 1")
    with pytest.raises(UsageError, match=r"a\.xml: video 'v1': times are in frames: give the vid"):
        read_annotations(path)
    # The video's own pictures are counted; a player's clock begins with the file.
    videos = {"v1": FrameClock(50, 2.0), "w": FrameClock(1)}
    path.write_text(f"<annotations>{VIDEO}{track(box(0), box(25, 1))}</annotations>")
    own = read_annotations(path, options=FormatOptions(fps=25, videos=videos))
    assert own.videos["v1"].segments == (Segment(2.0, 2.5, "run"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<track/>", "line 1 column 14: no attribute 'label'"),
        (VIDEO + track("<box/>"), "no attribute 'frame'"),
        (VIDEO + track('<box frame="x"/>'), "invalid literal"),
        (PROJECT + track(box(0)), "does not say of which task it is"),
        (META.format("") + '<image id="0" name="cat.jpg"/>', "is of pictures, not of a video"),
        (PROJECT.replace("b.mp4", "a.mp4"), "'a' is annotated twice"),
    ],
)
def test_malformed(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(f"<annotations>{content}</annotations>")
    with pytest.raises(DuetalError, match=r"a\.xml") as caught:
        read_annotations(path, options=FormatOptions(fps=25))
    assert message in str(caught.value)
