"""Writing a feature store: what `duetal extract` fills, and a dataset that `open_dataset` reads.

A store is a local folder or a URL such as `s3://bucket/store`; `duetal.features.metadata` shows
what is in it. A video is complete when its record is there and its arrays fit the
record. Whatever is interrupted before that counts for nothing and is done again.
"""

import contextlib
import hashlib
import io
import math
import sqlite3
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import yaml
from filelock import ReadWriteLock, Timeout
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from pydantic import ValidationError

from duetal.backbones.clip import CLIP
from duetal.backbones.i3d import FLOW, RGB
from duetal.backbones.presets import PRESETS
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import Closing, remove_unfinished
from duetal.core.npy import DAMAGED, read_npy_header
from duetal.core.url_paths import explained
from duetal.extraction.sources import NAME_BYTES, Failure
from duetal.features import metadata
from duetal.features.metadata import Settings, VideoRecord
from duetal.features.places import Place
from duetal.features.streams import FeatureStream

FAILURES = "failures"
#: The branch that every dataset has features for.
FIRST_BRANCH = "cbp"
#: More than the header of a feature array takes.
_HEADER_BYTES = 4096


class VideoWriter(Closing):
    """Takes the rows of a video and, when all are there, puts the arrays into their place.

    Until then the rows lie in files without a name, which vanish with the process, so the memory
    taken does not grow with the video and a killed program leaves nothing behind. All methods raise
    DuetalError where the disk is full or can't be written to.
    """

    def __init__(self, place: Place, modalities: Sequence[str], dtype: str):
        self._place = place
        self._dtype = np.dtype(dtype)
        self._files: dict[str, IO[bytes]] = {}
        #: T, the rows of each array so far.
        self.lengths = dict.fromkeys(modalities, 0)
        #: The shape of a row of each array, (C,) or (crops, C), known from its first row on.
        self.shapes: dict[str, tuple[int, ...]] = {}
        try:
            with explained("write features", place.name):
                # Beside the arrays, because that disk is the one known to have the room.
                if place.local is not None:
                    place.local.mkdir(parents=True, exist_ok=True)
                for modality in modalities:
                    self._files[modality] = tempfile.TemporaryFile(dir=place.local)  # noqa: SIM115
        except DuetalError:
            self.close()
            raise

    @property
    def widths(self) -> dict[str, int]:
        """C of each array that has a row."""
        return {modality: shape[-1] for modality, shape in self.shapes.items()}

    def close(self) -> None:
        """Throw away the rows; what has been published stays."""
        for file in self._files.values():
            # What a full disk did not take is flushed once more on closing.
            with contextlib.suppress(OSError):
                file.close()

    def write(self, modality: str, rows: NDArray[Any]) -> None:
        """Append rows (n, C) or (n, crops, C) to an array; ValueError if C differs from before."""
        rows = np.ascontiguousarray(rows, dtype=self._dtype)
        shape = rows.shape[1:]
        if self.shapes.setdefault(modality, shape) != shape:
            raise ValueError(f"{modality}: rows of {shape} after {self.shapes[modality]}")
        with explained("write features", self._place.name):
            self._files[modality].write(rows.data)
        self.lengths[modality] += len(rows)

    def publish(self, modality: str, name: str) -> None:
        """Put the array of a modality, whole, into the place under a name."""
        header = io.BytesIO()
        shape = (self.lengths[modality], *self.shapes[modality])
        described = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        npy_format.write_array_header_1_0(header, described)
        with explained("write features", self._place.name):
            self._files[modality].flush()
        self._place.write(name, header, self._files[modality])


