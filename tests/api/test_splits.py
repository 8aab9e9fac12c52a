"""The mean over splits of the classes, beside the numbers of a public method's evaluator."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.api.splits import evaluate_splits
from duetal.core.errors import DuetalError
from duetal.evaluation import Evaluation

Run = Callable[..., tuple[int, str, str]]
#: Of FreeZAD's detections: mAP at 0.3 to 0.7 and its mean, by setting and split.
EXPECTED = {
    "75": [
        (26.84, 19.16, 11.96, 7.72, 4.26, 13.99),
        (19.92, 10.62, 6.02, 2.69, 1.23, 8.09),
        (13.12, 7.16, 3.90, 1.73, 0.82, 5.35),
        (15.39, 9.44, 5.81, 3.45, 2.25, 7.27),
        (28.63, 19.86, 12.34, 8.27, 4.81, 14.78),
    ],
    "50": [
        (22.66, 15.19, 9.66, 5.89, 3.41, 11.36),
        (18.22, 10.16, 5.54, 2.47, 1.04, 7.49),
        (20.38, 13.09, 8.47, 4.52, 2.39, 9.77),
        (17.57, 10.84, 6.26, 3.32, 1.75, 7.95),
        (23.25, 15.31, 9.39, 5.50, 2.99, 11.29),
    ],
}


@pytest.mark.real
@pytest.mark.parametrize("setting", EXPECTED)
def test_a_public_method_has_its_known_scores(
    real_data: Path, tmp_path: Path, duetal: Run, setting: str
) -> None:
    def numbers(one: Evaluation) -> list[float]:
        return [100 * value for value in (*one.mean_ap[2:], one.averages["0.3:0.7"])]

    scores = evaluate_splits(real_data / "freezad-thumos14" / setting, "seconds")
    found = [numbers(one) for one in scores.splits.values()]
    assert list(scores.splits) == list("01234")
    for ours, theirs in zip(found, EXPECTED[setting], strict=True):
        assert ours == pytest.approx(theirs, abs=0.0051)
    # The last of them: diagnosed from the same predictions, and on its page.
    folder = tmp_path / "splits"
    shutil.copytree(real_data / "freezad-thumos14" / setting / "4", folder / "4")
    assert duetal("diagnose", "--splits", folder, "--json", tmp_path / "d.json")[0] == 0
    diagnosis = json.loads((tmp_path / "d.json").read_text())["4"]
    assert diagnosis["evaluation"]["averages"] == scores.splits["4"].averages
    assert sum(diagnosis["predictions"]["all"].values()) == scores.splits["4"].predictions
    assert duetal("report", "--splits", folder)[0] == 0
    page = (folder / "4" / "detections.html").read_text()
    assert all(f"<td>{value:.1f}</td>" in page for value in EXPECTED[setting][-1])


def write(folder: Path, label: str, end: float) -> None:
    folder.mkdir(parents=True)
    truth = {"subset": "test", "annotations": [{"segment": [0, 10], "label": label}]}
    found = {"label": label, "segment": [0, end], "score": 1}
    (folder / "gt.json").write_text(json.dumps({"database": {"v": truth}}))
    (folder / "detections.json").write_text(json.dumps({"results": {"v": [found]}}))


def test_prints_each_split_and_their_mean_and_spread(tmp_path: Path, duetal: Run) -> None:
    for name, label, end in (("2", "Diving", 10), ("10", "Shot", 5.5)):
        write(tmp_path / "s" / name, label, end)
    (tmp_path / "s" / "other").mkdir()
    json_file = tmp_path / "out.json"
    words = ("evaluate", "--splits", tmp_path / "s", "--protocol", "seconds", "--json", json_file)
    code, out, _ = duetal(*words)
    assert code == 0
    rows = {line[:8].strip(): line.split() for line in out.splitlines()}
    assert [key for key in rows if key.startswith("split")] == ["split 2", "split 10"]
    assert rows["split 10"][2:9] == ["100.00"] * 5 + ["0.00"] * 2
    assert rows["mean"][6:8] == ["50.00"] * 2
    assert rows["std"][6:8] == ["70.71"] * 2
    assert json.loads(json_file.read_text())["summary"]["runs"] == 2
    # Each is diagnosed, and has its page.
    code, out, _ = duetal("diagnose", "--splits", tmp_path / "s", "--json", tmp_path / "d.json")
    lines = out.splitlines()
    assert (code, lines.count("split 2:"), lines.count("split 10:")) == (0, 1, 1)
    found = json.loads((tmp_path / "d.json").read_text())
    assert [one["predictions"]["all"]["true positive"] for one in found.values()] == [1, 1]
    code, out, _ = duetal("report", "--splits", tmp_path / "s")
    pages = [tmp_path / "s" / name / "detections.html" for name in ("2", "10")]
    assert (code, out.split()) == (0, [str(page) for page in pages])
    for page, label in zip(pages, ("Diving", "Shot"), strict=True):
        assert label in page.read_text()


def test_names_what_is_missing(tmp_path: Path, duetal: Run) -> None:
    with pytest.raises(DuetalError, match="no split: a folder for each"):
        evaluate_splits(tmp_path, "seconds")
    with pytest.raises(DuetalError, match="no such folder"):
        evaluate_splits(tmp_path / "nope", "seconds")
    write(tmp_path / "0", "Diving", 10)
    (tmp_path / "0" / "gt.json").unlink()
    with pytest.raises(DuetalError, match=r"gt\.json: no such file"):
        evaluate_splits(tmp_path, "seconds")
    shutil.rmtree(tmp_path / "0")
    for words in ((), ("x.json",), ("x.json", "--splits", tmp_path)):
        for command in ("evaluate", "diagnose", "report"):
            # A page is of detections alone, too.
            if command == "report" and words == ("x.json",):
                continue
            code, _, err = duetal(command, "--protocol", "seconds", *words)
            assert (code, "--splits" in err) == (2, True)
