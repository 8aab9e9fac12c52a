"""Feature streams: the arrays of one modality, by video name."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError, Report, raise_error, reporting
from duetal.core.local_cache import local_copy
from duetal.core.url_paths import UrlPath, explained
from duetal.core.video_names import known_name
from duetal.core.weak_videos import Read
from duetal.features.arrays import FeatureArray, NpyFile
from duetal.features.containers import CONTAINER_SUFFIXES, Opener, list_arrays, list_pack, open_only
from duetal.features.metadata import VideoRecord, read_records
from duetal.features.reading_ahead import ReadingAhead, Span
from duetal.features.remote_arrays import RemoteFolder, at_url, copied

#: Suffixes of the files that may hold features.
SUFFIXES = CONTAINER_SUFFIXES | {".npy"}


class ArrayFile(NamedTuple):
    """Where a video's array lies, not yet opened."""

    path: Path
    open: Opener


#: Both have a `path`, and are opened by `open()`.
Entry = ArrayFile | NpyFile


@dataclass(frozen=True)
class FeaturePart:
    """One set of feature files: a whole stream, or one of those that are joined to it."""

    title: str  #: What messages call it: the branch, or the part's folder.
    place: Path  #: The folder or file it was found in.
    entries: Mapping[str, Entry]  #: By video name.
    #: Finds videos that were not listed, in an object store; those that are not there are left out.
    unlisted: Callable[[Sequence[str]], Mapping[str, Entry]] = lambda names: {}
    #: Where else videos were found: those that another part had.
    places: Mapping[str, Path] = field(default_factory=dict)
    # Headers are small and needed often; the arrays themselves are never kept.
    _opened: dict[str, FeatureArray] = field(default_factory=dict, repr=False, compare=False)

    def open(self, name: str) -> FeatureArray:
        """The array of a video, with its header read; DuetalError if there is none."""
        if name not in self._opened:
            if name not in self.entries:
                raise DuetalError(f"no {self.title} features of video {name!r}", file=self.place)
            self._opened[name] = self.entries[name].open()
        return self._opened[name]

    def renamed(self, names: Mapping[str, str]) -> "FeaturePart":
        """The same with other names of videos, by their names here."""
        entries = {names.get(name, name): entry for name, entry in self.entries.items()}
        places = {names.get(name, name): place for name, place in self.places.items()}
        return FeaturePart(self.title, self.place, entries, places=places)

    def filled(self, other: "FeaturePart") -> "FeaturePart":
        """The same with the videos that only another part has."""
        new = {name: entry for name, entry in other.entries.items() if name not in self.entries}
        places = {name: other.place_of(name) for name in new}
        return replace(self, entries={**self.entries, **new}, places={**self.places, **places})

    def place_of(self, name: str) -> Path:
        """The folder or file that a video was found in."""
        return self.places.get(name, self.place)

    def records(self, names: Iterable[str]) -> Iterator[tuple[str, VideoRecord]]:
        """What the stores around the features recorded of videos."""
        by_place: dict[Path, list[str]] = {}
        for name in names:
            by_place.setdefault(self.place_of(name), []).append(name)
        for place, there in by_place.items():
            yield from read_records(place, there)

    def with_unlisted(self, names: Sequence[str]) -> "FeaturePart":
        """The same with those of some videos that are there, though not listed."""
        return replace(self, entries={**self.entries, **self.unlisted(names)})

    @property
    def dim(self) -> int:
        """C, as the first video has it."""
        return self.open(next(iter(self.entries))).header.dim