class Store(Closing):
    """The features of many videos, made with the same settings; see `open_store`.

    Methods that read raise DuetalError where the store can't be read, those that write where it
    can't be written to or is full. A reader has no lock.
    """

    def __init__(self, place: Place, settings: Settings, lock: ReadWriteLock | None = None):
        self.place = place
        self.settings = settings
        self._hash = metadata.settings_hash(settings)
        self._lock = lock

    def __reduce__(self) -> tuple[type["Store"], tuple[Place, Settings]]:
        # Another process does not inherit the lock; whoever opened the store holds it.
        return Store, (self.place, self.settings)

    def close(self) -> None:
        """Give up the store's lock; what has been written stays."""
        if self._lock is not None:
            self._lock.close()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the arrays that every video has."""
        return tuple(self.settings["modalities"])

    def names(self) -> list[str]:
        """Names of the videos that have a record."""
        return self.place.names(metadata.RECORDS, ".json")

    def record(self, name: str) -> VideoRecord | None:
        """The record of a video; None when there is none, or a damaged one."""
        return metadata.read_record(self.place, name)

    def complete_record(self, name: str) -> VideoRecord | None:
        """The record of a video, if it is of this store's settings and its arrays are whole."""
        record = self.record(name)
        return record if record is not None and self.agrees(record) else None

    def is_complete(self, name: str) -> bool:
        """Whether a video has a complete record."""
        return self.complete_record(name) is not None

    def agrees(self, record: VideoRecord) -> bool:
        """Whether a record is of this store's settings, and the video's arrays fit it."""
        return (
            metadata.settings_hash(record.settings) == self._hash
            and set(record.widths) == set(self.modalities)
            and all(
                self._is_whole(
                    metadata.array_file(modality, record.name),
                    (record.snippets, *self._crops(modality), width),
                )
                for modality, width in record.widths.items()
            )
        )

    def _crops(self, modality: str) -> tuple[int, ...]:
        """The dimension of the crops of a modality; none where it has one crop."""
        weights = self.settings.get(modality)
        crops = weights.get("crops", 1) if isinstance(weights, Mapping) else 1
        return () if crops == 1 else (crops,)

    def _is_whole(self, file: str, shape: tuple[int, ...]) -> bool:
        beginning = io.BytesIO(self.place.read(file, _HEADER_BYTES) or b"")
        try:
            found, fortran, dtype = read_npy_header(beginning)
        except DAMAGED:
            return False
        values = math.prod(shape) * dtype.itemsize
        expected = (shape, False, self.settings["dtype"], beginning.tell() + values)
        return (found, fortran, dtype.name, self.place.size(file)) == expected

    def writer(self) -> VideoWriter:
        """A writer of one video's rows, to be used in a `with` statement."""
        return VideoWriter(self.place, self.modalities, self.settings["dtype"])

    def put(self, arrays: Mapping[str, NDArray[Any]], record: VideoRecord) -> VideoRecord:
        """Put a video's arrays, (T, C) or (T, crops, C) by modality, into the store; see `finish`.

        UsageError if they were made with other settings than the store's.
        """
        _refuse_differing(self.settings, record.settings, self.place)
        with self.writer() as writer:
            for modality in self.modalities:
                writer.write(modality, arrays[modality])
            return self.finish(writer, record)

    def finish(self, writer: VideoWriter, record: VideoRecord) -> VideoRecord:
        """Put a video's arrays into the store, then its record, and give that.

        What another process has made of the same file meanwhile is kept: it must not be incomplete
        for a moment, when this process may be killed.
        """
        file = metadata.record_file(record.name)
        old = self.record(record.name)
        if old is not None:
            if old.sha256 == record.sha256 and self.agrees(old):
                return old
            # An old record must not stand beside new arrays.
            self.place.remove(file)
        for modality in self.modalities:
            writer.publish(modality, metadata.array_file(modality, record.name))
        failure = self.failure(record.name)
        if failure is not None:
            record = record.model_copy(update={"attempts": failure.attempts + 1})
        self.place.write_json(file, record.model_dump())
        if failure is not None:
            self.place.remove(failure_file(record.name))
        return record

    def failures(self) -> Iterator[Failure]:
        """Every recorded failure, in order of name."""
        for quoted in self.place.names(FAILURES, ".json"):
            if found := self._failure(f"{FAILURES}/{quoted}.json"):
                yield found

    def failure(self, name: str) -> Failure | None:
        """The recorded failure of a video; None when there is none, or a damaged one."""
        return self._failure(failure_file(name))

    def _failure(self, file: str) -> Failure | None:
        with contextlib.suppress(ValidationError, DuetalError):
            return Failure.model_validate(self.place.read_json(file))
        return None

    def fail(self, failure: Failure) -> None:
        """Record why a video has no features; attempts at the same file add up."""
        before = self.failure(failure.name)
        if before is not None and before.source == failure.source:
            attempts = before.attempts + failure.attempts
            failure = failure.model_copy(update={"attempts": attempts})
        self.place.write_json(failure_file(failure.name), failure.model_dump())


def failure_file(name: str) -> str:
    """Path of a failure in a store: safe, whatever the video's name is."""
    quoted = urllib.parse.quote(name, safe=" ", errors="surrogatepass")
    if len(quoted) > NAME_BYTES:
        digest = hashlib.sha256(quoted.encode()).hexdigest()[:16]
        quoted = f"{quoted[: NAME_BYTES - len(digest) - 1]}-{digest}"
    if quoted.startswith("."):  # a hidden file, or a way out of the folder
        quoted = f"%2E{quoted[1:]}"
    return f"{FAILURES}/{quoted or '%'}.json"


def open_store(place: str | Path, settings: Settings | None = None) -> Store:
    """Open a store, a folder or a URL, to read it or to add videos to it.

    `settings` are those of the features to be added; a store that is not there is made with them.
    None opens a store for reading.

    Raises:
        UsageError: the store's features were made with other settings; names each of them.
        DuetalError: no store there, unreadable, or not to be written to.
    """
    opened = Place(place)
    if settings is None:
        return Store(opened, metadata.read_settings(opened))
    if opened.local is None:
        _agree(opened, settings)
        return Store(opened, settings)
    lock, alone = _locked(opened.local)
    try:
        if alone:
            remove_unfinished(opened.local)
        _agree(opened, settings)
        if lock is not None and alone:
            lock.release()
            lock.acquire_read()
    except BaseException:
        if lock is not None:
            lock.close()
        raise
    return Store(opened, settings, lock)


