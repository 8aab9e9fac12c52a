"""Exploring a run in a real browser: what the filters leave, and what one sees of it."""

import re

import numpy as np
import pytest
from safetensors.numpy import load_file

from duetal.core.grid import TimeGrid
from duetal.evaluation.diagnosis import diagnose
from duetal.evaluation.false_positives import KINDS
from duetal.evaluation.protocols import protocol_named
from duetal.localization.proposals import find_intervals, stretch
from duetal.pages import write_report
from duetal.pages.run_files import read_videos
from duetal.results.folder import RunFolder

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PROTOCOL = protocol_named("thumos14/seconds-210")


@pytest.fixture
def page(explored, look):
    return look(explored.page)


def number(text: str) -> int:
    return int(text.replace(",", ""))


def counts(page, lane: str) -> dict[str, int]:
    """The row of a lane in the table of counts, by column."""
    heads = page.locator("#counts thead th").all_inner_texts()[1:]
    cells = page.locator("#counts tbody tr").filter(has_text=lane).locator("td").all_inner_texts()
    return dict(zip((head.lower() for head in heads), map(number, cells), strict=True))


def shown_videos(page) -> int:
    return number(re.search(r"Shown: ([\d,]+) of", page.inner_text("#result"))[1])


def table(page, name: str) -> list[list[str]]:
    """The cells of a table under the timeline, opened if it is not."""
    details = page.locator("details").filter(has=page.locator(f"#{name}"))
    if details.get_attribute("open") is None:
        details.locator("summary").click()
        page.wait_for_function("name => document.getElementById(name).tBodies.length", arg=name)
    rows = page.locator(f"#{name} tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def seconds(text: str) -> float:
    minutes, _, rest = text.removesuffix(" s").rpartition(":")
    return 60 * float(minutes or 0) + float(rest)


def plot(page) -> tuple[float, float, float]:
    """Left edge and width of the timeline's plot and its top, in pixels of the screen."""
    return tuple(page.evaluate("""() => {
        const svg = document.querySelector('#timeline svg').getBoundingClientRect();
        const plot = document.querySelector('#timeline .plot-area');
        const [x, width] = ['x', 'width'].map((name) => Number(plot.getAttribute(name)));
        return [svg.left + x, width, svg.top];
    }"""))  # fmt: skip


def test_counts_are_those_of_the_diagnosis_at_every_threshold(explored, page):
    videos = read_videos(RunFolder(explored.folder))
    for stage, title in (("ensemble", "Ensemble"), ("cbp-warmup", "CBP after warm-up")):
        for tiou in ("0.5", "0.2"):
            page.select_option("#tiou", label=tiou)
            found = videos.found[stage]
            diagnosis = diagnose(found, videos.truth, PROTOCOL, tiou=float(tiou))
            shown = counts(page, title)
            assert {kind: shown[kind] for kind in KINDS} == diagnosis.profile.whole
            assert shown["all"] == len(found)
            segments = sum(len(video.segments) for video in videos.truth)
            missed = round(diagnosis.sensitivity.missed * segments)
            assert shown["missed segments"] == missed


def test_choosing_a_class_leaves_its_predictions_and_videos(explored, page):
    found = read_videos(RunFolder(explored.folder)).found["ensemble"]
    page.select_option("#class-filter", label="Diving")
    mine = found.label == found.classes.index("Diving")
    assert counts(page, "Ensemble")["all"] == mine.sum()
    assert {row[2] for row in table(page, "prediction-table")} == {"Diving"}
    assert shown_videos(page) < 40
    page.select_option("#class-filter", label="CliffDiving")
    page.select_option("#order", label="most shown first")
    assert re.search(r"ground truth: CliffDiving × \d+ ·", page.inner_text("#video-summary"))


def test_searching_lists_the_videos_of_that_name(explored, page):
    page.fill("#video-search", "TEST_00004")
    names = list(explored.read("ground_truth.json")["database"])
    expected = [name for name in names if "test_00004" in name]
    assert page.locator(".video .name").all_inner_texts() == expected
    assert page.inner_text("#video-title") == expected[0]
    page.fill("#video-search", "no such video")
    assert page.is_visible("#no-video")
    assert not page.is_visible("#video-panel")
    assert "0 of 43 videos" in page.inner_text("#result")
    page.click("#reset")
    assert shown_videos(page) == 43


def test_kinds_of_error_are_shown_alone_and_together(page):
    before = counts(page, "Ensemble")
    page.click(".kind:has-text('localization')")
    assert {row[4] for row in table(page, "prediction-table")} == {"localization"}
    assert f"{before['localization']:,} of {before['all']:,} predictions" in page.inner_text(
        "#result"
    )
    page.click(".kind:has-text('background')")
    assert page.locator(".kind[aria-pressed=true]").count() == 2
    both = before["localization"] + before["background"]
    assert f"{both:,} of" in page.inner_text("#result")
    # What the other kinds would bring stays to be seen.
    assert counts(page, "Ensemble") == before


def test_missed_segments_alone_list_the_videos_that_have_them(page):
    page.uncheck("#counts input[data-lane='6']")
    page.check("#counts input[data-lane='1']")
    page.select_option("#tiou", label="0.7")
    missed = counts(page, "Zero-shot VLP")["missed segments"]
    page.click(".kind:has-text('missed segments')")
    assert "Shown: " in page.inner_text("#result")
    assert "· 0 of " in page.inner_text("#result")
    assert f"{missed} missed segment" in page.inner_text("#result")
    page.select_option("#order", label="most missed first")
    texts = page.locator(".video .quiet").all_inner_texts()
    per_video = [number(re.search(r"(\d+) missed", text)[1]) for text in texts]
    assert per_video == sorted(per_video, reverse=True)
    rows = table(page, "truth-table")
    assert sum(row[3] == "missed" for row in rows) == per_video[0]


def test_the_score_slider_hides_the_weak(explored, page):
    found = read_videos(RunFolder(explored.folder)).found["ensemble"]
    page.fill("#floor", "0.6")
    best = np.float32(found.score.max())
    expected = (found.score.astype(np.float32) >= 0.6 * best).sum()
    assert counts(page, "Ensemble")["all"] == expected
    assert page.inner_text("#floor-value") == "60 %"


def test_bars_are_painted_where_their_seconds_are(explored, page):
    name = list(explored.read("ground_truth.json")["database"])[2]
    page.fill("#video-search", name)
    video = explored.read("ground_truth.json")["database"][name]
    left, width, _ = plot(page)
    for segment in video["annotations"]:
        middle = left + sum(segment["segment"]) / 2 / video["duration"] * width
        row = page.locator("#timeline text", has_text="truth").first.bounding_box()
        page.locator("#timeline").scroll_into_view_if_needed()
        row = page.locator("#timeline text", has_text="truth").first.bounding_box()
        page.mouse.move(middle, row["y"] + row["height"] / 2)
        assert page.inner_text("#tip").startswith(f"Ground truth: {segment['label']}")
        start = re.search(r"\n(.+) to", page.inner_text("#tip"))[1]
        assert seconds(start) == pytest.approx(segment["segment"][0], abs=0.06)
    best = table(page, "prediction-table")[0]
    at = (seconds(best[0]) + seconds(best[1])) / 2
    line = page.locator("#timeline text", has_text="both").first.bounding_box()
    left, width, _ = plot(page)
    page.mouse.move(left + at / video["duration"] * width, line["y"] + line["height"] / 2)
    assert f"score {best[3]}" in page.inner_text("#tip")
    page.mouse.click(left + at / video["duration"] * width, line["y"] + line["height"] / 2)
    assert page.locator(".selected").count() == 1
    assert best[4] in page.inner_text("#selected")


def proposals(page, branch: str) -> list[list[float]]:
    rows = [row for row in table(page, "proposal-table") if row[2] == branch.upper()]
    return [[seconds(row[0]), seconds(row[1])] for row in rows]


def expected_proposals(explored, branch, threshold, *, stretched=False):
    """Of the first video's first class, by the package's own rule on the page's curve."""
    name, video = next(iter(explored.read("ground_truth.json")["database"].items()))
    classes = explored.read("scores/index.json")["classes"]
    column = classes.index(video["annotations"][0]["label"])
    scores = load_file(explored.folder / "scores" / f"{branch}.safetensors")[name][:, column]
    curve = np.rint(scores.astype(np.float32) * 255) / 255
    curve = stretch(curve.astype(np.float64)) if stretched else curve
    first, stop = find_intervals(curve, [threshold])
    grid = TimeGrid()
    return np.column_stack([grid.edge(first), np.minimum(grid.edge(stop), video["duration"])])


@pytest.mark.parametrize("branch", ["cbp", "vlp"])
def test_dragging_a_threshold_moves_the_proposals(explored, page, branch):
    np.testing.assert_allclose(
        proposals(page, branch), expected_proposals(explored, branch, 0.5), atol=0.051
    )
    handle = page.locator(f".handle[data-branch={branch}]")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 20, steps=3)
    page.mouse.move(x, y + 40, steps=3)
    page.mouse.up()
    value = float(handle.get_attribute("aria-valuenow"))
    # The plot is 132 pixels high.
    assert value == pytest.approx(0.5 - 40 / 132, abs=0.011)
    expected = expected_proposals(explored, branch, value)
    np.testing.assert_allclose(proposals(page, branch), expected, atol=0.051)
    assert f"{len(expected)} proposal" in handle.get_attribute("aria-valuetext")
    assert not page.is_visible("#pan")  # dragging a threshold is no zooming


