"""The page with the playing video, opened over a rendered clip; and what is seen of it."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from duetal.core.annotations import Segment
from duetal.core.detections import Detections
from duetal.pages.player import PlayedVideo, PlayerPage, embed
from duetal.simulation.clips import render_clip

CLASSES = ("HighJump", "GolfSwing", "Diving")
DURATION = 20.0
#: Label, start, end, score; by start.
FOUND = [
    ("HighJump", 1.28, 3.84, 0.9),
    ("HighJump", 1.92, 5.12, 0.2),
    ("GolfSwing", 3.2, 6.4, 0.7),
    ("HighJump", 10.24, 12.8, 0.8),
    ("GolfSwing", 16.0, 19.2, 0.5),
]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that any Chromium plays; not to be written to."""
    path = tmp_path_factory.mktemp("clips") / "clip.webm"
    actions = [Segment(start, end, label) for label, start, end, _ in FOUND]
    return render_clip(
        path, duration=DURATION, codec="libvpx-vp9", actions=actions,
        options=(("deadline", "realtime"), ("cpu-used", "8")),
    )  # fmt: skip


@pytest.fixture
def player(tmp_path: Path, clip: Path, look: Callable) -> Callable:
    """Write a page over copies of the clip and open it."""

    def open_player(
        files: Sequence[str | None] = ("clip.webm",),
        found: Sequence[tuple[str, float, float, float]] = FOUND,
        *,
        classes: Sequence[str] = CLASSES,
        times: Mapping[str, float] | None = None,
        note: str = "",
        overlaid: Sequence[int] | None = None,
        settings: dict | None = None,
        **about,
    ):
        embedded, media = [], []
        ramp = np.linspace(0, 1, 31)[:, None] * np.ones((1, len(classes)))
        for file in files:
            name = "not played" if file is None else Path(file).stem
            url = None if file is None else "./" + quote(os.fsencode(file))
            if file is not None:
                media.append(tmp_path / file)
                if not media[-1].exists():
                    media[-1].symlink_to(clip)
            rows = [(name, *row) for row in found]
            detections = Detections.from_rows(rows, videos=[name], classes=classes)
            mask = None if overlaid is None else np.isin(np.arange(len(rows)), overlaid)
            curves = {"cbp": ramp}
            video = PlayedVideo(name, DURATION, url, note=note, curves=curves, **(times or {}))
            embedded.append(embed(video, detections, mask))
        page = PlayerPage(**{"title": "CBP of run", "branch": "cbp"} | about)
        page.write(tmp_path / "index.html", classes, embedded)
        # Tall enough for the whole player: the mouse clicks what is in the window alone.
        view = {"viewport": {"width": 1200, "height": 1300}}
        opened = look(tmp_path / "index.html", media=tuple(media), **(view | (settings or {})))
        if files[0] is not None:
            opened.wait_for_function("() => document.getElementById('video').readyState >= 2")
        return opened

    return open_player


class Seen:
    """What a viewer sees of a page, and what there is to see."""

    CLASSES = CLASSES
    DURATION = DURATION
    FOUND = FOUND

    @staticmethod
    def time(page) -> float:
        """Where the real video stands."""
        return page.evaluate("document.getElementById('video').currentTime")

    @staticmethod
    def settle(page) -> None:
        page.wait_for_function("() => !document.getElementById('video').seeking")

    @staticmethod
    def plot_span(page) -> tuple[float, float]:
        """Left edge and width of the timeline's plot, in pixels of the screen."""
        return tuple(page.evaluate("""() => {
            const svg = document.querySelector('#timeline svg').getBoundingClientRect();
            const plot = document.querySelector('#timeline .plot-area');
            return [svg.left + Number(plot.getAttribute('x')), Number(plot.getAttribute('width'))];
        }"""))  # fmt: skip

    @staticmethod
    def playhead(page) -> float:
        left, width = Seen.plot_span(page)
        line = page.locator(".playhead line").evaluate("node => node.getBoundingClientRect().left")
        return (line - left) / width * DURATION

    @staticmethod
    def bars(page) -> list[dict]:
        return page.eval_on_selector_all("#timeline .detection", """bars => bars.map(bar => {
            const { left, right, bottom, height } = bar.getBoundingClientRect();
            const { start, end, score } = bar.dataset;
            return { left, right, bottom, height, label: Number(bar.parentNode.dataset.class),
                     start: Number(start), end: Number(end), score: Number(score) };
        })""")  # fmt: skip

    @staticmethod
    def captions(page) -> list[str]:
        return page.eval_on_selector_all(
            "#captions span", "spans => spans.map(s => s.firstChild.data)"
        )

    @staticmethod
    def rows(page) -> list[str]:
        return page.eval_on_selector_all(
            "#detections tr[aria-current] button", "rows => rows.map(row => row.textContent)"
        )


@pytest.fixture(scope="session")
def seen() -> type[Seen]:
    """Functions that look at a page."""
    return Seen
