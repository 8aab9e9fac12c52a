"""Writing a project of BORIS's (see `boris`), in which detections are corrected.

Each video is an observation, and each class a state event, which begins with one entry and ends
with the next of the same subject. Where actions of a class overlap or touch, further ones are of a
subject `overlap 2`, and so on. BORIS measures the videos' lengths when it opens them.
"""

import string
from collections import defaultdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from duetal.core.files import write_json
from duetal.formats.marked import Content, Marked, MarkedVideo, lanes, marked
from duetal.formats.media import media_place
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

#: The keys that log the classes, as far as there are any.
_KEYS = string.ascii_lowercase + string.digits
_BEHAVIOR = {
    "type": "State event", "description": "", "color": "", "category": "", "modifiers": "",
    "excluded": "", "coding map": "",
}  # fmt: skip
_PROJECT = {
    "time_format": "hh:mm:ss", "project_date": "1970-01-01T00:00:00", "project_description": "",
    "project_format_version": "7.0", "behavioral_categories": [], "independent_variables": {},
    "coding_map": {}, "behaviors_coding_map": [], "converters": {},
}  # fmt: skip


def write(path: Path, content: Content, *, options: FormatOptions = DEFAULT_OPTIONS) -> None:
    """Write a project, atomically.

    Times are rounded to milliseconds, and a point is a state of one. The scores of detections
    have no place. The options `media_root` and `media_suffix` give where BORIS finds the videos;
    without a root it is the project's own folder.

    Raises:
        DuetalError: a number that is not finite, or the file can't be written.
    """
    observations = {}
    overlaps = 1
    for video in marked(content):
        events, lanes_needed = _events(video)
        overlaps = max(overlaps, lanes_needed)
        place = media_place(video.name, options, path)
        observations[video.name] = _observation(video, place, events)
    behaviors = {
        str(number): {**_BEHAVIOR, "code": label, "key": key}
        for number, (label, key) in enumerate(
            zip_longest(content.classes, _KEYS[: len(content.classes)], fillvalue="")
        )
    }
    subjects = {
        str(number - 2): {"key": "", "name": _subject(number), "description": ""}
        for number in range(2, overlaps + 1)
    }
    document = _PROJECT | {
        "project_name": path.stem,
        "subjects_conf": subjects,
        "behaviors_conf": behaviors,
        "observations": observations,
    }
    write_json(path, document, indent=None)


def _observation(video: MarkedVideo, place: str, events: list[list[Any]]) -> dict[str, Any]:
    length = {} if video.duration is None else {place: video.duration}
    media = {"length": length, "fps": {}, "hasVideo": {}, "hasAudio": {}, "offset": {"1": 0.0}}
    return {
        "type": "MEDIA",
        "date": _PROJECT["project_date"],
        "description": "",
        "time offset": 0.0,
        "file": {"1": [place], **{str(player): [] for player in range(2, 9)}},
        "events": events,
        "independent_variables": {},
        "observation time interval": [0, 0],
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "close_behaviors_between_videos": False,
        "scan_sampling_time": 0,
        "media_info": media,
        "media_creation_date_as_offset": False,
    }


def _events(video: MarkedVideo) -> tuple[list[list[Any]], int]:
    """Beginnings and ends by time, and how many actions of a class overlap at most."""
    by_label: defaultdict[str, list[Marked]] = defaultdict(list)
    for one in video.intervals or ():
        by_label[one.label].append(one)
    events: list[list[Any]] = []
    most = 1
    for label, intervals in by_label.items():
        # BORIS has no two events of one time, subject and class.
        found = lanes(intervals, gap=1)
        most = max(most, len(found))
        for number, lane in enumerate(found, start=1):
            times = (time for interval in lane for time in interval)
            events += ([time / 1000, _subject(number), label, "", ""] for time in times)
    return sorted(events, key=lambda event: event[0]), most


def _subject(lane: int) -> str:
    return "" if lane == 1 else f"overlap {lane}"
