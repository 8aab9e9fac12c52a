"""What can be wrong with the input of `duetal train` and `localize`: one line and an exit code."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

Duetal = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.recipe


class Explosive:
    """Leaves a file behind where it is unpickled by somebody careless."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.proof, "executed")


@pytest.fixture
def dataset(tiny_dataset: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return shutil.copytree(tiny_dataset, tmp_path / "dataset")


def edit_annotations(dataset: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = dataset / "annotations.json"
    document = json.loads(path.read_text())
    change(document["database"])
    path.write_text(json.dumps(document))


def edit_layout(dataset: Path, **values: object) -> None:
    path = dataset / "dataset.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))


def edit_features(dataset: Path, stream: str, value: float) -> None:
    path = dataset / "features" / stream / "v_3.npy"
    values = np.load(path)
    values[5, 2] = value
    np.save(path, values)


def nan_in_cbp(dataset: Path) -> None:
    edit_features(dataset, "cbp", np.nan)


def infinity_in_vlp(dataset: Path) -> None:
    edit_features(dataset, "vlp", np.inf)


def label_outside_the_classes(dataset: Path) -> None:
    edit_annotations(dataset, lambda d: d["v_3"]["annotations"][0].update(label="Chess"))


def class_without_training_video(dataset: Path) -> None:
    edit_layout(dataset, classes=["Diving", "GolfSwing", "HighJump", "Shotput"])


def no_video(dataset: Path) -> None:
    edit_annotations(dataset, lambda d: d.clear())


def no_training_video(dataset: Path) -> None:
    edit_annotations(dataset, lambda d: [d.pop(f"v_{n}") for n in range(6)])


def no_features(dataset: Path) -> None:
    for stream in ("cbp", "vlp"):
        for file in (dataset / "features" / stream).iterdir():
            file.unlink()


def truncated_feature(dataset: Path) -> None:
    path = dataset / "features" / "cbp" / "v_3.npy"
    path.write_bytes(path.read_bytes()[:-7])


def truncated_test_feature(dataset: Path) -> None:
    path = dataset / "features" / "vlp" / "v_7.npy"
    path.write_bytes(path.read_bytes()[:-7])


def truncated_annotation(dataset: Path) -> None:
    path = dataset / "annotations.json"
    path.write_text(path.read_text()[:-9])


def feature_that_wants_to_execute(dataset: Path) -> None:
    array = np.array([Explosive(dataset / "proof")], dtype=object)
    np.save(dataset / "features" / "cbp" / "v_3.npy", array, allow_pickle=True)


def bare_pickle_as_feature(dataset: Path) -> None:
    path = dataset / "features" / "cbp" / "v_3.npy"
    path.write_bytes(pickle.dumps(Explosive(dataset / "proof")))


def annotation_that_wants_to_execute(dataset: Path) -> None:
    folder = dataset / "Tiny-Annotations"
    folder.mkdir()
    array = np.array([Explosive(dataset / "proof")], dtype=object)
    for name in (
        "videoname",
        "subset",
        "duration",
        "segments",
        "labels",
        "labels_all",
        "classlist",
    ):
        np.save(folder / f"{name}.npy", array, allow_pickle=True)
    edit_layout(dataset, annotations="Tiny-Annotations")


def no_text_encoder(dataset: Path) -> None:
    path = dataset / "dataset.yaml"
    layout = yaml.safe_load(path.read_text())
    del layout["text_encoder"]
    path.write_text(yaml.safe_dump(layout))


def broken_text_encoder(dataset: Path) -> None:
    path = dataset / "text_encoder" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:50])


def class_of_too_many_words(dataset: Path) -> None:
    edit_layout(dataset, display_names={"Diving": "very " * 60})


def nothing(dataset: Path) -> None:
    pass


