"""The documentation's figures can be drawn of any run of two modalities, and are what is drawn."""

import runpy

import pytest
from documentation import ROOT

IMAGES = ROOT / "docs" / "images"
DRAWN = ["alternation.svg", "precision-recall.svg", "pseudo-labels.svg", "scores.svg"]


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


def test_every_figure_of_the_documentation_is_drawn_and_shown():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert [name for name in DRAWN if not (IMAGES / name).is_file()] == []
    assert [name for name in DRAWN if f"](images/{name})" not in pages] == []
