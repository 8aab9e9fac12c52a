import math

import pytest

from duetal.core.errors import UsageError
from duetal.review.actions import Action, Reviewed, Verb, rename, title_of
from duetal.review.statements import Statement, StatementKind, Verdict

ACTION, LABEL, LOOKED, CLASS = StatementKind
OPEN, ACCEPTED, REJECTED = Verdict

#: Two proposals, an added action, a label, and a stretch that was looked through.
STATE = {
    1: Statement(ACTION, "Jump", 1.0, 3.0, 0.9, OPEN),
    2: Statement(ACTION, "Dive", 2.0, 5.0, 0.4, OPEN),
    3: Statement(ACTION, "Jump", 6.0, 8.0),
    4: Statement(LABEL, "Jump"),
    5: Statement(LOOKED, "", 8.0, 9.0),
}


def after(state=STATE, **action):
    """The state after an action; the first new statement is number 6."""
    video = Reviewed("v", 10.0, state, iter(range(6, 99)).__next__)
    state = dict(state)
    for change in video.changes(Action(**action)):
        assert change.video == "v"
        assert change.before == state.get(change.number)
        state[change.number] = change.after
    return {number: one for number, one in state.items() if one != STATE.get(number)}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"verb": "accept", "numbers": [1, 2]},
         {1: STATE[1]._replace(verdict=ACCEPTED), 2: STATE[2]._replace(verdict=ACCEPTED)}),
        ({"verb": "reject", "numbers": [1]}, {1: STATE[1]._replace(verdict=REJECTED)}),
        ({"verb": "reject", "numbers": [3]}, {3: None}),
        ({"verb": "reject", "numbers": [5]}, {5: None}),
        ({"verb": "reopen", "numbers": [1]}, {}),
        ({"verb": "edges", "numbers": [1], "start": 0.5, "end": 2.12345},
         {1: Statement(ACTION, "Jump", 0.5, 2.123, 0.9)}),
        ({"verb": "edges", "numbers": [1], "start": -3, "end": 99},
         {1: Statement(ACTION, "Jump", 0.0, 10.0, 0.9)}),
        ({"verb": "label", "numbers": [1, 3], "label": " A  new\none "},
         {1: Statement(ACTION, "A new one", 1, 3, 0.9), 3: Statement(ACTION, "A new one", 6, 8)}),
        ({"verb": "split", "numbers": [2], "start": 3.5},
         {2: Statement(ACTION, "Dive", 2, 3.5, 0.4), 6: Statement(ACTION, "Dive", 3.5, 5, 0.4)}),
        ({"verb": "merge", "numbers": [3, 1]}, {3: Statement(ACTION, "Jump", 1, 8), 1: None}),
        ({"verb": "add", "label": "Dive", "start": 9, "end": 9.5},
         {6: Statement(ACTION, "Dive", 9, 9.5)}),
        ({"verb": "add", "label": "Dive", "start": 9, "end": 9},
         {6: Statement(ACTION, "Dive", 9, 9)}),
        # The proposal whose middle is in it is rejected, and the stretch within it is one with it.
        ({"verb": "nothing else", "start": 3, "end": 9.5},
         {2: STATE[2]._replace(verdict=REJECTED), 5: None, 6: Statement(LOOKED, "", 3, 9.5)}),
        # Of one class, what is said of all stays.
        ({"verb": "nothing else", "label": "Jump", "start": 0, "end": 9.5},
         {1: STATE[1]._replace(verdict=REJECTED), 6: Statement(LOOKED, "Jump", 0, 9.5)}),
        ({"verb": "labels", "present": ["Dive"], "absent": ["Jump"]},
         {4: Statement(LABEL, "Jump", verdict=REJECTED), 6: Statement(LABEL, "Dive")}),
        ({"verb": "labels"}, {4: None}),
    ],
)  # fmt: skip
def test_what_an_action_changes(action, expected):
    assert after(**action) == expected