def _locked(folder: Path) -> tuple[ReadWriteLock | None, bool]:
    """A lock on a store's folder, made if it is missing, and whether nobody else has it.

    It is held alone while the folder is prepared, then shared with all who write there. The system
    releases it when the process ends, however it ends. None where the file system has no locks.
    """
    lock = None
    with contextlib.suppress(OSError, sqlite3.Error):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / ".lock"
        # Not left to the library, whose files others who write there could not open.
        file.touch()
        lock = ReadWriteLock(file, is_singleton=False)
        try:
            lock.acquire_write(blocking=False)
            return lock, True
        except Timeout:
            # Whoever prepares the folder is done in a moment.
            lock.acquire_read()
    return lock, False


def _agree(place: Place, settings: Settings) -> None:
    """Give a new store its settings; refuse those that an old one was not made with."""
    if not place.exists(metadata.SETTINGS_FILE):
        place.write_json(metadata.SETTINGS_FILE, settings)
    _refuse_differing(metadata.read_settings(place), settings, place)
    if not place.exists(metadata.DATASET_FILE):
        description = yaml.safe_dump(_description(settings), sort_keys=False)
        place.write_text(metadata.DATASET_FILE, description)


def _refuse_differing(stored: Settings, settings: Settings, place: Place) -> None:
    """Raise a UsageError that names each setting that differs from a store's."""
    if different := metadata.differing(stored, settings):
        listed = "; ".join(
            f"{key} is {'absent' if old is None else old} there "
            f"and {'absent' if new is None else new} here"
            for key, (old, new) in different.items()
        )
        cause = f"the store's features were made with other settings: {listed}"
        raise UsageError(cause, file=place.name)


def _description(settings: Settings) -> dict[str, object]:
    """`dataset.yaml` of a store: what its reader would not find or guess by itself."""
    description: dict[str, object] = {"grid": dict(settings["grid"])}
    for branch, names in branch_streams(settings).items():
        folders = [f"features/{name}" for name in names]
        description[branch] = folders if len(folders) > 1 else folders[0]
    encoder = text_encoder(settings)
    return description if encoder is None else description | {"text_encoder": encoder}


def branch_streams(settings: Settings) -> dict[str, list[str]]:
    """By branch, the modalities of a store that it reads, in the order of their channels.

    I3D's two are joined; of several backbones for a branch it reads the first. Every dataset has
    features for the first branch; where none are meant for it, it gets all.
    """
    streams: dict[str, list[str]] = {FIRST_BRANCH: []}
    first: dict[str, str] = {}
    for name in settings["modalities"]:
        weights = settings.get(name)
        # Version 0.1.0 did not record the branch.
        default = "vlp" if name == CLIP.name else FIRST_BRANCH
        branch = weights.get("branch", default) if isinstance(weights, Mapping) else default
        # Those that are no preset are I3D's two, or of somebody else's backbones.
        preset = name if name in PRESETS else ""
        if first.setdefault(branch, preset) == preset:
            streams.setdefault(branch, []).append(name)
    if not streams[FIRST_BRANCH]:
        streams[FIRST_BRANCH] = next((n for n in streams.values() if n), [])
    return streams


def text_encoder(settings: Settings) -> str | None:
    """The model whose text encoder goes with a store's features; None where there is none."""
    for branch, names in branch_streams(settings).items():
        weights = settings.get(names[0])
        if branch != FIRST_BRANCH and isinstance(weights, Mapping):
            return str(weights["name"])
    return None


def recorded_settings(streams: Sequence[FeatureStream]) -> dict[str, Any] | None:
    """How the features of a dataset were made: their store's settings, of what is read of it.

    None where the features are in no store, or are put together otherwise than a store's are.
    DuetalError if the store's settings are damaged.
    """
    read = {stream.title: [part.place.name for part in stream.parts] for stream in streams}
    places = {part.place.parent.parent for stream in streams for part in stream.parts}
    folder = places.pop()
    if places or not (folder / metadata.SETTINGS_FILE).is_file():
        return None
    return settings_read(open_store(folder).settings, read)


def settings_read(settings: Settings, read: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    """The settings of a store without what is of no modality that `read` names, by branch.

    None where a branch reads what no store puts together for it.
    """
    settings = dict(settings)
    stored = settings["modalities"]
    used = [name for name in stored if any(name in names for names in read.values())]
    settings["modalities"] = used
    for branch, name in ((branch, name) for branch, names in read.items() for name in names):
        weights = settings.get(name)
        if isinstance(weights, Mapping) and weights.get("branch", branch) != branch:
            # A run may read for one branch what was made for another.
            settings[name] = {**weights, "branch": branch}
    if not used or list(map(list, read.values())) != list(branch_streams(settings).values()):
        return None
    unused = set(stored).difference(used)
    if FLOW.name not in used and all(name in (RGB.name, *PRESETS) for name in used):
        unused.add("flow_engine")
    if all(name in PRESETS for name in used):
        # Those read whole pictures, or sound.
        unused.add("crop")
    return {key: value for key, value in settings.items() if key not in unused}