BAD_TRAINING: list[tuple[Callable[[Path], object], tuple[str, ...], int, str]] = [
    (nothing, ("learning_rat=1",), 2, "unknown setting 'learning_rat'; the nearest is"),
    (nothing, ("cbp.heads=3",), 2, "cbp: embed_dim (16) is not a multiple of heads (3)"),
    (nothing, ("accelerator=gpu",), 2, "accelerator=gpu devices=1 precision=32-true: "),
    (nothing, ("precision=31",), 2, "precision: Input should be"),
    (nothing, ("vlp.heads=5",), 2, "vlp.heads: 5 does not divide"),
    (nothing, ("learning_rate=1e30",), 1, "loss is nan in phase warmup"),
    (
        nothing,
        ("learning_rate=1e30", "batch_size=64", "warmup_epochs=1", "alternations=0"),
        1,
        "cbp-warmup.safetensors: its weights give video 'v_6' scores that are not finite",
    ),
    (nothing, ("dataset=nowhere",), 1, "nowhere: no such file or folder"),
    (nothing, ("labels.use=points",), 1, "no training video has points"),
    (nothing, ("text_encoder=no/such/model",), 1, "neither a folder nor to be had from the hub"),
    (nan_in_cbp, (), 1, "cbp/v_3.npy: snippet 5: the feature's channel 2 is nan"),
    (infinity_in_vlp, (), 1, "vlp/v_3.npy: snippet 5: the feature's channel 2 is inf"),
    (label_outside_the_classes, (), 1, "video 'v_3': label 'Chess' is not in the class list"),
    (class_without_training_video, (), 1, "class 'Shotput' has no training video"),
    (no_video, (), 1, "empty dataset"),
    (no_training_video, (), 1, "no training video with labels and features"),
    (no_features, (), 1, "no cbp features"),
    (truncated_feature, (), 1, "cbp/v_3.npy: "),
    (truncated_test_feature, (), 1, "vlp/v_7.npy: truncated"),
    (truncated_annotation, (), 1, "annotations.json: line 1 column"),
    (feature_that_wants_to_execute, (), 1, "cbp/v_3.npy: "),
    (bare_pickle_as_feature, (), 1, "cbp/v_3.npy: "),
    (annotation_that_wants_to_execute, (), 1, "Tiny-Annotations/"),
    (no_text_encoder, (), 1, "names no text encoder"),
    (broken_text_encoder, (), 1, "text_encoder: text encoder: cannot load"),
    (class_of_too_many_words, (), 1, "class 'Diving'"),
]


