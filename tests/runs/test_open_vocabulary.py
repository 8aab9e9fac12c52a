"""A trained run and words: its own classes as it knows them, others by what it has learnt."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import duetal as api
from duetal.backbones.class_embeddings import phrase_features
from duetal.config import Config
from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import open_dataset
from duetal.results.checkpoints import load as load_checkpoint
from duetal.runs.class_splits import seen_classes, with_seen_classes
from duetal.runs.open_vocabulary import prompted_text, with_words
from duetal.runs.run import open_run
from duetal.runs.stage_scoring import VideoScores, stage_scorer
from duetal.runs.zero_shot_run import zero_shot_scorer
from duetal.simulation.tiny_clip import make_tiny_clip

Duetal = Callable[..., tuple[int, str, str]]
#: A class is called by its name, or as that is displayed.
OWN = {"Diving": ["Diving"], "golf swing": ["golf swing"], "High_Jump": ["high jump"]}
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
def test_unseen_classes_are_found_in_the_streams_that_the_run_chose(
    tiny_dataset: Path, tmp_path: Path, tiny_settings: tuple[str, ...], duetal: Duetal
) -> None:
    data = shutil.copytree(tiny_dataset, tmp_path / "data")
    wide = data / "features" / "wide"
    wide.mkdir()
    for name in open_dataset(data).training + open_dataset(data).evaluation:
        features = open_dataset(data).streams["cbp"].read(name)
        np.save(wide / f"{name}.npy", np.concatenate([features, features], axis=1))
    out = tmp_path / "run"
    words = [*tiny_settings, "seen_classes=[Diving,HighJump]", "data.cbp=wide"]
    code, _, err = duetal("train", "demo", f"dataset={data}", *words, "--out", out)
    assert (code, err) == (0, "")
    assert (out / "unseen.json").is_file()


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
def test_new_words_are_read_with_what_the_prompts_have_learnt(tiny_run: Path) -> None:
    run = open_run(tiny_run)
    tensors = load_checkpoint(run.folder.checkpoint("vlp-b1")).tensors
    learnt = tensors["zero_shot_text"] + tensors["text.features"] - tensors["initial_text"]
    expected = torch.nn.functional.normalize(learnt, dim=-1).numpy()
    assert run.model.text_encoder is not None
    words = {"new": ["golf swing"], "both": ["diving", "high jump"]}
    found = prompted_text(run, tensors, words, run.model.text_encoder)
    np.testing.assert_allclose(found[0], expected[1], atol=1e-5)
    np.testing.assert_allclose(found[1], expected[[0, 2]].mean(axis=0), atol=1e-5)
    # The prompts have moved: without them it would be another feature.
    plain = torch.nn.functional.normalize(tensors["zero_shot_text"], dim=-1)[1]
    assert abs(found[0] - plain.numpy()).max() > 1e-3


@pytest.mark.recipe
def test_what_cbp_sees_changes_the_scores_of_new_words(tiny_run: Path, tiny_dataset: Path) -> None:
    run, dataset = open_run(tiny_run), open_dataset(tiny_dataset)
    # As `auto` chooses them: for each of the run's own classes.
    run = replace(run, config=run.config.replace(class_ratios=(8, 4, 8)))
    words = {"swing": ["golf swing"], "Diving": ["diving"], "spin": ["a spin"]}

    def score(stage: str, **settings: float) -> VideoScores:
        named, _ = with_words(run, words, stage, None, settings)
        return named.make_scorer(dataset, ["v_6", "v_7"], CPU)("v_7")

    new = score("vlp").snippets[:, [0, 2]]
    cbp = stage_scorer(run, ["cbp-f1"], dataset, CPU)("v_7")
    source = dataset.text_encoder
    assert source is not None
    said = {label: [run.model.display_names[label]] for label in run.model.classes}
    text = phrase_features(source, said, ["{}"])
    stream = dataset.streams["vlp"]
    own = zero_shot_scorer(stream, ["v_6", "v_7"], text, run.config)("v_7").snippets
    top = len(own) // 8
    in_video = [np.sort(one, axis=0)[-top:].mean(axis=0) for one in (own, new)]
    for share in (0.0, 0.3):
        found = score("both", foreground_share=share)
        for column, (place, loudest) in enumerate(zip((0, 2), in_video[1], strict=True)):
            believed = cbp.video * in_video[0] / (in_video[0] + loudest)
            no_other = 1 - (cbp.snippets * believed).max(axis=1)
            foreground = cbp.snippets.max(axis=1) * (1 - believed.max())
            expected = ((1 - share) * new[:, column] + share * foreground) * no_other
            np.testing.assert_allclose(found.snippets[:, place], expected, atol=1e-6)
            np.testing.assert_allclose(found.branches["cbp"][:, place], foreground, atol=1e-6)
        np.testing.assert_allclose(found.branches["cbp"][:, 1], cbp.snippets[:, 0], atol=1e-6)


@pytest.mark.recipe
def test_an_unseen_class_is_found_by_name(
    split_run: tuple[Path, str], tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    folder, printed = split_run
    told = "unseen:     GolfSwing: found by their words, among one another, in 1 videos with"
    assert told in printed
    run = api.load(folder)
    assert run.classes == ("Diving", "HighJump")
    assert {"gt.json", "detections.json", "unseen.json"} <= {f.name for f in folder.iterdir()}
    # A folder of such runs is one of splits.
    scores = api.evaluate_splits(folder.parent, "seconds").splits["0"]
    assert scores.per_class.keys() == {"GolfSwing"}
    stored = json.loads((folder / "unseen.json").read_text())["scores"]
    chance, words, by_vlp, by_both = stored.values()
    assert list(stored)[:2] == ["chance", "words alone"]
    assert by_both["mAP"] == list(scores.mean_ap)
    assert min(one["averages"]["0.1:0.7"] for one in (words, by_vlp, by_both)) > 0.1
    # A video is guessed at in 2, 3, 4, 6 and 12 parts, of the unseen class alone.
    assert (chance["videos"], chance["predictions"], words["predictions"] > 0) == (1, 27, True)

    out = tmp_path / "found.json"
    words = "golf swing|a golfer swings, Diving"
    code, _, err = duetal("localize", folder, tiny_dataset, "--classes", words, "--out", out)
    assert (code, err) == (0, "")
    found = api.read_detections(out)
    assert set(found.classes) == {"golf swing", "Diving"}
    same = run.localize(tiny_dataset, classes=words)
    np.testing.assert_allclose(same.score, found.score, atol=1e-9)


@pytest.mark.recipe
def test_splits_are_averaged_beside_a_run_on_all_classes(
    tiny_dataset: Path, tmp_path: Path, tiny_settings: tuple[str, ...], duetal: Duetal
) -> None:
    out = tmp_path / "open"
    words = ("train", "open-vocabulary", f"dataset={tiny_dataset}", *tiny_settings)
    code, _, err = duetal(*words, "seen_share=0.9", "--splits", "2", "--out", out)
    assert (code, "all 3 classes are seen" in err, out.exists()) == (2, True, False)
    words = (*words, "seen_share=0.67", "--out", out)
    code, printed, err = duetal(*words, "--splits", "2")
    assert (code, err) == (0, "")
    assert {path.name for path in out.iterdir()} >= {"all-classes", "split-0", "split-1"}
    assert "unseen:     mean ± standard deviation over 2 splits" in printed
    assert all(path.joinpath("report.html").is_file() for path in out.iterdir() if path.is_dir())
    summary, *each = (
        json.loads((path / "unseen.json").read_text())
        for path in (out, out / "split-0", out / "split-1")
    )
    assert "words alone</th>" in (out / "split-0" / "report.html").read_text()
    summary, each = summary["summary"], [own["scores"] for own in each]
    assert list(summary) == list(each[0])
    assert list(summary)[-1] == "all classes seen"
    for title, one in summary.items():
        values = [own[title]["averages"]["0.1:0.7"] for own in each]
        assert one["averages"]["0.1:0.7"]["mean"] == pytest.approx(sum(values) / 2)
    # The run on all classes finds the unseen ones as it finds its own.
    whole = api.load(out / "all-classes")
    assert set(whole.classes) > set(api.load(out / "split-0").classes)
    assert list(api.evaluate_splits(out, "seconds").splits) == ["split-0", "split-1"]
    # One that is there goes on, with more splits.
    assert duetal(*words, "--splits", "2")[0] == 1
    assert duetal(*words, "--splits", "3", "--resume")[0] == 0
    for options, cause in (
        (("--seeds", "0,1", "--splits", "2"), "--seeds and --splits: give one of the two"),
        (("--splits", "2", "seen_share=none"), "--splits: draws classes to train on; seen_share="),
    ):
        code, _, err = duetal(*words, *options, "--resume")
        assert (code, cause in err) == (2, True)


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (("--branch", "cbp"), "cbp: knows no other classes than the run's own"),
        (("--stage", "cbp-warmup"), "cbp-warmup: knows no other classes"),
        (("--text-encoder", "/nope"), "/nope: text encoder: no such folder"),
        (("--text-encoder", "OTHER"), "is not the text encoder that the run was trained with"),
        (("--set", "crop=32"), "data.crop is no setting of localization"),
        (("--set", "learnt_share=2"), "zero_shot.learnt_share: Input should be less than"),
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
def test_a_run_from_elsewhere_says_what_reads_its_words(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    run, model = tmp_path / "run", open_run(tiny_run).folder.model_file.name
    shutil.copytree(tiny_run, run)
    known = json.loads((run / model).read_text())
    encoder, known["text_encoder"] = known["text_encoder"], "clip-of-theirs"
    (run / model).write_text(json.dumps(known))
    words = ("localize", run, tiny_dataset, "--classes", "swim", "--out", tmp_path / "x.json")
    code, _, err = duetal(*words)
    assert code == 1
    assert "read by 'clip-of-theirs', which is not here; --text-encoder names a copy" in err
    assert duetal(*words, "--text-encoder", encoder)[0] == 0


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
