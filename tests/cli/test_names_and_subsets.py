"""Names that do not meet, subsets that a file lacks, and segments that no video can have."""

from pathlib import Path

import pytest

from duetal import api
from duetal.cli.main import main
from duetal.core.errors import DuetalError

CASES = Path(__file__).parent.parent / "cases" / "evaluate"
ADDED, CUT = "the prefix 'v_' added", "the prefix 'v_' taken off"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | None, str]:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    output = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, output.out + output.err


def judged(command: str, truth: str, found: str, protocol: str) -> list[str]:
    sources = [str(CASES / f"{found}.json")] * (2 if command == "compare" else 1)
    truth_path = str(CASES / f"{truth}.json")
    return [command, *sources, "--annotations", truth_path, "--protocol", protocol]


@pytest.mark.parametrize(
    ("truth", "found", "protocol", "said"),
    [
        ("gt_valonly", "det_other_names", "activitynet/1.3", CUT),
        ("gt_v", "nov", "activitynet/1.3", ADDED),
        ("gt_nov", "underscore", "seconds", CUT),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "diagnose"])
def test_names_that_do_not_meet(
    command: str, truth: str, found: str, protocol: str, said: str, capsys: pytest.CaptureFixture
) -> None:
    arguments = judged(command, truth, found, protocol)
    code, out = run(capsys, *arguments)
    assert code == 1
    assert said in out
    assert "--match-names" in out
    code, out = run(capsys, *arguments, "--match-names")
    assert code == 0
    assert said in out


def test_matched_names_score_in_every_command_and_in_python(
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = CASES / "nov.json", CASES / "gt_v.json"
    with pytest.raises(DuetalError, match="match_names=True"):
        api.evaluate(*paths, "seconds")
    result = api.evaluate(*paths, "seconds", match_names=True)
    assert result.mean_ap == (1,) * 7
    # Only one of two predictions is of another class: no error, but the class is named.
    arguments = judged("evaluate", "gt_v", "underscore", "seconds")
    code, out = run(capsys, *arguments)
    assert code == 0
    assert "unknown class 'Walking_the_dog'; the nearest is 'Walking the dog'; dropped: 1" in out


@pytest.mark.parametrize(
    ("truth", "found", "protocol", "subset", "notes"),
    [
        ("gt_valonly", "det_v1", "activitynet/1.3", "validation", ["here are 1"]),
        ("gt_valonly", "det_v1", "seconds", "validation", ["no segments in a subset 'test'"]),
        (
            "gt_valonly",
            "det_v1",
            "thumos14/tad-211",
            "validation",
            ["no segments in a subset 'test'"],
        ),
        ("gt_v", "start_gt_end", "seconds", "validation", ["1 prediction ends before it begins"]),
        (
            "gt_outside_and_reversed",
            "det_inside",
            "seconds",
            "test",
            [
                "1 segment ends before it begins (video 'v2', 6 to 2 s of 8 s), "
                "1 lies behind its video's end (video 'v1', 103.2 to 106.4 s of 8 s)"
            ],
        ),
    ],
)
def test_what_is_said_of_subsets_and_segments(
    truth: str, found: str, protocol: str, subset: str, notes: list[str]
) -> None:
    result = api.evaluate(CASES / f"{found}.json", CASES / f"{truth}.json", protocol)
    assert result.subset == subset
    assert len(result.notes) == len(notes)
    for said, expected in zip(result.notes, notes, strict=True):
        assert expected in said
        assert "training" not in said


@pytest.mark.parametrize(
    ("name", "note"),
    [
        (
            "gt_outside_and_reversed",
            "1 segment ends before it begins (video 'v2', 6 to 2 s of 8 s)",
        ),
        ("start_gt_end", "1 detection ends before it begins (video 'v_abc', 20 to 10 s)"),
        ("det_v1", None),
    ],
)
def test_converting_says_it_too(
    name: str, note: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, "convert", str(CASES / f"{name}.json"), str(tmp_path / "out.csv"))
    assert code == 0
    assert ("note: " in out) == (note is not None)
    assert (note or "") in out


def test_a_page_of_matched_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = judged("report", "gt_v", "nov", "seconds")
    page = ["--out", str(tmp_path / "page.html")]
    code, out = run(capsys, *arguments, *page)
    assert (code, ADDED in out) == (1, True)
    code, _ = run(capsys, *arguments, *page, "--match-names")
    assert code == 0
    assert (tmp_path / "page.html").is_file()
