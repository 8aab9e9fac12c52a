"""The example that measures how many videos are enough, on a made-up sensor dataset."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.formats.activitynet import write_annotations


@pytest.fixture
def sensors(tmp_path: Path) -> Path:
    """Twelve windows to train on and four to test on, of two activities; one stream of features."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "sensors"
    (folder / "features").mkdir(parents=True)
    videos = {}
    for number in range(16):
        name, label = f"w{number:02}", ("sitting", "walking")[number % 2]
        subset = "train" if number < 12 else "test"
        segment = Segment(6.4, 19.2, label)
        videos[name] = VideoAnnotation(name, subset, 25.6, (label,), (segment,))
        features = generator.normal(scale=0.3, size=(40, 8)).astype(np.float32)
        features[10:30, number % 2] += 1.0
        np.save(folder / "features" / f"{name}.npy", features)
    write_annotations(folder / "annotations.json", Annotations(videos, ("sitting", "walking")))
    return folder


@pytest.mark.recipe
def test_a_row_for_each_number_of_videos(
    sensors: Path,
    tmp_path: Path,
    tiny_settings: tuple[str, ...],
    load_example: Any,
    run_example: Any,
) -> None:
    words = [sensors, *tiny_settings, "--counts", "2", "--seeds", "0,1", "--out", "out"]
    result = run_example(load_example("videos_per_class").main, *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    few = next(row for row in rows if row[:3] == ["2", "a", "class"])
    every = next(row for row in rows if row[:1] == ["all"])
    # Two of each class at the least, and every video there is, of which each class has six.
    assert 4 <= int(few[3]) < 12
    assert int(few[4]) >= 2
    assert every[1:3] == ["12", "6"]
    assert every[-1] == "100%"
    tables = sorted((tmp_path / "out").glob("2-a-class/seed-*/dataset/weak_train.tsv"))
    drawn = [path.read_text() for path in tables]
    assert len(drawn) == 2
    assert drawn[0] != drawn[1], "each seed draws its own videos"
