"""The ways of docs/annotation-tools.md: to a tool, corrected there, and back, by the commands."""

import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from pympi import Elan

from duetal.core.annotations import Segment
from duetal.formats import read_annotations
from duetal.simulation.clips import render_clip

Duetal = Callable[..., tuple[int, str, str]]
#: As the tools saved it, after the same corrections to what duetal wrote of `found.json`: FiftyOne
#: 1.22.1, BORIS 8.27.4, and VIA 3.0.10's own code that loads, edits and saves a project. ELAN's
#: have the shape of what ELAN itself saved, which is in `saved_by_elan` (from the tests of pympi).
CORRECTED = Path(__file__).parents[1] / "cases" / "corrected"
#: The first dive ends later, the second one is gone, the jump is a dive, and there is a new one.
MEANT = {
    "dive_1": (
        Segment(1.0, 2.76, "Dive"), Segment(5.0, 6.5, "Dive"), Segment(8.125, 9.5, "Jump"),
    ),
    "jump 2": (Segment(0.5, 3.0, "Jump"), Segment(3.0, 4.0, "Jump")),
}  # fmt: skip
#: What is sent, the options, what comes back, and the options: times to the millisecond, or frame.
TOOLS = {
    "boris": ("sent.boris", (), "boris.boris", (), 0.001),
    "elan": ("sent", ("--media-root", "file:///clips"), "elan", (), 0.001),
    "fiftyone": ("sent.json", (), "fiftyone", ("--tier", "predictions"), 0.021),
    "via": ("sent.json", (), "via.json", (), 0.001),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The videos; not to be written to."""
    folder = tmp_path_factory.mktemp("clips")
    render_clip(folder / "dive_1.mp4", duration=10.0, fps=25, size=(48, 32))
    render_clip(folder / "jump 2.mp4", duration=8.0, fps=30, size=(48, 32))
    return folder


def times(path: Path) -> dict[str, list[tuple[str, float, float]]]:
    return {
        video.name: sorted((s.label, s.start, s.end) for s in video.segments or ())
        for video in read_annotations(path)
    }


def check(path: Path, within: float) -> None:
    """Check what comes back against what is meant, with times within so many seconds."""
    found = times(path)
    assert sorted(found) == sorted(MEANT)
    for name, segments in MEANT.items():
        expected = sorted((s.label, s.start, s.end) for s in segments)
        assert [label for label, *_ in found[name]] == [label for label, *_ in expected]
        for (_, *edges), (_, *meant) in zip(found[name], expected, strict=True):
            assert edges == pytest.approx(meant, abs=within)


@pytest.mark.parametrize("tool", TOOLS)
def test_detections_are_corrected_in_a_tool_and_come_back(
    tool: str, clips: Path, tmp_path: Path, duetal: Duetal, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    sent, options, corrected, back, within = TOOLS[tool]
    monkeypatch.chdir(tmp_path)
    source, saved = CORRECTED / "found.json", CORRECTED / corrected
    if tool == "fiftyone":
        options = ("--videos", clips)
    code, printed, err = duetal("convert", source, sent, "--to", tool, *options)
    assert (code, err) == (0, ""), printed
    kind = ("--as", "annotations")
    assert duetal("convert", sent, "same.json", *kind)[0] == 0
    assert duetal("convert", source, "found.csv")[0] == 0
    assert times(Path("same.json")) == times(Path("found.csv"))

    assert duetal("convert", saved, "truth.json", *kind, *back)[0] == 0
    check(Path("truth.json"), within)
    words = ("review", source, clips, "--out", "review", "--no-browser")
    code, printed, err = duetal(*words, "--import", "truth.json", "--export", "reviewed.json")
    assert (code, "2 videos changed" in printed) == (0, True), err
    check(Path("reviewed.json"), within)


def test_what_elan_saved_comes_back_as_another_library_reads_it(
    tmp_path: Path, duetal: Duetal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved = tmp_path / "eaf" / "r03_v20_s5.eaf"
    saved.parent.mkdir()
    saved.write_bytes(
        lzma.decompress((CORRECTED / "saved_by_elan" / "r03_v20_s5.eaf.xz").read_bytes())
    )
    known = Elan.Eaf(str(saved)).get_annotation_data_for_tier("gestures")
    expected = sorted((label, start / 1000, end / 1000) for start, end, label in known)
    code, printed, err = duetal("convert", "eaf", "truth.json", "--tier", "gestures")
    assert (code, err, len(expected)) == (0, "", 1197), printed
    assert times(Path("truth.json")) == {"r03_v20_s5": expected}
    assert duetal("convert", "truth.json", "again", "--to", "elan")[0] == 0
    assert times(Path("again")) == times(Path("truth.json"))
    code, printed, err = duetal("convert", "eaf", "all.json")
    assert (code, err) == (0, "")
    for line in ("2,823 segments", "that are not aligned: 1,965", "that hang on others: 3,990"):
        assert line in printed
