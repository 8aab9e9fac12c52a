"""Write docs/settings.md: every setting of a run, from the docstrings of duetal.config.Config.

    python scripts/settings_page.py

A test compares the committed page with what this makes of the code, so the two can't drift apart.
"""

import inspect
import re
from enum import Enum
from pathlib import Path
from typing import Any

import annotated_types
import yaml
from pydantic.fields import FieldInfo

from duetal import recipes
from duetal.config import Config

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
INTRODUCTION = """\
<!-- Made by scripts/settings_page.py from src/duetal/config.py; change it there. -->

# Every setting

A recipe is a flat YAML file of these, and `key=value` on the command line of `duetal train` changes
single ones ([training](training.md)). What a run used in the end is in its `config.yaml`. A key
that does not exist, or a value out of bounds, is an error before anything is written.

The tag says what a default rests on:

| tag | |
|---|---|
| [S] | the paper's supplement, to the letter |
| [N] | a published reading note of the paper |
| [F] | the field's common practice |
| [D] | our decision, [because nothing is known](method.md#the-decisions-that-are-ours) |
| none | a matter of your data or your machine, not of the method |

Three things hold between settings: `pseudo_low` is not above `pseudo_high`; `cbp_width` is a
multiple of `cbp_heads`; `crop` divides by the pyramid's largest stride, 2 to the power of
`cbp_levels` − 1.
"""
#: How the page says a type.
TYPES = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}
#: How it says a bound.
BOUNDS = {
    annotated_types.Ge: "at least {0.ge:g}",
    annotated_types.Gt: "above {0.gt:g}",
    annotated_types.Le: "at most {0.le:g}",
    annotated_types.Lt: "below {0.lt:g}",
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")
    print(PAGE)


def render() -> str:
    """The whole page."""
    sections = sections_of(inspect.getsource(Config))
    assert [key for keys in sections.values() for key in keys] == list(Config.model_fields)
    changed = changes_of_recipes()
    parts = [INTRODUCTION]
    for title, keys in sections.items():
        parts.append(f"## {title[0].upper()}{title[1:]}\n")
        parts += [_setting(key, Config.model_fields[key], changed.get(key, {})) for key in keys]
    return "\n".join(parts)


def sections_of(source: str) -> dict[str, list[str]]:
    """Titles of the class's comment lines `# --- title ---`, each with the fields below it."""
    sections: dict[str, list[str]] = {}
    for title, key in re.findall(r"^    (?:# --- (.+?) -+|(\w+): .+ = .+)$", source, re.MULTILINE):
        if title:
            sections[title] = []
        else:
            sections[list(sections)[-1]].append(key)
    return sections


def changes_of_recipes() -> dict[str, dict[str, Any]]:
    """By setting, the recipes that change it, each with its value."""
    changed: dict[str, dict[str, Any]] = {}
    for recipe in recipes.names():
        for key, value in yaml.safe_load(recipes.read(recipe)).items():
            if value != Config.model_fields[key].default:
                changed.setdefault(key, {})[recipe] = value
    return changed


def _setting(key: str, field: FieldInfo, changed: dict[str, Any]) -> str:
    """One setting: its name as a heading, its type, bounds and default, and what it is for."""
    described = " ".join((field.description or "").split())
    facts = [_kind(field), f"default {_value(field.default)}"]
    if changed:
        told = ", ".join(f"`{recipe}` to {_value(value)}" for recipe, value in changed.items())
        facts.append(f"changed by recipes: {told}")
    return f"### `{key}`\n\n{'; '.join(facts)}.\n\n{described}\n"


def _kind(field: FieldInfo) -> str:
    """The type of a setting and its bounds, in words."""
    kind = field.annotation
    assert isinstance(kind, type)
    if issubclass(kind, Enum):
        return "One of " + ", ".join(_value(choice) for choice in kind)
    bounds = [BOUNDS[type(bound)].format(bound) for bound in field.metadata]
    word = TYPES[kind]
    return ", ".join([word[0].upper() + word[1:], *bounds])


def _value(value: Any) -> str:
    """A value as one types it in a recipe."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if value != "" else "empty"


if __name__ == "__main__":
    main()
