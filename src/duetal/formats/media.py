"""The names of videos, and of the media files that annotation tools know them by."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from duetal.core.errors import DuetalError
from duetal.formats.marked import Content, MarkedVideo, marked
from duetal.formats.options import FormatOptions

#: Suffixes of media and of feature files; another dot may well belong to the name.
_SUFFIX = re.compile(
    r"\.(mp4|mkv|avi|webm|mov|m4v|mpg|mpeg|flv|wmv|ts|ogv|wav|flac|mp3|ogg|m4a|npy|npz)$",
    re.IGNORECASE,
)
#: What has a meaning in paths, is forbidden in file names somewhere, or marks the encoding itself.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%\ud800-\udfff]')
#: Label Studio puts eight digits of a hash before the name of a file that is uploaded to it.
_UPLOADED = re.compile(r"(?:^|/)upload/(?:[^/]+/)*[0-9a-f]{8}-(?=[^/]+$)")


def without_suffix(file_name: str) -> str:
    """A file's name without the suffix of a media or feature file."""
    return _SUFFIX.sub("", file_name)


def is_media(place: str) -> bool:
    """Whether a path or address ends like a media file's."""
    return _SUFFIX.search(place.partition("?")[0]) is not None


def video_name(place: str) -> str:
    r"""The name of the video at a path or address.

    `/data/upload/1/3f2a1b9c-jump.mp4`, `/data/local-files/?d=clips/jump.mp4`, `file:///a/jump.mp4`
    and `C:\clips\jump.mp4` are all of the video `jump`.

    Raises:
        ValueError: there is no name in it.
    """
    path = place
    if _is_address(place):
        parts = urlsplit(place)
        path = parts.path
        if path.rstrip("/").endswith("/local-files"):
            path = parse_qs(parts.query).get("d", [""])[0]
    path = _UPLOADED.sub("/", path)
    name = re.split(r"[/\\]", path)[-1]
    name = without_suffix(unquote(name) if _is_address(place) else name).strip()
    if not name:
        raise ValueError(f"no file name in {place[:60]!r}")
    return name


def media_place(name: str, options: FormatOptions, file: Path) -> str:
    """Where a tool finds a video: the name with its suffix, under the root of the options.

    What means something in an address is quoted, also `/`, so that the name stays one name. The
    file that the place goes to is named in the error.

    Raises:
        DuetalError: the name would not be found again in a path: it has a `/` or is empty.
    """
    root = options.media_root
    if root and not root.endswith(("/", "=")):
        root += "/"
    file_name = f"{name}{options.media_suffix}"
    try:
        place = root + (quote(file_name, safe=" ") if _is_address(root) else file_name)
        found = video_name(place)
    except ValueError:
        found = None
    if found != name:
        cause = "cannot write: the name can't be that of a media file"
        raise DuetalError(cause, file=file, place=f"video {name!r}")
    return place


def safe_file_name(name: str, suffix: str) -> str:
    r"""A file name that stays in its folder, whatever the video is called.

    `/`, `\`, control characters and what else a system forbids are percent-encoded, and so is a
    leading dot.
    """
    quoted = _UNSAFE.sub(lambda found: quote(found[0], safe="", errors="surrogatepass"), name)
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    return (quoted or "%") + suffix


def named_by_file(stem: str) -> str:
    """The name of the video that a file is called after; undoes `safe_file_name`."""
    name = "" if stem == "%" else unquote(stem, errors="surrogatepass")
    return name if safe_file_name(name, "") == stem else stem


def files_per_video(path: Path, suffix: str) -> list[tuple[Path, str]]:
    """The file itself, or those with the suffix in a folder, sorted, each with its video's name.

    Raises:
        DuetalError: there are none.
    """
    files = sorted(path.glob(f"*{suffix}")) if path.is_dir() else [path]
    if not files:
        raise DuetalError(f"no *{suffix} in the folder", file=path)
    return [(file, named_by_file(file.stem)) for file in files]


def file_per_video(path: Path, suffix: str, content: Content) -> Iterator[tuple[Path, MarkedVideo]]:
    """The file of each video: in a folder or, where the path has the suffix, of the only one.

    Raises:
        DuetalError: several videos for one file.
    """
    videos = list(marked(content))
    alone = path.suffix.lower() == suffix
    if alone and len(videos) != 1:
        cause = f"cannot write: one file is one video, and here are {len(videos)}; name a folder"
        raise DuetalError(cause, file=path)
    for video in videos:
        yield path if alone else path / safe_file_name(video.name, suffix), video


def _is_address(place: str) -> bool:
    return "://" in place[:16] or place.startswith("/data/")
