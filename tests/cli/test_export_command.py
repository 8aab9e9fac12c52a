"""`duetal export`: which file is written where, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

Duetal = Callable[..., tuple[int, str, str]]
pytestmark = [pytest.mark.recipe, pytest.mark.usefixtures("traced_once")]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return shutil.copytree(tiny_run, tmp_path / "mine")


def test_both_lie_in_the_run_s_folder(run: Path, duetal: Duetal) -> None:
    code, printed, err = duetal("export", run, "--onnx", "--card")
    assert (code, err) == (0, "")
    lines = printed.splitlines()
    assert lines[0] == f"ONNX: {run / 'model.onnx'}; inputs: cbp_features (T, 12)"
    assert "no output differs from PyTorch's by more than" in lines[1]
    assert lines[2] == "checkpoint: last checkpoint of each branch; the test set chose nothing"
    assert lines[3] == f"model card: {run / 'README.md'}"
    card = (run / "README.md").read_text()
    assert "# mine\n" in card
    assert str(run.parent) not in card
    session = onnxruntime.InferenceSession(run / "model.onnx")
    assert [output.name for output in session.get_outputs()] == ["snippet_scores", "video_scores"]


@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        (("--branch", "cbp"), "cbp_features (T, 12)"),
        (("--stage", "vlp-zeroshot"), "vlp_features (T, 8)"),
    ],
)
def test_a_branch_or_stage_to_another_file(
    tiny_run: Path, tmp_path: Path, duetal: Duetal, options: tuple[str, ...], inputs: str
) -> None:
    out = tmp_path / "deep" / "graph.onnx"
    code, printed, _ = duetal("export", tiny_run, "--onnx", "--out", out, *options)
    assert code == 0
    assert printed.startswith(f"ONNX: {out}; inputs: {inputs}\n")
    assert out.is_file()


@pytest.mark.parametrize(
    ("options", "code", "cause"),
    [
        ((), 2, "export what? --onnx or --card"),
        (("--onnx", "--card", "--out", "x"), 2, "--out: is one file"),
        (("--card", "--branch", "cbp"), 2, "--branch and --stage: are for --onnx"),
        (("--onnx", "--branch", "cbp", "--stage", "cbp-f1"), 2, "give one of the two"),
        (("--onnx", "--stage", "cbp-f7"), 2, "unknown stage 'cbp-f7'; the nearest is 'cbp-f1'"),
        (("--card", "--out", "."), 2, "--out: is a folder"),
    ],
)
def test_what_is_called_wrongly(
    tiny_run: Path, duetal: Duetal, options: tuple[str, ...], code: int, cause: str
) -> None:
    found, printed, err = duetal("export", tiny_run, *options)
    assert (found, printed, err.count("\n")) == (code, "", 1)
    assert cause in err


def test_several_seeds_have_a_card_and_no_graph(run: Path, tmp_path: Path, duetal: Duetal) -> None:
    several = tmp_path / "several"
    for seed in (0, 1):
        shutil.copytree(run, several / f"seed-{seed}")
    assert duetal("export", several, "--card")[0] == 0
    assert "over the seeds 0, 1" in (several / "README.md").read_text()
    code, _, err = duetal("export", several, "--onnx")
    assert code == 2
    assert "a run of several seeds; name one of seed-0, seed-1" in err


def test_no_run_and_a_damaged_one(run: Path, tmp_path: Path, duetal: Duetal) -> None:
    assert "no such run folder" in duetal("export", tmp_path / "nowhere", "--card")[2]
    checkpoint = run / "checkpoints" / "cbp-f1.safetensors"
    checkpoint.write_bytes(b"no weights")
    code, _, err = duetal("export", run, "--onnx")
    assert (code, err.count("\n")) == (1, 1)
    assert f"{checkpoint}: truncated or damaged" in err
    assert not (run / "model.onnx").exists()
    (run / "evaluation.json").write_text("{}")
    assert "evaluation.json" in duetal("export", run, "--card")[2]
