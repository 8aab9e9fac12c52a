"""The feature store: what `duetal extract` writes, and a dataset that `open_dataset` reads.

    STORE/dataset.yaml                       the text encoder and the grid, for `open_dataset`
    STORE/store.json                         the settings that all features of the store share
    STORE/features/{rgb,flow,clip}/<video>.npy
    STORE/records/<video>.json               how they were made; written last
    STORE/failures/<quoted video>.json       why a video has none

A store is a local folder or a URL such as `s3://bucket/store`. A video is complete when its record
is there and its arrays are what the record says. Whatever is interrupted before that counts for
nothing and is done again.
"""

import hashlib
import urllib.parse
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import yaml
from pydantic import ValidationError

from duetal.core.closing import Closing
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import remove_unfinished
from duetal.core.npy import DAMAGED, read_npy_header
from duetal.features.lock import FolderLock
from duetal.features.places import Place
from duetal.features.records import (
    Failure,
    Settings,
    VideoRecord,
    differing,
    settings_hash,
)
from duetal.features.streams import check_name
from duetal.features.writer import VideoWriter

SETTINGS_FILE = "store.json"
DATASET_FILE = "dataset.yaml"
RECORDS = "records"
FAILURES = "failures"

#: More than the header of a feature array takes.
_HEADER_BYTES = 4096
#: A file's name may have 255 bytes on most systems; the rest is for suffix and temporary names.
_NAME_BYTES = 220


class Store(Closing):
    """The features of many videos, made with the same settings; see `open_store`.

    Args:
        place: the store's folder or URL.
        settings: of all its features.
        lock: what tells other processes that this one writes here; None for a reader.
    """

    def __init__(self, place: Place, settings: Settings, lock: FolderLock | None = None):
        self.place = place
        self.settings = settings
        self._hash = settings_hash(settings)
        self._lock = lock

    def __reduce__(self) -> tuple[type["Store"], tuple[Place, Settings]]:
        # Another process does not inherit the lock; whoever opened the store holds it.
        return Store, (self.place, self.settings)

    def close(self) -> None:
        """Give up the store's lock; what has been written stays."""
        if self._lock is not None:
            self._lock.release()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the arrays that every video has: "rgb", "flow", "clip"."""
        return tuple(self.settings["modalities"])

    def names(self) -> list[str]:
        """Names of the videos that have a record."""
        return self.place.names(RECORDS, ".json")

    def record(self, name: str) -> VideoRecord | None:
        """The record of a video; None when there is none that can be trusted.

        Raises:
            DuetalError: the store can't be read.
        """
        try:
            return VideoRecord.model_validate(self.place.read_json(record_file(name)))
        except ValidationError:
            return None
        except DuetalError as error:
            if isinstance(error.__cause__, (ValueError, RecursionError)):
                return None
            raise

    def is_complete(self, name: str) -> bool:
        """Whether a video's record is there, of this store's settings, and its arrays are whole.

        Raises:
            DuetalError: the store can't be read.
        """
        record = self.record(name)
        return record is not None and self.agrees(record)

    def agrees(self, record: VideoRecord) -> bool:
        """Whether a video's arrays are what its record says."""
        if settings_hash(record.settings) != self._hash:
            return False
        if set(record.widths) != set(self.modalities):
            return False
        return all(
            self._is_whole(array_file(modality, record.name), (record.snippets, width))
            for modality, width in record.widths.items()
        )

    def _is_whole(self, file: str, shape: tuple[int, int]) -> bool:
        content = self.place.read(file, _HEADER_BYTES)
        if content is None:
            return False
        beginning = BytesIO(content)
        try:
            found, fortran, dtype = read_npy_header(beginning)
        except DAMAGED:
            return False
        values = shape[0] * shape[1] * dtype.itemsize
        expected = (shape, False, self.settings["dtype"], beginning.tell() + values)
        return (found, fortran, dtype.name, self.place.size(file)) == expected

    def writer(self) -> VideoWriter:
        """A writer of one video's rows, to be used in a `with` statement."""
        return VideoWriter(self.place, self.modalities, self.settings["dtype"])

    def finish(self, writer: VideoWriter, record: VideoRecord) -> None:
        """Put a video's arrays into the store, then its record.

        What another process has made of the same file meanwhile is kept: it must not be incomplete
        for a moment, when this process may be killed.

        Raises:
            DuetalError: the store can't be written to, or is full; the video is not complete then.
        """
        file = record_file(record.name)
        old = self.record(record.name)
        if old is not None:
            if old.sha256 == record.sha256 and self.agrees(old):
                return
            # An old record must not speak for new arrays.
            self.place.remove(file)
        for modality in self.modalities:
            writer.publish(modality, array_file(modality, record.name))
        self.place.write_json(file, record.model_dump())
        self.place.remove(failure_file(record.name))

    def failure(self, name: str) -> Failure | None:
        """Why a video has no features, where that was recorded."""
        try:
            return Failure.model_validate(self.place.read_json(failure_file(name)))
        except (ValidationError, DuetalError):
            return None

    def failures(self) -> Iterator[Failure]:
        """Every recorded failure, in order of name."""
        for quoted in self.place.names(FAILURES, ".json"):
            try:
                yield Failure.model_validate(self.place.read_json(f"{FAILURES}/{quoted}.json"))
            except (ValidationError, DuetalError):
                continue

    def fail(self, failure: Failure) -> None:
        """Record why a video has no features."""
        self.place.write_json(failure_file(failure.name), failure.model_dump())


