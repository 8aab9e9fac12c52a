import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duetal.core.annotations import Segment
from duetal.core.errors import DuetalError
from duetal.formats import thumos14


def folder_of(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_reads_classes_subsets_and_ambiguous(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        Diving_test="video_test_1  3.5 4.0\nvideo_test_1  0.5 1.0\n\n",
        CliffDiving_test="video_test_1 3.5 4.0\r\n",
        Diving_val="video_validation_1 1 2",
        Ambiguous_test="video_test_1  7 8\nvideo_test_2  1 2\n",
        readme="not an annotation",
    )
    annotations = thumos14.read_annotations(folder)
    assert annotations.classes == ("CliffDiving", "Diving")
    video = annotations.videos["video_test_1"]
    assert video.segments == (
        Segment(3.5, 4, "CliffDiving"),
        Segment(3.5, 4, "Diving"),
        Segment(0.5, 1, "Diving"),
    )
    assert (video.subset, video.duration) == ("test", None)
    assert video.labels == ("CliffDiving", "Diving")
    assert [(s.start, s.end) for s in video.ambiguous] == [(7, 8)]
    assert annotations.videos["video_test_2"].segments == ()
    assert annotations.videos["video_validation_1"].subset == "validation"


def test_class_list_gives_the_order(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, A_test="v 0 1", B_test="v 0 1", detclasslist="9 B\n7 A\n5 C")
    assert thumos14.read_annotations(folder).classes == ("B", "A", "C")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no <Class>_val.txt"),
        ({"Ambiguous_test": "v 0 1"}, "no <Class>_val.txt"),
        ({"A_test": "v 0 1\nv 0"}, "A_test.txt: line 2: expected 'video start end', found 'v 0'"),
        ({"A_test": "v 0 x"}, "A_test.txt: line 1"),
        ({"A_test": "v 0 1", "detclasslist": "A"}, "detclasslist.txt: line 1"),
        ({"A_test": "v 0 1", "detclasslist": "7 B"}, "lacks the class 'A'"),
    ],
)
def test_malformed(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(DuetalError) as caught:
        thumos14.read_annotations(folder_of(tmp_path, **files))
    assert message in str(caught.value)


@given(content=st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_value_or_a_duetal_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "A_test.txt").write_bytes(content)
    with contextlib.suppress(DuetalError):
        assert thumos14.read_annotations(folder).classes == ("A",)


@pytest.mark.real
def test_real_folder(real_data: Path) -> None:
    annotations = thumos14.read_annotations(real_data / "thumos14" / "ground_truth_txt")
    assert (len(annotations), len(annotations.classes)) == (213, 20)
    assert sum(len(v.segments or ()) for v in annotations) == 3358
    assert sum(len(v.ambiguous) for v in annotations) == 99
    assert annotations.videos["video_test_0001292"].segments == ()
