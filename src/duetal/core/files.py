"""Text, JSON and YAML files, written so that a killed program leaves the old content or the new."""

import gzip
import io
import json
import math
import os
import re
import secrets
import stat
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO, Self

import yaml

from duetal.core.errors import DuetalError, Report, raise_error

#: The largest file of annotations or detections that is read; all of it may be held in memory.
MOST_BYTES = 2**30
_MOST_UNPACKED = 2**26
#: The values of a YAML file, with those that its aliases stand for.
MOST_VALUES = 1_000_000
#: The end of the hidden names of files that are being written; nobody else's end so.
UNFINISHED = ".duetal.part"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Closing(ABC):
    """A resource that `with` closes at the end of its block."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def is_url(place: str | Path) -> bool:
    """Whether a place is named by a URL such as `s3://bucket/folder`, and not by a local path."""
    return isinstance(place, str) and "://" in place


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success fsync it and rename it into place.

    Raises:
        DuetalError: the folder can't be written, the disk is full, or there is a pipe or device;
            `path` is as it was.
    """
    if path.exists() and not path.is_dir():
        refuse_special(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not by `tempfile`, which makes private files: this one becomes the result.
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise DuetalError(f"cannot write: {error.strerror}", file=path) from error
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise DuetalError(f"cannot write: {error.strerror or error}", file=path) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Delete what killed programs of ours left unfinished in a folder and below."""
    for temporary in folder.rglob(f".*{UNFINISHED}"):
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a DuetalError: "no such file", "cannot read: …"."""
    try:
        refuse_special(path)
        yield
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        cause = "no such file" if missing else f"cannot read: {error.strerror}"
        raise DuetalError(cause, file=path) from error


def refuse_special(path: Path) -> None:
    """Refuse a pipe or a device, whose reader would wait for somebody to write into it.

    Raises:
        DuetalError: it is one.
        OSError: there is nothing.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DuetalError("a pipe or a device, not a file", file=path)


def refuse_large(path: Path) -> None:
    """Check a file's size before it is read whole.

    Raises:
        DuetalError: missing, unreadable or larger than `MOST_BYTES`.
    """
    with reading(path):
        size = path.stat().st_size
    if size > MOST_BYTES:
        cause = f"is too large: {size:,} bytes, at most {MOST_BYTES:,} are read"
        raise DuetalError(cause, file=path)


def text_encoding(beginning: bytes) -> str:
    """The encoding of a text by its first bytes: UTF-16 says so by its mark, all else is UTF-8."""
    return "utf-16" if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def not_text(path: Path, byte: int) -> DuetalError:
    """The error of a file that is no text from a byte on."""
    cause = "not UTF-8 text, perhaps of Windows-1252 or Latin-1: save it as UTF-8"
    return DuetalError(cause, file=path, place=f"byte {byte}")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading its bytes, those of a gzip file unpacked.

    Raises:
        DuetalError: missing, unreadable, damaged, or unpacked of more than 64 MiB.
    """
    with reading(path):
        refuse_special(path)
    with reading(path), path.open("rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            yield file
            return
        try:
            data = gzip.GzipFile(fileobj=file).read(_MOST_UNPACKED + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DuetalError(f"damaged: {error}", file=path) from error
        if len(data) > _MOST_UNPACKED:
            raise DuetalError("is too large: more than 64 MiB unpacked", file=path)
        yield io.BytesIO(data)


def read_text(path: Path) -> str:
    """Read a text file of UTF-8, or UTF-16 with its mark; its line ends are as they are.

    Raises:
        DuetalError: missing, unreadable or of another encoding.
    """
    with opened(path) as file:
        data = file.read()
    try:
        return data.decode(text_encoding(data))
    except UnicodeDecodeError as error:
        raise not_text(path, error.start) from error


#: The folders of an absolute path in a text: "/data/x", "~/a/x", "C:\\a\\x"; of no address.
_FOLDERS = re.compile(
    r"(?<![^\s\"'(\[=,;])(?:~|[A-Za-z]:)?(?:[/\\][^/\\\s,;:'\"()]+)+[/\\](?=[^\s/\\])"
)


def without_folders(text: str) -> str:
    """A text whose absolute paths are cut to their last part, so that it can be given away."""
    if PureWindowsPath(text).is_absolute() or PurePosixPath(text).is_absolute():
        return f"…/{PureWindowsPath(text).name}"
    return _FOLDERS.sub("…/", text)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically, its line ends as they are.

    Raises:
        DuetalError: it can't be written, or holds half a surrogate pair, as a name from JSON may.
    """
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        cause = f"cannot write: {text[error.start]!r} is half a character"
        raise DuetalError(cause, file=path) from error
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Write JSON atomically.

    Raises:
        DuetalError: it can't be written, or a number is NaN or infinite, which JSON does not have.
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise DuetalError("cannot write: JSON has no NaN or infinity", file=path) from error
    if _SURROGATE.search(text):
        # Half a surrogate pair has no bytes in UTF-8, but an escape in JSON.
        text = json.dumps(value, indent=indent) + "\n"
    write_text(path, text)


def read_json(path: Path, *, unique_keys: bool = False, report: Report = raise_error) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        unique_keys: refuse an object that has a key twice, of which JSON readers keep the last.
        report: called with an error for each such key.

    Raises:
        DuetalError: missing, unreadable, not UTF-8 or not JSON, with line and column.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            for name, count in Counter(name for name, _ in pairs).items():
                if count > 1:
                    report(DuetalError(f"{name!r} is listed twice", file=path))
        return value

    try:
        return json.loads(read_text(path), object_pairs_hook=unique if unique_keys else None)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise DuetalError(f"not JSON: {error.msg}", file=path, place=place) from error
    except RecursionError as error:
        raise DuetalError("nested too deeply", file=path) from error
    except ValueError as error:
        # Python reads no integer of more than 4,300 digits.
        raise DuetalError(f"not JSON: {error}", file=path) from error


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain values.

    Raises:
        DuetalError: missing, unreadable, not UTF-8 or not YAML, with the line.
    """
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, file: Path | str | None = None) -> Any:
    """The plain values of a YAML text.

    Raises:
        DuetalError: not YAML, with the line; or too many values, as aliases of aliases make them.
    """
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _values_of(node, {}) > MOST_VALUES:
            raise DuetalError(f"its aliases make more than {MOST_VALUES:,} values", file=file)
        return loader.construct_document(node)
    except (DuetalError, MemoryError):
        raise
    except Exception as error:
        # A scalar that is not of its tag (`!!int ''`) fails in any way that Python has.
        mark = getattr(error, "problem_mark", None)
        place = None if mark is None else f"line {mark.line + 1}"
        cause = f"not YAML: {getattr(error, 'problem', None) or 'damaged'}"
        raise DuetalError(cause, file=file, place=place) from error
    finally:
        if loader is not None:
            loader.dispose()


def _values_of(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for; infinitely many where it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        inside = node.value if isinstance(node, yaml.CollectionNode) else ()
        # A mapping's are pairs.
        parts = (part for item in inside for part in (item if isinstance(item, tuple) else [item]))
        known[id(node)] = 1 + sum(_values_of(part, known) for part in parts)
    return known[id(node)]
