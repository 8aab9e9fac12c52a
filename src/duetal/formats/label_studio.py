"""Label Studio: tasks of videos with timeline labels, as its JSON export and import have them.

    [{"data": {"video": "/data/upload/1/3f2a1b9c-v1.mp4", "fps": 25},
      "annotations": [{"result": [{"type": "timelinelabels", "from_name": "timelineLabels",
        "to_name": "video", "value": {"ranges": [{"start": 3, "end": 50}],
                                      "timelinelabels": ["Diving"]}}]}],
      "predictions": [{"model_version": "duetal", "result": [{…, "score": 0.87}]}]}]

Ranges are the first and last frame, counted from 1 at the frame rate that the labelling interface
gives the video (`<Video frameRate="…">`); `labels` of audio and time series are in seconds. What a
person marked is in `annotations`, what a model proposed in `predictions`.
https://labelstud.io/tags/timelinelabels, https://labelstud.io/guide/predictions
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from sys import intern
from typing import Any
from xml.sax.saxutils import quoteattr

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import write_json, write_text
from duetal.core.video_names import is_media, video_name
from duetal.formats.json_values import a_list, a_string, an_object, consumed, finite, optional
from duetal.formats.marked import Content, Marked, MarkedVideo, Reading, marked
from duetal.formats.media import media_place
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions, frames_of, seconds_of


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read what people marked; tasks that nobody has worked on are left out.

    It takes a JSON export (not JSON-MIN, which does not hold who marked what), and the option `fps`
    where the tasks don't hold it. Of several annotations of a task the one marked as ground truth
    counts, else the last one that was not cancelled.

    Raises:
        DuetalError: not JSON or not of this form; names the task and the result.
        UsageError: times are frames, and neither the task nor `options` has their rate.
    """
    return _read("annotations", Reading(path, report, options)).annotations()


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read the last prediction of each task; raises what `read_annotations` does."""
    return _read("predictions", Reading(path, options=options)).detections()


def write(path: Path, content: Content, *, options: FormatOptions = DEFAULT_OPTIONS) -> None:
    """Write tasks with what is annotated or detected, and the labelling interface beside them.

    The interface is a file of the same name ending in `.interface.xml`. A video whose segments are
    unknown is a task without annotation. Detections become predictions, to accept or to correct.
    Times become whole frames at the option `fps`; `media_root` and `media_suffix` give where Label
    Studio finds the videos.

    Raises:
        DuetalError: a number that is not finite, or a file can't be written.
        UsageError: `fps` was not given.
    """
    fps = options.required_fps(path)
    key = "predictions" if isinstance(content, Detections) else "annotations"
    tasks = [_task(video, key, fps, options, path) for video in marked(content)]
    write_json(path, tasks, indent=None)
    write_text(interface_place(path), interface(content.classes, fps))


def interface_place(path: Path) -> Path:
    """Where the labelling interface of a task file lies."""
    return path.with_suffix(".interface.xml")


def interface(classes: Iterable[str], fps: float) -> str:
    """The labelling interface of a project with these classes, in Label Studio's XML."""
    labels = "".join(f"    <Label value={quoteattr(label)}/>\n" for label in classes)
    return (
        "<View>\n"
        f'  <Video name="video" value="$video" frameRate="{fps:g}" timelineHeight="120"/>\n'
        '  <TimelineLabels name="timelineLabels" toName="video">\n'
        f"{labels}"
        "  </TimelineLabels>\n"
        "</View>\n"
    )


def _task(
    video: MarkedVideo, key: str, fps: float, options: FormatOptions, path: Path
) -> dict[str, Any]:
    data: dict[str, Any] = {"video": media_place(video.name, options, path), "fps": fps}
    about = {"duration": video.duration, "subset": video.subset}
    data |= {key: value for key, value in about.items() if value is not None}
    if video.intervals is None:
        return {"data": data}
    results = []
    for number, one in enumerate(video.intervals):
        first, last = frames_of(one.start, one.end, fps)
        result: dict[str, Any] = {
            "id": f"{number}",
            "type": "timelinelabels",
            "from_name": "timelineLabels",
            "to_name": "video",
            "value": {"ranges": [{"start": first, "end": last}], "timelinelabels": [one.label]},
        }
        results.append(result if one.score is None else result | {"score": one.score})
    model = {"model_version": "duetal"} if key == "predictions" else {}
    return {"data": data, key: [{**model, "result": results}]}


def _read(key: str, reading: Reading) -> Reading:
    tasks = reading.document()
    if not isinstance(tasks, list):
        raise DuetalError("not of Label Studio's form: no list of tasks", file=reading.path)
    for index, task in consumed(tasks):
        with reading.going_on(f"task {index}"):
            _add_task(an_object(task), key, f"task {index}", reading)
    return reading


def _add_task(task: dict[str, Any], key: str, place: str, reading: Reading) -> None:
    data = an_object(task["data"], "'data'")
    name = video_name(_media(data))
    chosen = _choose(task, key, reading.left_out)
    if chosen is None:
        reading.left_out[f"tasks without {key}"] += 1
        return
    fps = finite(data["fps"]) if data.get("fps") is not None else reading.options.fps
    if fps is not None and fps <= 0:
        raise ValueError(f"{fps} frames per second")
    duration = optional(data.get("duration"), finite)
    subset = data["subset"] if isinstance(data.get("subset"), str) else None

    def intervals(result: dict[str, Any]) -> list[Marked]:
        found = list(_intervals(result, fps, reading))
        if not found:
            reading.left_out[f"results of type {str(result.get('type'))[:40]!r}"] += 1
        return found

    results = a_list(chosen["result"], "'result'")
    found = chain.from_iterable(reading.each(results, f"{place}, result", intervals))
    reading.add(MarkedVideo(name, list(found), duration, subset))


def _media(data: dict[str, Any]) -> str:
    """The task's video: its `video`, or the only value that looks like a media file."""
    if isinstance(data.get("video"), str):
        return str(data["video"])
    files = [value for value in data.values() if isinstance(value, str) and is_media(value)]
    if len(files) != 1:
        raise ValueError("'data' has no 'video'")
    return files[0]


def _choose(task: dict[str, Any], key: str, left_out: Counter[str]) -> dict[str, Any] | None:
    listed = [an_object(one, f"one of {key!r}") for one in a_list(task.get(key, []), repr(key))]
    listed = [one for one in listed if not one.get("was_cancelled")]
    if not listed:
        return None
    left_out[f"further {key} of a task"] += len(listed) - 1
    return next((one for one in listed if one.get("ground_truth")), listed[-1])


def _intervals(result: dict[str, Any], fps: float | None, reading: Reading) -> Iterator[Marked]:
    kind = result.get("type")
    if kind not in ("timelinelabels", "labels", "timeserieslabels"):
        return
    value = an_object(result["value"], "'value'")
    score = optional(result.get("score"), finite)
    if kind == "timelinelabels":
        rate = fps or reading.options.required_fps(reading.path)
        ranges = [an_object(one, "a range") for one in a_list(value["ranges"], "'ranges'")]
        times = [seconds_of(*_ends(one), rate) for one in ranges]
    else:
        times = [_ends(value)]
    labels = a_list(value.get(kind, []), repr(kind))
    if len(labels) > 1 and len(times) > 1:
        raise ValueError("a region has several ranges and several labels")
    for label in labels:
        for start, end in times:
            yield Marked(start, end, intern(a_string(label, "a label")), score)


def _ends(value: dict[str, Any]) -> tuple[float, float]:
    return finite(value["start"]), finite(value["end"])
