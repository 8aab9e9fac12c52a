"""What readers of the page need who do not see it, or not as most do."""

from itertools import pairwise

import pytest
from browsing import ask

from duetal.evaluation.protocols import SECONDS
from duetal.pages import PageEntry, write_contenders
from duetal.pages.run_files import read_videos
from duetal.results.folder import RunFolder

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(params=["run", "contenders"])
def path(request, explored, tmp_path):
    if request.param == "run":
        return explored.page
    found = read_videos(RunFolder(explored.folder))
    made = [PageEntry(stage, (found.found[stage],)) for stage in ("cbp-f2", "cbp-warmup")]
    return write_contenders(made, found.truth, SECONDS, tmp_path / "page.html").path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out(look, path, scheme):
    assert ask(look(path, color_scheme=scheme), "faintText()") == []


def test_marks_stand_out_on_their_ground_in_light_and_dark(look, explored):
    names = ["--truth", "--near", "--other", "--missed", "--background"]
    names += [*(f"--mark-{number}" for number in range(1, 7)), "--focus"]
    for scheme in ("light", "dark"):
        page = look(explored.page, color_scheme=scheme)
        assert ask(page, f"faintMarks({names})") == []


def test_everything_that_is_operated_has_a_name_and_a_role(look, path):
    page = look(path)
    page.eval_on_selector_all("details", "all => all.forEach((each) => { each.open = true; })")
    assert ask(page, "nameless()") == []
    assert ask(page, "dangling()") == []
    unlabelled = page.eval_on_selector_all(
        "[tabindex='0']",
        "all => all.filter((n) => !n.getAttribute('role')).map((n) => n.outerHTML)",
    )
    assert unlabelled == []


def test_landmarks_and_headings_come_in_order(look, path):
    page = look(path)
    assert page.locator("main").count() == page.locator("h1").count() == 1
    levels = page.eval_on_selector_all(
        "h1, h2, h3",
        "all => all.filter((n) => n.checkVisibility()).map((n) => Number(n.tagName[1]))",
    )
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.get_attribute("html", "lang") == "en"


def test_what_the_filters_leave_is_read_out(look, explored):
    page = look(explored.page)
    for name in ("#result", "#selected"):
        assert page.get_attribute(name, "role") == "status"
    before = page.inner_text("#result")
    page.fill("#video-search", "test_00001")
    assert page.inner_text("#result") not in ("", before)
    pressed = page.locator(".kind", has_text="background")
    pressed.click()
    assert pressed.get_attribute("aria-pressed") == "true"
    label = page.get_attribute("#timeline svg[role=img]", "aria-label")
    assert page.inner_text("#video-title") in label


def test_tab_goes_from_the_filters_to_the_list_and_the_timeline(look, explored):
    page = look(explored.page)
    page.focus("#video-search")
    visited = []
    for _ in range(60):
        page.keyboard.press("Tab")
        visited.append(
            page.evaluate("document.activeElement.id || document.activeElement.className")
        )
        if visited[-1] == "zoom-in":
            break
    order = ["class-filter", "tiou", "floor", "reset", "order", "video-list", "next", "class"]
    order += ["stretch", "timeline", "handle mark-1", "handle mark-2", "zoom-in"]
    assert [name for name in visited if name in order] == order


def test_without_scripts_the_tables_are_there(browser, explored):
    page = browser.new_page(java_script_enabled=False)
    page.goto(explored.page.as_uri())
    assert page.locator("table.scores tbody tr").count() == 7
    assert page.locator("noscript").first.is_visible()
    page.close()


def test_the_timeline_is_painted_anew_in_other_colours(look, explored):
    page = look(explored.page, color_scheme="light")
    light = ask(page, "painted()")
    page.click("#theme")
    dark = ask(page, "painted()")
    # In the dark the same bar is brighter.
    assert sum(dark) > sum(light)
