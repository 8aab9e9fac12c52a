"""The page in a real browser: what a reader sees and does."""

import json
import re

import pytest

from duetal.report import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "</script><img src=x onerror=alert(1)>"


def choose(page, name: str) -> None:
    page.fill("#video-search", name)
    page.press("#video-search", "Enter")


def plot_span(page) -> tuple[float, float]:
    """Left edge and width of the timeline's plot, in pixels of the screen."""
    return tuple(page.evaluate("""() => {
        const svg = document.querySelector('#timeline svg').getBoundingClientRect();
        const plot = document.querySelector('#timeline .plot-area');
        return [svg.left + Number(plot.getAttribute('x')), Number(plot.getAttribute('width'))];
    }"""))  # fmt: skip


def drawn_bars(page, selector: str) -> list[dict[str, float]]:
    return page.eval_on_selector_all(selector, """bars => bars.map(bar => {
        const { left, right } = bar.getBoundingClientRect();
        return { left, right, start: Number(bar.dataset.start), end: Number(bar.dataset.end) };
    })""")  # fmt: skip


def test_tables_charts_and_timeline_are_there(fake_run, look):
    page = look(write_report(fake_run()))
    assert page.locator("table.scores tbody tr").count() == 7
    assert page.locator("table.scores td.best").count() == 10
    for chart in ("#journey svg", "#precision-recall svg", "#timeline svg"):
        assert page.locator(chart).is_visible()
    assert page.locator("#training-curves figure svg").count() == 5
    assert page.locator("#timeline .curve").count() == 2
    assert page.locator("#timeline .detection").count() > 5


def test_bars_stand_at_their_seconds(fake_run, look):
    folder = fake_run(videos=3)
    page = look(write_report(folder))
    truth = json.loads((folder / "ground_truth.json").read_text())["database"]
    for name, video in truth.items():
        choose(page, name)
        left, width = plot_span(page)
        for bar in drawn_bars(page, "#timeline .detection") + drawn_bars(page, ".truth-bar"):
            assert bar["left"] == pytest.approx(
                left + bar["start"] / video["duration"] * width, abs=1
            )
            expected = left + bar["end"] / video["duration"] * width
            assert bar["right"] == pytest.approx(expected, abs=2)
        segments = [tuple(row["segment"]) for row in video["annotations"]]
        drawn = [(bar["start"], bar["end"]) for bar in drawn_bars(page, ".truth-bar")]
        assert sorted(drawn) == sorted(segments)


def test_the_drawn_detections_are_those_of_the_file_and_stage(fake_run, look):
    folder = fake_run(videos=2)
    page = look(write_report(folder))
    name = list(json.loads((folder / "ground_truth.json").read_text())["database"])[1]
    choose(page, name)
    for stage, title in (("cbp-warmup", "CBP after warm-up"), ("ensemble", "Ensemble")):
        page.select_option("#stage", label=title)
        rows = json.loads((folder / "detections" / f"{stage}.json").read_text())["results"][name]
        best = max(rows, key=lambda row: row["score"])
        expected = pytest.approx([round(second, 2) for second in best["segment"]])
        drawn = [[bar["start"], bar["end"]] for bar in drawn_bars(page, "#timeline .detection")]
        assert any(pair == expected for pair in drawn)
        all_starts = {round(row["segment"][0], 2) for row in rows}
        assert {start for start, _ in drawn} <= all_starts


def test_the_curve_is_highest_inside_the_action(fake_run, look):
    folder = fake_run(videos=1)
    page = look(write_report(folder))
    left, width = plot_span(page)
    (video,) = json.loads((folder / "ground_truth.json").read_text())["database"].values()
    path = page.get_attribute("#timeline .curve.cbp", "d")
    points = [tuple(map(float, point.split())) for point in re.findall(r"[ML]([^ML]+)", path)]
    origin = page.locator("#timeline svg").bounding_box()["x"]
    seconds = [(x + origin - left) / width * video["duration"] for x, _ in points]
    assert seconds[0] == pytest.approx(0.32, abs=0.2)
    highest = min(range(len(points)), key=lambda i: points[i][1])
    segments = [row["segment"] for row in video["annotations"]]
    assert any(start <= seconds[highest] <= end for start, end in segments)


def test_choosing_a_video_changes_the_timeline(fake_run, look):
    page = look(write_report(fake_run(videos=4)))
    before = page.inner_html("#timeline")
    page.click("#next")
    assert page.input_value("#video-search") == "video_test_0000041"
    assert page.inner_html("#timeline") != before
    choose(page, "0000115")
    assert "video_test_0000115 · video 4 of 4" in page.inner_text("#video-summary")
    assert page.is_disabled("#next")
    choose(page, "no such video")
    assert page.input_value("#video-search") == "video_test_0000115"


