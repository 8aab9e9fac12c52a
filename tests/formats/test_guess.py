from pathlib import Path

import pytest

from duetal.core.errors import DuetalError
from duetal.formats import read_annotations


def test_by_suffix_and_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"database": {"v": {"annotations": [{"label": "x"}]}}}')
    (tmp_path / "a.tsv").write_text("filename\tevent_labels\nv\tx\n")
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "x_test.txt").write_text("v 0 1\n")
    for path in (tmp_path / "a.json", tmp_path / "a.tsv", folder):
        annotations = read_annotations(path)
        assert annotations.videos["v"].labels == ("x",)
        assert annotations.source == path


def test_what_is_no_annotation(tmp_path: Path) -> None:
    (tmp_path / "a.doc").touch()
    for name, message in (
        ("none.json", "no such file"),
        ("a.doc", r"\.json, \.tsv, \.csv"),
        (".", "neither the W-TALC pack's annotation"),
    ):
        with pytest.raises(DuetalError, match=message):
            read_annotations(tmp_path / name)
