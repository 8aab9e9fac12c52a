"""Downloading one large file: with progress, resumed where it broke off, checked before use."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

from filelock import FileLock

from duetal.core.errors import DuetalError
from duetal.core.files import read_json, replacing, write_json

#: Takes the bytes that are there and the bytes in all, `None` when the server does not say.
Progress = Callable[[int, int | None], object]

_BLOCK = 1 << 18
#: Answers after which asking again may help.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to be downloaded.

    Args:
        address: http or https.
        sha256: of its content, in hexadecimal.
        size: in bytes, where it is known; another size is refused before the transfer.
    """

    address: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try.

    Args:
        timeout: seconds without a byte after which a connection counts as dead.
        attempts: tries in a row that brought nothing, before giving up.
        pause: seconds before the second of them; doubled before each further one.
    """

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 0.5


class _BrokenOffError(Exception):
    """The transfer broke off; what has arrived is kept, and asking again may bring the rest."""


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        DuetalError: missing or unreadable.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise DuetalError("no such file", file=path) from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error


def download(
    remote: RemoteFile,
    target: Path,
    *,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> None:
    """Make `target` the content of a remote file, unless it already is.

    Two processes that want the same file do not disturb each other: the second waits, then finds
    it. What a broken transfer leaves (`target` with ".partial") is continued by the next call.
    Proxies are those of the environment (`https_proxy`, ...).

    Raises:
        DuetalError: no connection, no such address, a content other than the hash says, or the
            folder can't be written. `target` is then as it was, or gone if it was damaged.
    """
    if not remote.address.startswith(("https://", "http://")):
        raise DuetalError(f"not an http address: {remote.address}")
    if target.exists() and file_sha256(target) == remote.sha256:
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{target.name}.lock")):
            if target.exists() and file_sha256(target) == remote.sha256:
                return
            _Transfer(remote, target, progress, patience or Patience()).run()
    except OSError as error:
        raise DuetalError(f"cannot write: {error.strerror or error}", file=target) from error


class _Transfer:
    """One download, in the hands of the one process that holds the lock."""

    def __init__(
        self, remote: RemoteFile, target: Path, progress: Progress | None, patience: Patience
    ):
        self.remote = remote
        self.target = target
        self.partial = target.with_name(f"{target.name}.partial")
        #: Which version of the remote file the partial one is a part of.
        self.version = target.with_name(f"{target.name}.partial.json")
        self.progress = progress or (lambda done, total: None)
        self.patience = patience

    def run(self) -> None:
        resumed = self.partial.exists()
        self._fetch_all()
        if file_sha256(self.partial) != self.remote.sha256 and resumed:
            # The part that was there may be at fault, a server's mistake or the disk's.
            self._forget()
            self._fetch_all()
        digest = file_sha256(self.partial)
        if digest != self.remote.sha256:
            self._forget()
            raise DuetalError(
                f"its sha256 is {digest}, and should be {self.remote.sha256}; the download was "
                "thrown away",
                file=self.remote.address,
            )
        with replacing(self.target) as temporary:
            self.partial.replace(temporary)
        self._forget()

    def _forget(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)

    def _have(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _fetch_all(self) -> None:
        """Ask until everything is there; an attempt that brings something counts as none."""
        failures = 0
        while True:
            had = self._have()
            try:
                self._fetch()
            except _BrokenOffError as error:
                failures = 1 if self._have() > had else failures + 1
                if failures >= self.patience.attempts:
                    raise DuetalError(
                        f"cannot download: {error}", file=self.remote.address
                    ) from error
                time.sleep(self.patience.pause * 2 ** (failures - 1))
            else:
                return

    def _fetch(self) -> None:
        """Ask once for what is missing.

        Raises:
            _BrokenOffError: asking again may help.
            DuetalError: it will not.
        """
        try:
            response = build_opener().open(self._request(), timeout=self.patience.timeout)
        except HTTPError as error:
            with error:
                self._refused(error)
        except (URLError, HTTPException, OSError) as error:
            raise _BrokenOffError(_reason(error)) from error
        else:
            with response:
                self._store(response)

    def _refused(self, error: HTTPError) -> None:
        if error.code == 416:
            # The part is as long as the file, or longer: it is whole, or of another version.
            if self._is_whole(error.headers):
                return
            self._forget()
            raise _BrokenOffError("the server's file has changed") from error
        cause = f"the server says {error.code} {error.reason}"
        if error.code in _PASSING:
            raise _BrokenOffError(cause) from error
        raise DuetalError(f"cannot download: {cause}", file=self.remote.address) from error

    def _request(self) -> Request:
        headers = {"User-Agent": "duetal", "Accept-Encoding": "identity"}
        have = self._have()
        if have:
            headers["Range"] = f"bytes={have}-"
            validator = self._known_version()
            if validator is not None:
                # A server whose file is another by now sends it from its beginning.
                headers["If-Range"] = validator
        # Only http addresses come this far.
        return Request(self.remote.address, headers=headers)  # noqa: S310

    def _known_version(self) -> str | None:
        try:
            known: Any = read_json(self.version)
        except DuetalError:
            return None
        validator = known.get("validator") if isinstance(known, dict) else None
        return validator if isinstance(validator, str) and validator.isprintable() else None

    def _is_whole(self, headers: Message) -> bool:
        _, _, total = headers.get("Content-Range", "").partition("*/")
        return total.isdigit() and int(total) == self._have()

    def _store(self, response: Any) -> None:
        have = self._have()
        start, total = _extent(response)
        if start not in (0, have):
            raise _BrokenOffError(f"the server sends byte {start} where byte {have} was asked for")
        if total is not None and self.remote.size not in (None, total):
            self._forget()
            raise DuetalError(
                f"the server's file has {total} bytes, not {self.remote.size}",
                file=self.remote.address,
            )
        total = self.remote.size if total is None else total
        done = start
        with self.partial.open("r+b" if start else "wb") as file:
            file.seek(start)
            write_json(self.version, {"validator": _validator(response.headers)})
            self.progress(done, total)
            for block in _blocks(response):
                file.write(block)
                done += len(block)
                self.progress(done, total)
        if total is not None and done < total:
            raise _BrokenOffError(f"the connection ended after {done} of {total} bytes")


def _blocks(response: Any) -> Iterator[bytes]:
    while True:
        try:
            block = response.read(_BLOCK)
        except (HTTPException, OSError) as error:
            raise _BrokenOffError(_reason(error)) from error
        if not block:
            return
        yield block


def _extent(response: Any) -> tuple[int, int | None]:
    """The first byte that a response brings, and the bytes of the whole file."""
    if response.status == 206:
        # "bytes 1000-4999/5000"
        extent, _, total = response.headers.get("Content-Range", "").partition("/")
        first = extent.removeprefix("bytes ").partition("-")[0]
        return (int(first) if first.isdigit() else 0), (int(total) if total.isdigit() else None)
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _validator(headers: Message) -> str | None:
    """What tells this version of the file from others, for `If-Range` (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return str(tag)
    modified = headers.get("Last-Modified")
    return None if modified is None else str(modified)


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    return str(getattr(reason, "strerror", None) or reason) or type(reason).__name__
