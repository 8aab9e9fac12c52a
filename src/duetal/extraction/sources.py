"""Finding videos: files, folders, lists, patterns and URLs become names and sources."""

import glob
import hashlib
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import unquote, urlsplit

from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, ConfigDict, Field

from duetal.core.errors import DuetalError
from duetal.core.files import is_url, refuse_special
from duetal.core.url_paths import explained, open_filesystem
from duetal.core.video_names import VIDEO_SUFFIXES, without_suffix
from duetal.extraction.manifest import listed_sources
from duetal.features.streams import check_name

LIST_SUFFIX = ".txt"
#: A file's name may have 255 bytes on most systems; the rest is for suffix and temporary names.
NAME_BYTES = 220


@dataclass(frozen=True, slots=True)
class Video:
    """A video to extract."""

    name: str  #: Of the features: the file's name without folder and suffix.
    source: str  #: The file's absolute path, or its URL.
    stream: int | None = None  #: Which stream of the file; None for its default, or largest.
    damaged: bool = False  #: What can be decoded is taken, however much is lost.


class Failure(BaseModel):
    """Why the features of one video could not be made."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: str  #: The video file's path or URL, or several where they claim the same name.
    reason: str  #: One line.
    #: How often this file was tried, or killed a worker; 0 where its name alone is the reason.
    attempts: Annotated[int, Field(ge=0)] = 1

    @staticmethod
    def of(video: Video, error: DuetalError, attempts: int = 1) -> "Failure":
        """The failure of a video."""
        name, source, reason = map(readable, (video.name, video.source, str(error)))
        return Failure(name=name, source=source, reason=reason, attempts=attempts)


@dataclass(frozen=True, slots=True)
class Found:
    """The videos of the user's inputs."""

    videos: tuple[Video, ...]  #: In the order in which they were named; within a folder, sorted.
    failures: tuple[Failure, ...]  #: Names under which nothing can be extracted.

    def part(self, number: int, parts: int) -> "Found":
        """Part `number`, from 1 on, of so many equal ones: every video is in one of them."""
        own = slice(number - 1, None, parts)
        return Found(self.videos[own], self.failures[own])


class FetchedFile(NamedTuple):
    """A video file, or a copy of what lies at a URL."""

    path: Path
    sha256: str
    size: int


def find_videos(
    inputs: Iterable[str],
    *,
    without: Path | None = None,
    stream: int | None = None,
    damaged: bool = False,
) -> Found:
    """Find the videos of the user's inputs.

    Args:
        inputs: files; folders, searched through and through for `VIDEO_SUFFIXES`, without what is
            hidden; lists (.txt), one file, folder or URL a line, relative to the list's folder;
            manifests of stores (.parquet); patterns such as "videos/*.mp4"; and URLs of all these.
        without: a folder whose files count only where they are named themselves: copies of our own
            that lie within a folder of videos.
        stream: see `Video`.
        damaged: see `Video`.

    Raises:
        DuetalError: nothing there, a folder or list that can't be read, or no video in it.
    """
    sources: dict[str, None] = {}
    for named in inputs:
        found = dict.fromkeys(
            source
            for source in _expand(named)
            if without is None
            or source == _absolute(named)
            # False for a URL, which would be a relative path.
            or not Path(source).is_relative_to(without.absolute())
        )
        if not found:
            raise DuetalError("no video there", file=readable(named))
        sources |= found
    # By the file that it leads to: `x/../a.mp4` and `a.mp4`, or a link, are one video.
    by_name: dict[str, dict[str, str]] = {}
    for source in sources:
        file = source if is_url(source) else os.path.realpath(source)
        by_name.setdefault(video_name(source), {}).setdefault(file, source)
    videos, failures = [], []
    for name, namesakes in by_name.items():
        first, *others = namesakes.values()
        where = " and ".join(map(readable, [first, *others]))
        try:
            check_storable(name, readable(first))
            if others:
                raise DuetalError(f"several videos would be called {name!r}: {where}")
        except DuetalError as error:
            failures.append(Failure.of(Video(name, where), error, attempts=0))
        else:
            videos.append(Video(name, first, stream, damaged))
    return Found(tuple(videos), tuple(failures))


def video_name(source: str) -> str:
    """The name of a video: its file's name without folder and suffix."""
    path = source
    if source.startswith(("http://", "https://")):
        path = unquote(urlsplit(source).path)
    file_name = path.rstrip("/").rpartition("/")[2] if is_url(source) else Path(path).name
    name = without_suffix(file_name)
    if not name or len(name) == len(unicodedata.normalize("NFC", file_name)):
        # A file that is named itself may have any suffix.
        name = without_suffix(Path(file_name).stem) or file_name
    return name


