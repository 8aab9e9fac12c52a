"""The page with the playing video in a real browser: what a viewer sees and does."""

import io
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from duetal.core.annotations import Segment
from duetal.core.detections import Detections
from duetal.features.sources import Video
from duetal.report.player import MAX_SHOWN, PlayedVideo, PlayerPage, embed
from duetal.runs.video_results import ResultFolder, show
from duetal.simulation.clips import render_clip

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "</script><img src=x onerror=alert(1)>"
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


@pytest.fixture(scope="module")
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
        offset: float = 0.0,
        note: str = "",
        spoken: Sequence[int] | None = None,
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
            mask = None if spoken is None else np.isin(np.arange(len(rows)), spoken)
            video = PlayedVideo(name, DURATION, url, offset, note, {"cbp": ramp})
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


def time_of(page) -> float:
    """Where the real video stands."""
    return page.evaluate("document.getElementById('video').currentTime")


def settle(page) -> None:
    page.wait_for_function("() => !document.getElementById('video').seeking")


def plot_span(page) -> tuple[float, float]:
    """Left edge and width of the timeline's plot, in pixels of the screen."""
    return tuple(page.evaluate("""() => {
        const svg = document.querySelector('#timeline svg').getBoundingClientRect();
        const plot = document.querySelector('#timeline .plot-area');
        return [svg.left + Number(plot.getAttribute('x')), Number(plot.getAttribute('width'))];
    }"""))  # fmt: skip


def playhead_seconds(page) -> float:
    left, width = plot_span(page)
    line = page.locator(".playhead line").evaluate("node => node.getBoundingClientRect().left")
    return (line - left) / width * DURATION


def bars(page) -> list[dict]:
    return page.eval_on_selector_all("#timeline .detection", """bars => bars.map(bar => {
        const { left, right, bottom, height } = bar.getBoundingClientRect();
        const { start, end, score } = bar.dataset;
        return { left, right, bottom, height, label: Number(bar.parentNode.dataset.class),
                 start: Number(start), end: Number(end), score: Number(score) };
    })""")  # fmt: skip


def said(page) -> list[str]:
    return page.eval_on_selector_all("#said span", "spans => spans.map(s => s.firstChild.data)")


def current_rows(page) -> list[str]:
    return page.eval_on_selector_all(
        "#detections tr[aria-current] button", "rows => rows.map(row => row.textContent)"
    )


def test_detections_stand_where_and_how_tall_they_should(player):
    page = player()
    left, width = plot_span(page)
    drawn = bars(page)
    expected = {(CLASSES.index(label), start, end, score) for label, start, end, score in FOUND}
    assert {(b["label"], b["start"], b["end"], b["score"]) for b in drawn} == expected
    for bar in drawn:
        assert bar["left"] == pytest.approx(left + bar["start"] / DURATION * width, abs=1)
        assert bar["right"] == pytest.approx(left + bar["end"] / DURATION * width, abs=1)
        assert bar["height"] == pytest.approx(4 + bar["score"] / 0.9 * 24, abs=0.5)
    lanes = {bar["label"]: set() for bar in drawn}
    for bar in drawn:
        lanes[bar["label"]].add(round(bar["bottom"]))
    assert [len(bottoms) for bottoms in lanes.values()] == [1, 1]
    # "Diving" has no detection, and so no lane.
    assert page.locator("#timeline .lane text").all_text_contents() == ["HighJump", "GolfSwing"]


def test_the_curve_lies_on_the_time_grid(player):
    page = player()
    left, width = plot_span(page)
    path = page.get_attribute("#timeline .curve.cbp", "d")
    points = [tuple(map(float, point.split())) for point in re.findall(r"[ML]([^ML]+)", path)]
    origin = page.locator("#timeline svg").bounding_box()["x"]
    seconds = [(x + origin - left) / width * DURATION for x, _ in points]
    np.testing.assert_allclose(seconds, 0.32 + 0.64 * np.arange(31), atol=0.05)


