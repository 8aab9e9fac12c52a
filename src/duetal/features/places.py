"""A folder that is local or at any URL of fsspec's; no file in it appears in part."""

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

from fsspec.implementations.local import LocalFileSystem

from duetal.core.errors import DuetalError
from duetal.core.files import refuse_special, replacing
from duetal.core.url_paths import explained, open_filesystem


class Place:
    """A folder, local or at a URL; what is in it is named by paths relative to it, with slashes.

    It need not exist. A file appears whole or not at all: locally through `duetal.core.files`, in
    an object store because an upload counts when it is complete. All methods raise DuetalError
    where the folder can't be read or written to.
    """

    def __init__(self, place: str | Path):
        self.name = str(place)
        self._filesystem, self._root = open_filesystem(place)
        #: The folder as a path, where it is local.
        self.local = Path(self._root) if isinstance(self._filesystem, LocalFileSystem) else None

    def __reduce__(self) -> tuple[type["Place"], tuple[str]]:
        return Place, (self.name,)

    def path(self, name: str) -> str:
        """The full path or URL of a file, for messages."""
        return f"{self.name.rstrip('/')}/{name}"

    def _inside(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        with explained("read", self.path(name)):
            return bool(self._filesystem.exists(self._inside(name)))

    def size(self, name: str) -> int:
        """Bytes of a file."""
        with explained("read", self.path(name)):
            return int(self._filesystem.info(self._inside(name))["size"])

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        """A file's bytes, or the first `limit` of them; None where there is no such file."""
        with explained("read", self.path(name)), contextlib.suppress(FileNotFoundError):
            if self.local is not None:
                refuse_special(self.local / name)
            return bytes(self._filesystem.cat_file(self._inside(name), start=0, end=limit))
        return None

    def read_json(self, name: str) -> Any:
        """The value of a JSON file; None where there is none."""
        content = self.read(name)
        if content is None:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DuetalError(f"not JSON: {error}", file=self.path(name)) from error

    def names(self, folder: str, suffix: str) -> list[str]:
        """The files of a folder with a suffix, without it, sorted; hidden files are left out."""
        paths = []
        with explained("read", self.path(folder)), contextlib.suppress(FileNotFoundError):
            paths = self._filesystem.ls(self._inside(folder), detail=False)
        names = (str(path).rpartition("/")[2] for path in paths)
        ours = (name for name in names if name.endswith(suffix) and not name.startswith("."))
        return sorted(name.removesuffix(suffix) for name in ours)

    def write(self, name: str, *pieces: IO[bytes]) -> None:
        """Write a file: the content of `pieces`, one after the other, from their beginnings."""
        if self.local is not None:
            with replacing(self.local / name) as temporary:
                _join(pieces, temporary)
            return
        with explained("write", self.path(name)), tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "whole"
            _join(pieces, whole)
            self._filesystem.put_file(str(whole), self._inside(name))

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 text file."""
        self.write(name, io.BytesIO(text.encode()))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file."""
        self.write_text(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with explained("remove", self.path(name)), contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(self._inside(name))


def _join(pieces: tuple[IO[bytes], ...], path: Path) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            piece.seek(0)
            shutil.copyfileobj(piece, file, 2**20)
