"""Rendered videos, and a store of their features by tiny backbones of random weights."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from _tiny_models import make_tiny_model
from duetal.backbones.presets import choose_all
from duetal.core.annotations import Segment
from duetal.core.grid import TimeGrid
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.pipeline import Extractor
from duetal.extraction.sources import Found, find_videos
from duetal.formats.video_table import read_video_table
from duetal.own_videos import labelled_videos
from duetal.own_videos.video_features import fill_store
from duetal.simulation.clips import render_clip
from duetal.simulation.tiny_clip import make_tiny_clip

LABELS = ("Diving", "HighJump")
VIDEOS = 6
GRID = ("--fps=8", "--stride=4", "--window=4", "--device=cpu", "--threads=1")


@dataclass(frozen=True)
class Rendered:
    """Videos with a table of labels, tiny models by family, and a data set of their features."""

    videos: Path
    labels: Path
    models: Path
    dataset: Path

    @property
    def training(self) -> list[str]:
        """Words of `duetal train` that make a data set of the videos."""
        videos = ["--videos", str(self.videos), "--labels", str(self.labels)]
        named = [f"--{branch}={self.models / name}" for branch, name in BACKBONES.items()]
        return [*videos, *named, *GRID]


BACKBONES = {"cbp": "videomae", "vlp": "clip"}


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Six videos of three or four seconds with an action each, two of them held out."""
    folder = tmp_path_factory.mktemp("rendered")
    made = Rendered(*(folder / name for name in ("videos", "labels.csv", "models", "dataset")))
    make_tiny_model("videomae", made.models / "videomae")
    make_tiny_clip(made.models / "clip", dimension=16)
    rows = ["video,labels,split"]
    for number in range(VIDEOS):
        label, split = LABELS[number % 2], "test" if number > 3 else "train"
        rows.append(f"v{number},{label},{split}")
        render_clip(
            made.videos / f"v{number}.mp4",
            duration=3 + number % 3 / 2,
            size=(48, 36),
            actions=[Segment(1.0, 2.5, label)],
            seed=number,
        )
    made.labels.write_text("\n".join([*rows, ""]))
    own = labelled_videos.match(
        read_video_table(made.labels), find_videos([str(made.videos)]), made.labels
    )
    records = choose_all({b: [str(made.models / n)] for b, n in BACKBONES.items()}, {})
    settings = ExtractionSettings.usual(records, grid=TimeGrid(8.0, 4, 4))
    store, failures = fill_store(
        Found(tuple(own.rows), ()),
        made.dataset,
        lambda: Extractor(settings, device="cpu", threads=1),
    )
    assert failures == ()
    labelled_videos.write_dataset(
        made.dataset, labelled_videos.annotate(own, store, (), None), store, begun=False
    )
    return made
