"""From what the user names to a file of weights that has been checked."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from duetal.backbones.download import Progress, RemoteFile, download, file_sha256
from duetal.backbones.records import WeightsRecord, records
from duetal.core.errors import DuetalError, UsageError

_HASH_MARK = "@sha256:"


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of weights on this machine.

    Args:
        path: where it is.
        name: what the user named, without the expected hash.
        sha256: of its content, in hexadecimal.
        record: what is known of it, when it was named by its record.
    """

    path: Path
    name: str
    sha256: str
    record: WeightsRecord | None = None


def cache_folder() -> Path:
    """Where downloads are kept: `$DUETAL_CACHE`, or `~/.cache/duetal`."""
    named = os.environ.get("DUETAL_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "duetal"


def locate(source: str, *, progress: Progress | None = None) -> WeightsFile:
    """Find the weights that the user names, downloading them when needed.

    Args:
        source: a record's name or a local path; either may end in "@sha256:" and the hash that the
            file must have. A file that is called like a record is named "./NAME".
        progress: takes the bytes downloaded and the bytes in all.

    Raises:
        UsageError: neither a file nor a record, or not a hash.
        DuetalError: the file has another hash; a record without a hash, and none given; or the
            download failed, with its address and the way to do it by hand.
    """
    name, expected = _split_hash(source)
    record = records().get(name)
    if record is not None:
        return _downloaded(record, expected, progress)
    path = Path(name).expanduser()
    if not path.is_file():
        known = ", ".join(records())
        raise UsageError(f"no such file, and no weights of that name; there are {known}", file=name)
    digest = file_sha256(path)
    if expected not in (None, digest):
        raise DuetalError(f"its sha256 is {digest}, and should be {expected}", file=path)
    return WeightsFile(path, name, digest)


def _split_hash(source: str) -> tuple[str, str | None]:
    name, mark, digits = source.rpartition(_HASH_MARK)
    if not mark:
        return source, None
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise UsageError(f"not a sha256, which has 64 hexadecimal digits: {digits!r}", file=name)
    return name, digits.lower()


def _downloaded(
    record: WeightsRecord, expected: str | None, progress: Progress | None
) -> WeightsFile:
    if record.sha256 is not None and expected not in (None, record.sha256):
        raise UsageError(f"its sha256 is recorded as {record.sha256}", file=record.name)
    digest = record.sha256 or expected
    if digest is None:
        raise DuetalError(
            f"no trustworthy sha256 of this file is known, so it is not downloaded unchecked; "
            f"get {record.address} yourself and give its path, or name the hash: "
            f"{record.name}{_HASH_MARK}HEX",
            file=record.name,
        )
    remote = RemoteFile(record.address, digest, record.size)
    file_name = PurePosixPath(record.address)
    # With the hash in the name, a file that changes at its address does not take another's place.
    path = cache_folder() / "weights" / f"{file_name.stem}-{digest[:12]}{file_name.suffix}"
    try:
        download(remote, path, progress=progress)
    except DuetalError as error:
        raise DuetalError(
            f"{error}; it can also be downloaded by hand, and its path given instead of the name",
            file=record.name,
        ) from error
    return WeightsFile(path, record.name, digest, record)
