"""The page in a real browser: what a reader sees and does."""

import json
import re
from email.message import Message

import pytest
from safetensors.numpy import load_file, save_file

from duetal.pages import render_report, write_report
from duetal.results.log_events import EpochEvent, PhaseStart
from duetal.results.schema import ScoreIndex

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_tables_charts_and_timeline_are_there(fake_run, look):
    page = look(write_report(fake_run()).path)
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
    page = look(write_report(folder).path)
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
    out = write_report(fake_run(videos=1)).path

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
    page = look(write_report(fake_seeds(videos=2)).path)
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
    page = look(write_report(folder).path)
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
    page = look(write_report(folder).path)
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


def test_keys_work_on_a_fresh_page(explored, look):
    page = look(explored.page)
    videos = [video.strip() for video in page.locator(".video .name").all_text_contents()[:2]]
    page.keyboard.press("n")
    assert page.inner_text("#selected")
    # The page scrolls there.
    top = "document.getElementById('timeline').getBoundingClientRect().top"
    page.wait_for_function(f"() => {top} < innerHeight - 40")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#video-title") == videos[1]
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#video-title") == videos[0]
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "video-search"
    # What is typed into a field is text.
    page.keyboard.press("n")
    assert page.input_value("#video-search") == "n"


def test_the_chosen_colours_are_remembered(fake_run, browser):
    out = write_report(fake_run(videos=1)).path
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    theme = "document.documentElement.dataset.theme"
    page.goto(out.as_uri())
    assert page.evaluate(theme) is None
    page.click("#theme")
    other = context.new_page()
    other.goto(out.as_uri())
    assert other.evaluate(theme) == "dark"
    assert other.inner_text("#theme") == "Light"
    context.close()


def test_ground_truth_and_pseudo_labels_differ_in_colour(explored, look):
    for scheme in ("light", "dark"):
        page = look(explored.page, color_scheme=scheme)
        truth, pseudo = page.eval_on_selector_all(
            "#videos .swatch.truth, #videos .swatch.foreground",
            "nodes => nodes.map(node => getComputedStyle(node).backgroundColor)",
        )
        assert truth != pseudo


def test_terms_are_explained_by_the_keyboard(explored, look):
    page = look(explored.page)
    text = page.inner_text("#scores .terms")
    assert all(term in text for term in ("CBP", "VLP", "B1, F1", "tIoU", "mAP"))
    assert "snippet" in page.text_content("#videos .terms")
    page.locator("#scores .terms a", has_text="mAP").focus()
    page.keyboard.press("Enter")
    assert "its mean over classes" in page.inner_text("#terms :target")
    for link in page.eval_on_selector_all("a.term, footer a", "nodes => nodes.map(n => n.hash)"):
        assert page.locator(link).count() == 1, link


def test_the_footer_links_to_the_documentation_that_has_an_address(tiny_run, monkeypatch):
    known = Message()
    monkeypatch.setattr("duetal.pages.terms.metadata", lambda name: known)
    assert "Documentation</a>" not in render_report(tiny_run)
    known["Project-URL"] = "Source, https://example.org/code"
    known["Project-URL"] = "Documentation, https://example.org/docs"
    assert '<a href="https://example.org/docs">Documentation</a>' in render_report(tiny_run)


def test_detections_are_linked_where_they_lie_below_the_page(explored, look, tmp_path):
    page = look(explored.page)
    links = page.eval_on_selector_all("dl.facts a", "nodes => nodes.map(node => node.href)")
    stems = {path.stem for path in (explored.folder / "detections").glob("*.json")}
    assert {link.rpartition("/")[2] for link in links} == {f"{stem}.json" for stem in stems}
    assert all(link.startswith((explored.folder / "detections").as_uri()) for link in links)
    elsewhere = look(write_report(explored.folder, tmp_path / "page.html").path)
    assert elsewhere.locator("dl.facts a").count() == 0
