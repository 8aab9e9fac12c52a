"""Write docs/settings.md: every setting of a run, from the docstrings of duetal.config's sections.

    python scripts/settings_page.py

A test compares the committed page with what this makes of the code, so the two can't drift apart.
"""

from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from duetal import recipes
from duetal.config import SETTINGS, Config, Setting, load_config

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
INTRODUCTION = """\
<!-- Made by scripts/settings_page.py from the docstrings of the settings; change them there. -->

# Every setting

A recipe is a flat YAML file of these, and `key=value` on the command line of `duetal train` changes
single ones ([training](training.md)). The short name, such as `crop`, is enough where one section
alone has it. What a run used in the end is in its `config.yaml`, which is a recipe too. A key that
does not exist, or a value out of bounds, is an error before anything is written.

The tag says what a default rests on:

| tag | |
|---|---|
| [S] | the paper's supplement, to the letter |
| [N] | a published reading note of the paper |
| [F] | the field's common practice |
| [D] | our decision, [because nothing is known](method.md#the-decisions-that-are-ours) |
| none | a matter of your data or your machine, not of the method |

Three things hold between settings: `losses.pseudo_low` is not above `losses.pseudo_high`;
`cbp.embed_dim` is a multiple of `cbp.heads`; `data.crop` divides by the pyramid's largest stride, 2
to the power of `cbp.levels` − 1.
"""
#: The name of a type.
TYPES = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}
#: The wording of a bound.
BOUNDS = {
    annotated_types.Ge: "at least {0.ge:,}",
    annotated_types.Gt: "above {0.gt:g}",
    annotated_types.Le: "at most {0.le:,}",
    annotated_types.Lt: "below {0.lt:g}",
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")
    print(PAGE)


def render() -> str:
    """The whole page."""
    changed = changes_of_recipes()
    parts = [INTRODUCTION]
    for section, field in Config.model_fields.items():
        assert field.annotation is not None
        parts.append(f"## {section}\n\n{(field.annotation.__doc__ or '').strip()}\n")
        parts += [
            describe(setting, info, changed.get(setting, {}))
            for setting, info in SETTINGS.items()
            if setting.section == section
        ]
    return "\n".join(parts)


def changes_of_recipes() -> dict[Setting, dict[str, Any]]:
    """By setting, the recipes that change it, each with its value."""
    changed: dict[Setting, dict[str, Any]] = {}
    defaults = Config().flat()
    for recipe in recipes.names():
        values = load_config(recipes.read(recipe), recipe).flat()
        for setting in SETTINGS:
            if values[setting.key] != defaults[setting.key]:
                changed.setdefault(setting, {})[recipe] = values[setting.key]
    return changed


def describe(setting: Setting, field: FieldInfo, changed: dict[str, Any]) -> str:
    """One setting: its name as a heading, its type, bounds and default, and its purpose."""
    text = " ".join((field.description or "").split())
    facts = [type_and_bounds(field), f"default {value_text(field.default)}"]
    if changed:
        recipe_values = (f"`{recipe}` to {value_text(value)}" for recipe, value in changed.items())
        facts.append(f"changed by recipes: {', '.join(recipe_values)}")
    return f"### `{setting.key}`\n\n{'; '.join(facts)}.\n\n{text}\n"


def type_and_bounds(field: FieldInfo) -> str:
    """The type of a setting and its bounds, in words."""
    if field.annotation == tuple[str, ...]:
        return "List of names"
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    if all(isinstance(kind, str) for kind in kinds) and kinds:
        return "One of " + ", ".join(map(value_text, kinds))
    kind: Any = field.annotation if isinstance(field.annotation, type) else kinds[0]
    if kind == tuple[str, ...]:
        return "List of names, or none"
    if isinstance(field.default, tuple):
        return "List of numbers from 0 to 1"
    if get_origin(kind) is tuple:
        return "List of numbers, or none"
    if issubclass(kind, Enum):
        return "One of " + ", ".join(map(value_text, kind))
    bounds = [BOUNDS[type(bound)].format(bound) for bound in field.metadata]
    if NoneType in get_args(field.annotation):
        bounds.append("or none")
    name = TYPES[kind]
    return ", ".join([name[0].upper() + name[1:], *bounds])


def value_text(value: Any) -> str:
    """A value as one types it in a recipe."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list | tuple):
        return f"`[{', '.join(map(_item, value))}]`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _item(value: Any) -> str:
    """An item of a list; in quotes where YAML would take a part of it for a mapping."""
    if not isinstance(value, str):
        return f"{value:g}"
    return f'"{value}"' if "{" in value else value


if __name__ == "__main__":
    main()
