"""A trained run and words: its own classes as it knows them, others by what it has learnt."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import duetal as api
from duetal.backbones.tiny_clip import make_tiny_clip
from duetal.config import Config
from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import open_dataset
from duetal.runs.class_splits import seen_classes, with_seen_classes
from duetal.runs.open_vocabulary import with_words
from duetal.runs.run import open_run
from duetal.runs.stage_scoring import stage_scorer

Duetal = Callable[..., tuple[int, str, str]]
OWN = {"Diving": ["diving"], "GolfSwing": ["golf swing"], "HighJump": ["high jump"]}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def split_run(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_dataset: Path,
    tiny_settings: tuple[str, ...],
) -> tuple[Path, str]:
    """A run that was trained on two of the three classes, and what was printed."""
    import contextlib
    import io

    from duetal.cli.main import main

    folder = tmp_path_factory.mktemp("split") / "runs" / "0"
    words = [*tiny_settings, "seen_classes=[Diving,HighJump]", "b_epochs=3"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as stop:
        main(["train", "demo", f"dataset={tiny_dataset}", *words, "--out", str(folder)])
    assert stop.value.code == 0
    return folder, printed.getvalue()


@pytest.mark.recipe
@pytest.mark.parametrize("stage", ["vlp", "vlp-b1", "both", "vlp-zeroshot"])
def test_its_own_classes_score_as_without_words(
    tiny_run: Path, tiny_dataset: Path, stage: str
) -> None:
    run, dataset = open_run(tiny_run), open_dataset(tiny_dataset)
    named, stages = with_words(run, OWN, stage)
    assert stages == run.model.stages_named(stage)
    plain = stage_scorer(run, stages, dataset, CPU)("v_7")
    worded = named.make_scorer(dataset, ["v_7"], CPU)("v_7")
    np.testing.assert_allclose(worded.snippets, plain.snippets, atol=1e-4)
    np.testing.assert_allclose(worded.video, plain.video, atol=1e-4)


@pytest.mark.recipe
def test_an_unseen_class_is_found_by_name(
    split_run: tuple[Path, str], tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    folder, printed = split_run
    assert "unseen:     GolfSwing: found by their words, among one another, in 1 videos" in printed
    run = api.load(folder)
    assert run.classes == ("Diving", "HighJump")
    assert {"gt.json", "detections.json", "unseen.json"} <= {f.name for f in folder.iterdir()}
    # A folder of such runs is one of splits.
    scores = api.evaluate_splits(folder.parent, "seconds").splits["0"]
    assert scores.per_class.keys() == {"GolfSwing"}
    stored = json.loads((folder / "unseen.json").read_text())
    by_vlp, by_both = stored.values()
    assert by_both["mAP"] == list(scores.mean_ap)
    # The branches have learnt for two epochs; a random score finds nothing at 0.5.
    assert by_vlp["averages"]["0.1:0.7"] > 0.1

    out = tmp_path / "found.json"
    words = "golf swing|a golfer swings, Diving"
    code, _, err = duetal("localize", folder, tiny_dataset, "--classes", words, "--out", out)
    assert (code, err) == (0, "")
    found = api.read_detections(out)
    assert set(found.classes) == {"golf swing", "Diving"}
    same = run.localize(tiny_dataset, classes=words)
    np.testing.assert_allclose(same.score, found.score, atol=1e-9)


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (("--branch", "cbp"), "cbp: knows no other classes than the run's own"),
        (("--stage", "cbp-warmup"), "cbp-warmup: knows no other classes"),
        (("--text-encoder", "/nope"), "/nope: text encoder: no such folder"),
        (("--text-encoder", "OTHER"), "is not the text encoder that the run was trained with"),
        (("--set", "templates=[a {}]"), "zero_shot.templates is no setting of localization"),
    ],
)
def test_refused(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal, options, cause
) -> None:
    if "OTHER" in options:
        make_tiny_clip(tmp_path / "clip", dimension=8, seed=7)
        options = (options[0], tmp_path / "clip")
    out = tmp_path / "x.json"
    words = ("localize", tiny_run, tiny_dataset, "--classes", "swim", "--out", out, *options)
    code, _, err = duetal(*words)
    assert code != 0
    assert cause in err
    assert not out.exists()


@pytest.mark.recipe
def test_a_run_without_vlp_reads_no_words(
    tiny_dataset: Path, tiny_settings: tuple[str, ...], tmp_path: Path, duetal: Duetal
) -> None:
    folder, out = tmp_path / "run", tmp_path / "x.json"
    words = ("train", "demo", f"dataset={tiny_dataset}", *tiny_settings, "branches=[cbp]")
    assert duetal(*words, "--out", folder)[0] == 0
    code, _, err = duetal("localize", folder, tiny_dataset, "--classes", "swim", "--out", out)
    assert code == 2
    assert "--classes: the run has no VLP branch, which reads words" in err
    code, _, err = duetal(*words, "seen_share=0.5", "--out", tmp_path / "other")
    assert code == 2
    assert "data.branches: unseen classes are found by VLP, which is not trained" in err
    assert not (tmp_path / "other").exists()


def test_splits_are_draws_of_a_share(tiny_dataset: Path) -> None:
    dataset = open_dataset(tiny_dataset)
    draws = [
        seen_classes(Config().replace(seen_share=0.5, class_split=split), dataset)
        for split in range(10)
    ]
    assert {len(draw) for draw in draws} == {2}
    assert len(set(draws)) == 3
    assert draws[4] == seen_classes(Config().replace(seen_share=0.5, class_split=4), dataset)
    for values, cause in (
        ({"seen_classes": ("Divin",)}, "unknown class 'Divin'; the nearest is 'Diving'"),
        ({"seen_classes": dataset.classes}, "all 3 classes are seen"),
        ({"seen_share": 0.5, "seen_classes": ("Diving",)}, "the classes are named and drawn"),
        ({"seen_share": 0.9}, "all 3 classes are seen"),
    ):
        with pytest.raises(UsageError, match=cause):
            seen_classes(Config().replace(**values), dataset)


def test_nothing_of_an_unseen_class_is_trained_on(tiny_dataset: Path) -> None:
    dataset = open_dataset(tiny_dataset)
    assert with_seen_classes(dataset, Config()) is dataset
    part = with_seen_classes(dataset, Config().replace(seen_classes=("Diving", "GolfSwing")))
    assert part.classes == ("Diving", "GolfSwing")
    assert part.train_labels == {
        n: ls for n, ls in dataset.train_labels.items() if n not in ("v_2", "v_5")
    }
    segments = [s for video in part.annotations for s in video.segments or ()]
    assert {s.label for s in segments} == {"Diving", "GolfSwing"}
    assert part.weak().labels.shape == (4, 2)
    with pytest.raises(DuetalError):
        with_seen_classes(dataset, Config().replace(seen_classes=("Chess",)))
