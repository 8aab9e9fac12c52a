"""Which file is the video of a task: of the folders that were given, or fetched from Label Studio.

A task names its video by an address. Nothing but the files of the folders is opened for it; a part
of an address is compared with their places and never becomes a path.
"""

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import is_url
from duetal.core.video_names import is_address, video_name
from duetal.extraction.sources import Video, check_storable, find_videos
from duetal.ml_backend.studio_client import LabelStudio
from duetal.own_videos.result_folder import safe_name

#: Label Studio's own addresses of files that it serves from a folder, and of uploaded ones.
_LOCAL, _UPLOADED = "/data/local-files", "/data/upload/"


class TaskVideos:
    """Finds the videos of tasks.

    Args:
        inputs: folders and files; nothing else on this machine is read.
        kept: the folder of what is fetched.
        studio: where uploaded videos are fetched; None for nowhere.
        allowed: the beginnings of further addresses that may be fetched, such as `s3://bucket/`.

    Raises:
        DuetalError: an input is not there.
        UsageError: something else than an address is allowed.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        kept: Path,
        studio: LabelStudio | None = None,
        allowed: Sequence[str] = (),
    ) -> None:
        self._inputs, self._kept, self._studio = inputs, kept, studio
        self._allowed = allowed
        for address in allowed:
            if not is_url(address) or not urlsplit(address).netloc:
                cause = f"--allow: {address!r} is no address such as https://host/folder/"
                raise UsageError(cause)
        for place in filter(is_url, inputs):
            cause = "is an address, and not a folder; what lies there is fetched if allowed"
            raise UsageError(f"{cause} (--allow)", file=place)
        for place in inputs:
            if not Path(place).exists() and not glob.has_magic(place):
                raise DuetalError("no such file or folder", file=place)
        self._unusable: dict[str, str] = {}
        self._files = self._look()

    def find(self, data: Mapping[str, Any], key: str) -> Video:
        """The video of a task with this data, which has its address under `key`.

        Raises:
            DuetalError: it has none, it is in no folder that was given, may not be fetched, or
                cannot be.
        """
        address = data.get(key)
        if not isinstance(address, str) or not address:
            raise DuetalError(f"the task has no video: its data has no {key!r}")
        try:
            name = video_name(address)
        except ValueError as error:
            raise DuetalError(f"the task has no video: {error}") from error
        check_storable(name, address)
        path = self._path(address)
        if path is not None and path.startswith(_UPLOADED):
            return Video(name, str(self._fetched(path)))
        local = address if path is None else _local(path)
        if local is not None and (path is not None or not is_url(address)):
            return self._in_folders(name, local, path)
        if not any(_is_below(address, beginning) for beginning in self._allowed):
            cause = "is not fetched: allow it (--allow), or give the folder that it is in"
            raise DuetalError(cause, file=address)
        return Video(name, address)

    def _path(self, address: str) -> str | None:
        """The path and query of an address of Label Studio; None of others."""
        if self._studio is not None and _is_below(address, f"{self._studio.address}/"):
            address = address[len(self._studio.address) :]
        return address if address.startswith("/data/") and is_address(address) else None

    def _in_folders(self, name: str, place: str, path: str | None) -> Video:
        """The video at a place that Label Studio's machine may call otherwise than this one."""
        for is_second in (False, True):
            if is_second:
                self._files = self._look()
            for source, below in self._files.get(name, ()):
                if _agree(place, below) and Path(source).is_file():
                    return Video(name, source)
        if name in self._unusable:
            raise DuetalError(self._unusable[name], file=place)
        if path is not None and path.startswith(_LOCAL) and self._studio is not None:
            return Video(name, str(self._fetched(path)))
        cause = "is in none of the folders that were given; is the video moved?"
        raise DuetalError(cause, file=place)

    def _look(self) -> dict[str, list[tuple[str, str]]]:
        """The files of the folders by the names of the videos, and how each is called in there."""
        found: dict[str, list[tuple[str, str]]] = {}
        for place in self._inputs:
            folder = Path(place).absolute()
            there = find_videos([place])
            self._unusable |= {failure.name: failure.reason for failure in there.failures}
            for video in there.videos:
                source = Path(video.source)
                is_inside = folder.is_dir() and source.is_relative_to(folder)
                below = str(source.relative_to(folder)) if is_inside else source.name
                found.setdefault(video.name, []).append((video.source, below))
        return found

    def _fetched(self, path: str) -> Path:
        """The copy of what Label Studio has at a path, fetched if it is not there."""
        if ".." in re.split(r"[/\\=]", unquote(path)):
            raise DuetalError("is no place of a video in Label Studio", file=path)
        if self._studio is None:
            cause = "is uploaded to Label Studio, whose address is needed to fetch it"
            raise DuetalError(f"{cause} (--label-studio)", file=path)
        target = self._kept / safe_name(path.removeprefix("/data/"))
        if not target.is_file():
            self._studio.download(quote(path, safe="/%?=&"), target)
        return target


def _local(path: str) -> str | None:
    """The file that an address of Label Studio names below its folder of local files."""
    parts = urlsplit(path)
    if parts.path.rstrip("/") != _LOCAL:
        return path
    return parse_qs(parts.query).get("d", [""])[0]


def _agree(place: str, below: str) -> bool:
    """Whether a place and one within a folder may be the same: one of both ends as the other."""
    one, other = (re.split(r"[/\\]+", text.strip("/\\")) for text in (place, below))
    least = min(len(one), len(other))
    return one[-least:] == other[-least:]


def _is_below(address: str, beginning: str) -> bool:
    """Whether an address is one of those that begin so."""
    one, other = urlsplit(address), urlsplit(beginning)
    if (one.scheme, one.netloc) != (other.scheme, other.netloc):
        return False
    path, folder = (PurePosixPath(unquote(part.path) or "/") for part in (one, other))
    return ".." not in path.parts and path.is_relative_to(folder)
