"""Label Studio: tasks of videos with timeline labels, as its JSON export and import have them.

    [{"data": {"video": "/data/upload/1/3f2a1b9c-v1.mp4", "fps": 25},
      "annotations": [{"result": [{"type": "timelinelabels", "from_name": "timelineLabels",
        "to_name": "video", "value": {"ranges": [{"start": 3, "end": 50}],
                                      "timelinelabels": ["Diving"]}}]}],
      "predictions": [{"model_version": "duetal", "result": [{…, "score": 0.87}]}]}]

Ranges are the first and last frame, counted from 1 at the frame rate that the labelling interface
gives the video (`<Video frameRate="…">`); `labels` of audio and time series are in seconds. What a
person marked is in `annotations`, what a model proposed in `predictions`. A result of `choices` or
`taxonomy` is about the video as a whole. The exports JSON-MIN, CSV and TSV have an object or row
for each annotation: the task's data, and under the name of each control what was marked with it,
`"timelineLabels": [{"ranges": […], "timelinelabels": […]}]` or `"kind": "Diving"`.
https://labelstud.io/tags/timelinelabels, https://labelstud.io/guide/predictions
"""

import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from sys import intern
from typing import Any, NoReturn
from xml.sax.saxutils import quoteattr

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, UsageError, raise_error
from duetal.core.files import write_json, write_text
from duetal.core.video_names import is_audio, is_media, video_name
from duetal.formats.delimited import delimiter_of, head, read_rows
from duetal.formats.json_values import (
    FAULTS,
    a_list,
    a_string,
    an_object,
    consumed,
    finite,
    optional,
)
from duetal.formats.marked import Content, Marked, MarkedVideo, Reading, marked
from duetal.formats.media import media_place
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions, frames_of, seconds_of

_SEGMENTS = ("timelinelabels", "timeserieslabels", "labels")
_CHOICES = ("choices", "taxonomy")
#: What a row of an export holds beside the task's own data and the controls.
_ROW_DATA = frozenset(
    {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}
    | {"video", "fps", "duration", "subset"}
)


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read what people marked; tasks that nobody has worked on are left out.

    It takes the exports JSON, JSON-MIN, CSV and TSV, and the option `fps` where the tasks don't
    hold it. Of several annotations of a task the one marked as ground truth counts, else the first
    one that was not cancelled.

    Choices are the labels of a video whose segments are unknown, where no task of the file has
    segments or the option `tier` names their control; else they are left out. Where a video has
    segments, a chosen class without any occurs at times that are unknown.

    Raises:
        DuetalError: not of these forms; names the task and the result.
        UsageError: times are frames, and neither the task nor `options` has their rate; or the
            choices of several controls may be the labels.
    """
    return _read("annotations", Reading(path, report, options)).partial_annotations()


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read the last prediction of each task; raises what `read_annotations` does."""
    return _read("predictions", Reading(path, options=options)).detections()


def write(path: Path, content: Content, *, options: FormatOptions = DEFAULT_OPTIONS) -> None:
    """Write tasks with what is annotated or detected, and the labelling interface beside them.

    The interface is a file of the same name ending in `.interface.xml`. A video whose segments are
    unknown is a task without annotation. Detections become predictions, to accept or to correct.
    Times become whole frames at the rate of each video, or at the option `fps`; where they differ,
    the interface takes each task's own. `media_root` and `media_suffix` give where Label Studio
    finds the videos.

    Raises:
        DuetalError: a number that is not finite, or a file can't be written.
        UsageError: neither the videos' rates nor `fps` were given.
    """
    key = "predictions" if isinstance(content, Detections) else "annotations"
    tasks = [_task(video, key, options, path) for video in marked(content)]
    rates = {task["data"]["fps"] for task in tasks}
    write_json(path, tasks, indent=None)
    rate = f"{rates.pop():.10g}" if len(rates) == 1 else "$fps"
    write_text(interface_place(path), interface(content.classes, rate))


def interface_place(path: Path) -> Path:
    """Where the labelling interface of a task file lies."""
    return path.with_suffix(".interface.xml")


def interface(classes: Iterable[str], rate: str) -> str:
    """The labelling interface of a project with these classes, in Label Studio's XML.

    `rate` are frames per second, or the key of a task's data that has them ("$fps").
    """
    labels = "".join(f"    <Label value={quoteattr(label)}/>\n" for label in classes)
    return (
        "<View>\n"
        f'  <Video name="video" value="$video" frameRate="{rate}" timelineHeight="120"/>\n'
        '  <TimelineLabels name="timelineLabels" toName="video">\n'
        f"{labels}"
        "  </TimelineLabels>\n"
        "</View>\n"
    )


