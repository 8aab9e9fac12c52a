"""The places of the media files that annotation tools know videos by, and files per video."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from duetal.core.errors import DuetalError
from duetal.core.video_names import is_address, known_name, video_name
from duetal.formats.marked import Content, MarkedVideo, marked
from duetal.formats.options import FormatOptions

#: What has a meaning in paths, is forbidden in file names somewhere, or marks the encoding itself.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%\ud800-\udfff]')


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
        place = root + (quote(file_name, safe=" ") if is_address(root) else file_name)
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
    return [(file, known_name(named_by_file(file.stem))) for file in files]


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
