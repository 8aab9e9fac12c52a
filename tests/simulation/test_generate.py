"""The simulated dataset: the same each time, and a dataset like any other."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from duetal.backbones.text_towers import load_text_tower
from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.datasets import open_dataset
from duetal.datasets.examination import examine
from duetal.simulation.generate import simulate
from duetal.simulation.world import Simulation, made_up_annotations

MakeAnnotations = Callable[[int], Annotations]


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_equal_settings_give_equal_bytes(tmp_path: Path, make_annotations: MakeAnnotations) -> None:
    annotations = make_annotations(6)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        np.random.default_rng().random()
        torch.rand(1)
        simulate(annotations, tmp_path / name, Simulation(seed=seed))
    first, again, other = (content(tmp_path / name) for name in "abc")
    assert first == again
    assert all(
        first[name] != other[name] for name in first if name.endswith((".npy", ".safetensors"))
    )


def test_the_linear_world_is_as_it_was(tmp_path: Path) -> None:
    """The features are what they were before there was another world, but for their last bits."""
    settings = Simulation(0.7, seed=4, cbp_channels=12, vlp_channels=8, topics=5, linear=True)
    simulate(made_up_annotations(3, training=5, test=2), tmp_path, settings)
    found = []
    for path in sorted(tmp_path.rglob("*.npy")):
        values = np.load(path).astype(np.float64).ravel()
        found.append(float(values @ np.cos(np.arange(values.size))))
    assert found == pytest.approx(
        [
            26.275,
            7.432,
            22.651,
            -1.408,
            -18.964,
            16.134,
            -25.612,
            -17.358,
            10.875,
            -23.997,
            0.137,
            -14.853,
            -7.054,
            -36.942,
        ],
        rel=1e-2,
        abs=0.02,
    )
    assert json.loads((tmp_path / "simulation.json").read_text())["linear"] is True


@pytest.mark.parametrize("linear", [False, True])
def test_a_video_depends_on_itself_alone(
    tmp_path: Path, make_annotations: MakeAnnotations, linear: bool
) -> None:
    """Neither on the order of the videos nor on which others there are."""
    annotations = make_annotations(6)
    names = list(annotations.videos)
    simulate(annotations, tmp_path / "all", Simulation(linear=linear))
    simulate(annotations.select(names[::-1]), tmp_path / "reversed", Simulation(linear=linear))
    simulate(annotations.select(names[3:4]), tmp_path / "one", Simulation(linear=linear))
    every = content(tmp_path / "all")
    for folder, chosen in (("reversed", names), ("one", names[3:4])):
        some = content(tmp_path / folder)
        for name in chosen:
            for stream in ("cbp", "vlp"):
                path = f"features/{stream}/{name}.npy"
                assert some[path] == every[path]


def test_it_is_a_dataset_without_a_problem(
    tmp_path: Path, make_annotations: MakeAnnotations
) -> None:
    annotations = make_annotations(20)
    grid = TimeGrid(fps=30.0, stride=8, window=16)
    settings = Simulation(cbp_channels=20, vlp_channels=16)
    simulate(annotations, tmp_path / "data", settings, grid=grid)
    assert examine(tmp_path / "data").problems == ()
    dataset = open_dataset(tmp_path / "data")
    assert dataset.classes == annotations.classes
    assert dataset.grid == grid
    assert (dataset.streams["cbp"].dim, dataset.streams["vlp"].dim) == (20, 16)
    assert dataset.training == tuple(name for name in annotations.videos)[::2]
    assert dataset.evaluation == tuple(name for name in annotations.videos)[1::2]
    for video in annotations:
        assert video.duration is not None
        assert dataset.length(video.name) == grid.length(video.duration)
        assert dataset.annotations.videos[video.name].segments == video.segments
    # The file marks the data as simulated, so that no score passes for a real one.
    facts = json.loads((tmp_path / "data" / "simulation.json").read_text())
    assert facts["simulated"] is True
    assert facts["cbp_channels"] == 20


def test_durations_and_bounds_are_made_up_where_unknown(tmp_path: Path) -> None:
    segments = (Segment(-1.0, 3.0, "a"), Segment(4.0, 4.0, "a"), Segment(9.0, 12.0, "b"))
    labels = ("a", "b")
    videos = {
        "unknown": VideoAnnotation("unknown", "train", None, labels, segments),
        "cut": VideoAnnotation("cut", "test", 10.0, labels, segments),
        "weak": VideoAnnotation("weak", "train", 10.0, ("a",), None),
        "blink": VideoAnnotation("blink", "train", 0.1, ("a",), (Segment(0.0, 0.1, "a"),)),
    }
    simulate(Annotations(videos, labels), tmp_path / "data", Simulation())
    dataset = open_dataset(tmp_path / "data")
    found = dataset.annotations.videos
    assert "weak" not in found  # no label
    duration = found["unknown"].duration
    assert duration is not None
    assert duration > 12.0
    assert found["cut"].segments is not None
    assert [(s.start, s.end) for s in found["cut"].segments] == [(0, 3), (4, 4), (9, 10)]
    assert dataset.length("blink") == 1


def test_nothing_is_overwritten(tmp_path: Path, make_annotations: MakeAnnotations) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DuetalError, match="not empty; nothing was written"):
        simulate(make_annotations(2), tmp_path, Simulation())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_segments_there_is_nothing_to_simulate(
    tmp_path: Path, make_annotations: MakeAnnotations
) -> None:
    weak = {video.name: replace(video, segments=None) for video in make_annotations(2)}
    with pytest.raises(DuetalError, match="no video with segments"):
        simulate(Annotations(weak, make_annotations(2).classes), tmp_path / "data", Simulation())
    assert not (tmp_path / "data").exists()


def test_progress_is_reported(tmp_path: Path, make_annotations: MakeAnnotations) -> None:
    calls: list[tuple[int, int]] = []
    simulate(
        make_annotations(3),
        tmp_path / "data",
        Simulation(),
        progress=lambda done, count: calls.append((done, count)),
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_the_vlp_stream_is_aligned_with_its_text_encoder(
    tmp_path: Path, make_annotations: MakeAnnotations
) -> None:
    """Inside an action its own class's text feature is nearest, on average, by a margin."""
    simulate(make_annotations(20), tmp_path / "data", Simulation())
    dataset = open_dataset(tmp_path / "data")
    assert dataset.text_encoder is not None
    text = load_text_tower(dataset.text_encoder, dataset.classes, prompts_before=0, prompts_after=0)
    directions = F.normalize(text.plain_features(), dim=-1)
    own, other = [], []
    for video in dataset.annotations:
        cosines = (
            F.normalize(torch.from_numpy(dataset.streams["vlp"].read(video.name)), dim=-1)
            @ directions.T
        )
        for segment in video.segments or ():
            inside = dataset.grid.cover(
                np.array([segment.start]), np.array([segment.end]), len(cosines)
            )
            k = dataset.classes.index(segment.label)
            absent = [i for i, c in enumerate(dataset.classes) if c not in video.labels]
            own.append(cosines[inside][:, k].mean().item())
            other.append(cosines[inside][:, absent].mean().item())
    assert np.mean(own) > np.mean(other) + 0.1
