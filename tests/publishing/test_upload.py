"""`duetal push` against a stand-in for the hub: what arrives there, and what comes back."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants, snapshot_download
from safetensors.numpy import load_file

import duetal as api
from duetal.publishing.upload import OURS

Duetal = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.recipe

FILES = {
    "README.md",
    "checkpoints/cbp-f1.safetensors",
    "checkpoints/vlp-b1.safetensors",
    "config.yaml",
    "evaluation.json",
    "model.json",
}
REPO = "somebody/thumos"


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return shutil.copytree(tiny_run, tmp_path / "private" / "run")


def push(duetal: Duetal, run: Path, *options: str) -> list[str]:
    code, printed, err = duetal("push", run, "--repo", REPO, *options)
    assert (code, err) == (0, "")
    return printed.splitlines()


def download(folder: Path | None = None) -> Path:
    """Into a folder, or into the client's cache, where files are links."""
    return Path(snapshot_download(REPO, local_dir=folder))


def test_what_is_pushed_and_downloaded_again_localizes(
    hub, run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    lines = push(duetal, run)
    commit = hub.repos[REPO].branches["main"][-1]
    assert lines[-1] == f"pushed: {hub.endpoint}/{REPO}/commit/{commit.oid}"
    assert {line.split()[0] for line in lines[:-1]} == FILES
    assert {line.split()[1] for line in lines[:-1]} == {"added"}
    assert set(commit.files) == FILES | {".gitattributes"}
    assert commit.message == "Push the run run"
    assert "- added: model.json" in commit.description
    assert not hub.repos[REPO].private

    again = download(tmp_path / "again")
    for branch, stage in (("cbp", "cbp-f1"), ("both", "ensemble")):
        out = tmp_path / f"{branch}.json"
        assert duetal("localize", again, tiny_dataset, "--out", out, "--branch", branch)[0] == 0
        stored = json.loads((run / "detections" / f"{stage}.json").read_text())
        assert json.loads(out.read_text())["results"] == stored["results"]
    loaded = api.load(download())
    assert loaded.stages == ("vlp-b1", "cbp-f1")
    assert loaded.evaluation == api.load(run).evaluation
    with pytest.raises(api.UsageError, match="unknown stage 'cbp-warmup'"):
        loaded.localize(tiny_dataset, stage="cbp-warmup")


def test_nothing_private_is_pushed(hub, run: Path, tiny_dataset: Path, duetal: Duetal) -> None:
    model = json.loads((run / "model.json").read_text())
    secret = "/disk/jones/secret-weights"
    network = {"name": f"{secret}/rgb.pt", "sha256": "a" * 64, "architecture": "i3d-rgb"}
    model["features"] = {"modalities": ["rgb"], "rgb": network}
    model["heldout"] = {"videos": ["patient-jones"], "mAP": {"cbp-f1": 0.5}}
    (run / "model.json").write_text(json.dumps(model))
    push(duetal, run)
    files = hub.repos[REPO].branches["main"][-1].files
    everything = b"\n".join(files.values())
    for private in (tiny_dataset.parent, run.parent, "/disk/jones", "patient-jones", "v_0"):
        assert str(private).encode() not in everything
    published = json.loads(files["model.json"])
    assert published["features"]["rgb"] == network | {"name": "rgb.pt"}
    settings = yaml.safe_load(files["config.yaml"])
    assert settings["data.dataset"] == "dataset"
    assert b"cbp-f1 50.0" in files["README.md"]
    stored = load_file(run / "checkpoints" / "cbp-f1.safetensors")
    (run / "arrived.safetensors").write_bytes(files["checkpoints/cbp-f1.safetensors"])
    arrived = load_file(run / "arrived.safetensors")
    assert stored.keys() == arrived.keys()


def test_a_second_push_is_a_commit_on_top_that_lists_its_changes(
    hub, run: Path, duetal: Duetal
) -> None:
    push(duetal, run)
    repo = hub.repos[REPO]
    assert push(duetal, run)[-1].startswith("nothing has changed: ")
    assert len(repo.branches["main"]) == 2

    repo.branches["main"][-1].files["checkpoints/cbp-f2.safetensors"] = b"of an earlier push"
    repo.branches["main"][-1].files["notes.md"] = b"somebody's own"
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("ensemble_weight: 0.35", "ensemble_weight: 0.25"))
    lines = dict(
        line.split(maxsplit=1) for line in push(duetal, run, "--message", "Weigh VLP less")
    )
    assert lines["config.yaml"] == "changed"
    assert lines["model.json"] == "unchanged"
    assert lines["checkpoints/cbp-f2.safetensors"] == "removed"
    commit = repo.branches["main"][-1]
    assert len(repo.branches["main"]) == 3
    assert commit.message == "Weigh VLP less"
    assert "- changed: config.yaml" in commit.description
    assert "- removed: checkpoints/cbp-f2.safetensors" in commit.description
    assert "model.json" not in commit.description
    assert set(commit.files) == FILES | {".gitattributes", "notes.md"}


