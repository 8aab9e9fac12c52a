"""From found videos and a table to a dataset: what goes where, and what is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import open_dataset
from duetal.datasets.examination import examine
from duetal.extraction.sources import Failure, Found, Video
from duetal.extraction.store import Store, open_store
from duetal.features.metadata import VideoRecord, record_file
from duetal.formats.video_table import LabelledVideo, Split
from duetal.own_videos.labelled_videos import (
    OwnVideos,
    annotate,
    doubtful_labels,
    match,
    require_plan,
    write_dataset,
)

TABLE = Path("labels.csv")
SETTINGS = {
    "grid": {"fps": 25.0, "stride": 16, "window": 16},
    "modalities": ["rgb", "flow", "clip"],
    "dtype": "float16",
    "clip": {"name": "some/clip", "sha256": "0"},
}


def row(video: str, *labels: str, split: Split | None = None, line: int = 2) -> LabelledVideo:
    return LabelledVideo(video, labels, split, f"line {line}")


def found(*files: str, failures: Sequence[Failure] = ()) -> Found:
    return Found(tuple(Video(Path(f).stem, f"/v/{f}") for f in files), tuple(failures))


def own(rows: dict[str, LabelledVideo]) -> OwnVideos:
    """Videos as `match` gives them."""
    return OwnVideos(TABLE, {Video(n, f"/v/{n}.mp4"): r for n, r in rows.items()}, (), ())


def alternating(count: int, **how: Split) -> dict[str, LabelledVideo]:
    return {f"v{k}": row(f"v{k}", "AB"[k % 2], **how) for k in range(count)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of four snippets of each of forty videos."""
    made = open_store(tmp_path / "store", SETTINGS)
    for name in (f"v{k}" for k in range(40)):
        with made.writer() as writer:
            for modality in SETTINGS["modalities"]:
                writer.write(modality, np.ones((4, 3), np.float16))
            record = VideoRecord(
                name=name,
                source=f"/v/{name}.mp4",
                sha256="0",
                size=1,
                frames=70,
                source_frames=70,
                duration=2.8,
                snippets=4,
                widths=dict.fromkeys(SETTINGS["modalities"], 3),
                settings=SETTINGS,
                versions={},
                seconds={},
            )
            made.finish(writer, record)
    made.close()
    return open_store(tmp_path / "store")


@pytest.mark.parametrize(
    "argument", ["a.b", "a.b.mp4", "a.b.avi", "deep/a.b.mp4", r"C:\clips\a.b.mp4", "/v/a.b.mp4"]
)
def test_a_row_names_its_video_with_or_without_folder_and_suffix(argument: str) -> None:
    matched = match([row(argument, "A")], found("a.b.mp4", "c.mkv"), TABLE)
    assert [video.name for video in matched.rows] == ["a.b"]
    assert matched.unlisted == ("c",)
    assert matched.missing == ()


def test_labelled_videos_that_are_not_there_are_reported_with_the_nearest() -> None:
    pair = Failure(
        name="pair", source="/v/pair.mp4", reason="several videos would be called 'pair'"
    )
    rows = [row("dive_1", "A"), row("dvie_2", "A", line=3), row("pair.mp4", "A", line=4)]
    matched = match(rows, found("dive_1.mp4", "dive_2.mp4", failures=[pair]), TABLE)
    unknown, unusable = matched.missing
    assert unknown.reason == ("labels.csv: line 3: unknown video 'dvie_2'; the nearest is 'dive_2'")
    assert unusable == pair
    assert matched.unlisted == ("dive_2",)


def test_a_row_without_labels_is_a_video_in_which_nothing_happens() -> None:
    matched = match([row("a", "A"), row("b")], found("a.mp4", "b.mp4", "c.mp4"), TABLE)
    assert [video.name for video in matched.rows] == ["a", "b"]
    assert matched.unlisted == ("c",)


@pytest.mark.parametrize("split", [None, Split.TRAIN])
def test_one_class_and_videos_without_it_are_a_dataset(
    store: Store, tmp_path: Path, split: Split | None
) -> None:
    rows = {f"v{k}": row(f"v{k}", *["A"][k % 2 :], split=split) for k in range(40)}
    require_plan(own(rows))
    annotations = annotate(own(rows), store, (), None)
    write_dataset(tmp_path / "data", annotations, store, begun=False)
    dataset = open_dataset(tmp_path / "data")
    assert examine(tmp_path / "data").problems == ()
    videos = dataset.weak()
    assert (videos.classes, len(videos.names)) == (("A",), 32 if split is None else 40)
    # Both kinds are held out alike, and trained on alike.
    assert videos.labels.sum() == len(videos.names) / 2
    # Once it is annotated, the next training may not forget that nothing happens.
    write_dataset(tmp_path / "data", annotations, store, begun=True)