def test_a_click_on_the_timeline_goes_there(player):
    page = player()
    left, width = plot_span(page)
    box = page.locator("#timeline svg").bounding_box()
    for seconds in (14.0, 0.5, 19.9):
        page.mouse.click(left + seconds / DURATION * width, box["y"] + 60)
        settle(page)
        assert time_of(page) == pytest.approx(seconds, abs=DURATION / width + 0.01)
        assert playhead_seconds(page) == pytest.approx(time_of(page), abs=0.03)
    assert not page.evaluate("document.getElementById('video').ended")


def test_dragging_over_the_timeline_goes_along(player):
    page = player()
    left, width = plot_span(page)
    top = page.locator("#timeline svg").bounding_box()["y"] + 60
    page.mouse.move(left + width * 0.2, top)
    page.mouse.down()
    page.mouse.move(left + width * 0.6, top + 300, steps=5)
    settle(page)
    assert time_of(page) == pytest.approx(12, abs=0.1)
    page.mouse.move(left + width * 3, top, steps=2)
    page.mouse.up()
    page.mouse.move(left, top)
    settle(page)
    assert time_of(page) == pytest.approx(DURATION, abs=0.05)


def test_a_click_on_a_detection_goes_to_its_start_and_shows_its_class(player):
    page = player()
    bar = next(bar for bar in bars(page) if bar["start"] == 16.0)
    page.mouse.click((bar["left"] + bar["right"]) / 2, bar["bottom"] - 3)
    settle(page)
    assert time_of(page) == pytest.approx(16.0, abs=0.01)
    assert said(page) == ["GolfSwing"]
    assert current_rows(page) == ["16.0 s"]
    assert page.input_value("#class") == "1"
    assert page.locator(".lane.chosen").get_attribute("data-class") == "1"
    words = page.locator("#announce").text_content()
    assert words == "GolfSwing, 16.0 s to 19.2 s, score 0.50, 5 of 5"


def test_the_table_says_every_detection_and_goes_there(player):
    page = player()
    rows = page.locator("#detections tbody tr")
    cells = [re.split(r"\s*\t\s*", text.strip()) for text in rows.all_inner_texts()]
    assert cells == [
        [f"{start:.1f} s", f"{end:.1f} s", label, f"{score:.2f}"]
        for label, start, end, score in FOUND
    ]
    page.get_by_role("button", name="Go to HighJump at 10.2 s").click()
    settle(page)
    assert time_of(page) == pytest.approx(10.24, abs=0.01)
    assert "HighJump" in said(page)


def test_the_keyboard_does_it_all(player):
    page = player(["clip.webm", "second.webm"])
    # No click is needed first: the player has the focus.
    for key, seconds in [
        ("n", 1.28), ("]", 1.92), ("n", 3.2), ("p", 1.92), ("[", 1.28), ("p", 1.28),
        ("ArrowRight", 6.28), ("Shift+ArrowRight", 7.28), ("ArrowLeft", 2.28),
        ("p", 1.92), ("End", 20), ("p", 16.0), ("Home", 0), (".", 0.04), (".", 0.08), (",", 0.04),
    ]:  # fmt: skip
        page.keyboard.press(key)
        settle(page)
        assert time_of(page) == pytest.approx(seconds, abs=0.045), key
    page.keyboard.press("ArrowDown")
    assert page.locator("#title").inner_text() == "second"
    page.keyboard.press("ArrowDown")
    assert page.locator("#title").inner_text() == "second"
    page.keyboard.press("ArrowUp")
    assert page.locator("#title").inner_text() == "clip"
    widest = max(bar["right"] - bar["left"] for bar in bars(page))
    page.keyboard.press("+")
    zoomed = max(bar["right"] - bar["left"] for bar in bars(page))
    assert zoomed == pytest.approx(2 * widest, abs=1)
    page.keyboard.press("0")
    assert page.is_disabled("#zoom-all")
    page.keyboard.press("m")
    assert page.evaluate("document.getElementById('video').muted")
    assert page.get_attribute("#mute", "aria-pressed") == "true"


def test_keys_that_a_control_needs_stay_its_own(player):
    page = player(settings={"viewport": {"width": 1200, "height": 700}})
    page.focus("#floor")
    page.keyboard.press("ArrowRight")
    assert time_of(page) < 0.01
    assert float(page.input_value("#floor")) > 0
    page.focus("#back")
    page.keyboard.press(" ")
    assert page.evaluate("document.getElementById('video').paused")
    page.focus("#theme")
    before = page.evaluate("scrollY")
    page.keyboard.press("End")
    page.wait_for_function("before => scrollY > before", arg=before)
    assert time_of(page) < 1.3


