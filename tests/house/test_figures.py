"""The documentation's figures can be drawn of any run of two modalities, and are what is drawn."""

import runpy

import pytest
from browsing import CHROMIUM
from documentation import ROOT

IMAGES = ROOT / "docs" / "images"
DRAWN = ["alternation.svg", "precision-recall.svg", "pseudo-labels.svg", "scores.svg"]

PICTURES = ["review-dark.png", "review-labels.png", "review.png"]


@pytest.mark.recipe
def test_a_run_is_drawn_and_again_the_same_byte_by_byte(tiny_run, tiny_dataset, tmp_path):
    draw = runpy.run_path(str(ROOT / "scripts" / "draw_figures.py"))["main"]
    for folder in ("first", "second"):
        draw([str(tiny_run), str(tiny_dataset), str(tmp_path / folder)])
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == DRAWN
    for name in DRAWN:
        image = (tmp_path / "first" / name).read_bytes()
        assert image.startswith(b"<?xml")
        assert image == (tmp_path / "second" / name).read_bytes()


@pytest.mark.recipe
def test_the_pictures_of_a_review_are_drawn(tmp_path):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium found: the pictures were NOT drawn")
    draw = runpy.run_path(str(ROOT / "scripts" / "review_pictures.py"))["main"]
    # A picture a second is enough here.
    draw.__globals__["FPS"] = 1
    draw([str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == PICTURES
    for name in PICTURES:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (IMAGES / name).stat().st_size < 200_000


def test_every_figure_of_the_documentation_is_drawn_and_shown():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    names = DRAWN + PICTURES
    assert [name for name in names if not (IMAGES / name).is_file()] == []
    assert [name for name in names if f"](images/{name})" not in pages] == []