def array_file(modality: str, name: str) -> str:
    """Where the array of a video lies in a store."""
    return f"features/{modality}/{name}.npy"


def record_file(name: str) -> str:
    """Where the record of a video lies in a store."""
    return f"{RECORDS}/{name}.json"


def failure_file(name: str) -> str:
    """Where a failure lies in a store: under a name that is safe, whatever the video's name is."""
    quoted = urllib.parse.quote(name, safe=" ", errors="surrogatepass")
    if len(quoted) > _NAME_BYTES:
        digest = hashlib.sha256(quoted.encode()).hexdigest()[:16]
        quoted = f"{quoted[: _NAME_BYTES - len(digest) - 1]}-{digest}"
    if quoted.startswith("."):  # a hidden file, or a way out of the folder
        quoted = f"%2E{quoted[1:]}"
    return f"{FAILURES}/{quoted or '%'}.json"


def check_storable(name: str, source: str) -> None:
    """Refuse a video's name that can't be the name of its files in a store.

    Raises:
        DuetalError: the name is empty, hidden, too long, or would lead out of a folder.
    """
    check_name(name, Path(source))
    if name.startswith("."):
        raise DuetalError(f"not a usable video name: {name!r} begins with a dot", file=source)
    if len(name.encode()) > _NAME_BYTES:
        raise DuetalError(f"not a usable video name: longer than {_NAME_BYTES} bytes", file=source)


def open_store(place: str | Path, settings: Settings | None = None) -> Store:
    """Open a store, to read it or to add videos to it.

    Args:
        place: a folder or a URL.
        settings: of the features to be added; a store that is not there is made with them. None
            opens a store for reading.

    Raises:
        UsageError: the store's features were made with other settings; names each of them.
        DuetalError: no store there, unreadable, or not to be written to.
    """
    opened = Place(place)
    if settings is None:
        if not opened.exists(SETTINGS_FILE):
            raise DuetalError(f"not a feature store: it has no {SETTINGS_FILE}", file=opened.name)
        return Store(opened, _read_settings(opened))
    lock = None
    if opened.local is not None:
        lock = FolderLock(opened.local)
        if lock.alone:
            remove_unfinished(opened.local)
    try:
        _agree(opened, settings)
        if lock is not None:
            lock.share()
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    return Store(opened, settings, lock)


def _agree(place: Place, settings: Settings) -> None:
    """Give a new store its settings; refuse those that an old one was not made with."""
    if not place.exists(SETTINGS_FILE):
        place.write_json(SETTINGS_FILE, settings)
    stored = _read_settings(place)
    differences = [
        f"{key} is {_said(old)} there and {_said(new)} here"
        for key, (old, new) in differing(stored, settings).items()
    ]
    if differences:
        cause = f"the store's features were made with other settings: {'; '.join(differences)}"
        raise UsageError(cause, file=place.name)
    if not place.exists(DATASET_FILE):
        place.write_text(DATASET_FILE, yaml.safe_dump(_description(settings), sort_keys=False))


def _said(value: object) -> str:
    return "absent" if value is None else str(value)


def _read_settings(place: Place) -> Settings:
    stored = place.read_json(SETTINGS_FILE)
    expected = {"modalities": list, "dtype": str, "grid": dict}
    if not isinstance(stored, dict) or not all(
        isinstance(stored.get(key), kind) for key, kind in expected.items()
    ):
        raise DuetalError("not the settings of a feature store", file=place.path(SETTINGS_FILE))
    return stored


def _description(settings: Settings) -> dict[str, object]:
    """What `dataset.yaml` has to say: what its reader would not find or guess by itself."""
    description: dict[str, object] = {"grid": dict(settings["grid"])}
    motion = [m for m in settings["modalities"] if m != "clip"]
    if len(motion) != 2:
        description["cbp"] = f"features/{(motion or ['clip'])[0]}"
    clip = settings.get("clip")
    if isinstance(clip, Mapping):
        description["text_encoder"] = clip["name"]
    return description


def recorded_duration(folder: Path, name: str) -> float | None:
    """Seconds of a video, as the store at a local folder recorded them; None where it did not."""
    try:
        return VideoRecord.model_validate(Place(folder).read_json(record_file(name))).duration
    except (ValidationError, DuetalError):
        return None