@pytest.mark.parametrize(
    ("action", "cause"),
    [
        ({"verb": "accept"}, "choose it first"),
        ({"verb": "accept", "numbers": [1, 77]}, "choose it first"),
        ({"verb": "merge", "numbers": [1]}, "choose several first"),
        ({"verb": "merge", "numbers": [1, 1]}, "choose several first"),
        ({"verb": "merge", "numbers": [1, 5]}, "only actions"),
        ({"verb": "edges", "numbers": [1], "start": 4, "end": 2}, "end before it begins"),
        ({"verb": "edges", "numbers": [1], "start": 2, "end": 2}, "no length"),
        ({"verb": "edges", "numbers": [4], "start": 1, "end": 2}, "only actions"),
        ({"verb": "label", "numbers": [1], "label": " "}, "needs a name"),
        ({"verb": "split", "numbers": [1], "start": 3}, "inside of the action"),
        ({"verb": "add", "start": 1, "end": 2}, "needs a name"),
        ({"verb": "nothing else", "start": 4, "end": 4}, "some length"),
        ({"verb": "rename", "label": "x"}, "not about one video"),
    ],
)
def test_what_is_not_possible_says_why(action, cause):
    with pytest.raises(UsageError, match=cause):
        after(**action)


@pytest.mark.parametrize(
    "values",
    [
        {"verb": "delete"},
        {"verb": "add", "start": math.nan},
        {"verb": "add", "end": math.inf},
        {"verb": "add", "label": "x" * 201},
        {"verb": "add", "sql": "x"},
        {"verb": "accept", "numbers": ["a"]},
    ],
)
def test_an_action_that_is_none_is_refused(values):
    with pytest.raises(ValueError, match="Action"):
        Action(**values)


@pytest.mark.parametrize(
    ("old", "new", "verdicts"),
    [("Jump", "Leap", {"Leap": ACCEPTED, "Dive": REJECTED}), ("Jump", "Dive", {"Dive": ACCEPTED}),
     ("Dive", "Jump", {"Jump": ACCEPTED}), ("Jump", "Jump", {"Jump": ACCEPTED, "Dive": REJECTED})],
)  # fmt: skip
def test_a_class_is_renamed_or_becomes_one_with_another(old, new, verdicts):
    states = {"v": {**STATE, 6: Statement(LABEL, "Dive", verdict=REJECTED)}, "w": {7: STATE[1]}}
    for change in rename(states, old, new):
        assert states[change.video].pop(change.number) == change.before
        if change.after:
            states[change.video][change.number] = change.after
    found = [one for one in states["v"].values() if one.kind is LABEL]
    assert {one.label: one.verdict for one in found} == verdicts
    assert len(found) == len(verdicts)
    labels = {one.label for state in states.values() for one in state.values()}
    assert (old in labels) == (old == new)


def test_an_action_has_a_title():
    video = Reviewed("v", 10.0, STATE)
    for action, title in (
        (Action(verb=Verb.ACCEPT, numbers=(1, 2)), "accept: Jump, 1.0 s and 1 more"),
        (Action(verb=Verb.SPLIT, numbers=(1,), start=2.0), "split: Jump, 1.0 s"),
        (Action(verb=Verb.NOTHING_ELSE, end=1.0), "nothing else: 0.0 s"),
        (Action(verb=Verb.LABELS, present=("Dive",), absent=("Jump",)), "labels: Dive"),
        (Action(verb=Verb.LABELS, absent=("Jump",)), "labels: none"),
    ):
        assert title_of(action, video.changes(action)) == title


@pytest.mark.parametrize(("new", "kept"), [("Leap", ["Leap"]), ("Dive", [])])
def test_what_was_looked_through_for_one_class_is_not_for_two(new, kept):
    states = {
        "": {1: Statement(CLASS, "Jump"), 2: Statement(CLASS, "Dive")},
        "v": {3: Statement(LOOKED, "Jump", 0.0, 5.0)},
    }
    changes = rename(states, "Jump", new)
    assert [c.after.label for c in changes if c.number == 3 and c.after] == kept