def test_keys_move_a_threshold_and_keep_the_focus(explored, page):
    handle = page.locator(".handle[data-branch=cbp]")
    handle.focus()
    for key, value in (("ArrowUp", 0.51), ("PageDown", 0.41), ("ArrowLeft", 0.4), ("End", 1.0)):
        page.keyboard.press(key)
        assert float(handle.get_attribute("aria-valuenow")) == value
    assert proposals(page, "cbp") == []
    handle.focus()
    page.keyboard.press("Home")
    assert handle.evaluate("node => node === document.activeElement")
    np.testing.assert_allclose(
        proposals(page, "cbp"), expected_proposals(explored, "cbp", 0.0), atol=0.051
    )


def test_curves_can_be_stretched_before_they_are_cut(explored, page):
    page.check("#stretch")
    expected = expected_proposals(explored, "vlp", 0.5, stretched=True)
    np.testing.assert_allclose(proposals(page, "vlp"), expected, atol=0.051)


def test_training_videos_show_the_pseudo_labels_of_every_step(explored, page):
    page.select_option("#part", "training")
    assert shown_videos(page) == 3
    page.click("#next")
    page.click("#previous")
    assert page.inner_text("#video-title") == "video_validation_0000000"
    assert page.locator(".row-name").all_text_contents() == ["B1", "F1", "B2", "F2"]
    rows = table(page, "label-table")
    classes = explored.read("scores/index.json")["classes"]
    for row, phase in zip(rows, ("B1", "F1", "B2", "F2"), strict=True):
        labels = load_file(explored.folder / "pseudo_labels" / f"{phase}.safetensors")
        said = labels["video_validation_0000000"][:, 0]
        assert row == [phase, classes[0], *(str((said == kind).sum()) for kind in (1, 0, -1))]
    left, width, _ = plot(page)
    row = page.locator(".row-name", has_text="F1").bounding_box()
    labels = load_file(explored.folder / "pseudo_labels" / "F1.safetensors")
    said = labels["video_validation_0000000"][:, 0]
    for snippet in (3, 40, 77):
        page.mouse.move(left + (snippet + 0.5) / len(said) * width, row["y"] + 8)
        word = {1: "foreground", 0: "background", -1: "ignored"}[int(said[snippet])]
        assert f"F1: {word}" in page.inner_text("#tip")


