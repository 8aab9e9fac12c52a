"""A run that was pushed to the hub's stand-in, used by its address alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import duetal as api

Duetal = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.recipe
ADDRESS = "hf://somebody/thumos"


@pytest.fixture
def pushed(hub, tiny_run: Path, duetal: Duetal):
    assert duetal("push", tiny_run, "--repo", "somebody/thumos")[0] == 0
    return hub


def test_a_run_is_used_by_its_address(
    pushed, tiny_run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    files = pushed.repos["somebody/thumos"].branches["main"][-1].files
    # A repository may hold anything: what is no part of a run is not even downloaded.
    files |= {"setup.py": b"raise SystemExit(9)", "checkpoints/x.bin": b"a pickle"}
    out = tmp_path / "found.json"
    code, said, err = duetal("localize", ADDRESS, tiny_dataset, "--out", out, "--branch", "both")
    assert (code, err) == (0, "")
    assert "card: # thumos" in said
    stored = json.loads((tiny_run / "detections" / "ensemble.json").read_text())
    assert json.loads(out.read_text())["results"] == stored["results"]
    loaded = api.load(ADDRESS)
    assert loaded.evaluation == api.load(tiny_run).evaluation
    assert not list(loaded.path.rglob("*.py"))
    assert not list(loaded.path.rglob("*.bin"))
    assert api.load(f"{ADDRESS}@main").stages == loaded.stages


def test_a_card_that_would_control_the_terminal_is_printed_as_text(
    pushed, tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    files = pushed.repos["somebody/thumos"].branches["main"][-1].files
    files["README.md"] = b"---\ntags: []\n---\n\x1b[2Jhello\n" + b"word " * 2000
    words = ("localize", ADDRESS, tiny_dataset, "--out", tmp_path / "x.json")
    _, said, _ = duetal(*words)
    assert "card: \N{REPLACEMENT CHARACTER}[2Jhello" in said
    assert max(map(len, said.splitlines())) < 400
    assert "tags" not in said


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("hf://somebody", "the address of a run is hf://OWNER/NAME"),
        ("hf://", "the address of a run is hf://OWNER/NAME"),
        ("hf://a/b/../../c", "the address of a run is hf://OWNER/NAME"),
        ("hf://somebody/nothing", "the hub refused: no such repository"),
        ("hf://somebody/other", "holds no run of duetal: no model.json"),
        (f"{ADDRESS}/seed-3", "holds no run of duetal: no model.json"),
    ],
)
def test_what_is_no_run(pushed, address: str, cause: str) -> None:
    pushed.add("somebody/other", {"README.md": b"a language model"})
    with pytest.raises(api.DuetalError) as caught:
        api.load(address)
    assert cause in str(caught.value)
    assert str(caught.value).startswith("hf:/")
