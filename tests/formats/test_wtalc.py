from pathlib import Path

import numpy as np
import pytest

from duetal.core.annotations import Segment
from duetal.core.errors import DuetalError
from duetal.formats import read_annotations, wtalc


def objects(*values: object) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


ARRAYS = {
    "videoname": np.array([b"video_validation_1", b"video_test_1"]),
    "subset": np.array([b"validation", b"test"]),
    "segments": objects([[0.5, 1.5]], [[2.0, 3.0], [4.0, 4.0]]),
    "labels": objects(["B"], [b"A", b"B"]),
    "labels_all": objects(["A", "B"], []),
    "duration": np.array([[9.5], [8.0]]),
    "classlist": np.array([b"B", b"A"]),
}


def pack(folder: Path, ambiguous: str | None = None, **changed: np.ndarray | None) -> Path:
    for name, array in (ARRAYS | changed).items():
        if array is not None:
            np.save(folder / f"{name}.npy", array, allow_pickle=True)
    if ambiguous is not None:
        (folder / "Ambiguous_test.txt").write_text(ambiguous)
    return folder


def test_reads_the_pack(tmp_path: Path) -> None:
    folder = pack(tmp_path, "video_test_1  7 8\nvideo_test_9  1 2\n")
    annotations = wtalc.read_annotations(folder)
    assert annotations.classes == ("B", "A")
    first, second = annotations
    assert (first.name, first.subset, first.duration) == ("video_validation_1", "validation", 9.5)
    assert first.segments == (Segment(0.5, 1.5, "B"),)
    assert first.labels == ("A", "B")
    assert second.labels == ("A", "B")
    assert second.segments == (Segment(2, 3, "A"), Segment(4, 4, "B"))
    assert [(s.start, s.end) for s in second.ambiguous] == [(7, 8)]
    assert annotations.notes == (
        "Ambiguous_test.txt: 'video_test_9' is not among the videos",
        "1 videos have other classes in labels_all than in segments: video_validation_1",
    )


def test_optional_files(tmp_path: Path) -> None:
    annotations = read_annotations(pack(tmp_path, labels_all=None, duration=None))
    assert [video.labels for video in annotations] == [("B",), ("A", "B")]
    assert [video.duration for video in annotations] == [None, None]
    assert annotations.notes == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": None}, "labels.npy: no such file"),
        ({"subset": np.array([b"test"])}, "subset.npy: 1 rows, videoname.npy has 2"),
        ({"subset": np.array(3)}, "subset.npy: holds a single value"),
        ({"subset": np.array([1, 2])}, "subset.npy: expected a string, found int64"),
        ({"videoname": np.array([b"a", b"a"])}, "videoname.npy: names 'a' twice"),
        ({"videoname": np.array([b"\xff", b"a"])}, "videoname.npy"),
        ({"labels": objects(["B"], ["A"])}, "video 'video_test_1': 2 segments and 1 labels"),
        ({"segments": objects([[1.0]], [])}, "video 'video_validation_1'"),
        ({"segments": objects(3, [])}, "video 'video_validation_1'"),
        ({"segments": objects([["x", 1]], [])}, "video 'video_validation_1'"),
        ({"duration": np.array([[1.0, 2.0], [3.0, 4.0]])}, "video 'video_validation_1'"),
        ({"classlist": np.array([b"A"])}, "'B' is not in"),
        (
            {"classlist": np.array([b"A"]), "labels_all": objects(["A"], ["A"])},
            "label 'B' is not in classlist.npy",
        ),
    ],
)
def test_malformed(tmp_path: Path, changed: dict[str, np.ndarray | None], message: str) -> None:
    with pytest.raises(DuetalError) as caught:
        wtalc.read_annotations(pack(tmp_path, **changed))
    assert message in str(caught.value)


def test_one_long_row_many_times_is_refused(tmp_path: Path) -> None:
    long = [[0.0, 1.0]] * 2000
    names = np.array([f"v{number}".encode() for number in range(300)])
    many = objects(*[long] * 300)
    same = objects(*[["A"]] * 300)
    folder = pack(
        tmp_path,
        videoname=names,
        subset=names,
        segments=many,
        labels=same,
        labels_all=None,
        duration=None,
    )
    with pytest.raises(DuetalError, match=r"segments\.npy: its rows hold more values"):
        wtalc.read_annotations(folder)


@pytest.mark.real
def test_real_pack(real_data: Path) -> None:
    annotations = wtalc.read_annotations(real_data / "thumos14" / "Thumos14reduced-Annotations")
    assert (len(annotations), len(annotations.classes)) == (412, 20)
    assert sum(len(v.segments or ()) for v in annotations) == 6365
    assert sum(len(v.segments or ()) for v in annotations if v.subset == "test") == 3358
    wrong = annotations.videos["video_test_0001496"]
    assert wrong.labels == ("FrisbeeCatch",)
    assert {segment.label for segment in wrong.segments or ()} == {"CricketShot"}
    differing = [
        v.name
        for v in annotations
        if set(v.labels) != {s.label for s in v.segments or ()} and v.subset == "validation"
    ]
    assert len(differing) == 8
