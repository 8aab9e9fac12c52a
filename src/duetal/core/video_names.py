"""What a video is called: the one rule for files, features, tables, annotations and detections.

The name is that of its file without folder and suffix, in Unicode's composed form (NFC): a Mac
writes "é" of a file's name as two characters, most other programs as one. To name a name again
changes nothing.
"""

import re
import unicodedata
from functools import lru_cache
from urllib.parse import parse_qs, unquote, urlsplit

#: What counts as a video in a folder.
VIDEO_SUFFIXES = {
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v",
    ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm",
    ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
AUDIO_SUFFIXES = {".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav", ".wma"}
_FEATURE_SUFFIXES = {".npy", ".npz"}
_KNOWN = sorted(VIDEO_SUFFIXES | AUDIO_SUFFIXES | _FEATURE_SUFFIXES)
#: Other dots may well belong to the name.
_SUFFIX = re.compile(rf"(?:{'|'.join(map(re.escape, _KNOWN))})+$", re.IGNORECASE)
#: Label Studio puts eight digits of a hash before the name of a file that is uploaded to it.
_UPLOADED = re.compile(r"(?:^|/)upload/(?:[^/]+/)*[0-9a-f]{8}-(?=[^/]+$)")


def composed(text: str) -> str:
    """A text in Unicode's composed form, in which names of videos and classes are compared."""
    return unicodedata.normalize("NFC", text)


def without_suffix(file_name: str) -> str:
    """A file's name, composed, without the suffix of a media or feature file."""
    return _SUFFIX.sub("", composed(file_name))


def is_media(place: str) -> bool:
    """Whether a path or address ends like a media file's."""
    return _SUFFIX.search(_path(place)) is not None


def is_audio(place: str) -> bool:
    """Whether a path or address ends like that of a file with sound alone."""
    return _path(place).lower().endswith(tuple(AUDIO_SUFFIXES))


def is_address(place: str) -> bool:
    """Whether a place is an address, in which characters may be quoted, and not a path."""
    return "://" in place[:16] or place.startswith("/data/")


def video_name(place: str) -> str:
    r"""The name of the video at a path or address.

    `/data/upload/1/3f2a1b9c-jump.mp4`, `/data/local-files/?d=clips/jump.mp4`, `file:///a/jump.mp4`
    and `C:\clips\jump.mp4` are all of the video `jump`.

    Raises:
        ValueError: there is no name in it.
    """
    path = _UPLOADED.sub("/", _path(place))
    name = re.split(r"[/\\]", path)[-1]
    name = without_suffix(unquote(name) if is_address(place) else name).strip()
    if not name:
        raise ValueError(f"no file name in {place[:60]!r}")
    return name


@lru_cache(maxsize=2**10)
def known_name(name: str) -> str:
    """The name of the video that somebody calls so: as it is, or the place of its file.

    Without the suffix of a media file a slash may belong to the name.
    """
    name = composed(name)
    if without_suffix(name) in ("", name) or not is_media(name):
        return name
    try:
        return video_name(name)
    except ValueError:
        return name


def _path(place: str) -> str:
    if not is_address(place):
        return place
    parts = urlsplit(place)
    if parts.path.rstrip("/").endswith("/local-files"):
        return parse_qs(parts.query).get("d", [""])[0]
    return parts.path
