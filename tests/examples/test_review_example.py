"""`examples/review.py`: the corrections that it makes on the page; its training takes minutes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from duetal.core.annotations import Segment
from duetal.core.detections import Detections
from duetal.formats.activitynet import read_annotations, write_detections

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.mark.recipe
@pytest.mark.skipif(
    not (shutil.which("chromium") or shutil.which("google-chrome")), reason="no Chromium"
)
def test_corrections_are_made_in_a_browser_and_saved(
    load_example: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = load_example("review")
    monkeypatch.setattr(example, "SECONDS", 8.0)
    known = example.render_mixed(tmp_path / "clips", 2, seed=0)
    assert {video.labels[0] for video in known.values()} == set(example.CLASSES)
    # Of the first video the edges are to be corrected, in the second all was missed.
    first, second = known.values()
    rows = [(first.name, s.label, s.start + 0.2, s.end, 0.9) for s in first.segments]
    rows += [(second.name, example.CLASSES[0], 0.0, 0.4, 0.8)]
    write_detections(tmp_path / "found.json", Detections.from_rows(rows))
    words = [tmp_path / "found.json", tmp_path / "clips", "--out", tmp_path / "review"]
    words += ["--classes", ", ".join(example.CLASSES)]
    with example.served(*words) as address, example.window(address) as page:
        made = example.correct(page, known)
        assert made == sum(len(video.segments) for video in known.values())
        example.save(page, tmp_path / "corrected.json")
    corrected = read_annotations(tmp_path / "corrected.json").videos
    for name, video in known.items():
        expected = [Segment(round(s.start, 2), round(s.end, 2), s.label) for s in video.segments]
        found = sorted(corrected[name].segments)
        assert [s.label for s in found] == [s.label for s in sorted(expected)]
        times = [t for s in found for t in (s.start, s.end)]
        assert times == pytest.approx(
            [t for s in sorted(expected) for t in (s.start, s.end)], abs=0.05
        )
        assert corrected[name].labels == video.labels
