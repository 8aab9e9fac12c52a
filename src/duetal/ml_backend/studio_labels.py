"""What the annotations of a project say of its videos, as labels to train on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError
from duetal.core.files import write_json
from duetal.extraction.sources import Video
from duetal.formats import label_studio
from duetal.formats.json_values import FAULTS
from duetal.formats.options import FormatOptions
from duetal.ml_backend.labelling_interface import LabellingInterface
from duetal.ml_backend.task_videos import TaskVideos


@dataclass(frozen=True)
class StudioLabels:
    """The videos of a project that are annotated."""

    annotations: Annotations
    videos: tuple[Video, ...]
    #: What was left out, one line each.
    notes: tuple[str, ...]


def read_labels(
    tasks: Iterable[Any], interface: LabellingInterface, videos: TaskVideos, kept: Path
) -> StudioLabels:
    """Read the tasks of an export.

    Regions are actions, those of one frame points; choices are labels of the whole video. Where a
    video has regions, all actions are marked, but those of chosen classes that no region has.
    `kept` is written: the tasks as `duetal convert` reads them, each with its frame rate.

    Raises:
        DuetalError: no annotated task can be used, or the file can't be written.
    """
    notes: list[str] = []
    found: dict[str, Video] = {}
    usable = list(_usable(tasks, interface, videos, found, notes))
    write_json(kept, usable)
    options = FormatOptions(tier=None if interface.choices is None else interface.choices.name)
    annotations = label_studio.read_annotations(
        kept, options=options, report=lambda error: notes.append(str(error))
    )
    notes += annotations.left_out
    if not annotations.videos:
        reason = f": {notes[0]}" if notes else ""
        raise DuetalError(f"no annotated task can be used{reason}", file=kept)
    known = tuple(video for name, video in found.items() if name in annotations.videos)
    return StudioLabels(annotations, known, tuple(notes))


def _usable(
    tasks: Iterable[Any],
    interface: LabellingInterface,
    videos: TaskVideos,
    found: dict[str, Video],
    notes: list[str],
) -> Iterator[dict[str, Any]]:
    """The tasks whose video is there, with the results that are labels; gathers the videos."""
    controls = {c.name for c in (interface.timeline, interface.choices) if c is not None}
    for task in tasks:
        number = task.get("id") if isinstance(task, dict) else None
        try:
            data = task["data"]
            video = videos.find(data, interface.video)
            about = {"video": data[interface.video], "fps": interface.rate_of(data)}
            annotations = [
                {
                    **{key: one.get(key) for key in ("id", "was_cancelled", "ground_truth")},
                    "result": [r for r in one["result"] if r.get("from_name") in controls],
                }
                for one in task["annotations"]
            ]
        except (*FAULTS, AttributeError, DuetalError) as error:
            notes.append(f"task {number}: {error}")
            continue
        found[video.name] = video
        yield {"id": number, "data": about, "annotations": annotations}