def test_another_lane_stands_below_the_first(page):
    assert page.locator("#timeline .row-name", has_text="warm-up").count() == 0
    page.check("#counts input[data-lane='0']")
    assert page.locator("#timeline .row-name", has_text="warm-up").count() >= 1
    assert "of CBP after warm-up" in page.inner_text("#video-summary")
    assert {row[6] for row in table(page, "prediction-table")} == {"CBP after warm-up", "Ensemble"}


def test_dragging_over_the_timeline_looks_closer(explored, page):
    duration = next(iter(explored.read("ground_truth.json")["database"].values()))["duration"]
    page.locator("#timeline").scroll_into_view_if_needed()
    left, width, top = plot(page)
    page.mouse.move(left + width * 0.25, top + 60)
    page.mouse.down()
    page.mouse.move(left + width * 0.75, top + 60, steps=4)
    page.mouse.up()
    sync_api.expect(page.locator("#pan")).to_be_visible()
    page.mouse.move(left + 2, top + 40)
    at = seconds(page.inner_text("#tip").splitlines()[0])
    assert at == pytest.approx(duration / 4, abs=duration / 100)


def test_the_keyboard_does_it_all(page):
    page.locator("#timeline").focus()
    page.keyboard.press("ArrowRight")
    assert "video 2 of 43" in page.inner_text("#video-summary")
    page.keyboard.press("ArrowLeft")
    first = page.input_value("#class")
    page.keyboard.press("ArrowDown")
    assert page.input_value("#class") != first
    page.keyboard.press("ArrowUp")
    page.keyboard.press("+")
    assert page.is_visible("#pan")
    page.keyboard.press("0")
    assert not page.is_visible("#pan")
    page.keyboard.press("n")
    one = page.inner_text("#selected")
    page.keyboard.press("n")
    assert page.inner_text("#selected") not in ("", one)
    page.keyboard.press("p")
    assert page.inner_text("#selected") == one
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "video-search"
    page.keyboard.type("np/")
    assert page.input_value("#video-search") == "np/"


