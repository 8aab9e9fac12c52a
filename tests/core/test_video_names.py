"""What a video is called: the same, whoever names it."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from duetal.core.errors import DuetalError
from duetal.core.video_names import VIDEO_SUFFIXES, known_name, video_name
from duetal.extraction import sources
from duetal.features.streams import open_part
from duetal.formats import read_annotations, read_detections


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("jump.mp4", "jump"),
        ("jump", "jump"),
        ("v1.2 final.MP4", "v1.2 final"),
        ("/data/upload/1/3f2a1b9c-jump.mp4", "jump"),
        ("/data/upload/3f2a1b9c-my-jump.mp4", "my-jump"),
        ("upload/1/3f2a1b9c-jump.mp4", "jump"),
        ("/clips/3f2a1b9c-jump.mp4", "3f2a1b9c-jump"),
        ("/data/local-files/?d=clips/high%20jump.mp4", "high jump"),
        ("https://example.org/a/high%20jump.mp4?sig=x.avi#t=3", "high jump"),
        ("file:///C:/clips/high%20jump.mp4", "high jump"),
        ("C:\\clips\\jump.mp4", "jump"),
        ("100%25.mp4", "100%25"),
    ],
)
def test_a_place_names_its_video(place: str, name: str) -> None:
    assert video_name(place) == name


@pytest.mark.parametrize("place", ["", "/", "/data/local-files/", "https://[", ".mp4"])
def test_a_place_without_a_name(place: str) -> None:
    with pytest.raises(ValueError, match=r"no file name|Invalid"):
        video_name(place)


NFD = unicodedata.normalize("NFD", "Händchen")
NFC = unicodedata.normalize("NFC", "Händchen")


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("v1", "v1"),
        ("v1.mp4", "v1"),
        ("v1.MTS", "v1"),
        ("v1.mp4.mkv", "v1"),
        ("v1.npy", "v1"),
        ("v1.wav", "v1"),
        ("v1.2 final", "v1.2 final"),
        ("clips/v1.mp4", "v1"),
        ("C:\\clips\\v1.avi", "v1"),
        ("cam1/0001", "cam1/0001"),
        (".mp4", ".mp4"),
        ("", ""),
        (f"{NFD}.mp4", NFC),
        (NFD, NFC),
    ],
)
def test_every_one_who_names_a_video_means_the_same(called: str, name: str, tmp_path: Path) -> None:
    assert known_name(called) == name
    assert known_name(name) == name
    segment = {"label": "x", "segment": [0, 1], "score": 0.5}
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    truth.write_text(json.dumps({"database": {called: {"annotations": [segment]}}}))
    results.write_text(json.dumps({"results": {called: [segment]}}))
    assert list(read_annotations(truth).videos) == [name]
    assert read_detections(results).videos == (name,)
    tables = {
        "video,label,start,end": "{},x,0,1",
        "video,label,start,end,score": "{},x,0,1,0.5",
        "filename,event_labels": "{},x",
        "filename,onset,offset,event_label": "{},0,1,x",
    }
    table = tmp_path / "table.csv"
    for header, row in tables.items() if called else ():
        table.write_text(f"{header}\n{row.format(called)}\n", encoding="utf-8")
        read = read_detections if "score" in header else read_annotations
        assert list(read(table).videos) == [name], header


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_what_is_extracted_is_called_as_it_is_annotated(suffix: str, tmp_path: Path) -> None:
    for file_name in (f"{NFD}{suffix}", f"b.{suffix}{suffix.upper()}"):
        name = sources.video_name(str(tmp_path / file_name))
        assert name == known_name(file_name) == video_name(f"file:///a/{file_name}")
        np.save(tmp_path / file_name, np.zeros((2, 3), np.float32))
        assert name in open_part("features", [tmp_path]).entries


def test_two_videos_of_one_name_are_not_made_one(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("video,label,start,end\ncam1/a.mp4,x,0,1\ncam2/a.mp4,x,2,3\n")
    with pytest.raises(DuetalError, match=r"line 3: 'cam1/a' and 'cam2/a' are two videos"):
        read_annotations(table)
