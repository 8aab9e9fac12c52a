"""The player in a real browser: which videos it plays, and what their names can't do."""

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from duetal.core.annotations import Segment
from duetal.core.detections import Detections
from duetal.extraction.sources import Video
from duetal.own_videos.result_folder import show
from duetal.pages.player import MAX_SHOWN, PlayedVideo, PlayerPage, embed
from duetal.simulation.clips import render_clip

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_choosing_a_video_from_the_list_plays_that_one(player, seen):
    page = player(["clip.webm", "other one.webm", "third.webm"])
    page.get_by_role("button", name="other one").click()
    page.wait_for_function(
        "() => document.getElementById('video').currentSrc.endsWith('other%20one.webm')"
    )
    assert page.locator("#title").inner_text() == "other one"
    assert "video 2 of 3" in page.locator("#about").inner_text()
    current = page.locator("#videos [aria-current=true]")
    assert current.locator(".name").inner_text() == "other one"
    seen.settle(page)
    page.keyboard.press("n")
    seen.settle(page)
    assert seen.time(page) == pytest.approx(1.28, abs=0.01)


def test_the_list_has_a_picture_of_each_video_once_it_is_seen(player):
    page = player([f"video {number}.webm" for number in range(30)])
    first, last = page.locator(".thumbnail").first, page.locator(".thumbnail").last
    page.wait_for_function("() => document.querySelector('.thumbnail').readyState >= 2")
    # The middle of the best detection.
    assert first.evaluate("node => node.currentTime") == pytest.approx(2.56, abs=0.05)
    assert last.get_attribute("src") is None
    last.scroll_into_view_if_needed()
    page.wait_for_function("() => [...document.querySelectorAll('.thumbnail')].at(-1).src")


def test_a_long_list_can_be_searched(player):
    page = player([f"video {number}.webm" for number in range(9)])
    page.fill("#search", "DEO 7")
    sync_api.expect(page.locator("#videos li:visible")).to_have_count(1)
    page.locator("#videos li:visible button").click()
    assert page.locator("#title").inner_text() == "video 7"


def test_a_player_s_clock_that_begins_late_is_reckoned_with(player, seen):
    page = player(times={"offset": 0.5})
    page.wait_for_function("() => document.getElementById('video').currentTime > 0.4")
    assert page.locator("#now").inner_text() == "0.0 s"
    page.keyboard.press("n")
    seen.settle(page)
    assert seen.time(page) == pytest.approx(1.78, abs=0.01)
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
def test_what_is_seen_is_what_our_seconds_mean(look, tmp_path, name, encoding, size, offset, seen):
    begin = encoding.get("timestamps", [0.0])[0]
    # Nothing moves or changes, but that the action is there from the first second to the second.
    action = Segment(begin + 1, begin + 2, "HighJump")
    source = render_clip(
        tmp_path / name, duration=begin + 3, size=size, actions=[action], keyframes=10, **encoding
    )
    shown = show(tmp_path, Video("a", str(source)), fingerprint="1", fps=25)
    assert shown.offset == pytest.approx(offset, abs=0.001)
    detections = Detections.from_rows([("a", "HighJump", 1.0, 2.0, 0.9)])
    video = embed(PlayedVideo("a", 3.0, shown.url, offset=shown.offset), detections)
    PlayerPage("CBP", "cbp").write(tmp_path / "index.html", ["HighJump"], [video])
    media = (tmp_path / "media" / "a.mp4", source)
    page = look(tmp_path / "index.html", media=media, viewport={"width": 1000, "height": 900})
    page.wait_for_function("() => document.getElementById('video').readyState >= 2")
    assert page.evaluate("[video.videoWidth, video.videoHeight]") == list(size)
    page.evaluate("document.getElementById('captions').style.visibility = 'hidden'")
    left, width = seen.plot_span(page)
    top = page.locator("#timeline svg").bounding_box()["y"] + 60

    def picture(seconds: float) -> np.ndarray:
        page.mouse.click(left + seconds / 3 * width, top)
        seen.settle(page)
        page.wait_for_timeout(100)
        image = Image.open(io.BytesIO(page.locator("#video").screenshot()))
        return np.asarray(image.convert("L"), dtype=float)

    before, in_time, late, after = map(picture, (0.97, 1.03, 1.97, 2.03))
    assert np.abs(before - after).mean() < 2
    assert np.abs(before - in_time).mean() > 8
    assert np.abs(late - after).mean() > 8


def test_the_timeline_works_without_the_video(player, seen):
    page = player([None], note="it is not on this machine")
    assert page.locator("#unplayable").inner_text() == "it is not on this machine"
    assert page.is_disabled("#play")
    page.keyboard.press("n")
    assert page.locator("#now").inner_text() == "1.3 s"
    assert seen.rows(page) == ["1.3 s"]
    left, width = seen.plot_span(page)
    page.mouse.click(left + width / 2, page.locator("#timeline svg").bounding_box()["y"] + 60)
    assert seen.playhead(page) == pytest.approx(10, abs=0.05)


def test_a_video_that_is_gone_or_damaged_is_reported(player, tmp_path):
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
def test_a_video_of_any_name_is_played(player, file, seen):
    page = player([file])
    assert page.locator("#title").text_content() == Path(file).stem
    page.keyboard.press("n")
    seen.settle(page)
    assert seen.time(page) == pytest.approx(1.28, abs=0.01)


def test_hostile_labels_and_reasons_are_text(player, seen):
    page = player(
        classes=[HOSTILE, "<b>bold</b>", "Plain"],
        found=[(HOSTILE, 0.0, 5.0, 0.5), ("<b>bold</b>", 1.0, 5.0, 0.4)],
        title=HOSTILE,
        facts={HOSTILE: HOSTILE},
        failures=[(HOSTILE, "<b>reason</b>")],
    )
    page.keyboard.press("n")
    page.keyboard.press("n")
    seen.settle(page)
    assert seen.captions(page) == [HOSTILE, "<b>bold</b>"]
    assert page.locator("#detections .name").nth(1).inner_text() == HOSTILE
    assert "<b>reason</b>" in page.locator(".failures li").inner_text()
    assert page.locator("img").count() == 0
    assert page.locator("li b").all_inner_texts() == [HOSTILE]


def test_a_video_without_detections_is_marked_and_shows_its_curve(player):
    page = player(found=[])
    assert page.locator("#none").inner_text() == "Nothing was found in this video."
    assert page.is_disabled("#forward")
    assert page.locator("#timeline .curve").count() == 1


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


def test_the_page_holds_the_top_and_counts_the_rest(tmp_path):
    rows = [("v", "A", float(k), k + 1.0, k / 1000) for k in range(MAX_SHOWN + 5)]
    video = embed(PlayedVideo("v", 500.0), Detections.from_rows(rows))
    assert video["left"] == 5
    assert min(row[3] for row in video["detections"]) == 0.005
    PlayerPage("t", "cbp").write(tmp_path / "index.html", ["A"], [video])
    text = (tmp_path / "index.html").read_text()
    assert "5 more are in <code>detections.json</code>" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["best"] == 0.404
