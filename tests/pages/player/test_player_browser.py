"""The player in a real browser: what a viewer sees and does."""

import re

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def test_detections_stand_where_and_how_tall_they_should(player, seen):
    page = player()
    left, width = seen.plot_span(page)
    drawn = seen.bars(page)
    expected = {
        (seen.CLASSES.index(label), start, end, score) for label, start, end, score in seen.FOUND
    }
    assert {(b["label"], b["start"], b["end"], b["score"]) for b in drawn} == expected
    for bar in drawn:
        assert bar["left"] == pytest.approx(left + bar["start"] / seen.DURATION * width, abs=1)
        assert bar["right"] == pytest.approx(left + bar["end"] / seen.DURATION * width, abs=1)
        assert bar["height"] == pytest.approx(4 + bar["score"] / 0.9 * 24, abs=0.5)
    lanes = {bar["label"]: set() for bar in drawn}
    for bar in drawn:
        lanes[bar["label"]].add(round(bar["bottom"]))
    assert [len(bottoms) for bottoms in lanes.values()] == [1, 1]
    # "Diving" has no detection, and so no lane.
    assert page.locator("#timeline .lane text").all_text_contents() == ["HighJump", "GolfSwing"]


def test_the_curve_lies_on_the_time_grid(player, seen):
    page = player()
    left, width = seen.plot_span(page)
    path = page.get_attribute("#timeline .curve.mark-1", "d")
    points = [tuple(map(float, point.split())) for point in re.findall(r"[ML]([^ML]+)", path)]
    origin = page.locator("#timeline svg").bounding_box()["x"]
    seconds = [(x + origin - left) / width * seen.DURATION for x, _ in points]
    np.testing.assert_allclose(seconds, 0.32 + 0.64 * np.arange(31), atol=0.05)


def test_a_click_on_the_timeline_goes_there(player, seen):
    page = player()
    left, width = seen.plot_span(page)
    box = page.locator("#timeline svg").bounding_box()
    for seconds in (14.0, 0.5, 19.9):
        page.mouse.click(left + seconds / seen.DURATION * width, box["y"] + 60)
        seen.settle(page)
        assert seen.time(page) == pytest.approx(seconds, abs=seen.DURATION / width + 0.01)
        assert seen.playhead(page) == pytest.approx(seen.time(page), abs=0.03)
    assert not page.evaluate("document.getElementById('video').ended")


def test_dragging_over_the_timeline_goes_along(player, seen):
    page = player()
    left, width = seen.plot_span(page)
    top = page.locator("#timeline svg").bounding_box()["y"] + 60
    page.mouse.move(left + width * 0.2, top)
    page.mouse.down()
    page.mouse.move(left + width * 0.6, top + 300, steps=5)
    seen.settle(page)
    assert seen.time(page) == pytest.approx(12, abs=0.1)
    page.mouse.move(left + width * 3, top, steps=2)
    page.mouse.up()
    page.mouse.move(left, top)
    seen.settle(page)
    assert seen.time(page) == pytest.approx(seen.DURATION, abs=0.05)


def test_a_click_on_a_detection_goes_to_its_start_and_shows_its_class(player, seen):
    page = player()
    bar = next(bar for bar in seen.bars(page) if bar["start"] == 16.0)
    page.mouse.click((bar["left"] + bar["right"]) / 2, bar["bottom"] - 3)
    seen.settle(page)
    assert seen.time(page) == pytest.approx(16.0, abs=0.01)
    assert seen.captions(page) == ["GolfSwing"]
    assert seen.rows(page) == ["16.0 s"]
    assert page.input_value("#class") == "1"
    assert page.locator(".lane.chosen").get_attribute("data-class") == "1"
    words = page.locator("#announce").text_content()
    assert words == "GolfSwing, 16.0 s to 19.2 s, score 0.50, 5 of 5"


def test_the_table_lists_every_detection_and_seeks_to_it(player, seen):
    page = player()
    rows = page.locator("#detections tbody tr")
    cells = [re.split(r"\s*\t\s*", text.strip()) for text in rows.all_inner_texts()]
    assert cells == [
        [f"{start:.1f} s", f"{end:.1f} s", label, f"{score:.2f}"]
        for label, start, end, score in seen.FOUND
    ]
    page.get_by_role("button", name="Go to HighJump at 10.2 s").click()
    seen.settle(page)
    assert seen.time(page) == pytest.approx(10.24, abs=0.01)
    assert "HighJump" in seen.captions(page)


