import json
import sqlite3
from itertools import pairwise

import pytest

from duetal.core.errors import DuetalError
from duetal.review.corrections import Corrections
from duetal.review.statements import (
    StaleError,
    Statement,
    StatementChange,
    StatementKind,
    Verdict,
)

#: A file's name may hold half a character.
NAME = "v \udcff'; DROP TABLE journal; --"
PROPOSAL = Statement(StatementKind.ACTION, "Jump", 1.0, 2.0, 0.5, Verdict.OPEN)


@pytest.fixture
def path(tmp_path):
    """A review of one proposal in one of two videos."""
    path = tmp_path / "review.sqlite"
    with Corrections(path) as review:
        videos = {NAME: ({"duration": 5.0}, {"cbp": {}}), "w": ({"duration": 6.0}, {})}
        review.begin({"classes": ["Jump"]}, videos, [(NAME, PROPOSAL)])
    return path


def shift(review, start, video=NAME, number=1):
    """An action: the statement begins at another second."""
    before = review.state(video).get(number, PROPOSAL)
    change = StatementChange(video, number, before, before._replace(start=start))
    return review.act(f"to {start}", [change], {video: review.version(video)})


def starts(review):
    return {video: [s.start for s in state.values()] for video, state in review.states().items()}


def test_a_review_is_as_it_was_left(path):
    with Corrections(path) as review:
        assert review.about == {"classes": ["Jump"]}
        assert list(review.videos()) == [NAME, "w"]
        assert review.scores(NAME) == {"cbp": {}}
        assert review.scores("unknown") == {}
        assert review.state(NAME) == {1: PROPOSAL}
        number = review.next_number()
        added = Statement(StatementKind.ACTION, "Dive", 3, 4)
        review.act("add", [StatementChange("w", number, None, added)], {"w": 0})
        shift(review, 1.5)
        version = review.version(NAME)
    with Corrections(path) as review:
        assert review.state("w") == {number: added}
        assert review.state(NAME) == {1: PROPOSAL._replace(start=1.5)}
        assert review.version(NAME) == version
        assert review.next_undo().title == "to 1.5"
        assert review.next_number() > number


def test_undo_and_redo_go_back_to_the_beginning_and_on_across_restarts(path):
    with Corrections(path) as review:
        for second in range(30):
            shift(review, second / 10)
    with Corrections(path) as review:
        while entry := review.next_undo():
            assert review.undo(entry.number) == entry
        assert review.state(NAME) == {1: PROPOSAL}
    with Corrections(path) as review:
        seen = []
        while entry := review.next_redo():
            review.redo(entry.number)
            seen.append(review.state(NAME)[1].start)
        assert seen == [second / 10 for second in range(30)]
        # A new action after undo leaves nothing to redo, and stays in the journal.
        review.undo(review.next_undo().number)
        shift(review, 4.5)
        assert review.next_redo() is None


def test_one_action_in_many_videos_is_one_step(path):
    with Corrections(path) as review:
        changes = [
            StatementChange(NAME, 1, PROPOSAL, PROPOSAL._replace(label="Leap")),
            StatementChange("w", 2, None, PROPOSAL),
        ]
        review.act("rename", changes, {})
        review.undo(review.next_undo().number)
        assert review.state(NAME) == {1: PROPOSAL}
        assert review.state("w") == {}


def test_what_another_window_changed_is_not_overwritten(path):
    with Corrections(path) as review:
        seen = {NAME: review.version(NAME)}
        first = shift(review, 1.5)
        change = StatementChange(NAME, 1, PROPOSAL, PROPOSAL._replace(start=0.0))
        with pytest.raises(StaleError, match="another window"):
            review.act("late", [change], seen)
        shift(review, 1.2, "w", 2)
        with pytest.raises(StaleError, match="something else is to undo"):
            review.undo(first.number)
        with pytest.raises(StaleError, match="something else is to redo"):
            review.redo(first.number)
        assert starts(review) == {NAME: [1.5], "w": [1.2]}