def test_several_seeds_are_pushed_together(
    hub, run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    several = tmp_path / "several"
    for seed in (0, 1):
        shutil.copytree(run, several / f"seed-{seed}")
    push(duetal, several)
    files = hub.repos[REPO].branches["main"][-1].files
    own = FILES - {"README.md"}
    expected = {f"seed-{seed}/{path}" for seed in (0, 1) for path in own}
    assert set(files) == expected | {"README.md", ".gitattributes"}
    assert "Mean ± standard deviation over the seeds 0, 1" in files["README.md"].decode()
    again = download(tmp_path / "again")
    found = api.load(again / "seed-1").localize(tiny_dataset)
    assert len(found) == len(api.load(run).localize(tiny_dataset))


def test_with_onnx_on_a_branch_in_private(hub, run: Path, duetal: Duetal) -> None:
    push(duetal, run, "--private", "--revision", "trial", "--onnx")
    repo = hub.repos[REPO]
    assert repo.private
    assert set(repo.branches["main"][-1].files) == {".gitattributes"}
    assert set(repo.branches["trial"][-1].files) == FILES | {".gitattributes", "model.onnx"}
    # Into a branch that is there now, and without the file that no longer belongs to it.
    lines = dict(
        line.split(maxsplit=1) for line in push(duetal, run, "--private", "--revision", "trial")
    )
    assert lines["model.onnx"] == "removed"


def test_a_dry_run_lists_without_a_request(
    hub, run: Path, duetal: Duetal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    lines = push(duetal, run, "--dry-run")
    assert {line.split()[0] for line in lines[:-1]} == FILES
    size = (run / "checkpoints" / "cbp-f1.safetensors").stat().st_size
    assert f"checkpoints/cbp-f1.safetensors  {size:>12,} bytes" in lines
    assert lines[-1].startswith("6 files, ")
    assert hub.requests == []


def test_as_a_program_of_its_own(hub, run: Path) -> None:
    program = Path(sys.executable).with_name("duetal")
    done = subprocess.run(
        [program, "push", run, "--repo", REPO], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(hub.repos[REPO].branches["main"][-1].files) == FILES | {".gitattributes"}


@pytest.mark.parametrize(
    ("repo", "code", "cause"),
    [
        ("thumos", 2, "--repo: OWNER/NAME, not 'thumos'"),
        ("datasets/somebody/thumos", 2, "a run is pushed to a model repository"),
        ("a/b/c", 2, "OWNER/NAME"),
        ("some body/thumos", 2, "some body/thumos"),
        ("somebody/-thumos", 2, "-thumos"),
        ("somebody/x.git", 2, "x.git"),
        ("somebody/" + "x" * 200, 2, "x"),
        ("", 2, "OWNER/NAME"),
        ("else/thumos", 1, "the token may not write there: You don't have the rights"),
        ("somebody/my-dataset", 1, "a repo of another type has this name"),
    ],
)
def test_a_name_that_is_refused(
    hub, run: Path, duetal: Duetal, repo: str, code: int, cause: str
) -> None:
    found, printed, err = duetal("push", run, "--repo", repo)
    assert (found, printed) == (code, "")
    assert err.startswith("duetal: error: ")
    assert err.count("\n") == 1
    assert cause in err
    assert hub.repos == {}


@pytest.mark.parametrize(
    ("token", "cause"),
    [
        (None, "no token: hf auth login keeps one"),
        ("hf_of-nobody", "the token was not accepted"),
        ("hf_that-may-only-read", "the token may not write there"),
    ],
)
def test_a_refused_token(
    hub,
    run: Path,
    duetal: Duetal,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    cause: str,
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    code, printed, err = duetal("push", run, "--repo", REPO)
    assert (code, printed, err.count("\n")) == (1, "", 1)
    assert f"{REPO}: " in err
    assert cause in err
    assert hub.repos == {}


def test_no_network(hub, run: Path, duetal: Duetal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    code, printed, err = duetal("push", run, "--repo", REPO)
    assert (code, printed, err.count("\n")) == (1, "", 1)
    assert f"{REPO}: cannot push: " in err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids the network" in duetal("push", run, "--repo", REPO)[2]


def test_a_model_of_another_kind_is_left_alone(hub, run: Path, duetal: Duetal) -> None:
    repo = hub.add(REPO, {"config.json": b"{}", "pytorch_model.bin": b"weights"})
    code, _, err = duetal("push", run, "--repo", REPO)
    assert code == 1
    assert "holds a model of another kind ('pytorch_model.bin', no model.json)" in err
    assert len(repo.branches["main"]) == 1


def test_private_is_not_public(hub, run: Path, duetal: Duetal) -> None:
    repo = hub.add(REPO, {"README.md": b"mine"})
    code, _, err = duetal("push", run, "--repo", REPO, "--private")
    assert code == 1
    assert "is there and public; nothing was pushed" in err
    assert len(repo.branches["main"]) == 1
    assert push(duetal, run)[0].split() == ["README.md", "changed"]


def test_the_licence_of_the_card_in_the_repository_is_kept(hub, run: Path, duetal: Duetal) -> None:
    repo = hub.add(REPO, {"README.md": b"---\nlicense: apache-2.0\n---\nmine"})
    push(duetal, run)
    card = repo.branches["main"][-1].files["README.md"].decode()
    assert "\nlicense: apache-2.0\n" in card
    assert "cbp-f1" in card
    assert push(duetal, run)[-1].startswith("nothing has changed")


def test_a_damaged_run_is_not_pushed(hub, run: Path, duetal: Duetal) -> None:
    path = run / "checkpoints" / "vlp-b1.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    code, _, err = duetal("push", run, "--repo", REPO)
    assert code == 1
    assert f"{path}: truncated or damaged checkpoint" in err
    assert hub.repos == {}


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("model.json", True),
        ("seed-12/checkpoints/cbp-f1.safetensors", True),
        ("README.md", False),
        ("data/model.json", False),
        ("checkpoints/a/b.safetensors", False),
        ("model.jsonl", False),
    ],
)
def test_what_a_later_push_may_remove(path: str, ours: bool) -> None:
    assert bool(OURS.fullmatch(path)) is ours
