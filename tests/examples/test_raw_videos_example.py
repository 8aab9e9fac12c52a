"""The example from raw videos to a page, with fewer, shorter and smaller ones."""

import itertools
import os
from pathlib import Path
from typing import Any

import av
import pytest

from duetal.core.files import read_json

ROOT = Path(__file__).parents[2]
#: The example does without real clips, where there are none.
REAL = Path(os.environ.get("DUETAL_REAL_DATA") or ROOT.parent / "shared" / "data") / "video"
SMALL = ("--per-class", "2", "--seconds", "2", "--pixels", "32")


#: Nothing is chosen by the data, which tests/cli/test_train_command.py has.
QUICK = ("tuning.choose=[]", "detector.epochs=2", "detector.width=8")


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, load_example: Any, run_example: Any
) -> tuple[Path, str]:
    """The folder that a small run of the example made, and what it printed."""
    folder = tmp_path_factory.mktemp("example")
    example = load_example("raw_videos")
    example.SETTINGS += QUICK
    process = run_example(example.main, "--out", "raw", "--real", REAL, *SMALL, cwd=folder)
    assert process.returncode == 0, process.stderr
    return folder / "raw", process.stdout


@pytest.mark.recipe
def test_it_runs_the_commands_in_order_to_pages_and_a_table(done: tuple[Path, str]) -> None:
    out, printed = done
    commands = [line.split()[2] for line in printed.splitlines() if line.startswith("$ duetal ")]
    assert commands[:5] == ["extract", "train", "check", "localize", "evaluate"]
    assert "mAP (%) at tIoU" in printed
    assert "problems: 0 fatal, 0 warnings" in printed
    assert "THE WEIGHTS ARE RANDOM" in printed
    pages = [Path(line) for line in printed.partition("in a browser:\n")[2].split()]
    assert pages[:2] == [out / "run" / "report.html", out / "found" / "index.html"]
    assert all(page.is_file() for page in pages)
    evaluation = read_json(out / "run" / "evaluation.json")
    assert evaluation["stages"][-1]["videos"] == 3


@pytest.mark.recipe
def test_its_videos_are_of_several_codecs_and_rates_one_of_them_variable(
    done: tuple[Path, str],
) -> None:
    codecs, rates = set(), set()
    uneven = 0
    for path in (done[0] / "videos").iterdir():
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            codecs.add(stream.codec_context.name)
            times = [frame.time for frame in container.decode(stream)]
        steps = {round(b - a, 2) for a, b in itertools.pairwise(times)}
        uneven += len(steps) > 2
        rates.add(round(1 / (times[1] - times[0])))
    assert {"h264", "vp9", "mpeg4", "mjpeg", "ffv1"} <= codecs
    assert {12, 25, 30, 50} <= rates
    assert uneven >= 1


@pytest.mark.recipe
@pytest.mark.real
@pytest.mark.usefixtures("real_data")
def test_real_clips_go_the_same_way(done: tuple[Path, str]) -> None:
    out, printed = done
    found = read_json(out / "found-real" / "detections.json")
    assert set(found["results"]) == {"v_GGSY1Qvo990", "v_ZNVhz7ctTq0"}
    assert printed.splitlines()[-1].endswith("found-real/index.html")
    assert "v_GGSY1Qvo990,Clean and jerk,train" in (out / "labels.csv").read_text()


def test_a_folder_that_is_there_is_left_alone(
    tmp_path: Path, load_example: Any, run_example: Any
) -> None:
    (tmp_path / "raw").mkdir()
    process = run_example(load_example("raw_videos").main, "--out", "raw", cwd=tmp_path)
    assert process.returncode == 2
    assert "raw is there already" in process.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "raw"]
