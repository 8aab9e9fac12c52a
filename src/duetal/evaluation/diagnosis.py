"""Why a score is what it is: errors by kind, what is missed, and what scores are worth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import UsageError
from duetal.evaluation.ap import rank
from duetal.evaluation.calibration import Calibration, calibration
from duetal.evaluation.considered import consider
from duetal.evaluation.evaluate import averaged, score
from duetal.evaluation.false_positives import (
    ERRORS,
    ErrorProfile,
    Kind,
    best_overlaps,
    classify,
    error_profile,
    fixed_mean_ap,
)
from duetal.evaluation.protocols import Protocol
from duetal.evaluation.result import Evaluation
from duetal.evaluation.sensitivity import Sensitivity, sensitivity


@dataclass(frozen=True)
class Diagnosis:
    """What a diagnosis found.

    Args:
        evaluation: mAP of the same predictions.
        headline: the average that `fixed` is of.
        profile: predictions by kind, at one threshold.
        fixed: the headline's mAP without each kind of error, in [0, 1].
        fixed_by_threshold: the same at every threshold.
        sensitivity: what is missed, at the same threshold as the profile.
        calibration: of the scores, likewise.
    """

    evaluation: Evaluation
    headline: str
    profile: ErrorProfile
    fixed: Mapping[Kind, float]
    fixed_by_threshold: Mapping[Kind, tuple[float, ...]]
    sensitivity: Sensitivity
    calibration: Calibration

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "evaluation": self.evaluation.to_json(),
            "headline": self.headline,
            "predictions": self.profile.to_json(),
            "fixed_mAP": {
                kind: {"average": self.fixed[kind], "tiou": list(self.fixed_by_threshold[kind])}
                for kind in ERRORS
            },
            "sensitivity": self.sensitivity.to_json(),
            "calibration": self.calibration.to_json(),
        }


def diagnose(
    detections: Detections,
    annotations: Annotations,
    protocol: Protocol,
    subset: str | None = None,
    *,
    tiou: float = 0.5,
) -> Diagnosis:
    """Diagnose detections under a protocol.

    Args:
        detections: in seconds.
        annotations: with segments.
        protocol: see `consider`.
        subset: see `consider`.
        tiou: at which kinds are counted, segments are missed and scores are judged; one of the
            protocol's thresholds.

    Raises:
        UsageError: not a threshold of the protocol; or as `consider`.
        DuetalError: as `consider`.
    """
    if tiou not in protocol.tiou:
        valid = ", ".join(f"{threshold:g}" for threshold in protocol.tiou)
        raise UsageError(f"tIoU {tiou:g} is not of {protocol.name}, which has {valid}")
    considered = consider(detections, annotations, protocol, subset)
    ranking = rank(considered.truth, considered.detections, protocol.tiou)
    kinds = classify(considered, ranking, best_overlaps(considered, ranking))
    fixed = fixed_mean_ap(considered, ranking, kinds)
    column = protocol.tiou.index(tiou)
    headline, rows = list(averaged(protocol).items())[-1]
    found = sensitivity(considered, ranking, annotations, column)
    evaluation = score(considered, ranking)
    if found.characteristics[0].name != "coverage":
        note = "no coverage: the annotations lack the duration of some videos"
        evaluation = replace(evaluation, notes=(*evaluation.notes, note))
    return Diagnosis(
        evaluation=evaluation,
        headline=headline,
        profile=error_profile(considered, ranking, kinds, column),
        fixed={kind: float(values[rows].mean()) for kind, values in fixed.items()},
        fixed_by_threshold={kind: tuple(values.tolist()) for kind, values in fixed.items()},
        sensitivity=found,
        calibration=calibration(
            np.asarray(considered.detections.score[ranking.rows], dtype=np.float64),
            ranking.matched[:, column] >= 0,
            tiou,
        ),
    )
