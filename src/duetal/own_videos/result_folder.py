"""The folder that localizing raw videos fills, and which of the videos browsers can play.

OUT/index.html               the videos over their timelines
OUT/detections.json          ActivityNet results form
OUT/detections.csv           the same as a table
OUT/subtitles/<video>.vtt    the best of them, one at a time, for any player
OUT/media/<video>.mp4        copies of the videos that browsers do not play
OUT/features/                the features, unless they are kept elsewhere
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.extraction.sources import Video
from duetal.formats import activitynet, csv_table, webvtt
from duetal.localization.non_overlapping import keep_non_overlapping
from duetal.video.browser import copy_suffix, is_copy_of, playback, write_browser_copy

#: Characters that some file system refuses in a name, and the escape character.
_UNSAFE = re.compile(r'[\x00-\x1f"%*/:<>?\\|]')
#: Bytes of a file's name, less those of suffixes and temporary names.
_NAME_BYTES = 200
#: Parts of the folder.
PAGE, FEATURES, MEDIA = "index.html", "features", "media"
JSON, TABLE = "detections.json", "detections.csv"
#: Files that a folder of somebody else's may have too.
WRITTEN = (PAGE, JSON, TABLE)


def safe_name(name: str) -> str:
    """A video's name as every file system accepts it; names that differ stay different.

    What is unsafe is percent-encoded, and a name that becomes too long ends in a hash instead.
    """
    safe = _UNSAFE.sub(lambda sign: quote(sign[0], safe=""), name)
    content = safe.encode("utf-8", "surrogateescape")
    if len(content) <= _NAME_BYTES:
        return safe
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{content[: _NAME_BYTES - 17].decode('utf-8', 'ignore')}-{digest}"


def write_results(folder: Path, detections: Detections, *, floor: float) -> None:
    """Write detections as JSON, as a table, and, from a score of `floor` on, as subtitles.

    It is a DuetalError if something can't be written.
    """
    activitynet.write_detections(folder / JSON, detections)
    csv_table.write_detections(folder / TABLE, detections)
    captions = detections.take(
        keep_non_overlapping(detections) & np.asarray(detections.score >= floor)
    )
    for name in detections.videos:
        file = folder / "subtitles" / f"{safe_name(name)}.vtt"
        webvtt.write_video(file, captions, name)


@dataclass(frozen=True)
class Showing:
    """How a video is shown on the page."""

    #: Relative to the page; None where the video is not shown.
    url: str | None
    #: Seconds that a browser's clock shows at its first picture.
    offset: float = 0.0
    #: A restriction that the page shows.
    note: str = ""
    #: Whether it is a copy, at the rate of the frames that the networks read.
    is_copy: bool = False
    #: Why it could not be copied.
    failure: str = ""


def show(
    folder: Path, video: Video, *, fingerprint: str, fps: float, copies: bool = True
) -> Showing:
    """Find out how a video can be shown; where browsers do not play it, copy it, if `copies`.

    `folder` is that of the page. `fingerprint` is the sha256 of the video's file; an existing copy
    of that is kept. `fps` are the frames a second of a copy.
    """
    try:
        found = playback(video.source)
        if not found.hindrance:
            return Showing(relative_url(video.source, folder), found.offset)
        if not copies:
            return Showing(None, note=f"The video is not shown: {found.hindrance}.")
        path = folder / MEDIA / f"{safe_name(video.name)}{copy_suffix()}"
        # Of one file, another stream is another video.
        mark = fingerprint if video.stream is None else f"{fingerprint} stream {video.stream}"
        if not is_copy_of(path, mark):
            write_browser_copy(
                video.source,
                path,
                fps=fps,
                fingerprint=mark,
                stream=video.stream,
                damaged=video.damaged,
            )
    except DuetalError as error:
        return Showing(None, note="The video is not shown.", failure=str(error))
    url = relative_url(path, folder)
    note = f"A copy without sound is shown: {found.hindrance}."
    return Showing(url, note=note, is_copy=True)


def relative_url(file: str | Path, folder: Path) -> str:
    """A file's URL as seen from a page in a folder, percent-encoded whatever bytes its name has."""
    try:
        path = Path(os.path.relpath(file, folder))
    except ValueError:  # another drive of Windows
        return Path(file).absolute().as_uri()
    # The dot keeps a name with a colon from being taken for a protocol; ":" is quoted besides.
    return "./" + "/".join(quote(os.fsencode(part), safe="") for part in path.parts)
