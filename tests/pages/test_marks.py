from duetal.pages.marks import JOINT, SHAPES, BranchMarks, mark_of_run


def test_branches_have_marks_of_their_own_by_their_place():
    branches = BranchMarks.of({"one": "One", "two": "TWO", "three": "Three"})
    assert [branch.name for branch in branches.all] == ["one", "two", "three"]
    assert [branch.mark for branch in branches.all] == ["mark-1", "mark-2", "mark-4"]
    assert branches.only(["three"]).mark("three") == "mark-4"
    assert (branches.title("two"), branches.name("two")) == ("TWO", "two")


def test_what_is_no_branch_stands_for_all_together():
    branches = BranchMarks.of({"one": "One"})
    assert (branches.mark("ensemble"), branches.name("ensemble")) == (JOINT, None)
    assert branches.title("ensemble") == "ensemble"


def test_more_branches_than_marks_share_them_and_none_has_that_of_all():
    marks = [branch.mark for branch in BranchMarks.of({f"branch {i}": "" for i in range(7)}).all]
    assert marks[5:] == marks[:2]
    assert JOINT not in marks
    assert set(marks) | {JOINT} == set(SHAPES) == {mark_of_run(number) for number in range(6)}