def test_an_annotation_without_labels_alone_is_not_trained_on(store: Store, tmp_path: Path) -> None:
    known = annotate(own({"v0": row("v0", "A"), "v1": row("v1")}), store, (), None)
    unknown = replace(known.videos["v1"], facts="")
    known = replace(known, videos=dict(known.videos) | {"v1": unknown})
    write_dataset(tmp_path / "data", known, store, begun=False)
    assert open_dataset(tmp_path / "data").training == ("v0",)


def test_held_out_videos_without_actions_count_beside_the_marked_ones(store: Store) -> None:
    rows = {"v0": row("v0", "A", split=Split.TRAIN), "v1": row("v1", "A", split=Split.TEST)}
    rows["v2"] = row("v2", split=Split.TEST)
    marked = VideoAnnotation("v1", None, None, ("A",), (Segment(0.0, 1.0, "A"),))
    annotations = annotate(own(rows), store, (), Annotations({"v1": marked}, ("A",), TABLE))
    assert annotations.evaluation_names() == ("v1", "v2")
    assert annotations.videos["v2"].segments == ()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("a", "A"), row("x/a.mp4", "B", line=3)], "line 3: 'x/a.mp4' is listed twice, first"),
        ([row("b", "A"), row("b.mp4", "B", line=3)], "line 3: 'b.mp4' is listed twice, first"),
        ([row("nosuch", "A")], "none of its videos is there; .*unknown video 'nosuch'"),
    ],
)
def test_rows_that_can_not_be_meant_are_refused(rows: list[LabelledVideo], message: str) -> None:
    with pytest.raises(DuetalError, match=f"^labels.csv: {message}"):
        match(rows, found("a.mp4"), TABLE)


@pytest.mark.parametrize(
    ("labels", "doubts"),
    [
        (["Diving", "Diving", "Divng"], ["label 'Divng' occurs once, in line 2, and 'Diving' 2"]),
        (["High jump", "High jump", "HighJump", "high_jump"], ["'HighJump'", "'high_jump'"]),
        (["diving", "diving", "Diving", "Diving", "Diving"], ["label 'diving' occurs 2 times"]),
        (["Diving", "Diving", "Rowing"], []),
        (["Jump 1", "Jump 2"], []),
    ],
)
def test_labels_that_look_like_a_typing_error_are_reported(
    labels: list[str], doubts: list[str]
) -> None:
    lines = doubtful_labels([row(f"v{k}", label) for k, label in enumerate(labels)])
    assert len(lines) == len(doubts)
    for line, doubt in zip(sorted(lines), sorted(doubts), strict=True):
        assert doubt in line


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"a": row("a"), "b": row("b")}, "no video has a label"),
        (
            {"a": row("a", "A", split=Split.TRAIN), "b": row("b", "B", split=Split.TEST)},
            "class 'B' has no training video",
        ),
    ],
)
def test_nothing_is_begun_where_there_is_nothing_to_learn(
    rows: dict[str, LabelledVideo], message: str
) -> None:
    with pytest.raises(DuetalError, match=f"^labels.csv: {message}"):
        require_plan(own(rows))


def test_times_are_the_players_where_the_store_lies_elsewhere(store: Store, tmp_path: Path) -> None:
    """The annotation ends where a player does, and the offset is found beside the features."""
    record = store.record("v0")
    assert record is not None
    store.place.write_json(record_file("v0"), record.model_dump() | {"offset": 2.0})
    annotations = annotate(own(alternating(40)), store, (), None)
    assert annotations.videos["v0"].duration == 4.8
    write_dataset(tmp_path / "elsewhere", annotations, store, begun=False)
    dataset = open_dataset(tmp_path / "elsewhere")
    assert (dataset.offset("v0"), dataset.duration("v0")) == (2, 4.8)
    assert (dataset.offset("v1"), dataset.duration("v1")) == (0, 2.8)


def test_the_videos_are_split_and_have_durations(store: Store) -> None:
    annotations = annotate(own(alternating(40)), store, (), None)
    assert annotations.classes == ("A", "B")
    assert (len(annotations.training_names()), len(annotations.evaluation_names())) == (32, 8)
    assert {video.duration for video in annotations} == {2.8}
    assert all(video.segments is None for video in annotations)


def test_few_videos_are_all_for_training(store: Store) -> None:
    annotations = annotate(own(alternating(10)), store, (), None)
    assert len(annotations.training_names()) == 10


