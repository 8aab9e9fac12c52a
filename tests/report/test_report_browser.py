"""The page in a real browser: what a reader sees and does."""

import json
import re

import pytest
from safetensors.numpy import load_file, save_file

from duetal.report import write_report
from duetal.results.schema import EpochEvent, PhaseStart, ScoreIndex

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_tables_charts_and_timeline_are_there(fake_run, look):
    page = look(write_report(fake_run()))
    assert page.locator("table.scores tbody tr").count() == 7
    assert page.locator("table.scores td.best").count() == 10
    for chart in ("#journey svg", "#precision-recall svg", "#timeline svg"):
        assert page.locator(chart).is_visible()
    assert page.locator("#training-curves figure svg").count() == 5
    assert page.locator("#timeline .curve").count() == 2
    assert page.locator("#counts tbody tr").count() == 7
    # Four steps that were taught, and the key.
    assert page.locator("#journey .teaches").count() == 5
    for title in ("CBP", "VLP", "Ensemble"):
        assert page.locator("#journey text").get_by_text(title, exact=True).count() == 1


def test_hostile_names_are_text(fake_run, look):
    names = [HOSTILE, '"><svg onload=alert(2)>', "line\u2028break", "two\nlines"]
    folder = fake_run(names=names, classes=[HOSTILE, "<b>bold</b>", "Plain"], videos=5)
    page = look(write_report(folder))
    assert page.locator("#video-title").inner_text() == HOSTILE
    for _ in names:
        page.click("#next")
    page.focus("#timeline")
    for _ in names:
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("n")
    assert HOSTILE in page.inner_text("#selected")
    page.click("summary:has-text('predictions as a table')")
    sync_api.expect(page.locator("#prediction-table tbody tr").first).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.locator("#classes b, #explorer b").count() == 0
    assert HOSTILE in page.locator("#class").inner_text()
    assert HOSTILE in page.locator("#timeline svg").text_content()
    assert HOSTILE in page.locator(".video").first.text_content()


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
    stroke = "getComputedStyle(document.querySelector('.curve.mark-1')).stroke"
    assert light.evaluate(stroke) == dark.evaluate(stroke)


def test_no_width_makes_the_page_scroll_sideways(fake_seeds, look):
    page = look(write_report(fake_seeds(videos=2)))
    for width in (320, 390, 768, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        # Charts follow on the next frame, when their hosts have been measured anew.
        page.wait_for_function(
            """width => document.documentElement.scrollWidth <= width
                && document.querySelector('#timeline svg').clientWidth <= width""",
            arg=width,
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
    if page.locator("#explorer").is_visible():
        assert page.locator("#timeline svg").is_visible()


def test_a_third_branch_and_another_kind_of_phase_have_marks_and_titles(fake_run, look):
    folder = fake_run(videos=2)
    cbp = load_file(folder / "scores" / "cbp.safetensors")
    save_file(
        {name: 1 - scores for name, scores in cbp.items()}, folder / "scores" / "xyz.safetensors"
    )
    index = ScoreIndex.read(folder / "scores" / "index.json")
    index = index.model_copy(update={"branches": ["cbp", "vlp", "xyz"]})
    index.write(folder / "scores" / "index.json")
    start = PhaseStart(name="polish", title="Polish", student="xyz", stage="xyz-polish")
    epoch = EpochEvent(phase="polish", branch="xyz", epoch=1, loss=0.5)
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(event.to_json()) + "\n" for event in (start, epoch))
    page = look(write_report(folder))
    legend = page.locator("#explorer .legend").first.inner_text()
    assert [name for name in ("CBP", "VLP", "XYZ") if f"{name} score" in legend] == legend.split()[
        ::2
    ][:3]
    assert page.locator("#timeline .curve.mark-4").count() == 1
    assert page.locator(".handle").evaluate_all("all => all.map((n) => n.dataset.branch)") == [
        "cbp", "vlp", "xyz",
    ]  # fmt: skip
    assert "XYZ above 0.50" in page.inner_text("#proposal-summary")
    panel = page.locator("#training-curves [data-phase=polish]")
    assert panel.locator("h3").inner_text() == "Polish · XYZ alone"
    assert panel.locator("svg.mark-4").count() == 2
