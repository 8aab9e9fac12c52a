"""A dataset that grows, or is corrected, or is being written, while a run trains on it."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from duetal.core.errors import DuetalError
from duetal.datasets import open_dataset
from duetal.datasets.layouts import find_pieces
from duetal.results.folder import RunFolder
from duetal.runs import growing
from duetal.runs.growing import GrowingVideos, as_begun

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "_PAUSE", 0.0)


class Watched:
    """A dataset without its last two training videos, and a run that reads it again and again."""

    def __init__(self, tiny_dataset: Path, folder: Path):
        self.data, self.run = folder / "data", RunFolder(folder / "run")
        shutil.copytree(tiny_dataset, self.data)
        self.manifest = self.data / "annotations.json"
        description = self.data / "dataset.yaml"
        content = yaml.safe_load(description.read_text())
        content.pop("classes")
        description.write_text(yaml.safe_dump(content))
        self.whole = json.loads(self.manifest.read_text())
        self.edit(lambda videos: [videos.pop(name) for name in ("v_4", "v_5")])
        self.lines: list[str] = []

    def edit(self, change: Edit) -> None:
        content = json.loads(self.manifest.read_text())
        change(content["database"])
        self.manifest.write_text(json.dumps(content))

    def add(self, videos: dict[str, Any], *names: str) -> None:
        videos.update({name: self.whole["database"][name] for name in names})

    def begin(self) -> GrowingVideos:
        return GrowingVideos(
            self.run,
            partial(open_dataset, self.data),
            partial(find_pieces, self.data),
            lambda dataset: dataset.weak(),
            self.lines.append,
        )


@pytest.fixture
def watched(tiny_dataset: Path, tmp_path: Path) -> Watched:
    return Watched(tiny_dataset, tmp_path)


def relabel(videos: dict[str, Any], name: str, label: str) -> None:
    for segment in videos[name]["annotations"]:
        segment["label"] = label


def a_new_class(watched: Watched, videos: dict[str, Any]) -> None:
    watched.add(videos, "v_4", "v_5")
    relabel(videos, "v_4", "Yoga")


def half_a_file(watched: Watched, videos: dict[str, Any]) -> None:
    watched.add(videos, "v_4", "v_5")
    next((watched.data / "features").rglob("*v_4.npy")).write_bytes(b"half")


FIRST = ("v_0", "v_1", "v_2", "v_3")
#: How the dataset changes, what is trained on from then on, and the line that tells it.
CHANGES: dict[str, tuple[Any, tuple[str, ...], str | None]] = {
    "joined": (lambda w, v: w.add(v, "v_5"), (*FIRST, "v_5"), "training videos joined (1): v_5"),
    "corrected": (
        lambda w, v: relabel(v, "v_3", "HighJump"),
        FIRST,
        "training videos with corrected labels (1): v_3",
    ),
    "listed no longer": (lambda w, v: v.pop("v_3"), FIRST, None),
    "tested on": (
        lambda w, v: v["v_3"].update(subset="test"),
        FIRST[:3],
        "training videos that are evaluated on now, left out (1): v_3",
    ),
    "a new class": (
        a_new_class,
        (*FIRST, "v_5"),
        "annotations.json: video 'v_4': the run did not begin with the class 'Yoga', so this is "
        "left out; when the run is done, duetal train --from goes on with more classes",
    ),
    "half a file": (half_a_file, (*FIRST, "v_5"), "the video is left out until then"),
}


@pytest.mark.parametrize(("change", "names", "told"), CHANGES.values(), ids=CHANGES)
def test_what_is_read_again(
    watched: Watched, change: Any, names: tuple[str, ...], told: str | None
) -> None:
    videos = watched.begin()
    before = videos()
    assert before.names == FIRST
    assert videos() is before  # Nothing has changed: nothing is opened.
    watched.edit(lambda content: change(watched, content))
    after = videos()
    assert (after.names, after.classes) == (names, before.classes)
    lines = list(watched.lines)
    assert sum(told in line for line in lines) == 1 if told else not lines
    if told and "corrected" in told:
        assert after.labels[3].tolist() == [False, False, True]
        assert before.labels[3].tolist() == [True, False, False]  # What is being read stays.
    videos()
    assert watched.lines == lines  # Said once.
    # A resumed run knows what was known.
    again = watched.begin()()
    assert again.names == names
    assert (again.labels == after.labels).all()
    assert as_begun(open_dataset(watched.data), watched.run).classes == before.classes


def test_features_that_were_late_join(watched: Watched) -> None:
    videos = watched.begin()
    file = next((watched.data / "features").rglob("*v_4.npy"))
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    watched.edit(lambda content: watched.add(content, "v_4"))
    assert videos().names == FIRST
    file.write_bytes(whole)
    assert videos().names == (*FIRST, "v_4")


def test_a_manifest_that_is_being_written(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again; one that stays broken stops the run, by its name and the place."""
    videos = watched.begin()
    watched.edit(lambda content: watched.add(content, "v_4"))
    whole, halves = watched.manifest.read_text(), iter(range(2))

    def write_on(seconds: float) -> None:
        if next(halves, None) is None:
            watched.manifest.write_text(whole)

    watched.manifest.write_text(whole[: len(whole) // 2])
    monkeypatch.setattr(growing.time, "sleep", write_on)
    assert videos().names == (*FIRST, "v_4")
    watched.manifest.write_text(whole[: len(whole) // 2])
    monkeypatch.setattr(growing.time, "sleep", lambda seconds: None)
    with pytest.raises(DuetalError, match=rf"{watched.manifest.name}.*line"):
        videos()


def test_a_manifest_that_changes_while_it_is_read(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = watched.begin()
    real = growing.GrowingVideos._now
    count = iter(range(10**6))
    monkeypatch.setattr(growing.GrowingVideos, "_now", lambda self: (next(count), real(self)))
    with pytest.raises(DuetalError, match=rf"{watched.manifest.name}: changes while it is read"):
        videos()
