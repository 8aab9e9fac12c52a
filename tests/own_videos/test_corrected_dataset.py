"""What is learnt from once a person has said more, and what is never learnt from."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.core.known_times import LabelUse
from duetal.datasets import Dataset, open_dataset
from duetal.formats.activitynet import write_annotations
from duetal.own_videos.corrected_dataset import PersonsWord, told, write_corrected

KNOWN, ABSENT, COMPLETE = "present", "absent", "complete"


def features(folder: Path, *names: str, grid: int = 16, dim: int = 3) -> Path:
    for name in names:
        path = folder / "features" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.ones((20, dim), np.float32))
    (folder / "dataset.yaml").write_text(yaml.safe_dump({"grid": {"stride": grid}}))
    return folder


@pytest.fixture
def first(tmp_path: Path) -> Dataset:
    """What a run was trained on: `a` dives, `b` runs; `t` is evaluated on."""
    folder = features(tmp_path / "first", "a", "b", "t")
    videos = [
        VideoAnnotation("a", "train", 12.8, ("Dive",), (Segment(1, 2, "Dive"),)),
        VideoAnnotation("b", "train", 12.8, ("Run",), (Segment(3, 4, "Run"),)),
        VideoAnnotation("t", "test", 12.8, ("Dive",), (Segment(5, 6, "Dive"),)),
    ]
    known = Annotations({video.name: video for video in videos}, ("Dive", "Run"))
    write_annotations(folder / "annotations.json", known)
    return open_dataset(folder)


#: By name: what the person says (rows, videos looked through, other names of classes), and how the
#: training videos are labelled then: by video the labels, and by video the known segments.
WORDS = {
    "labels of a new video": (
        [("new", "Run", "", "", KNOWN)], (), {},
        {"a": ("Dive",), "b": ("Run",), "new": ("Run",)}, {},
    ),
    "an action of a training video keeps its other labels": (
        [("a", "Run", 4.0, 5.0, KNOWN)], (), {},
        {"a": ("Dive", "Run"), "b": ("Run",)}, {"a": [(4.0, 5.0, "Run")]},
    ),
    "a label that the person takes away": (
        [("a", "Dive", "", "", ABSENT), ("a", "Run", "", "", KNOWN),
         ("new", "Dive", 1.0, 1.0, KNOWN)],
        (), {},
        {"a": ("Run",), "b": ("Run",), "new": ("Dive",)}, {"new": [(1.0, 1.0, "Dive")]},
    ),
    "a class that no training video has any more": (
        [("a", "Dive", "", "", ABSENT), ("a", "Run", "", "", KNOWN)], (), {},
        {"a": ("Run",), "b": ("Run",)}, {},
    ),
    "a video that was looked through": (
        [("a", "Run", 4.0, 5.0, KNOWN), ("a", "", 0.0, 12.8, COMPLETE),
         ("b", "Dive", 1.0, 2.0, KNOWN)],
        ("a",), {},
        {"a": ("Run",), "b": ("Dive", "Run")},
        {"a": [(4.0, 5.0, "Run")], "b": [(1.0, 2.0, "Dive")]},
    ),
    "a class under another name, and a new one": (
        [("a", "Swim", 4.0, 5.0, KNOWN)], (), {"Dive": "Plunge"},
        {"a": ("Plunge", "Swim"), "b": ("Run",)}, {"a": [(4.0, 5.0, "Swim")]},
    ),
    "an evaluated video is not trained on": (
        [("t", "Run", 4.0, 5.0, KNOWN), ("new", "Run", "", "", KNOWN)], (), {},
        {"a": ("Dive",), "b": ("Run",), "new": ("Run",)}, {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_what_is_learnt_from(tmp_path: Path, first: Dataset, word: str) -> None:
    rows, complete, renamed, labels, segments = WORDS[word]
    store = features(tmp_path / "store", "a", "new")
    said = PersonsWord(rows, {name: VideoAnnotation(name) for name in complete}, renamed)
    corrected = write_corrected(tmp_path / "out", said, store, first)
    dataset = open_dataset(tmp_path / "out" / "dataset.yaml")
    assert dict(dataset.train_labels) == labels
    known = {name: [(s.start, s.end, s.label) for s in video.segments]
             for name, video in dataset.marks.items() if video.segments}  # fmt: skip
    assert known == segments
    assert corrected.use is (LabelUse.SEGMENTS if segments else LabelUse.VIDEO)
    # The first run's own segments are no label, unless it had learnt from them.
    assert sorted(dataset.weak(corrected.use).names) == sorted(labels)
    assert dataset.evaluation == ("t",)
    # Features of one video that two datasets have are the person's.
    assert dataset.streams["cbp"].path("a").is_relative_to(store)
    assert dataset.streams["cbp"].path("b").is_relative_to(first.source)


def test_a_held_out_video_that_was_looked_through_is_evaluated_on_as_found(
    tmp_path: Path, first: Dataset
) -> None:
    actions = (Segment(0, 1, "Dive"), Segment(2, 3, "Run"))
    truth = VideoAnnotation("t", None, 12.8, ("Dive", "Run"), actions)
    word = PersonsWord([("t", "Run", 2.0, 3.0, KNOWN)], {"t": truth}, {"Dive": "Plunge"})
    corrected = write_corrected(tmp_path / "out", word, features(tmp_path / "s", "t"), first)
    video = open_dataset(tmp_path / "out" / "dataset.yaml").annotations.videos["t"]
    assert video.segments == (Segment(0, 1, "Plunge"), Segment(2, 3, "Run"))
    assert (corrected.evaluation, corrected.has_segments) == (("t",), True)


def test_segments_that_the_run_had_learnt_from_stay(tmp_path: Path, first: Dataset) -> None:
    word = PersonsWord([("a", "Dive", 7.0, 8.0, KNOWN)])
    store = features(tmp_path / "store", "a")
    write_corrected(tmp_path / "out", word, store, first, use=LabelUse.SEGMENTS)
    marks = open_dataset(tmp_path / "out" / "dataset.yaml").marks
    # Of a corrected video the person's word alone; of the others all that was known.
    assert marks["a"].segments == (Segment(7, 8, "Dive"),)
    assert marks["b"].segments == (Segment(3, 4, "Run"),)


def test_without_a_run_a_part_is_held_out_where_there_are_enough(tmp_path: Path) -> None:
    for count, held in ((12, 0), (60, 12)):
        names = [f"v{number:02}" for number in range(count)]
        rows = [(name, ("Dive", "Run")[i % 2], "", "", KNOWN) for i, name in enumerate(names)]
        store = features(tmp_path / f"store{count}", *names)
        corrected = write_corrected(tmp_path / f"out{count}", PersonsWord(rows), store)
        dataset = open_dataset(tmp_path / f"out{count}" / "dataset.yaml")
        assert len(corrected.evaluation) == held
        assert len(dataset.train_labels) == count - held
        # The next round holds out the same, whatever else has been said meanwhile.
        more = [*rows, ("v00", "Swim", "", "", KNOWN)]
        again = write_corrected(
            tmp_path / f"again{count}", PersonsWord(more), store, held_out=corrected.evaluation
        )
        assert again.evaluation == corrected.evaluation


def test_nothing_to_learn_from_is_told(tmp_path: Path) -> None:
    word = PersonsWord([("a", "Dive", 1.0, 2.0, ABSENT)])
    with pytest.raises(DuetalError, match="nothing is known to happen in any training video"):
        write_corrected(tmp_path / "out", word, features(tmp_path / "store", "a"))


def test_features_of_datasets_that_do_not_go_together_are_refused(
    tmp_path: Path, first: Dataset
) -> None:
    word = PersonsWord([("new", "Run", "", "", KNOWN)])
    cases = {
        "have not the same time grid": features(tmp_path / "grid", "new", grid=8),
        "have not the same streams of features": features(tmp_path / "streams", "new"),
    }
    np.save(tmp_path / "streams" / "clip.npy", np.ones((20, 3), np.float32))
    for what, store in cases.items():
        if "streams" in what:
            (store / "features" / "vlp").mkdir()
            (store / "features" / "cbp").mkdir()
            for branch in ("cbp", "vlp"):
                np.save(store / "features" / branch / "new.npy", np.ones((20, 3), np.float32))
        write_corrected(tmp_path / "out", word, store, first)
        with pytest.raises(DuetalError, match=what):
            open_dataset(tmp_path / "out" / "dataset.yaml")
    both = tmp_path / "out" / "dataset.yaml"
    both.write_text(json.dumps({**yaml.safe_load(both.read_text()), "cbp": "x"}))
    with pytest.raises(DuetalError, match="takes the place of cbp, vlp and streams"):
        open_dataset(both)


def test_how_much_was_said_is_told() -> None:
    rows = [
        ("a", "Dive", "", "", KNOWN),
        ("a", "Dive", 1, 1, KNOWN),
        ("b", "Run", 1, 2, KNOWN),
        ("b", "Run", 3, 4, ABSENT),
    ]
    assert told(rows) == "2 videos: 1 label, 1 point, 1 segment, 1 denial"