def test_an_action_that_changes_nothing_is_no_entry(path):
    with Corrections(path) as review:
        assert shift(review, 1.0) is None
        assert review.next_undo() is None


def test_a_second_review_of_the_file_is_refused_until_the_first_ends(path, forked):
    with Corrections(path):
        another = forked(_open_and_tell, path)
        another.wait(60)
        assert another.out == f"{path}: is under review in another process: close that one first\n"
    Corrections(path).close()


def _open_and_tell(path):
    try:
        Corrections(path)
    except DuetalError as error:
        print(error)


def test_a_kill_loses_nothing_that_was_answered(path, forked):
    process = forked(_correct_for_ever, path)
    said = process.prints.with_suffix(".out")
    while not said.exists() or process.out.count("\n") < 40:
        assert process.is_alive(), process.err
    process.kill()
    process.join()
    answered = process.out.rpartition("\n")[0].splitlines()
    with Corrections(path) as review:
        # The one that was under way may have been written, too.
        assert review.state(NAME)[1].start >= float(answered[-1])
        count = 0
        while entry := review.next_undo():
            review.undo(entry.number)
            count += 1
        assert len(answered) <= count <= len(answered) + 1
        assert review.state(NAME) == {1: PROPOSAL}


def _correct_for_ever(path):
    with Corrections(path) as review:
        _shift_for_ever(review)


def _shift_for_ever(review):
    for second in range(2, 10_000):
        shift(review, float(second))
        print(float(second), flush=True)


def test_a_full_disk_is_told_and_nothing_is_lost(path):
    with Corrections(path) as review:
        shift(review, 1.5)
        pages = review._database.execute("PRAGMA page_count").fetchone()[0]
        review._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DuetalError, match=r"review\.sqlite: not saved, the disk is full"):
            _shift_for_ever(review)
        last = review.state(NAME)[1].start
        review._database.execute("PRAGMA max_page_count = 100000")
        # Once there is room, the same page goes on.
        shift(review, 4.9)
    with Corrections(path) as review:
        assert review.state(NAME)[1].start == 4.9
        review.undo(review.next_undo().number)
        assert review.state(NAME)[1].start == last


def test_fifty_thousand_corrections_are_opened_and_undone(path):
    with Corrections(path) as review:
        at = [PROPOSAL._replace(start=start / 1e5) for start in range(50_001)]
        rows = [
            (StatementChange(NAME, 1, before, after),)
            for before, after in pairwise([PROPOSAL, *at])
        ]
        sql = "INSERT INTO journal (at, kind, title, changes) VALUES (0, 'act', 'edge', ?)"
        with review._database as database:
            database.executemany(sql, [[json.dumps(row)] for row in rows])
    with Corrections(path) as review:
        assert review.state(NAME)[1] == at[-1]
        review.undo(review.next_undo().number)
        assert review.state(NAME)[1] == at[-2]


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda path: path.write_bytes(b"not a database" * 100), "is no review, or damaged"),
        (lambda path: _sql(path, "PRAGMA application_id = 1"), "is a database, but no review"),
        (lambda path: _sql(path, "PRAGMA user_version = 2"), "a review of form 2"),
        (lambda path: _entry(path, "act", "[[1]]"), "journal entry 1: damaged"),
        (lambda path: _entry(path, "act", "{"), "journal entry 1: damaged"),
        (lambda path: _entry(path, "undo", "[]"), "journal entry 1: damaged"),
        (lambda path: _entry(path, "leap", "[]"), "journal entry 1: damaged"),
    ],
)
def test_a_file_that_is_no_review_is_refused_in_one_line(path, spoil, cause):
    spoil(path)
    with pytest.raises(DuetalError, match=cause):
        Corrections(path)


def _sql(path, sql, *values):
    with sqlite3.connect(path) as database:
        database.execute(sql, values)
    database.close()


def _entry(path, kind, changes):
    _sql(path, "INSERT INTO journal VALUES (1, 0, ?, 'x', ?)", kind, changes)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "review.sqlite", tmp_path):
        with pytest.raises(DuetalError, match="cannot open"):
            Corrections(place)
