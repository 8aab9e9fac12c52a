"""Localization by words alone: a dataset, raw videos, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.api.by_words import class_phrases
from duetal.core.errors import DuetalError
from duetal.evaluation import evaluate
from duetal.formats import read_annotations, read_detections
from duetal.simulation.clips import render_clip

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("HighJump, dive", {"HighJump": ("high jump",), "dive": ("dive",)}),
        ("HighJump|high jump|leap", {"HighJump": ("high jump", "leap")}),
        ({"Jump": ["a jump", "Jump"]}, {"Jump": ("Jump", "a jump")}),
        (["a", "b|c"], {"a": ("a",), "b": ("b", "c")}),
    ],
)
def test_phrasings(given, expected) -> None:
    assert class_phrases(given) == expected


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ("", "no class is named"),
        ("a,", "a class has no name"),
        ("a,|b", "a class has no name"),
        ("a|,b", "the class 'a' has an empty phrasing"),
        ("_,b", "a class has no name"),
        ("a|x,a|y", "the class 'a' is named twice"),
        ("High Jump,high_jump", "'High Jump' and 'high_jump' are the same words"),
        ("jump|leap,hop|Leap", "the classes 'jump' and 'hop' are the same words"),
        ([f"c{i}" for i in range(1001)], "1,001 classes are named; 1,000 at once are the most"),
        (["word " * 200, "word  " * 200], "word word' and 'word  word"),
    ],
)
def test_refused_words(given, cause) -> None:
    with pytest.raises(DuetalError) as caught:
        class_phrases(given)
    assert cause in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.recipe
def test_a_dataset(tiny_dataset: Path, tmp_path: Path, duetal: Run) -> None:
    out = tmp_path / "found.json"
    words = "Diving, golf swing|a golfer swings"
    code, said, err = duetal("localize", tiny_dataset, "--classes", words, "--out", out)
    assert (code, err) == (0, "")
    assert "checkpoint: nothing was trained" in said
    found = read_detections(out)
    assert found.videos == ("v_6", "v_7", "v_8")
    assert set(found.classes) == {"Diving", "golf swing"}
    assert "nothing was trained" in str(found.external_data["selection"])
    # Its own text encoder reads the names of the simulated classes as the simulation does.
    truth = read_annotations(tiny_dataset / "annotations.json")
    names = ",".join(truth.classes)
    options = ("--set", 'templates=["{}"]', "--force")
    assert duetal("localize", tiny_dataset, "--classes", names, "--out", out, *options)[0] == 0
    scores = evaluate(read_detections(out), truth, "seconds")
    assert scores.averages["0.1:0.7"] > 0.1


@pytest.mark.recipe
def test_raw_videos(tmp_path: Path, tiny_backbones: dict[str, str], duetal: Run) -> None:
    video, out, store = tmp_path / "a.mp4", tmp_path / "found", tmp_path / "store"
    render_clip(video, duration=2.6)
    clip = ("--clip", tiny_backbones["clip"])
    base = ("localize", video, "--classes", "a dog jumps", "--features", store)
    code, _, err = duetal(*base, *clip, "--out", out)
    assert (code, err) == (0, "")
    assert "by words alone (nothing was trained)" in (out / "index.html").read_text()
    assert json.loads((out / "detections.json").read_text())["results"].keys() == {"a"}
    # The store that is there is used: no option names weights.
    code, said, _ = duetal(*base, "--out", tmp_path / "again")
    assert code == 0
    assert "T = " not in said
    for options, cause in (
        (("--i3d-rgb", "x"), "--i3d-rgb: words are compared with no rgb features"),
        (("--clip", "/nope"), "/nope: text encoder: no such folder"),
        # Before a video is decoded.
        ((*clip, "--classes", "word " * 200), "tokens; with 0 prompt vectors and 2 marks"),
    ):
        code, _, err = duetal(*base[:-1], tmp_path / "new", *options, "--out", tmp_path / "x")
        assert code != 0
        assert cause in err
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--classes", "a,A"), "classes: the classes 'a' and 'A' are the same words"),
        (("--classes", "a", "--branch", "vlp"), "are of a run, and none is given"),
        (("--classes", "a", "--set", "crop=32"), "data.crop is no setting of localization"),
        (("--classes", "a", "--set", "templates=[x]"), "'x' has no {} for the class's words"),
        (("--classes", "word " * 200), "tokens; with 0 prompt vectors and 2 marks"),
        (("--classes", "a", "--text-encoder", "/nope"), "/nope: text encoder: no such folder"),
        (("--text-encoder", "x"), "give a run and what to find actions in"),
        ((), "give a run and what to find actions in"),
    ],
)
def test_refused_calls(tiny_dataset: Path, tmp_path: Path, duetal: Run, words, cause) -> None:
    code, _, err = duetal("localize", tiny_dataset, *words, "--out", tmp_path / "x.json")
    assert code != 0
    assert cause in err
    assert not list(tmp_path.iterdir())


@pytest.mark.real
def test_words_and_embeddings_agree(real_data: Path, tmp_path: Path, duetal: Run) -> None:
    folder = real_data / "esc10-scenes"
    truth = read_annotations(folder / "annotations.json")
    scores = []
    for options in (
        ("--set", 'templates=["{}"]'),
        ("--text-encoder", folder / "class_embeddings.npy"),
    ):
        out = tmp_path / f"{len(scores)}.json"
        names = ",".join(truth.classes)
        assert duetal("localize", folder, "--classes", names, "--out", out, *options)[0] == 0
        found = evaluate(read_detections(out), truth, "seconds", "test")
        scores.append(100 * found.averages["0.1:0.7"])
    assert scores[0] == pytest.approx(scores[1], abs=0.3)
    assert min(scores) > 38
