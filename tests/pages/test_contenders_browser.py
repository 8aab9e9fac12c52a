"""Several runs on one page, in a real browser."""

import pytest

from duetal.evaluation.protocols import SECONDS
from duetal.pages import PageEntry, write_contenders
from duetal.pages.run_files import read_videos
from duetal.results.folder import RunFolder

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

STAGES = ("cbp-f2", "cbp-warmup", "vlp-zeroshot")


@pytest.fixture
def page(explored, look, tmp_path):
    found = read_videos(RunFolder(explored.folder))
    made = [PageEntry(stage, (found.found[stage],)) for stage in STAGES]
    made[0] = PageEntry("the run", made[0].runs, explored.folder)
    made[1] = PageEntry("another run", made[1].runs, explored.folder)
    return look(write_contenders(made, found.truth, SECONDS, tmp_path / "page.html").path)


def lanes_of(page) -> list[str]:
    """What stands beside the lanes of the first class, from above."""
    names = page.locator(".row-name").all_text_contents()
    return [name for name in names if name in "ABC"][:3]


def test_every_run_has_a_lane_above_one_another_and_a_row_in_the_legend(page):
    legend = page.locator("#counts tbody tr").all_inner_texts()
    assert [row.split("\t")[0].strip() for row in legend] == [
        "the run",
        "another run",
        "vlp-zeroshot",
    ]
    assert lanes_of(page) == ["A", "B", "C"]
    rows = page.locator(".row-name")
    tops = [rows.get_by_text(name, exact=True).first.bounding_box()["y"] for name in "ABC"]
    assert tops == sorted(tops)
    # Shapes differ as colours do.
    paths = page.eval_on_selector_all("#counts svg use", "nodes => nodes.map(n => n.outerHTML)")
    assert len(set(paths)) == 3


def test_a_lane_can_be_taken_away(page):
    page.uncheck("#counts input[data-lane='1']")
    assert lanes_of(page)[:2] == ["A", "C"]
    assert "another run" not in page.inner_text("#video-summary")


def test_the_table_of_segments_says_which_run_found_what(page):
    page.click("summary:has-text('ground truth as a table')")
    page.wait_for_function("document.getElementById('truth-table').tBodies.length")
    heads = page.locator("#truth-table thead th").all_inner_texts()
    assert heads == ["Start", "End", "Class", "the run", "another run", "vlp-zeroshot"]
    cells = set(page.locator("#truth-table tbody tr td:nth-child(n + 4)").all_inner_texts())
    assert cells <= {"found", "missed"}


def test_curves_are_of_the_chosen_run(page):
    assert page.locator("#run option").all_inner_texts() == ["the run", "another run"]
    page.select_option("#run", label="another run")
    assert page.locator("#timeline .curve").count() == 2


def test_a_video_that_differs_is_one_press_away(page):
    page.click("summary:has-text('Where another run differs most')")
    link = page.locator("button[data-go]").nth(3)
    page.fill("#video-search", "nothing")
    link.click()
    assert page.inner_text("#video-title") == link.inner_text()
    assert page.input_value("#video-search") == ""
