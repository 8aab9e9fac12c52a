"""Every command in the documentation exists, with its options; every link has a target."""

import doctest
import re
import shlex

import click
import pytest
from documentation import PAGES, ROOT, commands

from duetal.cli.main import cli
from duetal.evaluation.protocols import PROTOCOLS

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
#: What ends a command's arguments on a shell line.
END_OF_WORDS = {"|", "||", "&&", ";", ">", ">>", "2>", "&"}


ALL_COMMANDS = [
    pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in commands(page)
]


def _words(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    end = next((i for i, word in enumerate(words) if word in END_OF_WORDS), len(words))
    return words[:end]


def _check_duetal(words: list[str]) -> None:
    """Fail unless the words name commands, options and arguments that exist."""
    command: click.Command = cli
    context = click.Context(cli, info_name="duetal")
    while isinstance(command, click.Group):
        if words and words[0] in ("--help", "-h", "--version"):
            return
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    if "--help" in words:
        return
    given, left_over, _ = command.make_parser(context).parse_args(words)
    assert left_over == [], f"more arguments than {command.name} takes"
    # What was not given is absent, empty, or click's own mark, by version.
    missing = [
        parameter.name
        for parameter in command.params
        if parameter.required
        and not (isinstance(v := given.get(parameter.name), str | tuple) and v)
    ]
    assert missing == []


@pytest.mark.parametrize("line", ALL_COMMANDS)
def test_a_documented_command_exists(line):
    words = _words(line)
    while words and "=" in words[0]:  # FOO=bar before the command
        words.pop(0)
    program, *words = words
    program = program.removeprefix(".venv/bin/")
    if program == "duetal":
        _check_duetal([word for word in words if word != "--debug"])
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in (word for word in words if "=" not in word):
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)
    elif program.startswith("python") and words and not words[0].startswith("-"):
        assert (ROOT / words[0]).is_file()
    elif "/" in program:
        assert (ROOT / program).is_file()


@pytest.mark.parametrize(
    "line",
    [
        "duetal recipies ls",
        "duetal recipes list",
        "duetal recipes cp",
        "duetal recipes cp demo here there",
        "duetal doctor --jsn",
        "duetal doctor extra",
        "make tests",
        "python examples/absent.py",
        "scripts/absent.sh",
    ],
)
def test_a_wrong_command_would_be_found(line):
    with pytest.raises((AssertionError, click.UsageError)):
        test_a_documented_command_exists(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_have_a_target(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_in_a_page_give_the_shown_results(page):
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0


def test_every_folder_has_a_row_in_the_architecture_table():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in (ROOT / "src" / "duetal").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)/`", text, re.MULTILINE)) == folders


def test_every_protocol_has_a_row_in_its_page():
    text = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w./-]+)` \|", text, re.MULTILINE)) == set(PROTOCOLS)
