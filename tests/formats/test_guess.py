import json
from pathlib import Path

import numpy as np
import pytest

from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.formats import csv_table, read_annotations, read_detections
from duetal.formats.forms import ContentKind, Format
from duetal.formats.guess import Guess, guess


def test_by_content_whatever_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('{"database": {"v": {"annotations": [{"label": "x"}]}}}')
    (tmp_path / "a.tsv").write_text("filename\tevent_labels\nv\tx\n")
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "x_test.txt").write_text("v 0 1\n")
    for path in (tmp_path / "a.txt", tmp_path / "a.tsv", folder):
        annotations = read_annotations(path)
        assert annotations.videos["v"].labels == ("x",)
        assert annotations.source == path


def test_detections_by_content(tmp_path: Path) -> None:
    path = tmp_path / "found"
    csv_table.write_detections(path, Detections.from_rows([("v", "A", 0, 1, 0.5)]))
    assert read_detections(path).score.tolist() == [0.5]
    path.write_text("<ANNOTATION_DOCUMENT/>")
    with pytest.raises(DuetalError, match="found: elan has annotations, not detections"):
        read_detections(path)


LONG = {"about": "x" * 100_000}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({**LONG, "database": {}}, Guess(Format.ACTIVITYNET, ContentKind.ANNOTATIONS)),
        ({**LONG, "results": {}}, Guess(Format.ACTIVITYNET, ContentKind.DETECTIONS)),
        ({"results": {"database": {}}}, Guess(Format.ACTIVITYNET, ContentKind.DETECTIONS)),
        ({"about": {"results": {}}, "labels": {}}, Guess(Format.FIFTYONE, ContentKind.ANNOTATIONS)),
        (
            {**LONG, "project": {}, "attribute": {}, "file": {}, "view": {}},
            Guess(Format.VIA, ContentKind.ANNOTATIONS),
        ),
        (
            {**LONG, "observations": {}, "behaviors_conf": {}},
            Guess(Format.BORIS, ContentKind.ANNOTATIONS),
        ),
        ([{"data": {}, "annotations": [{}]}], Guess(Format.LABEL_STUDIO, ContentKind.ANNOTATIONS)),
        ([{"data": {}, "predictions": [{}]}], Guess(Format.LABEL_STUDIO, ContentKind.DETECTIONS)),
    ],
)
def test_json(tmp_path: Path, value: object, expected: Guess) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value))
    assert guess(path) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"labels.json": '{"labels": {}}'}, Guess(Format.FIFTYONE, ContentKind.ANNOTATIONS)),
        ({"v.eaf": "", "notes.txt": ""}, Guess(Format.ELAN, ContentKind.ANNOTATIONS)),
        ({"v.vtt": "WEBVTT\n"}, Guess(Format.WEBVTT, ContentKind.ANNOTATIONS)),
        (
            {"v.vtt": "WEBVTT\n\n00:01.000 --> 00:02.000\nA 0.5\n"},
            Guess(Format.WEBVTT, ContentKind.DETECTIONS),
        ),
        ({"A_val.txt": "v 0 1"}, Guess(Format.THUMOS14, ContentKind.ANNOTATIONS)),
    ],
)
def test_folders(tmp_path: Path, files: dict[str, str], expected: Guess) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert guess(tmp_path) == expected


def test_the_pack_is_a_folder(tmp_path: Path) -> None:
    for name in ("videoname", "segments"):
        np.save(tmp_path / f"{name}.npy", np.array([b"v"]))
    assert guess(tmp_path) == Guess(Format.WTALC, ContentKind.ANNOTATIONS)


def test_what_is_of_no_known_form(tmp_path: Path) -> None:
    cases = {
        "a.doc": (b"words", r"of no known form; annotations are \.json, \.tsv, \.csv"),
        "empty.json": (b"\n", "is empty"),
        "b.doc": (b"\x7fELF\0\0", "a binary file, not text$"),
        "b.csv": ("video,label".encode("utf-16-le"), "not text, or UTF-16 without its mark: save"),
        "b.xlsx": (b"PK\x03\x04\0\0", "a binary file, not text; of a workbook, save the sheet"),
        "a.xml": (b"<view/>", "XML, but neither ELAN's nor CVAT's"),
        "a.json": (b'{"a": 1}', "JSON of no known form: no 'database'"),
        "b.json": (b"[1, 2]", "a JSON list, but not of Label Studio's tasks"),
        "c.json": (b'{"a": ', "not JSON"),
        "a.csv": (b"a,b\n1,2\n", "line 1: expected a header"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DuetalError, match=f"{name}: .*{message}"):
            read_annotations(tmp_path / name)
    with pytest.raises(DuetalError, match="no such file"):
        read_annotations(tmp_path / "none.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DuetalError, match="neither the W-TALC pack's annotation"):
        read_annotations(tmp_path / "empty")
