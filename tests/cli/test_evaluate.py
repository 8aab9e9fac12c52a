import json
import re
from pathlib import Path

import pytest

from duetal.cli.main import main
from duetal.core.detections import Detections
from duetal.formats.activitynet import write_detections


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    path = tmp_path / "gt.json"
    segments = [{"segment": [0, 10], "label": "Diving"}, {"segment": [20, 30], "label": "[b]Shot"}]
    database = {
        "v1": {"subset": "test", "annotations": segments},
        "v2": {"subset": "train", "annotations": segments[:1]},
    }
    path.write_text(json.dumps({"database": database}))
    return path


def detections(folder: Path, *rows: tuple[str, str, float, float, float], **external: str) -> Path:
    path = folder / "detections.json"
    write_detections(path, Detections.from_rows(rows), external_data=external)
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *map(str, arguments)])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_prints_tables_counts_and_rule(
    tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = detections(
        tmp_path,
        ("v1", "Diving", 0, 5.5, 0.9),
        ("v1", "Swimming", 0, 5, 0.9),
        selection="last checkpoint, seed 0",
    )
    assert run(path, "--annotations", truth, "--protocol", "seconds") == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["Diving"][:7] == ["100.00"] * 5 + ["0.00"] * 2
    assert rows["[b]Shot"] == ["0.00"] * 10
    assert rows["mAP"] == ["50.00"] * 5 + ["0.00"] * 2 + ["50.00", "30.00", "35.71"]
    assert (
        "seconds, subset test: 1 videos, 2 segments, 1 predictions; "
        "dropped: 1 (class not in the ground truth)\n" in out
    )
    assert "checkpoint: last checkpoint, seed 0" in out
    assert "\x1b" not in out


def test_activitynet_shows_three_thresholds(
    tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = detections(tmp_path, ("v1", "Diving", 0, 9, 0.9))
    output = tmp_path / "out.json"
    assert run(path, "--annotations", truth, "--protocol", "activitynet/1.3", "--json", output) == 0
    header = next(line for line in capsys.readouterr().out.splitlines() if "tIoU" in line)
    assert header.split()[-4:] == ["0.5", "0.75", "0.95", "0.5:0.95"]
    value = json.loads(output.read_text())
    assert len(value["mAP"]) == len(value["tiou"]) == len(value["per_class"]["Diving"]) == 10
    assert value["averages"]["0.5:0.95"] == pytest.approx(0.5 * 0.9)


def test_json_has_the_promised_keys(tmp_path: Path, truth: Path) -> None:
    path = detections(tmp_path, ("v1", "Diving", 0, 10, 0.9), selection="last")
    output = tmp_path / "deep" / "out.json"
    run(path, "--annotations", truth, "--protocol", "seconds", "--json", output)
    value = json.loads(output.read_text())
    assert value["mAP"] == [0.5] * 7
    assert value["averages"] == {"0.1:0.5": 0.5, "0.3:0.7": 0.5, "0.1:0.7": 0.5}
    assert value["per_class"] == {"Diving": [1.0] * 7, "[b]Shot": [0.0] * 7}
    assert (value["protocol"], value["videos"], value["segments"]) == ("seconds", 1, 2)
    assert (value["predictions"], value["dropped"], value["selection"]) == (1, {}, "last")


def test_subset_and_fallback(
    tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = detections(tmp_path, ("v2", "Diving", 0, 10, 0.9))
    assert run(path, "--annotations", truth, "--protocol", "seconds") == 0
    out = capsys.readouterr().out
    assert "subset train: 1 videos, 1 segments, 1 predictions" in out
    assert "these are training videos" in out
    assert run(path, "--annotations", truth, "--protocol", "seconds", "--subset", "test") == 0
    assert "dropped: 1 (video not in the evaluated subset)" in capsys.readouterr().out


def test_no_detections(tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(detections(tmp_path), "--annotations", truth, "--protocol", "seconds") == 0
    assert "note: there are no detections" in capsys.readouterr().out


def test_names_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gt.json"
    video = {"subset": "test", "annotations": [{"segment": [0, 1], "label": "a\x1b[2J\nb"}]}
    path.write_text(json.dumps({"database": {"v": video}}))
    assert run(detections(tmp_path), "--annotations", path, "--protocol", "seconds") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert re.search(r"a.\[2J.b +0\.00", out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--protocol", "thumos14/seconds210"], 2, "did you mean 'thumos14/seconds-210'?"),
        (["--protocol", "seconds", "--subset", "dev"], 2, "gt.json: no subset 'dev'"),
        ([], 2, "--protocol"),
        (["--protocol", "seconds", "--annotations", "none.json"], 1, "none.json: no such file"),
    ],
)
def test_errors(
    tmp_path: Path,
    truth: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    output = tmp_path / "out.json"
    output.write_text("old")
    path = detections(tmp_path, ("v1", "Diving", 0, 10, 0.9))
    assert run(path, "--annotations", truth, "--json", output, "--force", *arguments) == code
    assert message in capsys.readouterr().err
    assert output.read_text() == "old"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"results": {"v": [1]}}', "\x00"])
def test_broken_detections(
    tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "detections.json"
    path.write_text(content)
    assert run(path, "--annotations", truth, "--protocol", "seconds") == 1
    error = capsys.readouterr().err
    assert "detections.json" in error
    assert len(error.splitlines()) == 1


@pytest.mark.real
@pytest.mark.parametrize(
    ("annotations", "protocol", "average"),
    [
        ("gt.json", "thumos14/seconds-210", 0.0981),
        ("Thumos14reduced-Annotations", "thumos14/grid-212", 0.1010),
    ],
)
def test_real_detections(
    real_data: Path, tmp_path: Path, annotations: str, protocol: str, average: float
) -> None:
    folder = real_data / "thumos14"
    output = tmp_path / "out.json"
    path = folder / "detections_train.json"
    options = ["--annotations", folder / annotations, "--protocol", protocol, "--json", output]
    assert run(path, *options) == 0
    value = json.loads(output.read_text())
    assert (value["videos"], value["segments"], value["predictions"]) == (200, 3007, 33895)
    assert value["averages"]["0.1:0.7"] == pytest.approx(average, abs=5e-5)