def test_the_keyboard_does_it_all(player, seen):
    page = player(["clip.webm", "second.webm"])
    # No click is needed first: the player has the focus.
    for key, seconds in [
        ("n", 1.28), ("]", 1.92), ("n", 3.2), ("p", 1.92), ("[", 1.28), ("p", 1.28),
        ("ArrowRight", 6.28), ("Shift+ArrowRight", 7.28), ("ArrowLeft", 2.28),
        ("p", 1.92), ("End", 20), ("p", 16.0), ("Home", 0), (".", 0.04), (".", 0.08), (",", 0.04),
    ]:  # fmt: skip
        page.keyboard.press(key)
        seen.settle(page)
        assert seen.time(page) == pytest.approx(seconds, abs=0.045), key
    page.keyboard.press("ArrowDown")
    assert page.locator("#title").inner_text() == "second"
    page.keyboard.press("ArrowDown")
    assert page.locator("#title").inner_text() == "second"
    page.keyboard.press("ArrowUp")
    assert page.locator("#title").inner_text() == "clip"
    widest = max(bar["right"] - bar["left"] for bar in seen.bars(page))
    page.keyboard.press("+")
    zoomed = max(bar["right"] - bar["left"] for bar in seen.bars(page))
    assert zoomed == pytest.approx(2 * widest, abs=1)
    page.keyboard.press("0")
    assert page.is_disabled("#zoom-all")
    page.keyboard.press("m")
    assert page.evaluate("document.getElementById('video').muted")
    # The browser tells of it a moment later.
    page.wait_for_selector("#mute[aria-pressed=true]")


def test_times_are_the_players_where_a_copy_begins_at_its_first_picture(player, seen):
    page = player(found=[("HighJump", 4.0, 6.0, 0.9)], times={"begin": 2.0, "rate": 10.0})
    assert page.text_content("#whole") == "of 22.0 s"
    for key, seconds in (("n", 2.0), ("Home", 0.0), (".", 0.1), (".", 0.2), (",", 0.1)):
        page.keyboard.press(key)
        seen.settle(page)
        assert seen.time(page) == pytest.approx(seconds, abs=0.01), key
    assert page.text_content("#now") == "2.1 s"
    left = page.evaluate("""() => {
        const plot = document.querySelector('#timeline .plot-area');
        const [x] = document.querySelector('#timeline .curve').getAttribute('d').match(/[\\d.]+/);
        return (Number(x) - Number(plot.getAttribute('x'))) / Number(plot.getAttribute('width'));
    }""")
    # The middle of the first snippet.
    assert left * 22 == pytest.approx(2.32, abs=0.05)


def test_the_first_step_goes_to_a_detection_that_begins_at_once(player, seen):
    page = player(found=[("HighJump", 0.0, 2.0, 0.9), ("HighJump", 4.0, 6.0, 0.9)])
    for seconds in (0, 4, 4):
        page.keyboard.press("n")
        seen.settle(page)
        assert seen.time(page) == pytest.approx(seconds, abs=0.01)
    page.keyboard.press("p")
    seen.settle(page)
    assert seen.time(page) == pytest.approx(0, abs=0.01)


def test_keys_that_a_control_needs_stay_its_own(player, seen):
    page = player(settings={"viewport": {"width": 1200, "height": 700}})
    page.focus("#floor")
    page.keyboard.press("ArrowRight")
    assert seen.time(page) < 0.01
    assert float(page.input_value("#floor")) > 0
    page.focus("#back")
    page.keyboard.press(" ")
    assert page.evaluate("document.getElementById('video').paused")
    page.focus("#theme")
    before = page.evaluate("scrollY")
    page.keyboard.press("End")
    page.wait_for_function("before => scrollY > before", arg=before)
    assert seen.time(page) < 1.3