def readable(text: str) -> str:
    """A text that may come from a file's name, with bytes that are no UTF-8 written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def check_storable(name: str, source: str) -> None:
    """Refuse a name that is empty, hidden, too long, or would lead out of a folder of the store."""
    check_name(name, Path(source))
    if name.startswith("."):
        raise DuetalError(f"not a usable video name: {name!r} begins with a dot", file=source)
    if len(name.encode()) > NAME_BYTES:
        raise DuetalError(f"not a usable video name: longer than {NAME_BYTES} bytes", file=source)


def _expand(named: str) -> Iterator[str]:
    path = Path(named)
    if is_url(named):
        yield from _expand_url(named)
    elif path.is_dir():
        yield from _walk(path)
    elif not os.path.lexists(named) and glob.has_magic(named):
        for match in sorted(glob.glob(named, recursive=True)):  # noqa: PTH207
            yield from _walk(Path(match)) if Path(match).is_dir() else [_absolute(match)]
    elif path.suffix == ".parquet":
        yield from listed_sources(path)
    elif path.suffix == LIST_SUFFIX:
        with explained("read", readable(named)):
            refuse_special(path)
            lines = os.fsdecode(path.read_bytes()).splitlines()
        folder = path.absolute().parent
        yield from _expand_list(lines, lambda line: str(folder / line))
    else:
        yield _absolute(named)


def _expand_list(lines: Sequence[str], place: Callable[[str], str]) -> Iterator[str]:
    for line in lines:
        if not line.strip():
            continue
        source = line if is_url(line) else place(line)
        # A list within a list could name itself; it is taken for a video, and found to be none.
        yield from [source] if source.endswith(LIST_SUFFIX) else _expand(source)


def _absolute(path: str | Path) -> str:
    # Links are not resolved: what a link is called is what the user calls the video.
    return str(Path(path).absolute())


def _walk(folder: Path) -> Iterator[str]:
    """The videos in a folder and below, through links too, but never twice through a folder."""
    seen: set[Path] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = Path(root).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (_absolute(Path(root, name)) for name in sorted(files) if _is_video(name))


def _is_video(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES


def _expand_url(url: str) -> Iterator[str]:
    filesystem, path = open_filesystem(url)
    with explained("read", url):
        if isinstance(filesystem, LocalFileSystem):
            yield from _expand(path)
        elif url.endswith(LIST_SUFFIX):
            lines = filesystem.cat_file(path).decode("utf-8", "surrogateescape").splitlines()
            folder = url.rpartition("/")[0]
            yield from _expand_list(lines, lambda line: f"{folder}/{line}")
        elif url.startswith(("http://", "https://")):
            yield url
        elif glob.has_magic(path):
            yield from (filesystem.unstrip_protocol(p) for p in sorted(filesystem.glob(path)))
        elif filesystem.isdir(path):
            for found in sorted(filesystem.find(path)):
                below = found[len(path) :].strip("/").split("/")
                if _is_video(below[-1]) and not any(part.startswith(".") for part in below):
                    yield filesystem.unstrip_protocol(found)
        else:
            yield url


@contextmanager
def fetched(source: str) -> Iterator[FetchedFile]:
    """A video file with its hash; what lies at a URL is copied for as long as it is needed."""
    if not is_url(source):
        # Reading a pipe or a terminal would wait for somebody to write into it.
        if Path(source).exists() and not Path(source).is_file():
            raise DuetalError("not a regular file", file=readable(source))
        yield _hashed(source, Path(source))
        return
    with tempfile.TemporaryDirectory(prefix="duetal-") as folder:
        # The suffix decides how some containers are read.
        path = Path(folder) / f"video{Path(urlsplit(source).path).suffix}"
        filesystem, inside = open_filesystem(source)
        # Not read piece by piece while it is decoded: many containers keep their index at the end,
        # and every jump through a network takes long.
        with explained("read", source):
            filesystem.get_file(inside, str(path))
        yield _hashed(source, path)


def _hashed(source: str, path: Path) -> FetchedFile:
    with explained("read", readable(source)):
        refuse_special(path)
        file = path.open("rb")
    with explained("read", readable(source)), file:
        return FetchedFile(path, hashlib.file_digest(file, "sha256").hexdigest(), file.tell())


def source_size(source: str) -> int | None:
    """Bytes of a video file; None where only reading it would show them."""
    filesystem, path = open_filesystem(source)
    with explained("read", readable(source)):
        size = filesystem.info(path).get("size")
        return None if size is None else int(size)
