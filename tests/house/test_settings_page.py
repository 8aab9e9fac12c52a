"""docs/settings.md is what scripts/settings_page.py makes of the configuration."""

import runpy

import pytest
from documentation import ROOT

from duetal import recipes
from duetal.config import SETTINGS

PAGE = ROOT / "docs" / "settings.md"


@pytest.fixture(scope="module")
def generator():
    return runpy.run_path(str(ROOT / "scripts" / "settings_page.py"))


def entry(key: str) -> str:
    """The text of one setting."""
    return PAGE.read_text(encoding="utf-8").partition(f"\n### `{key}`\n")[2].partition("\n#")[0]


def test_the_page_is_as_the_configuration_makes_it(generator):
    message = "docs/settings.md is out of date: run python scripts/settings_page.py"
    assert PAGE.read_text(encoding="utf-8") == generator["render"](), message


def test_every_setting_has_an_entry_with_its_purpose():
    assert [s.key for s in SETTINGS if len(entry(s.key).split("\n\n")) < 2] == []


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        (
            "data.crop",
            "Whole number, at least 8, at most 1,000,000; default `1000`; changed by recipes: ",
        ),
        ("data.crop", "`hapt` to `96`"),
        ("schedule.learning_rate", "Number, above 0, at most 1e+30; default `0.0001`;"),
        ("cbp.dropout", "at least 0, below 1; default `0`;"),
        (
            "localization.scoring",
            "One of `max`, `contrast`, `log_contrast`, `max_then_contrast`; default `max_then",
        ),
        ("localization.thresholds", "List of numbers from 0 to 1; default `[0.1, 0.2, "),
        (
            "vlp.attention_radius",
            "Whole number, at least 1, at most 1,000,000, or none; default none;",
        ),
        ("vlp.zero_shot_start", "`true` or `false`; default `true`."),
        ("data.text_encoder", "Text, or none; default none;"),
        ("vlp.temperature", "\n\n[S] τ of the cosine similarity.\n"),
    ],
)
def test_an_entry_shows_type_bounds_default_recipes_and_tag(key, facts):
    assert facts in entry(key)


def test_no_recipe_is_left_out_that_changes_a_setting():
    assert [name for name in recipes.names() if f"`{name}` to" not in PAGE.read_text()] == []