def test_playing_moves_the_playhead_and_says_what_is_seen(player):
    page = player()
    page.click("#play")
    page.wait_for_function("() => document.getElementById('video').currentTime > 0.3")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    first = playhead_seconds(page)
    page.wait_for_function("() => document.querySelector('#said span')")
    assert said(page) == ["HighJump"]
    assert playhead_seconds(page) > first > 0.2
    page.keyboard.press("k")
    page.wait_for_function("() => document.getElementById('video').paused")
    assert time_of(page) >= 1.28
    assert playhead_seconds(page) == pytest.approx(time_of(page), abs=0.05)
    assert page.get_attribute("#play", "aria-label") == "Play"


def test_a_zoomed_view_follows_the_playing_video(player):
    page = player()
    for _ in range(5):
        page.keyboard.press("+")
    page.select_option("#speed", "4")
    page.click("#play")
    page.wait_for_function("() => document.getElementById('video').currentTime > 2")
    assert page.locator(".playhead").get_attribute("visibility") == "visible"
    assert not page.is_disabled("#zoom-all")


def test_the_label_over_the_picture_is_the_surest_of_each_class(player):
    page = player(spoken=[0, 2, 3, 4])
    for seconds, words in [(0.5, []), (1.3, ["HighJump"]), (3.5, ["HighJump", "GolfSwing"]),
                           (4.5, ["GolfSwing"]), (6.4, []), (12.79, ["HighJump"])]:  # fmt: skip
        page.evaluate("s => document.getElementById('video').currentTime = s", seconds)
        page.wait_for_function(
            "words => [...document.querySelectorAll('#said span')]"
            ".map(s => s.firstChild.data).join() === words",
            arg=",".join(words),
        )


def test_the_slider_hides_what_scores_below(player):
    page = player(floor=0.6)
    assert {bar["score"] for bar in bars(page)} == {0.9, 0.7, 0.8}
    assert page.locator("#shown").inner_text() == "3 of 5"
    page.fill("#floor", "0.75")
    sync_api.expect(page.locator("#detections tbody tr")).to_have_count(2)
    assert {bar["score"] for bar in bars(page)} == {0.9, 0.8}
    assert page.locator("#floor-value").inner_text() == "0.75"
    page.keyboard.press("n")
    page.keyboard.press("n")
    settle(page)
    assert time_of(page) == pytest.approx(10.24, abs=0.01)
    page.fill("#floor", "0")
    assert len(bars(page)) == 5


def test_the_surest_can_be_seen_with_the_slider_at_its_end(player):
    page = player()
    page.fill("#floor", page.get_attribute("#floor", "max"))
    assert [bar["score"] for bar in bars(page)] == [0.9]


def test_choosing_a_video_from_the_list_plays_that_one(player):
    page = player(["clip.webm", "other one.webm", "third.webm"])
    page.get_by_role("button", name="other one").click()
    page.wait_for_function(
        "() => document.getElementById('video').currentSrc.endsWith('other%20one.webm')"
    )
    assert page.locator("#title").inner_text() == "other one"
    assert "video 2 of 3" in page.locator("#about").inner_text()
    current = page.locator("#videos [aria-current=true]")
    assert current.locator(".name").inner_text() == "other one"
    settle(page)
    page.keyboard.press("n")
    settle(page)
    assert time_of(page) == pytest.approx(1.28, abs=0.01)


def test_a_long_list_can_be_searched(player):
    page = player([f"video {number}.webm" for number in range(9)])
    page.fill("#search", "DEO 7")
    sync_api.expect(page.locator("#videos li:visible")).to_have_count(1)
    page.locator("#videos li:visible button").click()
    assert page.locator("#title").inner_text() == "video 7"


def test_a_player_s_clock_that_begins_late_is_reckoned_with(player):
    page = player(offset=0.5)
    page.wait_for_function("() => document.getElementById('video').currentTime > 0.4")
    assert page.locator("#now").inner_text() == "0.0 s"
    page.keyboard.press("n")
    settle(page)
    assert time_of(page) == pytest.approx(1.78, abs=0.01)
    assert page.locator("#now").inner_text() == "1.3 s"


