"""Rendering of pages as single HTML files that load nothing.

Names come from outside: Jinja2 escapes them in markup, JSON is written so that nothing in it can
end its element, and the policy in the page's head allows only the page's own script and style, by
their hashes.
"""

import base64
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from duetal import __version__
from duetal.pages.bundle import bundle
from duetal.pages.marks import SHAPES
from duetal.pages.terms import TERMS, Glossary, documentation


def render(
    template: str,
    data: Any,
    *,
    styles: Sequence[str],
    script: str,
    media: str = "",
    is_served: bool = False,
    **values: Any,
) -> str:
    """Render a page as text.

    Args:
        template: name in `assets/`; it uses `style`, `script`, `policy`, `data` and `versions`.
        data: JSON for the scripts, of a type in `assets/types.d.ts`.
        styles: names in `assets/`, in order.
        script: name in `assets/` of the module that runs; all that it imports comes with it.
        media: sources of media that the page may play; empty for no media.
        is_served: a server of ours has the page, which may ask it for data and pictures.
        values: further variables of the template.
    """
    folder = files("duetal.pages") / "assets"
    style = "\n".join((folder / name).read_text(encoding="utf-8") for name in styles)
    code = bundle(script)
    own = " 'self'; connect-src 'self'" if is_served else ""
    policy = (
        f"default-src 'none'; script-src {_hash(code)}; style-src {_hash(style)}; "
        f"img-src data:{own};"
        f"{f' media-src {media};' if media else ''} "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    html = page.render(
        data=_json_for_html(data),
        style=Markup(style),  # noqa: S704 - the package's own files
        script=Markup(code),  # noqa: S704 - the package's own files
        policy=policy,
        versions=f"duetal {__version__}, Python {sys.version_info[0]}.{sys.version_info[1]}",
        **values,
    )
    # A name read from JSON can hold half a surrogate pair, which UTF-8 has no bytes for.
    return html.encode("utf-8", "replace").decode("utf-8")


def links(files: Iterable[Path], folder: Path) -> list[tuple[str, str]]:
    """Name and address of the files that lie in a page's folder or below; others have no link."""
    page = folder.absolute()
    inside = [file for file in files if file.absolute().is_relative_to(page)]
    # The dot keeps a name with a colon from being taken for a protocol.
    return [
        (file.name, "./" + quote(os.fsencode(file.absolute().relative_to(page)))) for file in inside
    ]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("duetal.pages", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "shapes": SHAPES,
        "terms": TERMS,
        "glossary": Glossary(),
        "documentation": documentation(),
    }
    environment.filters["percent"] = lambda value: f"{value:.1f}"
    environment.filters["thousands"] = lambda value: f"{value:,}"
    return environment


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _json_for_html(value: Any) -> Markup:
    r"""JSON that is inert inside a `<script type="application/json">` element.

    `ensure_ascii` already writes U+2028 and U+2029 as `\u…`; with `<`, `>` and `&` written so too,
    no name can end the element or start a comment in it.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - escaped above