def _task(video: MarkedVideo, key: str, options: FormatOptions, path: Path) -> dict[str, Any]:
    # Of a player's clock, which begins with the file and not with the pictures.
    fps = options.required_clock(video.name, path).rate
    data: dict[str, Any] = {"video": media_place(video.name, options, path), "fps": fps}
    about = {"duration": video.duration, "subset": video.subset}
    data |= {key: value for key, value in about.items() if value is not None}
    if video.intervals is None:
        return {"data": data}
    results = [timeline_result(number, one, fps) for number, one in enumerate(video.intervals)]
    model = {"model_version": "duetal"} if key == "predictions" else {}
    return {"data": data, key: [{**model, "result": results}]}


def timeline_result(
    number: int, one: Marked, fps: float, control: str = "timelineLabels", video: str = "video"
) -> dict[str, Any]:
    """An interval as a result of a control of a video, which are called so in the interface.

    `number` tells it from the others of its task; `fps` is the frame rate of the interface.
    """
    first, last = frames_of(one.start, one.end, fps)
    result = {
        "id": f"{number}",
        "type": "timelinelabels",
        "from_name": control,
        "to_name": video,
        "value": {"ranges": [{"start": first, "end": last}], "timelinelabels": [one.label]},
    }
    return result if one.score is None else result | {"score": one.score}


def _read(key: str, reading: Reading) -> Reading:
    tasks = _tasks(reading)
    control = _label_control(tasks, reading) if key == "annotations" else None
    for index, task in consumed(tasks):
        with reading.going_on(f"task {index}"):
            _add_task(an_object(task), key, control, f"task {index}", reading)
    return reading


def _tasks(reading: Reading) -> list[Any]:
    """The tasks of any of the exports, in the form of the JSON export."""
    if head(reading.path).startswith(("[", "{")):
        tasks = reading.document()
        if not isinstance(tasks, list):
            raise DuetalError("not of Label Studio's form: no list of tasks", file=reading.path)
        rows = [isinstance(task, dict) and "data" not in task and is_row(task) for task in tasks]
        if not any(rows):
            return tasks
    else:
        delimiter = delimiter_of(reading.path)
        cells = read_rows(reading.path, delimiter, (), report=reading.report, columns_of=list)
        tasks = [{key: _of_cell(cell) for key, cell in row.items()} for _, row in cells]
    return _of_rows(tasks, reading)


def is_row(keys: Container[str]) -> bool:
    """Whether an object or a table with these keys is an export's annotation of a task."""
    return "annotation_id" in keys and "lead_time" in keys


def _of_cell(cell: str) -> Any:
    if cell.startswith(("[", "{")):
        with suppress(ValueError, RecursionError):
            return json.loads(cell)
    return cell


def _of_rows(rows: list[Any], reading: Reading) -> list[Any]:
    tasks: dict[str, dict[str, Any]] = {}
    controls = _row_controls(rows, reading)
    for index, row in consumed(rows):
        with reading.going_on(f"task {index}"):
            data: dict[str, Any] = {}
            results: list[Any] = []
            for key, value in an_object(row).items():
                parts = value if isinstance(value, list) else [value]
                if key not in controls:
                    data[key] = value
                elif value not in (None, ""):
                    results += (_result(key, part) for part in parts)
            task = tasks.setdefault(str(row.get("id", index)), {"data": data, "annotations": []})
            task["annotations"].append({"result": results})
    return list(tasks.values())


def _row_controls(rows: list[Any], reading: Reading) -> set[str]:
    """The controls of an export whose rows have their values beside the task's data.

    A single choice is written as its text alone, so that its control looks like data: it is the one
    that the option `tier` names or, where no other value shows its kind, the only text.
    """
    shown: set[str] = set()
    texts: set[str] = set()
    for row in rows:
        for key, value in row.items() if isinstance(row, dict) else ():
            parts = value if isinstance(value, list) else [value]
            if any(isinstance(part, dict) and _kind(part) for part in parts):
                shown.add(key)
            elif isinstance(value, str) and value and key not in _ROW_DATA and not is_media(value):
                texts.add(key)
    if reading.options.tier is not None:
        return shown | ({reading.options.tier} & texts)
    if not shown and len(texts) > 1:
        _refuse_several(texts, reading)
    return shown or texts