@pytest.mark.parametrize(
    ("name", "encoding", "size", "offset"),
    [
        # The pictures begin 1.5 s after the sound; a quarter turn; a clock that begins at 2 s.
        ("a.mp4", {"timestamps": [1.5 + k / 25 for k in range(75)], "audio": True}, (96, 64), 1.5),
        ("a.mp4", {"rotation": 90}, (64, 96), 0),
        ("a.mp4", {"timestamps": [2 + k / 25 for k in range(75)]}, (96, 64), 0),
        ("a.avi", {"codec": "mpeg4"}, (96, 64), 0),
    ],
)
def test_what_is_seen_is_what_our_seconds_mean(look, tmp_path, name, encoding, size, offset):
    begin = encoding.get("timestamps", [0.0])[0]
    # Nothing moves or changes, but that the action is there from the first second to the second.
    action = Segment(begin + 1, begin + 2, "HighJump")
    source = render_clip(
        tmp_path / name, duration=begin + 3, size=size, actions=[action], keyframes=10, **encoding
    )
    shown = show(ResultFolder(tmp_path), Video("a", str(source)), fingerprint="1", fps=25)
    assert shown.offset == pytest.approx(offset, abs=0.001)
    detections = Detections.from_rows([("a", "HighJump", 1.0, 2.0, 0.9)])
    video = embed(PlayedVideo("a", 3.0, shown.url, shown.offset), detections)
    PlayerPage("CBP", "cbp").write(tmp_path / "index.html", ["HighJump"], [video])
    media = (tmp_path / "media" / "a.mp4", source)
    page = look(tmp_path / "index.html", media=media, viewport={"width": 1000, "height": 900})
    page.wait_for_function("() => document.getElementById('video').readyState >= 2")
    assert page.evaluate("[video.videoWidth, video.videoHeight]") == list(size)
    page.evaluate("document.getElementById('said').style.visibility = 'hidden'")
    left, width = plot_span(page)
    top = page.locator("#timeline svg").bounding_box()["y"] + 60

    def picture(seconds: float) -> np.ndarray:
        page.mouse.click(left + seconds / 3 * width, top)
        settle(page)
        page.wait_for_timeout(100)
        image = Image.open(io.BytesIO(page.locator("#video").screenshot()))
        return np.asarray(image.convert("L"), dtype=float)

    before, in_time, late, after = map(picture, (0.97, 1.03, 1.97, 2.03))
    assert np.abs(before - after).mean() < 2
    assert np.abs(before - in_time).mean() > 8
    assert np.abs(late - after).mean() > 8


def test_the_timeline_works_without_the_video(player):
    page = player([None], note="it is not on this machine")
    assert page.locator("#unplayable").inner_text() == "it is not on this machine"
    assert page.is_disabled("#play")
    page.keyboard.press("n")
    assert page.locator("#now").inner_text() == "1.3 s"
    assert current_rows(page) == ["1.3 s"]
    left, width = plot_span(page)
    page.mouse.click(left + width / 2, page.locator("#timeline svg").bounding_box()["y"] + 60)
    assert playhead_seconds(page) == pytest.approx(10, abs=0.05)


def test_a_video_that_is_gone_or_damaged_is_told_of(player, tmp_path):
    (tmp_path / "damaged.webm").write_bytes(b"no video")
    page = player([None, "damaged.webm", "clip.webm"])
    page.keyboard.press("ArrowDown")
    sync_api.expect(page.locator("#unplayable")).to_contain_text("cannot play the video")
    page.keyboard.press("n")
    assert page.locator("#now").inner_text() == "1.3 s"
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => document.getElementById('video').readyState >= 2")
    assert not page.is_visible("#unplayable")
    assert not page.is_disabled("#play")


@pytest.mark.parametrize(
    "file",
    [
        "a'b\"c.webm", "line\nbreak.webm", "<img src=x onerror=alert(1)>.webm",
        "50% #1?x=1&y;.webm", "sprung über.webm", "javascript:alert(1).webm",
        os.fsdecode(b"no UTF-8 \xff.webm"),
    ],
)  # fmt: skip
def test_a_video_of_any_name_is_played(player, file):
    page = player([file])
    assert page.locator("#title").text_content() == Path(file).stem
    page.keyboard.press("n")
    settle(page)
    assert time_of(page) == pytest.approx(1.28, abs=0.01)


