"""What a command may write: nothing that it reads, and nothing that is there unasked."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from duetal.core.errors import UsageError
from duetal.core.files import read_yaml, refuse_special


def refuse_existing(
    path: Path, read: Iterable[str | Path] = (), *, force: bool, own: bool = False
) -> None:
    """Refuse to write a file that is there, or with `force` one that is read; folders pass.

    Args:
        path: the file to write.
        read: files and folders that are read; a folder with all that lies in it, a YAML file with
            the files and folders that it names. What is no file or folder passes.
        force: replace a file that is there.
        own: in a folder that is read, the file is an output of earlier.

    Raises:
        UsageError: naming the file.
        DuetalError: it is a pipe or a device.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - `Path` fails on a name too long for a file
        if os.path.exists(path):  # noqa: PTH110
            refuse_special(path)
        return
    places = [place for item in read for place in _places(Path(item))]
    known = _identity(path.stat())
    for place in places:
        if _identity(place.stat()) == known:
            raise UsageError("is what is read; name another file", file=path)
    if not force:
        raise UsageError("is there already (--force replaces it)", file=path)
    for place in places if not own else ():
        if known in _identities(place):
            cause = f"is what is read; name a file that is not in {place}"
            raise UsageError(cause, file=path)


def _places(item: Path) -> list[Path]:
    """A file or folder, and what it names if it is YAML; none of anything else."""
    if not os.path.exists(item):  # noqa: PTH110 - as above
        return []
    named: list[Path] = []
    if item.suffix in (".yaml", ".yml") and item.is_file():
        named = [item.parent / text for text in _texts(read_yaml(item))]
    return [item, *(place for place in named if os.path.exists(place))]  # noqa: PTH110


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _identity(status: os.stat_result) -> tuple[int, int]:
    """What two names of one file have in common."""
    return status.st_dev, status.st_ino


def _identities(folder: Path) -> Iterator[tuple[int, int]]:
    """Of all files in a folder and below, those that links lead to too."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        known = _identity(os.stat(root))  # noqa: PTH116
        if known in seen:  # A link leads back.
            folders.clear()
            continue
        seen.add(known)
        for name in files:
            try:
                yield _identity(os.stat(os.path.join(root, name)))  # noqa: PTH116, PTH118
            except OSError:
                continue  # A link to nothing.
