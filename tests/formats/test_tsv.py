import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duetal.core.errors import DuetalError
from duetal.formats import tsv


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("tsv", "filename\tevent_labels\nv1.mp4\tB,A, B\nv.2\t\n"),
        ("csv", 'filename,event_labels\r\nv1.wav,"B,A, B"\r\nv.2,\r\n'),
        ("tsv", "\ufefffilename\tevent_labels\n\nv1\tA,B\n\nv.2\t\n"),
    ],
)
def test_reads_names_and_labels(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"weak.{suffix}"
    path.write_text(text, encoding="utf-8", newline="")
    annotations = tsv.read_annotations(path)
    assert [(v.name, v.labels, v.segments) for v in annotations] == [
        ("v1", ("A", "B"), None),
        ("v.2", (), None),
    ]
    assert annotations.classes == ("A", "B")
    assert annotations.training_names() == ("v1", "v.2")


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        ("tsv", "", "line 1: expected a header with the columns 'filename'"),
        ("tsv", "v1\tA\n", "'event_labels' with tabs between"),
        ("csv", "filename\tevent_labels\n", "'event_labels' with commas between"),
        ("tsv", "filename\tevent_labels\nv1\n", "line 2: expected 2 columns"),
        ("tsv", "filename\tevent_labels\nv1\tA\tB\n", "line 2: expected 2 columns"),
        ("csv", "filename,event_labels\nv1,A,B\n", "line 2: expected 2 columns"),
        ("tsv", "filename\tevent_labels\n\tA\n", "line 2: no file name"),
        ("tsv", "filename\tevent_labels\nv\tA\nv.mp4\tB\n", "line 3: 'v' is listed twice"),
        ("csv", 'filename,event_labels\nv,"A\n', "line 2"),
    ],
)
def test_malformed(tmp_path: Path, suffix: str, text: str, message: str) -> None:
    path = tmp_path / f"weak.{suffix}"
    path.write_text(text)
    with pytest.raises(DuetalError, match=f"weak.{suffix}") as caught:
        tsv.read_annotations(path)
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
            tsv.read_annotations(path)


@pytest.mark.real
def test_real_table(real_data: Path) -> None:
    annotations = tsv.read_annotations(real_data / "hapt" / "weak_train.tsv")
    assert (len(annotations), len(annotations.classes)) == (259, 12)