def test_hostile_labels_and_reasons_are_text(player):
    page = player(
        classes=[HOSTILE, "<b>bold</b>", "Plain"],
        found=[(HOSTILE, 0.0, 5.0, 0.5), ("<b>bold</b>", 1.0, 5.0, 0.4)],
        title=HOSTILE,
        facts={HOSTILE: HOSTILE},
        failures=[(HOSTILE, "<b>reason</b>")],
    )
    page.keyboard.press("n")
    settle(page)
    assert said(page) == [HOSTILE, "<b>bold</b>"]
    assert page.locator("#detections .name").nth(1).inner_text() == HOSTILE
    assert "<b>reason</b>" in page.locator(".failures li").inner_text()
    assert page.locator("img").count() == 0
    assert page.locator("li b").all_inner_texts() == [HOSTILE]


def test_a_video_without_detections_says_so_and_shows_its_curve(player):
    page = player(found=[])
    assert page.locator("#none").inner_text() == "Nothing was found in this video."
    assert page.is_disabled("#forward")
    assert page.locator("#timeline .curve").count() == 1


def test_light_and_dark_follow_the_system_and_the_button(player):
    def brightness(page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    page = player(settings={"color_scheme": "dark"})
    assert brightness(page) < 150
    page.click("#theme")
    assert brightness(page) > 700


def test_no_width_makes_the_page_scroll_sideways(player):
    page = player(
        ["clip.webm", "a very long name " * 9 + ".webm"], failures=[("x" * 300, "y" * 300)]
    )
    page.keyboard.press("ArrowDown")
    for width in (320, 390, 768, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(
            "width => document.querySelector('#timeline svg').clientWidth <= width", arg=width
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        left, plot = plot_span(page)
        for bar in bars(page):
            assert bar["left"] == pytest.approx(left + bar["start"] / DURATION * plot, abs=1)


def test_it_can_be_read_without_seeing_it(player):
    page = player(["clip.webm", "second.webm"])
    slider = page.get_by_role("slider", name="Position in the video")
    assert slider.get_attribute("aria-valuemax") == "20"
    page.keyboard.press("n")
    settle(page)
    assert slider.get_attribute("aria-valuetext").startswith("1.3 s, of 20.0 s, HighJump")
    for name in ("Play", "Previous detection", "Next detection", "Zoom in"):
        assert page.get_by_role("button", name=name, exact=True).count() == 1
    unnamed = page.evaluate("""() => [...document.querySelectorAll('button, input, select')]
        .filter(node => !(node.ariaLabel || node.textContent.trim() || node.labels?.length))
        .map(node => node.id)""")
    assert unnamed == []


def test_the_page_may_load_media_and_nothing_else(player, tmp_path):
    page = player()
    policy = page.get_attribute("meta[http-equiv]", "content")
    assert "default-src 'none'" in policy
    assert "media-src 'self' file:;" in policy
    assert "unsafe" not in policy
    text = (tmp_path / "index.html").read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_media_of_the_network_are_refused(player, browser, tmp_path):
    player()
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    refused = page.evaluate("""() => new Promise(resolve => {
        document.addEventListener('securitypolicyviolation', e => resolve(e.effectiveDirective));
        document.createElement('video').src = 'https://example.org/video.mp4';
    })""")
    page.close()
    assert refused == "media-src"


def test_the_page_holds_the_surest_and_says_how_many_are_left(tmp_path):
    rows = [("v", "A", float(k), k + 1.0, k / 1000) for k in range(MAX_SHOWN + 5)]
    video = embed(PlayedVideo("v", 500.0), Detections.from_rows(rows))
    assert video["left"] == 5
    assert min(row[3] for row in video["detections"]) == 0.005
    PlayerPage("t", "cbp").write(tmp_path / "index.html", ["A"], [video])
    text = (tmp_path / "index.html").read_text()
    assert "5 more are in <code>detections.json</code>" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["best"] == 0.404
