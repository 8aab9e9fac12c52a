"""What was found in a video as a prediction of Label Studio: regions in frames, and choices."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from duetal.formats.label_studio import timeline_result
from duetal.formats.marked import Marked
from duetal.localization.proposals import select_classes
from duetal.ml_backend.labelling_interface import Control, LabellingInterface
from duetal.ml_backend.predictor import KeptAction, KeptVideo


def prediction(
    found: KeptVideo,
    interface: LabellingInterface,
    data: Mapping[str, Any],
    *,
    version: str,
    class_threshold: float,
    floor: float | None = None,
) -> dict[str, Any]:
    """The prediction of a task with this data.

    Args:
        found: what was found in its video.
        interface: of the task's project.
        data: of the task, which may have the frame rate.
        version: what the run is called.
        class_threshold: of `localization`: above which probability a class is chosen.
        floor: actions of a lower score are left out; None for half the highest score.

    Raises:
        DuetalError: the task's data lacks the frame rate.
    """
    results: list[dict[str, Any]] = []
    scores: list[float] = []
    if interface.timeline is not None:
        fps = interface.rate_of(data)
        for one in _shown(found, interface.timeline, floor):
            interval = Marked(one.start, one.end, one.label, one.score)
            control, number = interface.timeline, len(results)
            results.append(timeline_result(number, interval, fps, control.name, control.to_name))
            scores.append(one.score)
    if interface.choices is not None:
        chosen = _chosen(found, interface.choices, class_threshold)
        score = max((found.classes[label] for label in chosen), default=0.0)
        if chosen:
            results.append(
                {
                    "id": f"{len(results)}",
                    "type": "choices",
                    "from_name": interface.choices.name,
                    "to_name": interface.choices.to_name,
                    "value": {"choices": chosen},
                    "score": score,
                }
            )
        scores = scores or [score]
    mean = sum(scores) / len(scores) if scores else 0.0
    return {"result": results, "score": mean, "model_version": version}


def _shown(found: KeptVideo, control: Control, floor: float | None) -> list[KeptAction]:
    """The actions to propose, by their start."""
    own = [one for one in found.actions if one.label in control.labels]
    if floor is None:
        floor = max((one.score for one in own), default=0.0) / 2
    return sorted((one for one in own if one.score >= floor), key=lambda one: one.start)


def _chosen(found: KeptVideo, control: Control, threshold: float) -> list[str]:
    """The classes to choose, the most probable first."""
    own = sorted(control.labels, key=lambda label: -found.classes.get(label, 0.0))
    own = own if control.several else own[:1]
    values = np.array([found.classes.get(label, 0.0) for label in own])
    return [own[index] for index in select_classes(values, threshold)]