def _result(control: str, part: Any) -> dict[str, Any]:
    value = part if isinstance(part, dict) else {"choices": [part]}
    return {"type": _kind(value), "from_name": control, "value": value}


def _kind(value: dict[str, Any]) -> str | None:
    kind = next((kind for kind in (*_SEGMENTS, *_CHOICES) if kind in value), None)
    # Boxes on pictures have labels too.
    timed = "ranges" in value or "start" in value
    return kind if kind in _CHOICES or timed else None


def _label_control(tasks: list[Any], reading: Reading) -> str | None:
    """The control whose choices are labels of videos; None where segments are the labels."""
    if reading.options.tier is not None:
        return reading.options.tier
    controls: set[str] = set()
    for task in tasks:
        with suppress(AttributeError, *FAULTS):
            for annotation in task.get("annotations", ()):
                for result in annotation["result"]:
                    if result["type"] in _SEGMENTS:
                        return None
                    if result["type"] in _CHOICES:
                        controls.add(str(result.get("from_name")))
    if len(controls) > 1:
        _refuse_several(controls, reading)
    return next(iter(controls), None)


def _refuse_several(controls: set[str], reading: Reading) -> NoReturn:
    listed = ", ".join(map(repr, sorted(controls)))
    raise UsageError(f"which control holds the labels: {listed}? (--tier)", file=reading.path)


def _add_task(
    task: dict[str, Any], key: str, control: str | None, place: str, reading: Reading
) -> None:
    data = an_object(task["data"], "'data'")
    media = _media(data)
    name = video_name(media)
    others = (value for key, value in data.items() if key not in _ROW_DATA and value != media)
    reading.left_out["other data of tasks"] += sum(value not in (None, "") for value in others)
    chosen = _choose(task, key, reading.left_out)
    if chosen is None:
        reading.left_out[f"tasks without {key}"] += 1
        return
    given = data.get("fps")
    fps = reading.options.fps if given in (None, "") else finite(given)
    if fps is not None and fps <= 0:
        raise ValueError(f"{fps} frames per second")
    duration = optional(data.get("duration") or None, finite)
    subset = data["subset"] if isinstance(data.get("subset"), str) else None

    labels: list[str] = []

    def intervals(result: dict[str, Any]) -> list[Marked]:
        reading.left_out["remarks on regions"] += bool(result.get("meta"))
        kind = result.get("type")
        if kind in _CHOICES and control is not None and str(result.get("from_name")) == control:
            labels.extend(_choices(an_object(result["value"], "'value'"), kind))
            return []
        found = list(_intervals(result, fps, reading))
        if not found:
            reading.left_out[f"results of type {str(result.get('type'))[:40]!r}"] += 1
        return found

    results = a_list(chosen["result"], "'result'")
    found = chain.from_iterable(reading.each(results, f"{place}, result", intervals))
    marked = list(found)
    located = {one.label for one in marked}
    reading.left_out["choices beside segments"] += sum(label in located for label in labels)
    labels = [label for label in labels if label not in located]
    # Who chose classes did not say where they are; who chose none, that nothing happens.
    known = marked if marked or not labels else None
    reading.add(MarkedVideo(name, known, duration, subset, labels))


def _choices(value: dict[str, Any], kind: str) -> Iterator[str]:
    for choice in a_list(value[kind], repr(kind)):
        # Of a taxonomy, the path to a class.
        path = choice if isinstance(choice, list) else [choice]
        yield intern(a_string(path[-1] if path else None, "a choice"))


def _media(data: dict[str, Any]) -> str:
    """The task's video: its `video`, or the only value that looks like a video or else sound."""
    if isinstance(data.get("video"), str):
        return str(data["video"])
    files = [value for value in data.values() if isinstance(value, str) and is_media(value)]
    files = [file for file in files if not is_audio(file)] or files
    if len(files) != 1:
        raise ValueError("'data' has no 'video'")
    return files[0]


def _choose(task: dict[str, Any], key: str, left_out: Counter[str]) -> dict[str, Any] | None:
    listed = [an_object(one, f"one of {key!r}") for one in a_list(task.get(key, []), repr(key))]
    listed = [one for one in listed if not one.get("was_cancelled")]
    if not listed:
        return None
    left_out[f"further {key} of a task"] += len(listed) - 1
    return next((one for one in listed if one.get("ground_truth")), listed[0])


def _intervals(result: dict[str, Any], fps: float | None, reading: Reading) -> Iterator[Marked]:
    kind = result.get("type")
    if kind not in _SEGMENTS:
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