class FeatureStream:
    """The features of one modality, from one part or from several joined along the channels.

    Nothing is read before it is needed, and no file is kept open. `title` names the stream in
    messages; the parts are in the order of their channels.
    """

    def __init__(self, title: str, parts: Sequence[FeaturePart]):
        self.title = title
        self.parts = tuple(parts)
        first, *others = self.parts
        self._names = tuple(
            name for name in first.entries if all(name in part.entries for part in others)
        )
        self._ahead: ReadingAhead | None = None

    def names(self) -> tuple[str, ...]:
        """The videos whose features are there in every part, sorted or in the order of the pack."""
        return self._names

    @property
    def dim(self) -> int:
        """C, the number of channels; DuetalError if the stream is empty."""
        if not self._names:
            raise DuetalError(f"no {self.title} features", file=self.parts[0].place)
        return sum(part.dim for part in self.parts)

    def path(self, name: str) -> Path:
        """The file that holds a video's features (of the first part, where parts are joined)."""
        part = self.parts[0]
        return part.entries[name].path if name in part.entries else part.open(name).path

    def length(self, name: str) -> int:
        """T, the number of snippets of a video, from the header alone; errors as `read`."""
        return self._arrays(name)[0].header.length

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """The snippets `[start, stop)` of a video: (T, C) float32, a copy of the caller's own.

        A `stop` beyond the end means the end.

        Raises:
            DuetalError: no features of this video, unreadable, parts of different T, another C than
                the stream's, or NaN or infinity in a value.
        """
        wanted = self._within((name, start, stop))
        ready = None if self._ahead is None else self._ahead.take(wanted)
        return self._read(wanted) if ready is None else ready

    def expect(self, reads: Iterable[Read]) -> None:
        """Be told what is read from now on, in this order: of an object store it is read ahead."""
        if any(isinstance(part.place, UrlPath) for part in self.parts):
            if self._ahead is not None:
                self._ahead.close()
            self._ahead = ReadingAhead(self._read, map(self._within, reads), self.dim)

    def _within(self, read: Read) -> Span:
        """A read whose end is within the video."""
        name, start, stop = read
        length = self.length(name)
        stop = length if stop is None else min(stop, length)
        if not 0 <= start <= stop:
            raise ValueError(f"snippets [{start}, {stop}) of {length}")
        return name, start, stop

    def _read(self, read: Span) -> NDArray[np.float32]:
        name, start, stop = read
        arrays = self._arrays(name)
        values = np.empty((stop - start, sum(a.header.dim for a in arrays)), dtype=np.float32)
        column = 0
        for array in arrays:
            copy_finite(array, start, values[:, column : column + array.header.dim])
            column += array.header.dim
        return values

    def _arrays(self, name: str) -> list[FeatureArray]:
        """The parts' arrays of a video, found to fit each other and the stream."""
        arrays = [part.open(name) for part in self.parts]
        for part, array in zip(self.parts, arrays, strict=True):
            if array.header.dim != part.dim:
                first = next(iter(part.entries.values()))
                cause = f"C = {array.header.dim}, but {first.path.name} has C = {part.dim}"
                raise DuetalError(cause, file=array.path, place=array.place or f"video {name!r}")
            if array.header.length != (length := arrays[0].header.length):
                cause = f"T = {array.header.length}, but {arrays[0].path} has T = {length}"
                raise DuetalError(cause, file=array.path, place=array.place)
        return arrays


def common_length(name: str, *streams: FeatureStream) -> int:
    """T of a video; DuetalError if streams have different T, or can't be read."""
    first, *others = streams
    length = first.length(name)
    for other in others:
        if other.length(name) != length:
            cause = f"T = {other.length(name)}, but {first.path(name)} has T = {length}"
            raise DuetalError(cause, file=other.path(name), place=f"video {name!r}")
    return length


def copy_finite(array: FeatureArray, start: int, values: NDArray[np.float32]) -> None:
    """Fill `values` (rows, C) with the array's rows from `start` on, cast to float32.

    DuetalError if it is unreadable, or a value is not finite in float32; names the snippet.
    """
    rows = array.rows(start, start + len(values))
    if rows.shape != values.shape:
        raise DuetalError("truncated", file=array.path, place=array.place)
    with np.errstate(over="ignore"):
        values[:] = rows
    finite = np.isfinite(values)
    if finite.all():
        return
    row, channel = np.argwhere(~finite)[0]
    cause = f"the feature's channel {channel} is {rows[row, channel]}"
    if np.isfinite(rows[row, channel]):
        cause += ", beyond float32"
    place = f"{array.place}, " if array.place else ""
    raise DuetalError(cause, file=array.path, place=f"{place}snippet {start + row}")


