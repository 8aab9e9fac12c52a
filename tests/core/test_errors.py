"""One line that names file, place and cause."""

import pytest

from duetal.core.errors import DuetalError, UsageError, unknown


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DuetalError("is NaN", file="a.npy", place="row 3"), "a.npy: row 3: is NaN"),
        (DuetalError("is NaN", file="a.npy"), "a.npy: is NaN"),
        (DuetalError("is NaN", place="row 3"), "row 3: is NaN"),
        (DuetalError("is NaN"), "is NaN"),
        (DuetalError("two\nlines", file="a\r\nb"), "a\\r\\nb: two\\nlines"),
    ],
)
def test_the_message_is_one_line(error, line):
    assert str(error) == line


def test_exit_codes():
    assert DuetalError("x").exit_code == 1
    assert UsageError("x").exit_code == 2


@pytest.mark.parametrize(
    ("name", "valid", "cause"),
    [
        ("batchsize", ["seed", "batch_size"], "; the nearest is 'batch_size'"),
        ("zzz", ["seed"], "; the nearest is 'seed'"),
        ("zzz", [], ""),
    ],
)
def test_an_unknown_name_gives_the_nearest_valid_one(name, valid, cause):
    assert unknown("setting", name, valid) == f"unknown setting {name!r}{cause}"
