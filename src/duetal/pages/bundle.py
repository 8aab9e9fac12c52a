"""ES modules of `assets/` as one script, for pages that are opened from a disk without a server.

Browsers load no module from a `file:` address, so each one becomes a function with a scope of its
own, called once, in the order of the imports, and what it exports is handed to those that import
it. This covers the part of the syntax that the scripts use: `import { a, b } from './name.js';` at
the start of a line, and `export` before `const`, `function` or `class`. Anything else is refused.
"""

import re
from functools import cache
from importlib.resources import files

_IMPORT = re.compile(r"^import \{([\w\s,]+)\} from '\./(\w+)\.js';\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.MULTILINE)
_LEFT_OVER = re.compile(r"^(?:import|export)\b.*|\bimport\(.*", re.MULTILINE)
_JSDOC = re.compile(r"[ \t]*/\*\*.*?\*/\n?", re.DOTALL)


@cache
def bundle(entry: str) -> str:
    """One script that runs a module and all that it imports.

    Args:
        entry: the module's file name in `assets/`.

    Raises:
        ValueError: modules import each other in a circle, a name is imported that is not exported,
            or the syntax is not covered.
    """
    return join_modules(
        entry.removesuffix(".js"),
        {
            path.name.removesuffix(".js"): path.read_text(encoding="utf-8")
            for path in (files("duetal.pages") / "assets").iterdir()
            if path.name.endswith(".js")
        },
    )


def join_modules(entry: str, sources: dict[str, str]) -> str:
    """See `bundle`; modules are given by name, without `.js`."""
    exports: dict[str, list[str]] = {}
    parts: list[str] = []

    def add(name: str, importers: tuple[str, ...]) -> None:
        if name in importers:
            raise ValueError(f"modules in a circle: {' → '.join((*importers, name))}")
        if name in exports:
            return
        if name not in sources:
            raise ValueError(f"{importers[-1]}.js imports {name}.js, which does not exist")
        # Types are comments: `import('./types')` in them is no import.
        source = _JSDOC.sub("", sources[name])
        imports = {found[2]: _names(found[1]) for found in _IMPORT.finditer(source)}
        for module, names in imports.items():
            add(module, (*importers, name))
            if missing := set(names) - set(exports[module]):
                raise ValueError(f"{module}.js does not export {', '.join(sorted(missing))}")
        own = _EXPORT.findall(source)
        body = _EXPORT.sub("", _IMPORT.sub("", source))
        if left := _LEFT_OVER.search(body):
            raise ValueError(f"{name}.js: syntax not covered: {left[0]}")
        exports[name] = own
        taken = "".join(f"const {{ {', '.join(i)} }} = $.{m};\n" for m, i in imports.items())
        parts.append(f"$.{name} = (() => {{\n{taken}{body}return {{ {', '.join(own)} }};\n}})();\n")

    add(entry, ())
    return f"(() => {{\n'use strict';\nconst $ = {{}};\n{''.join(parts)}}})();\n"


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]
