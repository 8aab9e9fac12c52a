"""No command replaces a file that is there unasked, and none what it reads."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Duetal = Callable[..., tuple[int, str, str]]
pytestmark = [pytest.mark.recipe, pytest.mark.usefixtures("traced_once")]

#: By name: a command that writes `OUT`, and what it reads that `OUT` could be.
COMMANDS = {
    "localize": ("localize RUN DATA --out OUT", None),
    "localize-scores": (
        "localize-scores SCORES --classes a,b --fps 25 --stride 16 --out OUT",
        "SCORES",
    ),
    "check": ("check DATA --json OUT", None),
    "evaluate": ("evaluate FOUND --annotations TRUTH --protocol seconds --json OUT", "FOUND"),
    "diagnose": ("diagnose FOUND --annotations TRUTH --protocol seconds --json OUT", "TRUTH"),
    "compare": (
        "compare FOUND FOUND2 --annotations TRUTH --protocol seconds --draws 100 --json OUT",
        "FOUND2",
    ),
    "report": ("report FOUND --annotations TRUTH --protocol seconds --out OUT", "FOUND"),
    "report of a run": ("report RUN --out OUT", None),
    "card": ("export RUN --card --out OUT", None),
    "onnx": ("export RUN --onnx --out OUT", None),
    "simulate": ("simulate TRUTH --out FOLDER --json OUT", "TRUTH"),
    "convert": ("convert FOUND OUT --to csv", "FOUND"),
    "recipes": ("recipes cp demo OUT", None),
}


#: By name: a command that writes `OUT`, and the file inside a folder that it reads.
INSIDE = {
    "localize": ("localize RUN DATA --out OUT", "DATA/annotations.json"),
    "localize a YAML file's data": ("localize RUN YAML --out OUT", "DATA/annotations.json"),
    "localize, the run": ("localize RUN DATA --out OUT", "RUN/model.json"),
    "localize-scores": (
        "localize-scores ARRAYS --classes a,b --fps 25 --stride 16 --out OUT",
        "ARRAYS/v.npy",
    ),
    "check": ("check DATA --json OUT", "DATA/annotations.json"),
    "check, by a link": ("check DATA --json OUT", "LINK"),
    "compare": ("compare RUN RUN --draws 100 --json OUT", "RUN/ground_truth.json"),
    "evaluate": (
        "evaluate FOUND --annotations THUMOS --protocol seconds --json OUT",
        "THUMOS/A_test.txt",
    ),
    "report": ("report RUN RUN --out OUT", "RUN/ground_truth.json"),
    "report of a run": ("report RUN --out OUT", "RUN/config.yaml"),
    "card": ("export RUN --card --out OUT", "RUN/config.yaml"),
    "onnx": ("export RUN --onnx --out OUT", "RUN/config.yaml"),
    "simulate": ("simulate THUMOS --out FOLDER --json OUT", "THUMOS/A_test.txt"),
    "convert": ("convert THUMOS OUT --to csv --subset test", "THUMOS/A_test.txt"),
}


@pytest.fixture
def places(tiny_run: Path, tiny_dataset: Path, tmp_path: Path) -> dict[str, Path]:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    data = shutil.copytree(tiny_dataset, tmp_path / "data")
    found = sorted((run / "detections").glob("*.json"))
    np.savez(tmp_path / "scores.npz", v=np.eye(2))
    for folder in ("arrays", "thumos"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "arrays" / "v.npy", np.eye(2))
    (tmp_path / "thumos" / "A_test.txt").write_text("video_test_0000001 1.0 2.0\n")
    (tmp_path / "link").symlink_to(data / "annotations.json")
    streams = "".join(f"  {kind}: data/features/{kind}\n" for kind in ("cbp", "vlp"))
    (tmp_path / "data.yaml").write_text(f"annotations: data/annotations.json\nfeatures:\n{streams}")
    return {
        "RUN": run,
        "DATA": data,
        "YAML": tmp_path / "data.yaml",
        "LINK": tmp_path / "link",
        "ARRAYS": tmp_path / "arrays",
        "THUMOS": tmp_path / "thumos",
        "FOUND": found[0],
        "FOUND2": found[1],
        "TRUTH": run / "ground_truth.json",
        "SCORES": tmp_path / "scores.npz",
        "FOLDER": tmp_path / "simulated",
    }


def fill(command: str, places: dict[str, Path], out: Path) -> list[object]:
    return [{**places, "OUT": out}.get(word, word) for word in command.split()]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_is_there_is_replaced_by_force_alone(
    places: dict[str, Path], tmp_path: Path, duetal: Duetal, name: str
) -> None:
    command, read = COMMANDS[name]
    out = tmp_path / "there"
    out.write_text("mine")
    code, _, err = duetal(*fill(command, places, out))
    assert code in (1, 2)
    assert f"{out}: " in err
    assert "--force" in err
    assert out.read_text() == "mine"
    if read is not None:
        before = places[read].read_bytes()
        code, _, err = duetal(*fill(command, places, places[read]), "--force")
        assert (code, places[read].read_bytes()) == (2, before)
        assert "is what is read; name another file" in err
    assert duetal(*fill(command, places, out), "--force")[0] == 0
    assert out.read_bytes() != b"mine"


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_file_in_a_folder_that_is_read_is_never_replaced(
    places: dict[str, Path], duetal: Duetal, name: str, force: tuple[str, ...]
) -> None:
    command, read = INSIDE[name]
    place, _, file = read.partition("/")
    out = places[place] / file
    before = out.read_bytes()
    code, _, err = duetal(*fill(command, places, out), *force)
    assert (code, out.read_bytes()) == (2, before)
    assert str(out) in err
    assert "is what is read; name" in err or (not force and "is there already" in err)


def test_a_pipe_is_not_replaced(places: dict[str, Path], tmp_path: Path, duetal: Duetal) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name, (command, _) in COMMANDS.items():
        code, _, err = duetal(*fill(command, places, pipe), "--force")
        assert code in (1, 2), name
        assert "pipe: a pipe or a device, not a file" in err, name
        assert pipe.is_fifo()


def test_a_page_of_ours_is_made_again_and_no_other(
    places: dict[str, Path], tmp_path: Path, duetal: Duetal
) -> None:
    assert duetal("report", places["RUN"])[0] == 0
    assert duetal("report", places["RUN"])[0] == 0
    (places["RUN"] / "report.html").write_text("<title>mine</title>")
    code, _, err = duetal("report", places["RUN"])
    assert (code, "report.html: is there already (--force replaces it)" in err) == (2, True)


def test_the_licence_of_a_card_is_kept(
    places: dict[str, Path], tmp_path: Path, duetal: Duetal
) -> None:
    card = places["RUN"] / "README.md"
    assert duetal("export", places["RUN"], "--card", "--license", "mit")[0] == 0
    assert "\nlicense: mit\n" in card.read_text()
    assert duetal("export", places["RUN"], "--card")[0] == 2
    assert duetal("export", places["RUN"], "--card", "--force")[0] == 0
    assert "\nlicense: mit\n" in card.read_text()
    assert "Of these weights: mit." in card.read_text()


def test_files_of_others_in_a_folder_of_results_stay(
    places: dict[str, Path], tmp_path: Path, duetal: Duetal
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"no video")
    out = tmp_path / "out"
    out.mkdir()
    (out / "detections.json").write_text(json.dumps({"mine": True}))
    code, _, err = duetal("localize", places["RUN"], clip, "--out", out)
    assert (code, "detections.json: is there already (--force" in err) == (2, True)
    assert json.loads((out / "detections.json").read_text()) == {"mine": True}
