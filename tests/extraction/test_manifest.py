"""The manifest of a store: a row a video, that can be queried, and read back as a list."""

import pytest

from duetal.core.errors import DuetalError
from duetal.extraction.manifest import MANIFEST_FILE, listed_sources, write_manifest
from duetal.extraction.sources import find_videos
from duetal.features.places import Place

parquet = pytest.importorskip("pyarrow.parquet")
ROWS = [
    {"name": "a", "source": "/videos/a.mp4", "state": "done", "attempts": 2, "frames": 50},
    {"name": "ü", "source": "s3://bucket/ü.mp4", "state": "set aside", "attempts": 3},
]


@pytest.fixture
def manifest(tmp_path):
    write_manifest(Place(tmp_path), ROWS)
    return tmp_path / MANIFEST_FILE


def test_every_column_has_its_type_also_where_nothing_is_known(manifest):
    table = parquet.read_table(manifest)
    assert [row | wanted for row, wanted in zip(table.to_pylist(), ROWS, strict=True)] == (
        table.to_pylist()
    )
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["snippets"] == kinds["frames"] == "int64"
    assert (kinds["seconds"], kinds["attempts"], kinds["sha256"]) == ("double", "int32", "string")
    assert table.schema.metadata[b"duetal.manifest"] == b"1"


def test_a_manifest_is_a_list_of_videos(manifest):
    assert listed_sources(manifest) == [row["source"] for row in ROWS]
    assert [video.name for video in find_videos([str(manifest)]).videos] == ["a", "ü"]


def of_version(path, version):
    table = parquet.read_table(path).select(["name"])
    parquet.write_table(table.replace_schema_metadata(version), path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: of_version(path, {"duetal.manifest": "2"}), "a manifest of version 2; this"),
        (lambda path: of_version(path, {"duetal.manifest": b"\xff"}), r"version \\xff; this"),
        (lambda path: of_version(path, {"other": "1"}), "not a manifest of a feature store"),
        (lambda path: of_version(path, None), "not a manifest of a feature store"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "not a Parquet file"),
        (lambda path: path.write_text("name,source"), "not a Parquet file"),
        (lambda path: path.unlink(), "no such file"),
    ],
)
def test_what_is_no_manifest_of_this_version_is_one_line(manifest, spoil, reason):
    spoil(manifest)
    with pytest.raises(DuetalError, match=reason) as raised:
        find_videos([str(manifest)])
    assert str(raised.value).startswith(str(manifest))
    assert "\n" not in str(raised.value)