@pytest.mark.parametrize(
    ("damage", "settings", "code", "message"),
    [pytest.param(*row, id=f"{row[0].__name__} {' '.join(row[1])}") for row in BAD_TRAINING],
)
def test_bad_training(
    dataset: Path,
    tiny_settings: tuple[str, ...],
    tmp_path: Path,
    duetal: Duetal,
    damage: Callable[[Path], object],
    settings: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    damage(dataset)
    arguments = (f"dataset={dataset}", *tiny_settings, *settings)
    found, _, err = duetal("train", "demo", *arguments, "--out", tmp_path / "run")
    assert found == code
    assert err.startswith("duetal: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not (dataset / "proof").exists()
    # What could be known beforehand has not begun a run.
    begun = any(argument in err for argument in ("snippet", "loss", "v_3", "weights"))
    assert begun or not (tmp_path / "run").exists()


def test_a_run_goes_on_when_its_features_are_mended(
    dataset: Path,
    tiny_settings: tuple[str, ...],
    tiny_run: Path,
    tmp_path: Path,
    duetal: Duetal,
) -> None:
    path = dataset / "features" / "vlp" / "v_3.npy"
    good = path.read_bytes()
    infinity_in_vlp(dataset)
    out = tmp_path / "run"
    arguments = ("train", "demo", f"dataset={dataset}", *tiny_settings, "--out", out)
    assert duetal(*arguments)[0] == 1
    assert "stopped: " in (out / "log.txt").read_text()
    path.write_bytes(good)
    assert duetal(*arguments, "--resume")[0] == 0
    for stage in ("cbp-f1", "vlp-b1"):
        name = f"checkpoints/{stage}.safetensors"
        assert (out / "detections" / f"{stage}.json").read_bytes() == (
            tiny_run / "detections" / f"{stage}.json"
        ).read_bytes(), name


@pytest.mark.parametrize("kept", [0, 8, 500])
def test_a_truncated_checkpoint_stops_a_resumed_run_and_nothing_is_lost(
    words_to_resume: list[str], own_run: Path, duetal: Duetal, kept: int
) -> None:
    (own_run / "model.json").unlink()
    path = own_run / "checkpoints" / "vlp-b1.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    before = {file: file.read_bytes() for file in (own_run / "checkpoints").iterdir()}
    code, _, err = duetal(*words_to_resume)
    assert (code, err.count("\n")) == (1, 1)
    assert f"{path}: truncated or damaged checkpoint" in err
    assert {file: file.read_bytes() for file in (own_run / "checkpoints").iterdir()} == before


@pytest.fixture
def own_run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained run that may be damaged."""
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture
def words_to_resume(tiny_dataset: Path, tiny_settings: tuple[str, ...], own_run: Path) -> list[str]:
    dataset = f"dataset={tiny_dataset}"
    return ["train", "demo", dataset, *tiny_settings, "--out", str(own_run), "--resume"]


def truncated_checkpoint(run: Path, dataset: Path) -> None:
    path = run / "checkpoints" / "cbp-f1.safetensors"
    path.write_bytes(path.read_bytes()[:-50])


def other_configuration(run: Path, dataset: Path) -> None:
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("cbp.embed_dim: 16", "cbp.embed_dim: 32"))


def typo_in_config(run: Path, dataset: Path) -> None:
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("cbp.embed_dim", "cbp.embde_dim"))


def truncated_model(run: Path, dataset: Path) -> None:
    path = run / "model.json"
    path.write_text(path.read_text()[:-20])


def unfinished(run: Path, dataset: Path) -> None:
    (run / "model.json").unlink()


def wider_features(run: Path, dataset: Path) -> None:
    for file in (dataset / "features" / "cbp").iterdir():
        np.save(file, np.load(file).repeat(2, axis=1))


def other_grid(run: Path, dataset: Path) -> None:
    edit_layout(dataset, grid={"fps": 30, "stride": 4, "window": 16})


def nan_in_a_test_video(run: Path, dataset: Path) -> None:
    path = dataset / "features" / "cbp" / "v_7.npy"
    values = np.load(path)
    values[-1, 0] = np.nan
    np.save(path, values)


def other_classes(run: Path, dataset: Path) -> None:
    def rename(database: dict[str, Any]) -> None:
        for video in database.values():
            for row in video["annotations"]:
                row["label"] = "Chess"

    edit_annotations(dataset, rename)
    edit_layout(dataset, classes=["Chess"])


BAD_LOCALIZING: list[tuple[Callable[[Path, Path], object], tuple[str, ...], int, str]] = [
    (truncated_checkpoint, (), 1, "cbp-f1.safetensors: truncated or damaged checkpoint"),
    (other_configuration, (), 1, "cbp-f1.safetensors: decoder"),
    (typo_in_config, (), 2, "config.yaml: unknown setting 'cbp.embde_dim'"),
    (truncated_model, (), 1, "model.json: line"),
    (unfinished, (), 1, "training is not finished"),
    (wider_features, (), 1, "cbp/v_0.npy: cbp features have C = 24; the run was trained on C = 12"),
    (other_grid, (), 1, "features of 30 frames per second"),
    (nan_in_a_test_video, (), 1, "cbp/v_7.npy: snippet"),
    (other_classes, (), 1, "the run was trained on none of its classes"),
    (lambda run, dataset: None, ("--stage", "cbp-f9"), 2, "unknown stage 'cbp-f9'; the nearest"),
    (lambda run, dataset: None, ("--branch", "vpl"), 2, "stage 'vpl'; the nearest is 'vlp'"),
    (lambda run, dataset: None, ("--stage", "cbp-f1", "--branch", "cbp"), 2, "one of the two"),
]


@pytest.mark.parametrize(
    ("damage", "options", "code", "message"),
    [pytest.param(*row, id=row[3]) for row in BAD_LOCALIZING],
)
def test_bad_localizing(
    own_run: Path,
    dataset: Path,
    tmp_path: Path,
    duetal: Duetal,
    damage: Callable[[Path, Path], object],
    options: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    damage(own_run, dataset)
    out = tmp_path / "detections.json"
    out.write_text("old")
    found, _, err = duetal("localize", own_run, dataset, "--out", out, "--force", *options)
    assert found == code
    assert message in err
    assert err.count("\n") == 1
    assert out.read_text() == "old"
    assert not list(tmp_path.glob(".*"))
