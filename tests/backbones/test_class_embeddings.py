"""An array of class embeddings in place of a text encoder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from duetal.backbones.class_embeddings import load_text
from duetal.core.errors import DuetalError

NAMES = ["HighJump", "clean and jerk", "Diving"]


def write(folder: Path, array: object = None, names: object = NAMES) -> Path:
    path = folder / "classes.npy"
    np.save(path, np.eye(3, 4, dtype=np.float16) if array is None else np.asarray(array))
    path.with_suffix(".json").write_text(json.dumps(names))
    return path


def test_takes_the_rows_of_the_classes_by_name_or_display_name(tmp_path: Path) -> None:
    path = write(tmp_path)
    found = load_text(str(path), ["Diving", "CleanAndJerk"], display_names={})
    assert found.plain_features().tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]
    assert found.plain_features().dtype == torch.float32
    other = load_text(str(path), ["dive"], display_names={"dive": "Diving"})
    assert other.plain_features().tolist() == [[0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("array", "names", "cause"),
    [
        (None, NAMES[:2], "has 3 rows, and classes.json names 2 classes"),
        (None, ["Diving", "Diving", "x"], "classes.json: 'Diving' is listed twice"),
        (None, {"Diving": 0}, "classes.json: expected a list of the embeddings' names"),
        (
            None,
            ["HighJump", "Jerk", "Divin"],
            "classes.npy: no embedding: unknown class 'Diving'; t",
        ),
        (np.zeros((3, 4)), NAMES, "class 'Diving': not finite, or all zeros"),
        (np.full((3, 4), np.nan), NAMES, "class 'Diving': not finite, or all zeros"),
        (np.zeros(3), NAMES, "must be a floating-point array (K, D)"),
        (np.zeros((3, 4), dtype=int), NAMES, "must be a floating-point array (K, D)"),
        (np.array([[{}]]), NAMES, "not an array of numpy"),
    ],
)
def test_refuses_what_is_no_table_of_embeddings(
    tmp_path: Path, array: object, names: object, cause: str
) -> None:
    path = write(tmp_path, array, names)
    with pytest.raises(DuetalError) as caught:
        load_text(str(path), ["Diving"])
    assert cause in str(caught.value)


def test_names_a_missing_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(DuetalError, match=r"classes\.json: no such file"):
        load_text(str(path), ["Diving"])
    shutil.copy(__file__, path)
    path.with_suffix(".json").write_text(json.dumps(NAMES))
    with pytest.raises(DuetalError, match="not an array of numpy"):
        load_text(str(path), ["Diving"])


@pytest.mark.real
def test_agree_with_the_text_tower_they_belong_to(real_data: Path) -> None:
    from duetal.datasets import open_dataset

    folder = real_data / "esc10-scenes"
    dataset = open_dataset(folder)
    assert dataset.text_encoder is not None
    tower, array = (
        torch.nn.functional.normalize(
            load_text(source, dataset.classes, display_names=dataset.display_names).plain_features()
        )
        for source in (dataset.text_encoder, str(folder / "class_embeddings.npy"))
    )
    assert (tower * array).sum(1).min() > 0.999


@pytest.mark.recipe
def test_a_run_trains_its_temporal_layers_alone(
    tmp_path: Path, tiny_dataset: Path, tiny_settings: tuple[str, ...]
) -> None:
    from duetal.api import load, train
    from duetal.backbones.text_towers import load_text_tower
    from duetal.results.checkpoints import load as load_checkpoint

    classes = json.loads((tiny_dataset / "annotations.json").read_text())["database"]
    names = sorted({each["label"] for video in classes.values() for each in video["annotations"]})
    tower = load_text_tower(str(tiny_dataset / "text_encoder"), names)
    embeddings = tower.plain_features().numpy()
    path = write(tmp_path, embeddings, names)
    words = dict(word.split("=") for word in tiny_settings if word != "text_encoder=")
    numbers = {name: int(v) if v.isdigit() else v for name, v in words.items()}
    train(
        "demo", tmp_path / "run", dataset=tiny_dataset, settings={**numbers, "text_encoder": path}
    )
    run = load(tmp_path / "run")
    last = run.run.folder.checkpoint(run.run.model.branch("vlp").final)
    tensors = load_checkpoint(last).tensors
    assert "text.prompts" not in tensors
    assert np.array_equal(tensors["text.features"].numpy(), embeddings)
    assert tensors["gates"].abs().sum() > 0
    detections = run.localize(tiny_dataset, branch="vlp")
    assert set(detections.videos) == {"v_6", "v_7", "v_8"}
