"""The documentation's pages, and the commands that they show."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: Also one that stands in a list, and so is indented.
CONSOLE_BLOCK = re.compile(r"^ *```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """The lines after "$ " in the page's console blocks, continued lines joined."""
    for block in CONSOLE_BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if line.lstrip().startswith("$ "):
                yield line.lstrip().removeprefix("$ ")