def test_the_keyboard_does_it_all(fake_run, look):
    page = look(write_report(fake_run(videos=6)))
    page.focus("#timeline")
    page.keyboard.press("ArrowRight")
    assert "video 2 of 6" in page.inner_text("#video-summary")
    page.keyboard.press("ArrowLeft")
    assert "video 1 of 6" in page.inner_text("#video-summary")
    first = page.input_value("#class")
    page.keyboard.press("ArrowDown")
    assert page.input_value("#class") != first
    assert page.locator(".lane.chosen").get_attribute("data-class") == page.input_value("#class")
    page.keyboard.press("ArrowUp")
    widest = max(bar["right"] - bar["left"] for bar in drawn_bars(page, ".truth-bar"))
    page.keyboard.press("+")
    zoomed = max(bar["right"] - bar["left"] for bar in drawn_bars(page, ".truth-bar"))
    assert zoomed == pytest.approx(2 * widest, abs=1)
    assert page.is_visible("#pan")
    page.keyboard.press("0")
    assert not page.is_visible("#pan")


def test_dragging_looks_closer_at_what_was_dragged_over(fake_run, look):
    page = look(write_report(fake_run(videos=1)))
    left, width = plot_span(page)
    bars = drawn_bars(page, ".truth-bar")
    duration = bars[0]["start"] / (bars[0]["left"] - left) * width
    page.locator("#timeline").scroll_into_view_if_needed()
    top = page.locator("#timeline svg").bounding_box()["y"] + 60
    page.mouse.move(left + width * 0.25, top)
    page.mouse.down()
    page.mouse.move(left + width * 0.75, top, steps=4)
    page.mouse.up()
    bar = drawn_bars(page, ".truth-bar")[0]
    expected = left + (bar["start"] / duration - 0.25) * 2 * width
    assert bar["left"] == pytest.approx(expected, abs=4)


def test_the_score_slider_hides_weak_detections(fake_run, look):
    page = look(write_report(fake_run(videos=1)))
    everything = page.locator("#timeline .detection").count()
    page.fill("#floor", "0.6")
    remaining = page.locator("#timeline .detection").count()
    assert 0 < remaining < everything
    page.click("#detection-details summary")
    sync_api.expect(page.locator("#detection-table tbody tr")).to_have_count(remaining)


def test_hostile_names_are_text(fake_run, look):
    names = [HOSTILE, '"><svg onload=alert(2)>', "line\u2028break"]
    folder = fake_run(names=names, classes=[HOSTILE, "<b>bold</b>", "Plain"], videos=4)
    page = look(write_report(folder))
    assert page.locator("#video-summary b").inner_text() == HOSTILE
    for _ in names:
        page.click("#next")
    page.click("#detection-details summary")
    choose(page, HOSTILE)
    sync_api.expect(page.locator("#detection-table tbody tr").first).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.locator("#classes b").count() == 0
    assert HOSTILE in page.locator("#class").inner_text()
    assert HOSTILE in page.locator("#timeline svg").text_content()


def test_light_and_dark_follow_the_system_and_the_button(fake_run, look):
    out = write_report(fake_run(videos=1))

    def brightness(page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    dark = look(out, color_scheme="dark")
    assert brightness(dark) < 150
    light = look(out, color_scheme="light")
    assert brightness(light) > 700
    light.click("#theme")
    assert brightness(light) < 150
    stroke = "getComputedStyle(document.querySelector('.curve.cbp')).stroke"
    assert light.evaluate(stroke) == dark.evaluate(stroke)


def test_no_width_makes_the_page_scroll_sideways(fake_seeds, look):
    page = look(write_report(fake_seeds(videos=2)))
    for width in (320, 390, 768, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # The timeline follows on the next frame, when its host has been measured anew.
        page.wait_for_function(
            "width => document.querySelector('#timeline svg').clientWidth <= width", arg=width
        )


@pytest.mark.parametrize("removed", [
    ["evaluation.json"], ["ground_truth.json"], ["scores/index.json"],
    ["detections/*.json", "scores/*"], ["metrics.jsonl"], ["*.json", "scores/*", "detections/*"],
])  # fmt: skip
def test_a_run_with_parts_missing_still_gives_a_page_without_a_complaint(fake_run, look, removed):
    folder = fake_run(videos=2)
    for pattern in removed:
        for path in folder.glob(pattern):
            path.unlink()
    page = look(write_report(folder))
    assert page.locator("h1").inner_text() == "my-run"
    if page.locator("#video-panel").count():
        assert page.locator("#timeline svg").is_visible()


def test_a_video_annotated_past_its_end_shows_all_of_it(fake_run, look):
    folder = fake_run(videos=1)
    truth = json.loads((folder / "ground_truth.json").read_text())
    (video,) = truth["database"].values()
    video["annotations"].append({"segment": [0.0, video["duration"] * 2], "label": "Diving"})
    (folder / "ground_truth.json").write_text(json.dumps(truth))
    page = look(write_report(folder))
    left, width = plot_span(page)
    bar = max(drawn_bars(page, ".truth-bar"), key=lambda bar: bar["end"])
    assert bar["right"] == pytest.approx(left + width, abs=2)
    assert page.locator("#timeline .beyond").count() == 1
