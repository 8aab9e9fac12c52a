"""What has become of each video, as a table that DuckDB, Polars, pandas and Spark read: Parquet.

A store's manifest, `STORE/manifest.parquet`, has a row a video. It is a copy, made when it is asked
for: the store's records and failures are what counts.
"""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from duetal.core.errors import DuetalError
from duetal.core.extras import naming_extras
from duetal.core.url_paths import explained
from duetal.features.places import Place

MANIFEST_FILE = "manifest.parquet"
#: Of the columns and their meaning, in the file's metadata under `_KEY`.
VERSION = "1"
_KEY = b"duetal.manifest"
#: Arrow's types of the columns; those that are not known of a video are null.
_COLUMNS = {
    "name": "string",
    "source": "string",
    "state": "string",  # done, failed, set aside, or missing: never tried.
    "attempts": "int32",
    "reason": "string",  # Why it has no features.
    "seconds": "float64",  # Of work, added up over the stages.
    "duration": "float64",  # Of the video, in seconds.
    "frames": "int64",
    "snippets": "int64",
    "size": "int64",  # Bytes of the video file.
    "sha256": "string",
}


@naming_extras()
def require_parquet() -> Any:
    """The package that writes Parquet; UsageError if it is not installed."""
    import pyarrow.parquet

    return pyarrow


def write_manifest(place: Place, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a store's manifest: a row a video, see `duetal.extraction.missing.manifest_rows`.

    Raises:
        UsageError: pyarrow is not installed.
        DuetalError: the store can't be written to.
    """
    arrow = require_parquet()
    types = [(name, getattr(arrow, kind)()) for name, kind in _COLUMNS.items()]
    schema = arrow.schema(types, metadata={_KEY: VERSION})
    content = io.BytesIO()
    arrow.parquet.write_table(arrow.Table.from_pylist(list(rows), schema), content)
    place.write(MANIFEST_FILE, content)


def listed_sources(path: Path) -> list[str]:
    """The paths and URLs of the videos of a manifest, in its order.

    Raises:
        UsageError: pyarrow is not installed.
        DuetalError: no manifest, or one of another version.
    """
    arrow = require_parquet()
    with explained("read", path):
        try:
            found = (arrow.parquet.read_schema(path).metadata or {}).get(_KEY)
            if found is None:
                cause = "not a manifest of a feature store; list its videos in a .txt"
                raise DuetalError(cause, file=path)
            if found != VERSION.encode():
                version = found.decode("utf-8", "backslashreplace")
                cause = f"a manifest of version {version}; this duetal reads version {VERSION}"
                raise DuetalError(f"{cause}, and --manifest writes it anew", file=path)
            table = arrow.parquet.read_table(path, columns=["source"])
        except arrow.ArrowInvalid as error:
            raise DuetalError("not a Parquet file, or a damaged one", file=path) from error
    return [str(source) for source in table["source"].to_pylist()]
