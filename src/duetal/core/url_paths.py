"""Files and folders at URLs, where a `Path` is wanted: they are listed and read, never written."""

import errno
import fnmatch
import io
import os
import stat
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TypeVar

from duetal.core.errors import DuetalError, first_line
from duetal.core.files import MOST_BYTES, is_url

#: Connections to a store at once; a trainer's reads wait for nothing but the store.
CONNECTIONS = 32
#: Seconds before a read that failed is tried again; the store's client has tried it before that.
_PAUSES = (0.2, 0.8, 3.2)
#: What stores say of access that was granted and has ended.
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "RequestExpired", "expired")
#: Those of what a store tells of a file that change when the file does.
_MARKS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified")
#: The text of a file this large is kept in memory, since readers open it more than once.
_SMALL = 2**26

#: What is the same however often it is tried, by the names of s3fs and botocore.
_FINAL = ("FileExpired", "NoCredentialsError", "ParamValidationError", "ValueError")

Answer = TypeVar("Answer")
#: A `Path` of this system, which may be subclassed.
_Base: Any = type(Path())


class UrlPath(_Base):  # type: ignore[misc]
    """A file or folder at a URL of fsspec's, such as `s3://bucket/store`.

    What a folder holds is asked once; `refresh` forgets it. A file that a folder does not list is
    found all the same by `find_unlisted`. Methods raise DuetalError where a store can't be
    asked, and `OSError` as those of `Path` do; whatever would write raises it.
    """

    def __str__(self) -> str:
        return str(super().__str__()).replace("\\", "/").replace(":/", "://", 1)

    __fspath__ = __str__

    def absolute(self) -> "UrlPath":
        """The same."""
        return self

    resolve = expanduser = absolute

    def _info(self) -> dict[str, Any] | None:
        """What the store tells of the file or folder; None where there is none."""
        system, inside = _located(self)
        with explained("read", self):
            # Within what has been listed, a folder's one request tells of all that is in it.
            above = system._parent(inside)
            with suppress(FileNotFoundError):
                if above not in system.dircache and system._parent(above) in system.dircache:
                    if system.info(above)["type"] != "directory":
                        return None
                    _persistent(lambda: system.ls(above))
                try:
                    found: dict[str, Any] = _persistent(lambda: system.info(inside))
                except OSError as error:
                    if not isinstance(error, FileNotFoundError):
                        # The answer to this question has no text; that to a read says why.
                        system.cat_file(inside, start=0, end=1)
                    raise
                return found
        return None

    def exists(self, **_: Any) -> bool:
        """Whether there is such a file or folder."""
        return self._info() is not None

    def is_dir(self, **_: Any) -> bool:
        """Whether it is a folder; what is in it is listed."""
        system, inside = _located(self)
        info = self._info()
        if info is None or info["type"] != "directory":
            return False
        with explained("read", self), suppress(FileNotFoundError):
            _persistent(lambda: system.ls(inside))
        return True

    def is_file(self, **_: Any) -> bool:
        """Whether it is a file."""
        info = self._info()
        return info is not None and info["type"] == "file"

    def stat(self, **_: Any) -> os.stat_result:
        """Kind, size, and in place of the inode what changes with the content."""
        if (info := self._info()) is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(self))
        is_dir = info["type"] == "directory"
        marks = [mark.key(self) for mark in (self.marks().values() if is_dir else [FileMark(info)])]
        kind = stat.S_IFDIR if is_dir else stat.S_IFREG
        mark = zlib.crc32("".join(marks).encode())
        return os.stat_result((kind, mark, 0, 1, 0, 0, info["size"] or 0, 0, 0, 0))

    def iterdir(self) -> "Iterator[UrlPath]":
        """What is in the folder, sorted."""
        return (self / name for name in self._listed())

    def marks(self) -> "dict[str, FileMark]":
        """The files in the folder, by name, as it lists them."""
        listed = self._listed().items()
        return {name: FileMark(info) for name, info in listed if info["type"] == "file"}

    def _listed(self) -> dict[str, dict[str, Any]]:
        """What the store tells of all that is in the folder, sorted."""
        system, inside = _located(self)
        with explained("read", self):
            listed = _persistent(lambda: system.ls(inside, detail=True))
        infos = {str(each["name"]).rstrip("/").rpartition("/")[2]: each for each in listed}
        return {name: infos[name] for name in sorted(infos) if name}

    def glob(self, pattern: str, **_: Any) -> "Iterator[UrlPath]":
        """What is in the folder and has a name of the pattern; none where there is no folder."""
        below = self.iterdir() if self.is_dir() else ()
        return (path for path in below if fnmatch.fnmatchcase(path.name, pattern))

    def open(self, mode: str = "r", *_: Any, **how: Any) -> IO[Any]:
        """The whole file, fetched into memory."""
        if set(mode) & set("wax+"):
            raise self._refusal()
        known = FileMark.of(self)
        if known.size > MOST_BYTES:
            raise DuetalError(f"is too large: {known.size:,} bytes", file=self)
        fetch = _kept if known.size < _SMALL else read_range
        content = io.BufferedReader(io.BytesIO(fetch(self, 0, known.size, known)))
        return content if "b" in mode else io.TextIOWrapper(content, **how)

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Refuse to write."""
        raise self._refusal()

    touch = unlink = rename = replace = rmdir = mkdir

    def _refusal(self) -> OSError:
        return OSError(errno.EROFS, "results are written to a local folder", str(self))

    def refresh(self) -> None:
        """Forget what the folder and those below it were found to hold."""
        system, inside = _located(self)
        for folder in [each for each in system.dircache if f"{each}/".startswith(f"{inside}/")]:
            system.dircache.pop(folder, None)
        _kept.cache_clear()


def as_path(place: str | os.PathLike[str]) -> Path:
    """A path, or a URL where a path is wanted."""
    if isinstance(place, Path):
        return place
    return UrlPath(place) if is_url(os.fspath(place)) else Path(place)


class FileMark:
    """What tells whether a file at a URL is still the one that it was."""

    def __init__(self, info: dict[str, Any], *, listed: bool = True):
        self.size = int(info["size"] or 0)
        self.mark = ", ".join(str(info[key]) for key in _MARKS if info.get(key))
        self.listed = listed

    @classmethod
    def of(cls, path: UrlPath) -> "FileMark":
        """As its folder's listing, or the store itself, has it now.

        Raises:
            DuetalError: there is none.
        """
        if (info := path._info()) is None or info["type"] != "file":
            raise DuetalError("no such file", file=path)
        return cls(info)

    def key(self, path: Path) -> str:
        """The name of this content, wherever it was read from."""
        return f"{path}\n{self.size}\n{self.mark}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileMark) and (self.size, self.mark) == (other.size, other.mark)

    def __hash__(self) -> int:
        return hash((self.size, self.mark))


def find_unlisted(path: UrlPath) -> FileMark | None:
    """A file that its folder does not list, as stores that list late have them; None: not there."""
    system, inside = _located(path, listing=False)
    with explained("read", path), suppress(FileNotFoundError):
        info = _persistent(lambda: system.info(inside))
        return FileMark(info, listed=False) if info["type"] == "file" else None
    return None


def read_range(path: UrlPath, start: int, stop: int, known: FileMark) -> bytes:
    """The bytes `[start, stop)` of a file, in one request; tried again where the store fails.

    Raises:
        DuetalError: it is no longer the one that is known, or can't be read.
    """
    system, inside = _located(path, listing=known.listed)

    def read() -> bytes:
        with system.open(inside, "rb", cache_type="none") as file:
            if FileMark(getattr(file, "details", None) or system.info(inside)) != known:
                raise _ChangedError
            file.seek(start)
            data: bytes = file.read(stop - start)
        if len(data) != stop - start:
            raise OSError(f"{len(data):,} bytes of {stop - start:,} came")
        return data

    with explained("read", path):
        return _persistent(read)


#: Text that was read; by its mark, so that a file that changes is read anew.
_kept = lru_cache(maxsize=8)(read_range)


class _ChangedError(Exception):
    """A file is not the one that it was."""


@contextmanager
def explained(what: str, place: str | Path) -> Iterator[None]:
    """Turn what a file system raises into a DuetalError of one line: "cannot read: ..."."""
    try:
        yield
    except DuetalError:
        raise
    except Exception as error:  # an object store's client raises whatever its layers raise
        file = as_path(place)
        if what == "read" and isinstance(error, FileNotFoundError):
            raise DuetalError("no such file", file=file) from error
        if isinstance(error, _ChangedError) or type(error).__name__ == "FileExpired":
            cause = "has changed since it was opened; give the command again to read it as it is"
            raise DuetalError(cause, file=file) from error
        reason = first_line(getattr(error, "strerror", None) or error)
        if _is_expired(error):
            hint = "renew them, and give the command again; training goes on with --resume"
            reason = f"the credentials have expired ({reason}); {hint}"
        raise DuetalError(f"cannot {what}: {reason}", file=file) from error


def _is_expired(error: BaseException) -> bool:
    """Whether a store tells that the access that was granted has ended."""
    response = getattr(error.__cause__ or error, "response", None)
    code = response["Error"].get("Code") if isinstance(response, dict) else ""
    return any(sign in f"{code} {error}" for sign in _EXPIRED)


def _persistent(read: Callable[[], Answer]) -> Answer:
    """What a read gives, tried again where a store fails as stores do now and then."""
    for pause in _PAUSES:
        try:
            return read()
        except (FileNotFoundError, PermissionError, ImportError, _ChangedError):
            raise
        except Exception as error:
            refused = 400 <= getattr(error, "status", 0) < 500
            if refused or type(error).__name__ in _FINAL or _is_expired(error):
                raise
            time.sleep(pause)
    return read()


def open_filesystem(url: str | Path) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path within it.

    DuetalError for a protocol that fsspec does not support or whose package is not installed.
    """
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    if not is_url(str(url)):
        return LocalFileSystem(), str(Path(url).absolute())
    with explained("open", url):
        # Another process may write beside us, so no listing is kept.
        filesystem, path = fsspec.core.url_to_fs(str(url), use_listings_cache=False)
        return filesystem, str(path)


def _located(path: UrlPath, *, listing: bool = True) -> tuple[Any, str]:
    """The file system of a path, which all threads share, and the path within it."""
    url = str(path)
    with explained("open", path), _lock:
        system = _system(os.getpid(), "/".join(url.split("/")[:3]), listing)
    return system, str(system._strip_protocol(url))


#: Two threads that begin together share a file system too.
_lock = threading.Lock()


@lru_cache(maxsize=32)
def _system(process: int, root: str, listing: bool) -> Any:
    """The file system at a URL's server or bucket, one for each process: none survives a fork."""
    import fsspec

    options: dict[str, Any] = {"use_listings_cache": listing, "skip_instance_cache": True}
    if root.startswith("s3"):
        options["config_kwargs"] = {"max_pool_connections": CONNECTIONS}
    return fsspec.core.url_to_fs(root, **options)[0]