def test_the_list_has_keys_and_only_the_rows_in_view(fake_run, look):
    page = look(write_report(fake_run(videos=213, mean_seconds=30)).path)
    assert page.locator(".video").count() < 30
    page.focus("#video-list")
    page.keyboard.press("End")
    assert "video 213 of 213" in page.inner_text("#video-summary")
    active = page.get_attribute("#video-list", "aria-activedescendant")
    row = page.locator(f"#{active}")
    assert row.get_attribute("aria-selected") == "true"
    assert (row.get_attribute("aria-posinset"), row.get_attribute("aria-setsize")) == ("213", "213")
    sync_api.expect(row).to_be_in_viewport()
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowUp")
    chosen = page.locator(".video[aria-selected=true] .name").inner_text()
    assert chosen == page.inner_text("#video-title")
    page.keyboard.press("Home")
    assert "video 1 of 213" in page.inner_text("#video-summary")


def test_a_video_annotated_past_its_end_shows_all_of_it(fake_run, look):
    folder = fake_run(videos=1)
    text = (folder / "ground_truth.json").read_text()
    duration = float(re.search(r'"duration": ([\d.]+)', text)[1])
    text = text.replace(f'"duration": {duration}', f'"duration": {duration / 2}')
    (folder / "ground_truth.json").write_text(text)
    page = look(write_report(folder).path)
    left, width, _ = plot(page)
    beyond = page.locator("#timeline .beyond").bounding_box()
    assert beyond["width"] > width / 4
    assert beyond["x"] + beyond["width"] == pytest.approx(left + width, abs=2)
