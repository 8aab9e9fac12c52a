"""Modules joined into one script: in the order of their imports, each with its own scope."""

import re
from importlib.resources import files

import pytest

from duetal.pages.bundle import bundle, join_modules

ENTRIES = ("run_page.js", "contenders_page.js", "player_page.js", "review_page.js")
SOURCES = {
    "entry": "import { twice } from './maths.js';\nimport { name } from './names.js';\n"
    "window.result = [name(), twice(4)];\n",
    "maths": "import { name } from './names.js';\nconst own = 2;\n"
    "/** @type {import('./types').T} */\nexport const twice = (x) => own * x;\n"
    "export const who = name();\n",
    "names": "const own = 'names';\nexport function name() {\n  return own;\n}\n",
}


def test_modules_stand_in_the_order_of_their_imports_once_each():
    script = join_modules("entry", SOURCES)
    assert re.findall(r"^\$\.(\w+) = ", script, re.MULTILINE) == ["names", "maths", "entry"]
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)


def test_names_of_one_module_are_not_seen_in_another(browser):
    page = browser.new_page()
    page.evaluate(join_modules("entry", SOURCES))
    assert page.evaluate("window.result") == ["names", 8]
    assert page.evaluate("typeof own + typeof twice") == "undefinedundefined"
    page.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": "import { twice } from './maths.js';\n"}, "entry → maths → names → maths"),
        ({"names": "export const title = 1;\n"}, r"names\.js does not export name"),
        ({"entry": "import { a } from './missing.js';\n"}, r"missing\.js, which does not exist"),
        ({"entry": "import * as maths from './maths.js';\n"}, r"entry\.js: syntax not covered"),
        ({"entry": "import x from './maths.js';\n"}, "syntax not covered"),
        ({"entry": "const m = await import('./maths.js');\n"}, "syntax not covered"),
        ({"names": "export let name = 1;\n"}, "does not export name|syntax not covered"),
        ({"names": "export default 1;\n"}, "does not export name|syntax not covered"),
    ],
)
def test_what_is_not_covered_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        join_modules("entry", SOURCES | change)


def test_every_script_is_part_of_a_page():
    folder = files("duetal.pages") / "assets"
    shipped = {path.name for path in folder.iterdir() if path.name.endswith(".js")}
    joined = "".join(bundle(entry) for entry in ENTRIES)
    assert {f"{name}.js" for name in re.findall(r"^\$\.(\w+) = ", joined, re.MULTILINE)} == shipped