def open_part(
    title: str,
    places: Sequence[Path],
    pack_names: Sequence[str] | None = None,
    report: Report = raise_error,
    ending: str | None = None,
) -> FeaturePart:
    """Find the features of one part, reading names only.

    Args:
        title: what messages call it.
        places: folders with a file per video, or one file with an array per video. Several (the
            train and test folders of one split dataset) are taken together.
        pack_names: the videos' names in the order of a W-TALC pack, where a place is one.
        report: takes each name that can't be used: twice there, or not a name.
        ending: take the arrays called `<video>_<ending>` alone, as those of `<video>`.

    Raises:
        DuetalError: a place can't be read, or there is no feature in it.
    """
    entries: dict[str, Entry] = {}
    remote: list[RemoteFolder] = []
    for place in places:
        for called, entry in _find(place, pack_names, remote):
            if ending is not None and not has_ending(called, ending):
                continue
            name = known_name(called if ending is None else called[: -len(ending) - 1])
            with reporting(report):
                check_name(name, entry.path)
                if name in entries:
                    cause = f"second {title} features of {name!r}, also in {entries[name].path}"
                    raise DuetalError(cause, file=entry.path)
                # Parts and annotation share the text of a name.
                entries[sys.intern(name)] = entry
    if not entries:
        raise DuetalError(f"no {title} features ({', '.join(sorted(SUFFIXES))})", file=places[0])

    # Where names have an ending, those of the files are not the videos'.
    from_store = remote if ending is None else []

    def unlisted(names: Sequence[str]) -> dict[str, Entry]:
        found = [(folder, path) for folder in from_store for path in folder.find(names)]
        return {path.stem: ArrayFile(path, folder.opener(path)) for folder, path in found}

    return FeaturePart(title, places[0], entries, unlisted)


def has_ending(name: str, ending: str) -> bool:
    """Whether a name is another one followed by a separator and the ending, in any case."""
    cut = len(name) - len(ending)
    return cut > 1 and name[cut:].lower() == ending and name[cut - 1] in "_-."


def check_name(name: str, file: Path | None) -> None:
    """Refuse a name that could lead out of a folder: "..", or with slashes, control characters."""
    if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise DuetalError(f"not a usable video name: {name!r}", file=file)


def _find(
    place: Path, pack_names: Sequence[str] | None, remote: list[RemoteFolder]
) -> Iterable[tuple[str, Entry]]:
    """The arrays at a place, by video; a folder in an object store is added to `remote`."""
    if place.is_dir():
        with explained("read", place):
            files = [file for file in place.iterdir() if file.suffix in SUFFIXES]
        # By name: paths take more memory once they have been compared.
        files.sort(key=lambda file: file.name)
        shown = [file for file in files if not file.name.startswith(".")]
        if isinstance(place, UrlPath):
            remote.append(RemoteFolder(place))
            return [(f.stem, ArrayFile(f, remote[-1].opener(f))) for f in shown]
        return [(f.stem, _entry(place, f)) for f in shown]
    if place.suffix != ".npy":
        if not place.exists():
            raise DuetalError("no such file or folder", file=place)
        if place.suffix not in CONTAINER_SUFFIXES:
            cause = f"not a feature file: the suffix {place.suffix!r} is unknown"
            raise DuetalError(cause, file=place)
    elif pack_names is None:
        cause = "a .npy for all videos needs their names: the videoname.npy of its annotations"
        raise DuetalError(cause, file=place)
    return _in_one_file(place, pack_names)


def _entry(folder: Path, file: Path) -> Entry:
    """A file of one video's array, in a folder that all of them share."""
    if file.suffix == ".npy":
        return NpyFile(folder, file.name)
    return ArrayFile(file, partial(open_only, file))


def _in_one_file(place: Path, pack_names: Sequence[str] | None) -> Iterable[tuple[str, Entry]]:
    """The arrays in a file for all videos."""
    file = local_copy(place) if isinstance(place, UrlPath) else place
    with at_url(place):
        if place.suffix != ".npy":
            arrays = sorted(list_arrays(file).items())
        else:
            pack, names = list_pack(file), pack_names or ()
            if len(pack) != len(names):
                cause = f"{len(pack)} arrays for {len(names)} video names"
                raise DuetalError(cause, file=place)
            arrays = list(zip(names, pack, strict=True))
    if isinstance(place, UrlPath):
        arrays = [(name, partial(copied, place, opener)) for name, opener in arrays]
    return [(name, ArrayFile(place, opener)) for name, opener in arrays]
