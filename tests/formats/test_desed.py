import contextlib
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duetal.core.annotations import Annotations, Segment
from duetal.core.errors import DuetalError
from duetal.formats import desed, read_annotations


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("tsv", "filename\tevent_labels\nv1.mp4\tB,A, B\nv.2\t\n"),
        ("csv", 'filename,event_labels\r\nv1.wav,"B,A, B"\r\nv.2,\r\n'),
        ("tsv", "\ufefffilename\tevent_labels\n\nv1\tA,B\n\nv.2\t\n"),
        ("tsv", "filename\tevent_labels\nv1\tB\nv.2\t\nv1.mp4\tA\n"),
        ("csv", "filename;event_labels\nv1;A,B\nv.2;\n"),
    ],
)
def test_reads_names_and_labels(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"weak.{suffix}"
    path.write_text(text, encoding="utf-8", newline="")
    annotations = desed.read_weak(path)
    assert [(v.name, v.labels, v.segments) for v in annotations] == [
        ("v1", ("A", "B"), None),
        ("v.2", (), ()),
    ]
    assert annotations.classes == ("A", "B")
    assert annotations.training_names() == ("v1", "v.2")


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        ("tsv", "", "line 1: expected a header with the columns 'filename'"),
        ("tsv", "v1\tA\n", "'event_labels' with tabs between"),
        ("csv", "v1,A\n", "'event_labels' with commas between"),
        ("tsv", "filename\tevent_labels\nv1\n", "line 2: expected 2 columns"),
        ("tsv", "filename\tevent_labels\nv1\tA\tB\n", "line 2: expected 2 columns"),
        ("csv", "filename,event_labels\nv1,A,B\n", "line 2: expected 2 columns"),
        ("tsv", "filename\tevent_labels\n\tA\n", "line 2: no file name"),
        ("csv", 'filename,event_labels\nv,"A\n', "line 2"),
    ],
)
def test_malformed_weak_labels(tmp_path: Path, suffix: str, text: str, message: str) -> None:
    path = tmp_path / f"weak.{suffix}"
    path.write_text(text)
    with pytest.raises(DuetalError, match=f"weak.{suffix}") as caught:
        desed.read_weak(path)
    assert message in str(caught.value)


@given(content=st.binary(max_size=40), header=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_value_or_a_duetal_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, header: bool
) -> None:
    for suffix, line in (("tsv", b"filename\tevent_labels\n"), ("csv", b"filename,event_labels\n")):
        path = tmp_path_factory.mktemp("fuzz") / f"weak.{suffix}"
        path.write_bytes(line * header + content)
        with contextlib.suppress(DuetalError):
            desed.read_weak(path)


@pytest.mark.real
def test_real_table(real_data: Path) -> None:
    annotations = desed.read_weak(real_data / "hapt" / "weak_train.tsv")
    assert (len(annotations), len(annotations.classes)) == (259, 12)


HEADER = "filename\tonset\toffset\tevent_label\n"


def test_a_table_of_desed(samples: Path) -> None:
    annotations = desed.read_strong(samples / "strong.tsv")
    assert {video.name: video.segments for video in annotations} == {
        "kitchen": (Segment(0.163, 0.665, "Speech"), Segment(0.5, 10.0, "Frying")),
        "quiet": (),
        "garden": (Segment(1.0, 2.0, "Dog"),),
    }
    assert annotations.classes == ("Dog", "Frying", "Speech")


@pytest.mark.parametrize("suffix", ["tsv", "csv"])
def test_strong_there_and_back(tmp_path: Path, annotations: Annotations, suffix: str) -> None:
    path = tmp_path / f"strong.{suffix}"
    desed.write_strong(path, annotations)
    again = desed.read_strong(path)
    assert {v.name: v.segments for v in again} == {v.name: v.segments for v in annotations}


def test_other_columns_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "strong.tsv"
    path.write_text(
        "remark\tfilename\tonset\toffset\tevent_label\nloud\tv\t0\t1\tA\n\tv\t1\t2\tA\n"
    )
    annotations = desed.read_strong(path)
    assert annotations.videos["v"].segments == (Segment(0, 1, "A"), Segment(1, 2, "A"))
    assert annotations.left_out == ("remark: 1",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a header with the columns 'filename', 'onset', 'offset'"),
        ("filename\tonset\toffset\n", "line 1: expected a header"),
        (f"{HEADER}v\t1\t2\n", "line 2: expected 4 columns"),
        (f"{HEADER}\t1\t2\tA\n", "line 2: no file name"),
        (f"{HEADER}v\t1\t2\t\n", "line 2: no event label"),
        (f"{HEADER}v\t\t\tA\n", "line 2: '' is no number"),
        (f"{HEADER}v\t1\tinf\tA\n", "line 2: inf is not a finite number"),
    ],
)
def test_malformed_strong_labels(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "strong.tsv"
    path.write_text(text)
    with pytest.raises(DuetalError, match=r"strong\.tsv") as caught:
        desed.read_strong(path)
    assert message in str(caught.value)


def test_a_table_of_own_videos_is_one_of_weak_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    decomposed = unicodedata.normalize("NFD", "Händchen")
    path.write_text(f"Split;Video;Labels\ntrain;a/v.mp4;{decomposed},B\ntest;w.mp4;\n", "utf-8")
    annotations = read_annotations(path)
    assert {v.name: (v.subset, v.labels, v.segments) for v in annotations} == {
        "v": ("train", ("B", "Händchen"), None),
        "w": ("test", (), ()),
    }
    path.write_text("video,label,start\nv,A,1\n")
    with pytest.raises(DuetalError, match="line 1: expected a header"):
        read_annotations(path)
