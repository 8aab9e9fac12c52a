"""From what the user names to a file of weights that has been checked."""

import hashlib
import itertools
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from duetal.backbones.protocol import OnDownload, WeightsIdentity
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import reading, refuse_special, replacing
from duetal.core.local_cache import cache_folder

_HASH_MARK = "@sha256:"
#: Answers after which another attempt may help; so may it when no answer came.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class WeightsRecord:
    """One file of public weights."""

    name: str  #: What the user calls it.
    address: str  #: Its last part is the file's name.
    #: What the file is checked by: "sha256:HEX", or "git:HEX", the id by which git addresses its
    #: content at a commit.
    digest: str
    licence: str  #: SPDX.


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a download is tried."""

    timeout: float = 30.0  #: Seconds without a byte after which a connection counts as dead.
    attempts: int = 4  #: Before giving up.
    pause: float = 0.5  #: Seconds before the second attempt; doubled before each further one.


def locate(
    source: str,
    published: Mapping[str, WeightsRecord],
    architecture: str,
    on_download: OnDownload | None = None,
) -> tuple[Path, WeightsIdentity]:
    """Find the file of weights that the user names, downloading it when needed.

    Args:
        source: a record's name or a local path; either may end in "@sha256:" and the hash that the
            file must have. A file that is called like a record is named "./NAME".
        published: the records, by name.
        architecture: of the weights, for their identity.
        on_download: called with the bytes downloaded and the bytes in all.

    Raises:
        UsageError: neither a file nor a record, or not a hash.
        DuetalError: the file has another hash; or the download failed, with its address and the way
            to do it by hand.
    """
    name, expected = split_hash(source)
    record = published.get(name)
    if record is not None:
        path = _downloaded(record, expected, on_download)
        return path, WeightsIdentity(name, file_sha256(path), architecture, record.licence)
    path = Path(name).expanduser()
    if not path.is_file():
        known = ", ".join(published)
        raise UsageError(f"no such file, and no weights of that name; there are {known}", file=name)
    digest = file_sha256(path)
    if expected not in (None, digest):
        raise DuetalError(f"its sha256 is {digest}, and should be {expected}", file=path)
    return path, WeightsIdentity(name, digest, architecture)


def split_hash(source: str) -> tuple[str, str | None]:
    """A name of weights, and the hash that follows "@sha256:"; UsageError if it is no hash."""
    name, mark, digits = source.rpartition(_HASH_MARK)
    if not mark:
        return source, None
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise UsageError(f"not a sha256, which has 64 hexadecimal digits: {digits!r}", file=name)
    return name, digits.lower()


def is_at_hand(source: str, published: Mapping[str, WeightsRecord]) -> bool:
    """Whether `locate` finds what the user names without a download; raises as it does."""
    name, expected = split_hash(source)
    return name not in published or _kept_at(published[name], expected)[0].is_file()


def _kept_at(record: WeightsRecord, expected: str | None) -> tuple[Path, str]:
    """Where a download is kept, and the digest that it is checked by."""
    kind, _, digits = record.digest.partition(":")
    if kind == "sha256" and expected not in (None, digits):
        raise UsageError(f"its sha256 is recorded as {digits}", file=record.name)
    digest = record.digest if expected is None else f"sha256:{expected}"
    file_name = PurePosixPath(record.address)
    # With the hash in the name, a file that changes at its address does not take another's place.
    short = digest.rpartition(":")[2][:12]
    return cache_folder() / "weights" / f"{file_name.stem}-{short}{file_name.suffix}", digest


def _downloaded(
    record: WeightsRecord, expected: str | None, on_download: OnDownload | None
) -> Path:
    path, digest = _kept_at(record, expected)
    try:
        download(record.address, digest, path, on_download)
    except DuetalError as error:
        by_hand = "it can also be downloaded by hand, and its path given instead of the name"
        raise DuetalError(f"{error}; {by_hand}", file=record.name) from error
    return path


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; DuetalError if it can't be read."""
    return file_digest(path, "sha256").removeprefix("sha256:")


def file_digest(path: Path, kind: str) -> str:
    """The digest of a file, of a `kind` as in `WeightsRecord.digest`; DuetalError if unreadable.

    Git's is the SHA-1 of `blob`, the size and the content:
    https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    """
    with reading(path):
        refuse_special(path)
    with reading(path), path.open("rb") as file:
        if kind == "sha256":
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        while chunk := file.read(1 << 20):
            blob.update(chunk)
        return f"git:{blob.hexdigest()}"


def download(
    address: str,
    digest: str,
    target: Path,
    on_download: OnDownload | None = None,
    policy: RetryPolicy | None = None,
) -> None:
    """Make `target` the file at an address with a digest (`WeightsRecord`), unless it is already.

    Of several processes that want the same file, one downloads it and the others wait. Proxies are
    those of the environment (`https_proxy`, ...).

    Raises:
        DuetalError: no connection, no such address, another content than the hash names, or the
            folder can't be written. `target` is then as it was.
    """
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{target.name}.lock")):
            kind, _, digits = digest.partition(":")
            if target.exists() and file_digest(target, kind) == digest:
                return
            with replacing(target) as temporary:
                _fetch(address, temporary, on_download, policy or RetryPolicy())
                found = file_digest(temporary, kind).partition(":")[2]
                if found != digits:
                    named = "sha256" if kind == "sha256" else "git blob id"
                    cause = f"its {named} is {found}, and should be {digits}"
                    raise DuetalError(f"{cause}; the download was thrown away", file=address)
    except OSError as error:
        raise DuetalError(f"cannot write: {error.strerror or error}", file=target) from error


def _fetch(address: str, target: Path, on_download: OnDownload | None, policy: RetryPolicy) -> None:
    """Download once, or more often while that may help."""
    import pooch
    from requests import RequestException

    bar = None if on_download is None else _ProgressBar(on_download)
    downloader = pooch.HTTPDownloader(progressbar=bar, timeout=policy.timeout)
    for attempt in itertools.count(1):
        try:
            downloader(address, str(target), None)
            return
        except RequestException as error:
            passing = error.response is None or error.response.status_code in _PASSING
            if not passing or attempt == policy.attempts:
                cause = f"cannot download: {_reason(error)}"
                raise DuetalError(cause, file=address) from error
            time.sleep(policy.pause * 2 ** (attempt - 1))


class _ProgressBar:
    """Passes on what `pooch` reports: it sets `total`, and updates by the bytes of each block."""

    total: int | None = None

    def __init__(self, on_download: OnDownload):
        self._on_download = on_download
        self._done = 0

    def update(self, count: int) -> None:
        self._done = min(self._done + count, self.total or self._done + count)
        self._on_download(self._done, self.total or None)

    def reset(self) -> None:
        self._done = 0

    close = reset


def _reason(error: BaseException) -> str:
    """The innermost reason of a failed request, which `requests` wraps several times."""
    from requests import RequestException, Timeout

    if isinstance(error, RequestException) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, Timeout):
        return "no answer in time"
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
