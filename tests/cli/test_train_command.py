"""`duetal train` from the command line: begun, refused, resumed, on several seeds and processes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from duetal import recipes
from duetal.cli.main import main

Duetal = Callable[..., tuple[int, str, str]]
Forked = Callable[..., Any]
pytestmark = pytest.mark.recipe

PROGRAM = Path(sys.executable).with_name("duetal")
STAGES = ("cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1")


@pytest.fixture
def command_line(tiny_dataset: Path, tiny_settings: tuple[str, ...]) -> list[str]:
    return ["train", "demo", f"dataset={tiny_dataset}", *tiny_settings]


@pytest.fixture
def one_modality(tiny_dataset: Path, tmp_path: Path) -> Path:
    """The tiny dataset without CLIP features."""
    folder = shutil.copytree(tiny_dataset, tmp_path / "one")
    shutil.rmtree(folder / "features" / "vlp")
    shutil.rmtree(folder / "text_encoder")
    layout = yaml.safe_load((folder / "dataset.yaml").read_text())
    kept = {key: layout[key] for key in ("cbp", "annotations", "classes", "grid")}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(kept))
    return folder


def weights(run: Path) -> dict[str, Any]:
    return {
        f"{stage} {name}": tensor
        for stage in STAGES
        for name, tensor in load_file(run / "checkpoints" / f"{stage}.safetensors").items()
    }


def same(first: Path, second: Path) -> bool:
    mine, theirs = weights(first), weights(second)
    return mine.keys() == theirs.keys() and all(mine[k].equal(theirs[k]) for k in mine)


def test_the_run_holds_what_is_promised(tiny_run: Path) -> None:
    files = {
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "log.txt",
        "model.json",
        "evaluation.json",
        "ground_truth.json",
        "report.html",
        "pseudo_labels/B1.safetensors",
        "scores/index.json",
        *(f"checkpoints/{stage}.safetensors" for stage in STAGES),
        *(f"detections/{stage}.json" for stage in (*STAGES, "ensemble")),
    }
    assert {file for file in files if not (tiny_run / file).is_file()} == set()
    assert yaml.safe_load((tiny_run / "config.yaml").read_text())["data.crop"] == 32


def test_it_ends_with_a_table_and_a_report(
    command_line: list[str], tiny_run: Path, tmp_path: Path, duetal: Duetal
) -> None:
    out = tmp_path / "run"
    code, printed, err = duetal(*command_line, "--out", out, "--resume")
    assert (code, err) == (0, "")
    lines = printed.splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("mAP (%)"))
    titles = ["CBP after warm-up", "Zero-shot VLP", "VLP after B1", "CBP after F1", "Ensemble"]
    rows = lines[header + 1 : header + 6]
    assert [row[:17].strip() for row in rows] == titles
    evaluation = json.loads((out / "evaluation.json").read_text())
    for row, stage in zip(rows, evaluation["stages"], strict=True):
        values = [*stage["mAP"], *stage["averages"].values()]
        assert row[17:].split() == [f"{100 * value:.1f}" for value in values]
    assert any(line.startswith("protocol:   seconds") for line in lines)
    assert "checkpoint: last checkpoint of each branch; the test set chose nothing" in lines
    assert any(line.startswith("features:   simulated") for line in lines)
    assert lines[-1] == f"report: {out / 'report.html'}"
    assert (out / "report.html").is_file()
    # --resume where there is nothing starts the run, and it is the same run.
    assert same(out, tiny_run)


def test_a_run_is_never_overwritten(
    command_line: list[str], tiny_run: Path, duetal: Duetal
) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    code, _, err = duetal(*command_line, "--out", tiny_run)
    assert code == 1
    assert err == (
        f"duetal: error: {tiny_run}: holds a run already; nothing was overwritten "
        "(--resume goes on with it)\n"
    )
    code, _, err = duetal(*command_line, "crop=64", "--out", tiny_run, "--resume")
    assert code == 2
    assert "the run was begun with other settings: data.crop: 64, not 32" in err
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")} == before


def test_a_finished_run_is_reported_and_completed(
    command_line: list[str], tiny_run: Path, tmp_path: Path, duetal: Duetal
) -> None:
    out = shutil.copytree(tiny_run, tmp_path / "run")
    for name in ("evaluation.json", "report.html"):
        (out / name).unlink()
    before = (out / "checkpoints" / "cbp-f1.safetensors").stat().st_mtime_ns
    code, printed, _ = duetal(*command_line, "--out", out, "--resume")
    assert code == 0
    assert printed.splitlines()[0] == f"{out}: was trained already"
    assert "Ensemble" in printed
    assert (out / "evaluation.json").read_bytes() == (tiny_run / "evaluation.json").read_bytes()
    assert (out / "report.html").is_file()
    assert (out / "checkpoints" / "cbp-f1.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "lost",
    [
        ("model.json",),
        ("model.json", "checkpoints/cbp-f1.safetensors", "pseudo_labels/F1.safetensors"),
        ("model.json", *(f"checkpoints/{stage}.safetensors" for stage in STAGES[1:])),
        ("environment.json", "log.txt", "detections/vlp-b1.json", "evaluation.json"),
    ],
)
def test_a_run_cut_off_before_its_end_goes_on_to_the_same_end(
    command_line: list[str], tiny_run: Path, tmp_path: Path, duetal: Duetal, lost: tuple[str, ...]
) -> None:
    out = shutil.copytree(tiny_run, tmp_path / "run")
    for name in lost:
        (out / name).unlink()
    if "model.json" in lost:
        (out / "evaluation.json").unlink()
    code, _, err = duetal(*command_line, "--out", out, "--resume")
    assert (code, err) == (0, "")
    assert same(out, tiny_run)
    for name in {"evaluation.json", "model.json", *lost} - {"environment.json", "log.txt"}:
        if not name.startswith("checkpoints/"):  # whose records hold a position in the metrics
            assert (out / name).read_bytes() == (tiny_run / name).read_bytes(), name


def test_a_run_whose_data_have_changed_is_not_gone_on_with(
    one_modality: Path, tiny_settings: tuple[str, ...], tmp_path: Path, duetal: Duetal
) -> None:
    out = tmp_path / "run"
    command = ["train", "demo", f"dataset={one_modality}", *tiny_settings, "--out", out]
    assert duetal(*command)[0] == 0
    (out / "model.json").unlink()
    features = one_modality / "features" / "cbp" / "v_0.npy"
    values = np.load(features)
    np.save(features, values[:-1])
    code, _, err = duetal(*command, "--resume")
    assert (code, err) == (
        2,
        f"duetal: error: {one_modality}: the training videos, their labels or the shapes of their "
        "features have changed since the run began\n",
    )
    np.save(features, values)
    assert duetal(*command, "--resume")[0] == 0


def test_a_run_killed_while_it_evaluates_is_not_believed_half(
    command_line: list[str], tiny_run: Path, tmp_path: Path, duetal: Duetal, forked: Forked
) -> None:
    out = tmp_path / "run"
    command = [*command_line, "--out", str(out), "--resume"]
    process = forked(main, command)
    deadline = time.monotonic() + 120
    while not (out / "detections" / "cbp-warmup.json").is_file() and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    code, printed, err = duetal(*command)
    assert (code, err) == (0, "")
    assert "was trained already" in printed
    assert same(out, tiny_run)
    assert (out / "evaluation.json").read_bytes() == (tiny_run / "evaluation.json").read_bytes()


def test_several_seeds(
    command_line: list[str], tiny_run: Path, tmp_path: Path, duetal: Duetal
) -> None:
    out = tmp_path / "run"
    assert duetal(*command_line, "--out", out, "--seeds", "0")[0] == 0
    assert same(out / "seed-0", tiny_run)
    code, printed, _ = duetal(*command_line, "--out", out, "--seeds", "0,1", "--resume")
    assert code == 0
    assert f"{out / 'seed-0'}: was trained already" in printed
    assert not same(out / "seed-1", out / "seed-0")
    summary = json.loads((out / "summary.json").read_text())
    found = [json.loads((out / f"seed-{s}" / "evaluation.json").read_text()) for s in (0, 1)]
    means = [
        sum(evaluation["stages"][0]["mAP"][column] for evaluation in found) / 2
        for column in range(7)
    ]
    assert summary["stages"][0]["mAP_mean"] == pytest.approx(means)
    row = next(x for x in reversed(printed.splitlines()) if x.startswith("CBP after warm-up"))
    assert f"{100 * means[0]:.1f} ± " in row
    assert "mean ± standard deviation over the seeds 0, 1" in printed
    assert printed.splitlines()[-1] == f"report: {out / 'report.html'}"
    code, printed, _ = duetal(*command_line, "--out", out, "--seeds", "1", "--resume")
    assert code == 0
    assert "mean ± standard deviation over the seeds 0, 1" in printed
    assert json.loads((out / "summary.json").read_text()) == summary


def test_one_modality_trains_cbp_alone(
    one_modality: Path, tiny_settings: tuple[str, ...], tmp_path: Path, duetal: Duetal
) -> None:
    out = tmp_path / "run"
    arguments = ["train", "demo", f"dataset={one_modality}", *tiny_settings, "--out", out]
    code, printed, err = duetal(*arguments)
    assert (code, err) == (0, "")
    assert "CBP on labels alone" in printed
    assert "VLP" not in printed
    model = json.loads((out / "model.json").read_text())
    assert [branch["final"] for branch in model["branches"]] == ["cbp-warmup"]
    assert [branch["dim"] for branch in model["branches"]] == [12]
    code, _, err = duetal("localize", out, one_modality, "--out", "x.json", "--branch", "both")
    assert (code, err.count("\n")) == (2, 1)
    assert "trained on one modality" in err


def test_without_test_segments_it_ends_after_training(
    tiny_dataset: Path, tiny_settings: tuple[str, ...], tmp_path: Path, duetal: Duetal
) -> None:
    dataset = shutil.copytree(tiny_dataset, tmp_path / "weak")
    for name in ("annotations.json", "simulation.json"):
        (dataset / name).unlink()
    rows = [f"v_{n}\t{('Diving', 'GolfSwing', 'HighJump')[n % 3]}\n" for n in range(6)]
    (dataset / "train.tsv").write_text("filename\tevent_labels\n" + "".join(rows))
    layout = yaml.safe_load((dataset / "dataset.yaml").read_text())
    del layout["annotations"]
    (dataset / "dataset.yaml").write_text(yaml.safe_dump(layout | {"train_labels": "train.tsv"}))
    out = tmp_path / "run"
    code, printed, err = duetal("train", "demo", f"dataset={dataset}", *tiny_settings, "--out", out)
    assert (code, err) == (0, "")
    assert f"{dataset}: no video to evaluate on whose actions are known, so nothing is" in printed
    assert "finished. How good it is was not measured" in (out / "report.html").read_text()
    assert (out / "model.json").is_file()
    assert not (out / "evaluation.json").exists()
    code, printed, _ = duetal("localize", out, tiny_dataset, "--out", tmp_path / "found.json")
    assert code == 0


def test_two_processes_from_the_command_line(
    command_line: list[str], tmp_path: Path, duetal: Duetal
) -> None:
    """Of two seeds, so that one process waits for the other's detector before the second."""
    out = tmp_path / "run"
    detector = ("detector.rounds=1", "detector.epochs=2")
    words = [*command_line, "devices=2", *detector, "--seeds", "0,1", "--out", str(out)]
    done = subprocess.run(
        [PROGRAM, *words], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sum(line.startswith("report: ") for line in lines) == 1
    for start in ("warmup   1/2", "D1   1/2"):
        assert sum(line.strip().startswith(start) for line in lines) == 2, start
    for seed in (0, 1):
        evaluation = json.loads((out / f"seed-{seed}" / "evaluation.json").read_text())
        assert evaluation["stages"][-1]["stage"] == "detector-1"
    code, _, err = duetal(*words)
    assert (code, err.count("\n")) == (1, 1)
    assert "holds a run already" in err


def test_two_processes_fail_with_one_voice(
    command_line: list[str], tmp_path: Path, forked: Any
) -> None:
    words = [*command_line, "devices=2", "learning_rate=1e30", "--out", str(tmp_path / "run")]
    process = forked.ranks(main, words)
    assert process.wait(300) == 1
    assert process.err.count("\n") == 1
    assert "loss is nan in phase warmup" in process.err


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_trains(
    name: str,
    tiny_dataset: Path,
    one_modality: Path,
    tiny_settings: tuple[str, ...],
    tmp_path: Path,
    duetal: Duetal,
) -> None:
    """In miniature, but under the recipe's own protocol and with all its other settings."""
    content = yaml.safe_load(recipes.read(name))
    dataset = one_modality if name == "hapt" else tiny_dataset
    small = [argument for argument in tiny_settings if not argument.startswith("protocol=")]
    out = tmp_path / "run"
    code, printed, err = duetal("train", name, f"dataset={dataset}", *small, "--out", out)
    assert (code, err) == (0, "")
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["protocol"] == content.get("data.protocol", "seconds")
    assert "report: " in printed


def test_a_recipe_of_two_branches_stops_without_one(
    one_modality: Path, tiny_settings: tuple[str, ...], tmp_path: Path, duetal: Duetal
) -> None:
    words = ["train", "thumos14", f"dataset={one_modality}", *tiny_settings]
    code, _, err = duetal(*words, "--out", tmp_path / "run")
    assert code == 1
    assert "no vlp features, and the settings train cbp and vlp; looked for: vlp or clip" in err
    assert not (tmp_path / "run").exists()
    code, out, _ = duetal(*words, "branches=[cbp]", "--out", tmp_path / "run")
    assert (code, "cbp" in out.lower()) == (0, True)


def test_one_class_and_videos_in_which_nothing_happens(
    tiny_dataset: Path, tiny_settings: tuple[str, ...], tmp_path: Path, duetal: Duetal
) -> None:
    folder = shutil.copytree(tiny_dataset, tmp_path / "data")
    layout = yaml.safe_load((folder / "dataset.yaml").read_text())
    layout["classes"] = ["Diving"]
    truth = json.loads((folder / layout["annotations"]).read_text())
    for video in truth["database"].values():
        video["annotations"] = [a for a in video["annotations"] if a["label"] == "Diving"]
        video["nothing_happens"] = not video["annotations"]
    (folder / layout["annotations"]).write_text(json.dumps(truth))
    (folder / "dataset.yaml").write_text(yaml.safe_dump(layout))
    words = ["train", "demo", f"dataset={folder}", *tiny_settings, "--out", tmp_path / "run"]
    code, _, err = duetal(*words, "losses.video_loss=softmax")
    assert (code, "losses.video_loss: softmax over one class" in err) == (2, True)
    code, _, err = duetal(*words)
    assert (code, err) == (0, "")
    assert "Diving" in (tmp_path / "run" / "evaluation.json").read_text()
