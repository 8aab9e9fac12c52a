"""The HAPT example on a tiny dataset of the same layout."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from duetal.datasets import open_dataset

LABELS = ("SITTING", "WALKING")


@pytest.fixture
def example(load_example: Callable[[str], ModuleType]) -> ModuleType:
    """The script as a module."""
    return load_example("hapt")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Windows of eight persons, the last two to be tested on."""
    random = np.random.default_rng(0)
    folder = tmp_path / "hapt"
    (folder / "features").mkdir(parents=True)
    database = {}
    for person in range(1, 9):
        for window in range(2):
            name = f"hapt_e{person:02}_u{person:02}_w{window:02}"
            features = random.normal(size=(20, 6)).astype(np.float16)
            features[4:12, window] += 3
            np.save(folder / "features" / f"{name}.npy", features)
            database[name] = {
                "duration": 12.8,
                "subset": "train" if person < 7 else "test",
                "annotations": [{"segment": [2.56, 7.68], "label": LABELS[window]}],
            }
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    return folder


def persons(names: tuple[str, ...]) -> set[str]:
    return {name.split("_")[2] for name in names}


def test_validation_persons_are_training_persons_and_not_trained_on(
    example: ModuleType, data: Path, tmp_path: Path
) -> None:
    dataset = open_dataset(example.split_training_persons(data, tmp_path / "out"))
    assert persons(dataset.evaluation) == {"u01", "u04"}
    assert persons(dataset.training) == {"u02", "u03", "u05", "u06"}
    assert dataset.streams["cbp"].read(dataset.evaluation[0]).shape == (20, 6)


@pytest.mark.recipe
def test_it_prints_mean_and_deviation_of_each_method(
    example: ModuleType,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    words = [str(data), "--out", str(out), "--seeds", "0,1", "warmup_epochs=2", "cbp.embed_dim=16"]
    monkeypatch.setattr(sys, "argv", ["hapt.py", *words])
    example.main()
    first = capsys.readouterr().out
    *_, chance, linear, duetal, _, meaning = first.splitlines()
    assert chance.startswith("label-only chance ")
    assert "±" not in chance
    for row in (linear, duetal):
        assert row.count("±") == 8
    assert meaning.startswith("protocol seconds: 4 videos, 4 segments")
    made = {path.name for path in (out / "baselines").iterdir()}
    assert made == {"chance.json", "linear-0.json", "linear-1.json"}

    example.main()  # again: nothing is left to train, and the table is the same
    assert capsys.readouterr().out.splitlines()[-5:] == first.splitlines()[-5:]