def test_the_split_of_the_table_is_used(store: Store) -> None:
    rows = alternating(6, split=Split.TRAIN)
    rows["v0"] = replace(rows["v0"], split=Split.TEST)
    annotations = annotate(own(rows), store, (), None)
    assert annotations.evaluation_names() == ("v0",)


def test_a_video_that_failed_is_left_out_and_a_class_may_be_lost_by_it(store: Store) -> None:
    rows = alternating(4) | {"v4": row("v4", "C")}
    failure = Failure(name="v0", source="", reason="damaged")
    assert "v0" not in annotate(own(rows), store, [failure], None).videos
    # C was in a single video. What is left of the classes is learned.
    left = annotate(own(rows), store, [replace_name(failure, "v4")], None)
    assert left.classes == ("A", "B")
    all_of_them = [replace_name(failure, name) for name in rows]
    with pytest.raises(DuetalError, match="no video has a label"):
        annotate(own(rows), store, all_of_them, None)


def replace_name(failure: Failure, name: str) -> Failure:
    return failure.model_copy(update={"name": name})


def marked(*names: str) -> Annotations:
    segments = (Segment(0.5, 1.5, "A"),)
    videos = {n: VideoAnnotation(n, None, 99.0, ("A",), segments) for n in names}
    return Annotations(videos, ("A",), Path("marked.json"))


def test_marked_videos_are_what_is_held_out(store: Store) -> None:
    candidates = [f"v{k}" for k in range(0, 24, 2)]
    rows = alternating(40) | {name: row(name, "A") for name in candidates}
    annotations = annotate(own(rows), store, (), marked(*candidates))
    held_out = annotations.evaluation_names()
    assert held_out
    assert set(held_out) <= set(candidates)
    video = annotations.videos[held_out[0]]
    assert (video.segments, video.duration) == ((Segment(0.5, 1.5, "A"),), 2.8)
    assert all(annotations.videos[n].segments is None for n in annotations.training_names())


def test_of_videos_held_out_by_the_table_only_the_marked_ones_are_judged(store: Store) -> None:
    rows = alternating(8, split=Split.TRAIN)
    rows |= {name: replace(rows[name], split=Split.TEST) for name in ("v0", "v2")}
    annotations = annotate(own(rows), store, (), marked("v0"))
    assert annotations.evaluation_names() == ("v0",)
    assert "v2" not in annotations.videos
    with pytest.raises(DuetalError, match=r"marked\.json: marks no action in a video that could"):
        annotate(own(rows), store, (), marked("v5"))


@pytest.mark.parametrize("elsewhere", [True, False])
def test_the_dataset_is_an_ordinary_one(store: Store, tmp_path: Path, elsewhere: bool) -> None:
    folder = tmp_path / "run" / "video-dataset" if elsewhere else tmp_path / "store"
    annotations = annotate(own(alternating(40)), store, (), None)
    write_dataset(folder, annotations, store, begun=False)
    dataset = open_dataset(folder)
    assert (len(dataset.training), len(dataset.evaluation)) == (32, 8)
    assert dataset.streams["cbp"].dim == 6
    assert dataset.text_encoder == "some/clip"
    assert dataset.duration("v0") == 2.8
    assert examine(folder).problems == ()


def test_one_modality_and_clip_alone_are_described(store: Store, tmp_path: Path) -> None:
    annotations = annotate(own(alternating(6)), store, (), None)
    for modalities, cbp in ((["rgb"], "rgb"), (["clip"], "clip")):
        part = Store(store.place, {**SETTINGS, "modalities": modalities})
        folder = tmp_path / cbp
        write_dataset(folder, annotations, part, begun=False)
        dataset = open_dataset(folder)
        assert [stream.place.name for stream in dataset.streams["cbp"].parts] == [cbp]
        assert ("vlp" not in dataset.streams) == (cbp == "rgb")


def test_a_begun_run_keeps_its_training_labels(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    rows = alternating(40)
    first = annotate(own(rows), store, (), None)
    write_dataset(folder, first, store, begun=False)
    before = (folder / "annotations.json").read_bytes()
    changed = annotate(own(rows | {"v1": row("v1", "A")}), store, (), None)
    with pytest.raises(UsageError, match=r"other training videos or labels \(.*'v1'"):
        write_dataset(folder, changed, store, begun=True)
    assert (folder / "annotations.json").read_bytes() == before
    # Segments of held-out videos may come later; and a run that has not begun may change.
    name = first.evaluation_names()[0]
    marks = replace(first.videos[name], segments=(Segment(0, 1, first.videos[name].labels[0]),))
    write_dataset(folder, replace(first, videos={**first.videos, name: marks}), store, begun=True)
    write_dataset(folder, changed, store, begun=False)