def test_playing_moves_the_playhead_and_names_what_is_seen(player, seen):
    page = player()
    page.click("#play")
    page.wait_for_function("() => document.getElementById('video').currentTime > 0.3")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    first = seen.playhead(page)
    page.wait_for_function("() => document.querySelector('#captions span')")
    assert seen.captions(page) == ["HighJump"]
    assert seen.playhead(page) > first > 0.2
    page.keyboard.press("k")
    page.wait_for_function("() => document.getElementById('video').paused")
    page.wait_for_selector("#play[aria-label=Play]")
    assert seen.time(page) >= 1.28
    assert seen.playhead(page) == pytest.approx(seen.time(page), abs=0.05)


def test_a_zoomed_view_follows_the_playing_video(player):
    page = player()
    for _ in range(5):
        page.keyboard.press("+")
    page.select_option("#speed", "4")
    page.click("#play")
    page.wait_for_function("() => document.getElementById('video').currentTime > 2")
    page.wait_for_selector(".playhead[visibility=visible]", state="attached")
    assert not page.is_disabled("#zoom-all")


def test_the_label_over_the_picture_is_the_top_of_each_class(player):
    page = player(overlaid=[0, 2, 3, 4])
    for seconds, words in [(0.5, []), (1.3, ["HighJump"]), (3.5, ["HighJump", "GolfSwing"]),
                           (4.5, ["GolfSwing"]), (6.4, []), (12.79, ["HighJump"])]:  # fmt: skip
        page.evaluate("s => document.getElementById('video').currentTime = s", seconds)
        page.wait_for_function(
            "words => [...document.querySelectorAll('#captions span')]"
            ".map(s => s.firstChild.data).join() === words",
            arg=",".join(words),
        )


def test_the_slider_hides_what_scores_below(player, seen):
    page = player(floor=0.6)
    assert {bar["score"] for bar in seen.bars(page)} == {0.9, 0.7, 0.8}
    assert page.locator("#shown").inner_text() == "3 of 5"
    page.fill("#floor", "0.75")
    sync_api.expect(page.locator("#detections tbody tr")).to_have_count(2)
    assert {bar["score"] for bar in seen.bars(page)} == {0.9, 0.8}
    assert page.locator("#floor-value").inner_text() == "0.75"
    page.keyboard.press("n")
    page.keyboard.press("n")
    seen.settle(page)
    assert seen.time(page) == pytest.approx(10.24, abs=0.01)
    page.fill("#floor", "0")
    assert len(seen.bars(page)) == 5


def test_the_top_detection_can_be_seen_with_the_slider_at_its_end(player, seen):
    page = player()
    page.fill("#floor", page.get_attribute("#floor", "max"))
    assert [bar["score"] for bar in seen.bars(page)] == [0.9]


def test_light_and_dark_follow_the_system_and_the_button(player):
    def brightness(page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    page = player(settings={"color_scheme": "dark"})
    assert brightness(page) < 150
    page.click("#theme")
    assert brightness(page) > 700


#: Whether every detection begins where its seconds are on the timeline, to a pixel.
BARS_IN_PLACE = """duration => {
    const left = document.querySelector('#timeline svg').getBoundingClientRect().left;
    const plot = document.querySelector('#timeline .plot-area');
    const [x, width] = ['x', 'width'].map(name => Number(plot.getAttribute(name)));
    const bars = [...document.querySelectorAll('#timeline .detection')];
    return bars.length > 0 && bars.every(bar => Math.abs(
        bar.getBoundingClientRect().left - left - x - bar.dataset.start / duration * width) <= 1);
}"""


def test_no_width_makes_the_page_scroll_sideways(player, seen):
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
        # Drawn anew a frame after the width has changed, which may be between two questions.
        page.wait_for_function(BARS_IN_PLACE, arg=seen.DURATION)


def test_it_can_be_read_without_seeing_it(player, seen):
    page = player(["clip.webm", "second.webm"])
    slider = page.get_by_role("slider", name="Position in the video")
    assert slider.get_attribute("aria-valuemax") == "20"
    page.keyboard.press("n")
    seen.settle(page)
    assert slider.get_attribute("aria-valuetext").startswith("1.3 s, of 20.0 s, HighJump")
    for name in ("Play", "Previous detection", "Next detection", "Zoom in"):
        assert page.get_by_role("button", name=name, exact=True).count() == 1
    unnamed = page.evaluate("""() => [...document.querySelectorAll('button, input, select')]
        .filter(node => !(node.ariaLabel || node.textContent.trim() || node.labels?.length))
        .map(node => node.id)""")
    assert unnamed == []
