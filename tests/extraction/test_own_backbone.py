"""A backbone in a file of its own: from a video to features and detections, the package untouched.

This is all that a family needs; `docs` and CONTRIBUTING refer to it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from duetal.backbones import BACKBONES
from duetal.backbones.protocol import Backbone, BackboneRecord, Input, WeightsIdentity
from duetal.core.annotations import Segment
from duetal.core.errors import UsageError
from duetal.datasets import open_dataset
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.missing import extract_missing, plan
from duetal.extraction.pipeline import Extractor
from duetal.extraction.sources import find_videos
from duetal.extraction.store import open_store
from duetal.formats import read_detections
from duetal.simulation.clips import render_clip
from duetal.video.decoding.video_reader import open_video

Duetal = Callable[..., tuple[int, str, str]]


class MeanColour(Backbone):
    """The mean colour of the frames of a window."""

    dim = 3
    identity = WeightsIdentity("none", "0" * 64, "MeanColour")

    def encode(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.mean(dim=(1, 2, 3))


class Corners(Backbone):
    """The corners of the whole picture in the middle of a window."""

    dim = 12
    identity = WeightsIdentity("none", "1" * 64, "Corners")

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        return picture[[0, 0, -1, -1], [0, -1, 0, -1]] / 255

    def encode(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.flatten(1).float()


def record(kind: type[Backbone], name: str, seen: Input) -> BackboneRecord:
    return BackboneRecord(
        name=name,
        branch="cbp",
        option=f"--{name}",
        subject=f"Weights of {name}",
        accepts="anything",
        weights="none",
        input=seen,
        load=lambda source, on_download: kind(),
        is_published=lambda source: True,
        is_at_hand=lambda source: True,
    )


#: Windows of 8 frames, 10 a second, in a size of its own; scaled to [0, 1].
SEEN = {"fps": 10.0, "stride": 4, "window": 8}
COLOUR = record(MeanColour, "colour", Input(**SEEN, short_side=40, crop=32, std=255.0))
CORNERS = record(Corners, "corners", Input(**SEEN, frames=1, crop=None))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        label = ("Diving", "HighJump")[number % 2]
        actions = [Segment(1.0, 2.5, label)]
        render_clip(folder / f"v{number}.mp4", duration=4, size=(64, 48), actions=actions)
    return folder


@pytest.fixture(scope="module")
def store(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both backbones' features of all videos, with the labels of all but two."""
    folder = tmp_path_factory.mktemp("store")
    settings = ExtractionSettings.usual((COLOUR, CORNERS), dtype="float32")
    extractor = Extractor(settings, device="cpu", threads=1)
    with open_store(folder, extractor.store_settings) as opened:
        planned = plan(find_videos([str(videos)]), opened)
        assert extract_missing(planned, opened, extractor) == ()
    rows = [f"v{number}\t{('Diving', 'HighJump')[number % 2]}" for number in range(4)]
    (folder / "weak_train.tsv").write_text("\n".join(["filename\tevent_labels", *rows, ""]))
    return folder


def test_the_features_are_those_of_the_backbones_on_their_grid(videos: Path, store: Path) -> None:
    with open_video(videos / "v1.mp4") as reader:
        frames = [(frame.image, frame.full()) for frame in reader.frames(10.0, 40)]
    features = open_dataset(store).streams["cbp"].read("v1")
    assert features.shape == (9, 3 + 12)
    for t in (0, 5, 8):
        window = np.stack([image for image, _ in frames[4 * t : 4 * t + 8]])
        left = (window.shape[2] - 32) // 2
        colour = window[:, 4:36, left : left + 32].mean(axis=(0, 1, 2)) / 255
        corners = frames[4 * t + 4][1][[0, 0, -1, -1], [0, -1, 0, -1]] / 255
        expected = np.concatenate([colour, corners.ravel()])
        np.testing.assert_allclose(features[t], expected, rtol=1e-4, atol=1e-5)


def test_the_store_names_its_backbones(store: Path) -> None:
    opened = open_store(store)
    assert opened.modalities == ("colour", "corners")
    assert opened.settings["grid"] == SEEN
    assert (opened.settings["short_side"], opened.settings["crop"]) == (40, 32)
    assert "flow_engine" not in opened.settings
    weights = {"sha256": "0" * 64, "architecture": "MeanColour", "branch": "cbp"}
    assert opened.settings["colour"] == {"name": "none", "licence": None, **weights}
    known = ExtractionSettings.recorded(opened.settings, {}, (COLOUR, CORNERS))
    assert known.grid == ExtractionSettings.usual([COLOUR]).grid


def test_backbones_of_different_grids_need_stores_of_their_own() -> None:
    with pytest.raises(UsageError, match="different time grids"):
        ExtractionSettings.usual((COLOUR, *BACKBONES))


@pytest.mark.recipe
def test_from_a_video_to_detections(
    store: Path, tmp_path: Path, tiny_settings: tuple[str, ...], duetal: Duetal
) -> None:
    run, found = tmp_path / "run", tmp_path / "found.json"
    code, _, err = duetal("train", "demo", f"dataset={store}", *tiny_settings, "--out", run)
    assert (code, err) == (0, "")
    arguments = ("localize", run, store, "--subset", "all", "--out", found)
    code, _, err = duetal(*arguments)
    assert (code, err) == (0, "")
    assert set(read_detections(found).videos) >= {f"v{number}" for number in range(4)}
