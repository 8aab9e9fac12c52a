"""The bytes of a video: a regular local file or an fsspec URL, as a file object."""

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from duetal.core.errors import DuetalError, UsageError

#: What FFmpeg asks for at once; every request crosses Python.
BUFFER_SIZE = 1 << 18


class SourceFile:
    """A readable, seekable file, whose every failure is a `DuetalError` naming the video.

    Args:
        source: what the user called it.
        file: the opened file.
    """

    def __init__(self, source: str | Path, file: Any) -> None:
        self.source = source
        self._file = file
        # FFmpeg takes the suffix as a hint; the rest of a name could only mislead it.
        self.name = "video" + PurePosixPath(str(source)).suffix

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; none at the end."""
        return bytes(self._tried("read", size))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte."""
        return int(self._tried("seek", offset, whence))

    def tell(self) -> int:
        """The byte that is read next."""
        return int(self._tried("tell"))

    def close(self) -> None:
        """Close the file."""
        self._tried("close")

    def _tried(self, method: str, *arguments: int) -> Any:
        try:
            return getattr(self._file, method)(*arguments)
        except Exception as error:  # A storage library's own types: there is no common one.
            raise DuetalError(f"cannot read: {_said(error)}", file=self.source) from error


def open_source(source: str | Path) -> SourceFile:
    """Open a local path or a URL such as `s3://bucket/video.mp4` for reading.

    Raises:
        DuetalError: missing, unreadable, empty, or no regular file (a folder, a pipe, a device).
        UsageError: the URL's storage needs a package that is not installed.
    """
    opened = SourceFile(source, _open_url(source) if is_url(source) else _open_path(source))
    if opened.seek(0, os.SEEK_END) == 0:
        opened.close()
        raise DuetalError("empty file: 0 bytes", file=source)
    opened.seek(0)
    return opened


def is_url(source: str | Path) -> bool:
    """Whether a source is an fsspec URL instead of a local path."""
    return isinstance(source, str) and "://" in source


def _open_path(source: str | Path) -> Any:
    try:
        mode = Path(source).stat().st_mode
        if stat.S_ISDIR(mode):
            raise DuetalError("is a folder, not a video", file=source)
        # Opening a pipe or a terminal would wait for somebody to write into it.
        if not stat.S_ISREG(mode):
            raise DuetalError("not a regular file", file=source)
        return Path(source).open("rb")
    except FileNotFoundError as error:
        raise DuetalError("no such file", file=source) from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=source) from error
    except ValueError as error:  # A NUL in the name.
        raise DuetalError(f"cannot read: {error}", file=source) from error


def _open_url(source: str | Path) -> Any:
    try:
        return fsspec.open(str(source), "rb").open()
    except FileNotFoundError as error:
        raise DuetalError("no such file", file=source) from error
    except ImportError as error:
        hint = 'pip install "duetal[cluster]" brings s3'
        raise UsageError(f"{_said(error)} ({hint})", file=source) from error
    except Exception as error:  # A storage library's own types: there is no common one.
        raise DuetalError(f"cannot open: {_said(error)}", file=source) from error


def _said(error: Exception) -> str:
    return f"{getattr(error, 'strerror', None) or error or type(error).__name__}"
