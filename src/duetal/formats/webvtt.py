"""WebVTT: the detections of one video as subtitles that every player shows.

    WEBVTT

    00:00:03.200 --> 00:00:06.400
    HighJump 0.873

A cue's text is the label, a space, and the score to four significant digits; times are to the
millisecond. What means something in a cue (`&`, `<`, `>`, a line's end) is a character reference.
https://www.w3.org/TR/webvtt1/
"""

import html
import math
from pathlib import Path

import numpy as np

from duetal.core.detections import Detections
from duetal.core.files import write_text

#: A line's end inside a label would end its line of text, and two of them the cue.
_LINE_ENDS = str.maketrans({"\n": "&#10;", "\r": "&#13;"})


def write_detections(path: Path, detections: Detections, video: str) -> None:
    """Write the detections of one video, atomically, by start; of equal starts the surest first.

    Args:
        path: the file.
        detections: of any videos, in seconds.
        video: the one to write; without detections it becomes a file without cues.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    detections.require_finite()
    names = np.array([name == video for name in detections.videos], dtype=np.bool_)
    chosen = np.flatnonzero(names[detections.video])
    order = np.lexsort((-detections.score[chosen], detections.start[chosen]))
    cues = [
        cue(
            float(detections.start[row]),
            float(detections.end[row]),
            cue_text(detections.classes[detections.label[row]], float(detections.score[row])),
        )
        for row in chosen[order]
    ]
    text = "\n\n".join(["WEBVTT", *cues]) + "\n"
    # Half a surrogate pair, which a label read from JSON can hold, has no bytes in UTF-8.
    write_text(path, text.encode("utf-8", "replace").decode("utf-8"))


def cue(start: float, end: float, text: str) -> str:
    """A cue without identifier or settings; the form wants it to begin at 0 and last a while."""
    first = max(0, round(1000 * start))
    last = max(first + 1, round(1000 * end))
    return f"{timestamp(first)} --> {timestamp(last)}\n{text}"


def timestamp(milliseconds: int) -> str:
    """`hh:mm:ss.mmm`, with more digits of hours where they are needed."""
    minutes, rest = divmod(milliseconds, 60_000)
    seconds, thousandths = divmod(rest, 1000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{thousandths:03}"


def cue_text(label: str, score: float) -> str:
    """The text of a cue that says a detection."""
    return f"{html.escape(label, quote=False).translate(_LINE_ENDS)} {score:.4g}"


def parse_cue_text(text: str) -> tuple[str, float] | None:
    """Label and score of a cue's text; None where it ends in no number: it is somebody else's."""
    label, space, last = text.rpartition(" ")
    try:
        score = float(last)
    except ValueError:
        return None
    if not space or not math.isfinite(score):
        return None
    return html.unescape(label), score
