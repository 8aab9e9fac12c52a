"""JSON read whole: what is refused, and the place of it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core import files
from duetal.core.errors import DuetalError
from duetal.formats.json_values import read_document


def written(folder: Path, text: str) -> Path:
    path = folder / "a.json"
    path.write_text(text)
    return path


@given(text=st.text(st.sampled_from('{}[]",:01.eE-truefalsn \\u\n'), max_size=30))
def test_what_json_refuses_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = written(tmp_path_factory.mktemp("json"), text)
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(DuetalError, match=r"a\.json"):
            read_document(path)
    else:
        assert read_document(path, report=lambda _: None) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 column 1: not JSON"),
        ('{"a": 1} x', "line 1 column 10: not JSON: Extra data"),
        ('{"a": 1,\n "b" 2}', "line 2 column 6: not JSON: Expecting ':'"),
        ("[" * 20_000, "nested too deeply"),
        ('{"a": ' * 20_000, "nested too deeply"),
        ("9" * 5000, "not JSON: Exceeds the limit"),
        ('{"a": 1, "a": 2}', "'a' is listed twice"),
        ('{"a": {"b": 1, "b": 2}}', "'b' is listed twice"),
    ],
)
def test_malformed(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DuetalError, match=r"a\.json") as caught:
        read_document(written(tmp_path, text))
    assert message in str(caught.value)


def test_of_a_key_that_is_there_twice_the_last_counts(tmp_path: Path) -> None:
    errors: list[DuetalError] = []
    path = written(tmp_path, '{"a": 1, "b": [{"c": 1, "c": 2, "c": 3}], "a": 4}')
    assert read_document(path, errors.append) == {"a": 4, "b": [{"c": 3}]}
    assert [error.cause for error in errors] == ["'c' is listed twice", "'a' is listed twice"]


def test_numbers_are_those_that_python_writes(tmp_path: Path) -> None:
    assert read_document(written(tmp_path, "[Infinity, -Infinity, 1e999]"))[2] == float("inf")
    (number,) = read_document(written(tmp_path, "[NaN]"))
    assert number != number


def test_what_is_too_large_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 5)
    with pytest.raises(DuetalError, match=r"a\.json: is too large: 6 bytes, at most 5 are read"):
        read_document(written(tmp_path, "[1, 2]"))
