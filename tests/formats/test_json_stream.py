import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.errors import DuetalError
from duetal.formats.json_stream import MEMORY_FLOOR, members

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=10,
)


def written(folder: Path, text: str) -> Path:
    path = folder / "a.json"
    path.write_text(text)
    return path


@given(value=values, indent=st.sampled_from([None, 0, 2]), enter=st.text(max_size=2))
def test_the_members_are_those_that_json_loads(
    tmp_path_factory: pytest.TempPathFactory, value: Any, indent: int | None, enter: str
) -> None:
    path = written(tmp_path_factory.mktemp("json"), json.dumps(value, indent=indent))
    found = dict(members(path))
    if isinstance(value, dict):
        assert found == {(key,): inner for key, inner in value.items()}
        inner = value.get(enter)
        if isinstance(inner, dict):
            entered = {keys: v for keys, v in members(path, {enter}) if keys[0] == enter}
            assert entered == {(enter,): {}} | {(enter, key): v for key, v in inner.items()}
    elif isinstance(value, list):
        assert found == {(index,): inner for index, inner in enumerate(value)}
    else:
        assert found == {(): value}


@given(text=st.text(st.sampled_from('{}[]",:01.eE-truefalsn \\u\n'), max_size=30))
def test_what_json_refuses_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = written(tmp_path_factory.mktemp("json"), text)
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(DuetalError, match=r"a\.json"):
            list(members(path, {"a"}))
    else:
        assert len(list(members(path, report=lambda _: None))) >= bool(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 column 1: not JSON"),
        ('{"a": 1} x', "line 1 column 10: not JSON: Extra data"),
        ('{"a": 1,\n "b" 2}', "line 2 column 6: not JSON: Expecting ':'"),
        ("[" * 20_000, "nested too deeply"),
        ('{"a": ' * 20_000, "nested too deeply"),
        ("9" * 5000, "not JSON: a number of too many digits"),
        ('{"a": 1, "a": 2}', "'a' is listed twice"),
        ('{"a": {"b": 1, "b": 2}}', "'b' is listed twice"),
    ],
)
def test_malformed(tmp_path: Path, text: str, message: str) -> None:
    for enter in ((), ("a",)):
        with pytest.raises(DuetalError) as caught:
            list(members(written(tmp_path, text), enter))
        assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [' + "[]," * 110_000 + "[]]}",
        '{"a": {"b": [' + "{}," * 110_000 + "{}]}}",
        '{"a": {' + ",".join(f'"{i}":{{}}' for i in range(40_000)) + "}}",
        '{"a": [' + '"xy",' * 180_000 + '""]}',
    ],
)
def test_a_file_made_to_grow_is_refused_before_it_does(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    tracemalloc.start()
    with pytest.raises(DuetalError, match="more than 10 times the file's size in memory"):
        for _ in members(path, {"a"}):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < max(10 * len(text), MEMORY_FLOOR)
