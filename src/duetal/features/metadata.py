"""What a feature store records of its features: the settings they share, and a record per video.

STORE/dataset.yaml                       the text encoder and the grid, for `open_dataset`
STORE/store.json                         the settings that all features of the store share
STORE/features/<modality>/<video>.npy    (T, C)
STORE/records/<video>.json               how they were made; written last
STORE/failures/<quoted video>.json       why a video has none
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from duetal.core.errors import DuetalError
from duetal.core.url_paths import CONNECTIONS, UrlPath, read_range
from duetal.features.places import Place

SETTINGS_FILE = "store.json"
DATASET_FILE = "dataset.yaml"
RECORDS = "records"

#: What a store's settings hold for readers alone: two weights of one hash are the same.
_NOT_COMPARED = frozenset({"name", "licence", "branch"})

#: The settings of a store: JSON values, nested.
Settings = Mapping[str, Any]


class VideoRecord(BaseModel):
    """How the features of one video were made. Where it is, they are complete."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: str  #: The path or URL of the video file.
    sha256: str  #: Of the video file.
    size: Annotated[int, Field(ge=0)]  #: Bytes of the video file.
    frames: Annotated[int, Field(gt=0)]  #: N, frames of the time grid that were decoded.
    source_frames: Annotated[int, Field(gt=0)]  #: Pictures in the file.
    #: Seconds from the begin of the first picture to the end of the last.
    duration: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    #: Seconds that a player's clock shows at the first picture.
    offset: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    stream: int | None = None  #: Number of the stream in the file; None as below.
    #: Pictures of the video a second; None in a record of version 0.1.0.
    rate: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    snippets: Annotated[int, Field(gt=0)]  #: T, rows of each feature array.
    widths: dict[str, int]  #: C of each modality.
    notes: tuple[str, ...] = ()  #: What was wrong with the video and tolerated, one line each.
    settings: dict[str, Any]  #: Of the store.
    versions: dict[str, str]  #: Of the programs that made the features.
    seconds: dict[str, float]  #: Of work, by stage of the pipeline.
    attempts: Annotated[int, Field(ge=1)] = 1  #: With those that failed before.

    @property
    def end(self) -> float:
        """Seconds that a player's clock shows at the end of the last picture."""
        return self.offset + self.duration


def array_file(modality: str, name: str) -> str:
    """Path of a video's array in a store."""
    return f"features/{modality}/{name}.npy"


def record_file(name: str) -> str:
    """Path of a video's record in a store."""
    return f"{RECORDS}/{name}.json"


def read_settings(place: Place) -> Settings:
    """The settings of a store; DuetalError if there is none, or a damaged one."""
    if not place.exists(SETTINGS_FILE):
        raise DuetalError(f"not a feature store: it has no {SETTINGS_FILE}", file=place.name)
    stored = place.read_json(SETTINGS_FILE)
    expected = {"modalities": list, "dtype": str, "grid": dict}
    if not isinstance(stored, dict) or not all(
        isinstance(stored.get(key), kind) for key, kind in expected.items()
    ):
        raise DuetalError("not the settings of a feature store", file=place.path(SETTINGS_FILE))
    return stored


def read_record(place: Place, name: str) -> VideoRecord | None:
    """The record of a video; None when there is none, or a damaged one."""
    with suppress(ValidationError):
        return VideoRecord.model_validate_json(place.read(record_file(name)) or b"")
    return None


def recorded(features: Path, name: str) -> VideoRecord | None:
    """What the store around a folder of features recorded of a video; None if it did not."""
    with suppress(DuetalError):
        folder = features.parent.parent
        return read_record(
            Place(folder) if isinstance(folder, UrlPath) else _local_store(folder), name
        )
    return None


def read_records(features: Path, names: Collection[str]) -> Iterator[tuple[str, VideoRecord]]:
    """What the store around a folder of features recorded of videos: at a URL, of many at once."""
    if not isinstance(features, UrlPath):
        every = ((name, recorded(features, name)) for name in names)
        yield from ((name, record) for name, record in every if record is not None)
        return
    store: UrlPath = features.parent.parent
    listed = (store / RECORDS).marks() if (store / RECORDS).is_dir() else {}
    wanted = {name: listed[file] for name in names if (file := f"{name}.json") in listed}

    def read(name: str) -> VideoRecord | None:
        with suppress(ValidationError):
            path, mark = store / record_file(name), wanted[name]
            return VideoRecord.model_validate_json(read_range(path, 0, mark.size, mark))
        return None

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        records = zip(wanted, pool.map(read, wanted), strict=True)
        yield from ((name, record) for name, record in records if record is not None)


_local_store = lru_cache(maxsize=16)(Place)


def differing(stored: Settings, wanted: Settings) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, by dotted name: the stored value and the wanted one.

    What only informs the reader, such as the name that weights were given, is not compared.
    """
    old, new = _flat(stored), _flat(wanted)
    keys = dict.fromkeys((*old, *new))
    return {key: (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}


def settings_hash(settings: Settings) -> str:
    """A hash of all settings that `differing` compares."""
    text = json.dumps(_flat(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _flat(settings: Settings, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif not (prefix and key in _NOT_COMPARED):
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat
