"""What lowers mAP: errors by kind, missed segments, and scores that are not probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import UsageError
from duetal.core.tables import html_table
from duetal.evaluation import false_positives
from duetal.evaluation.calibration import Calibration, calibration
from duetal.evaluation.considered import consider
from duetal.evaluation.false_positives import ERRORS, ErrorProfile, PredictionKind
from duetal.evaluation.mean_ap import averaged, rank, score
from duetal.evaluation.protocols import Protocol
from duetal.evaluation.result import Evaluation, PlainRecord
from duetal.evaluation.sensitivity import Sensitivity, sensitivity


@dataclass(frozen=True, repr=False)
class Diagnosis(PlainRecord):
    """The result of a diagnosis."""

    evaluation: Evaluation  # mAP of the same predictions.
    headline: str  # The average that `fixed` is of.
    profile: ErrorProfile  # Predictions by kind, at one threshold.
    fixed: Mapping[PredictionKind, float]  # The headline's mAP without each kind of error.
    fixed_by_threshold: Mapping[PredictionKind, tuple[float, ...]]  # (K,) the same, by threshold.
    sensitivity: Sensitivity  # What is missed, at the profile's threshold.
    calibration: Calibration  # Of the scores, likewise.

    json_keys: ClassVar = {"profile": "predictions", "fixed": "fixed_mAP"}

    def __repr__(self) -> str:
        return f"<Diagnosis at tIoU {self.profile.tiou:g} of {self.evaluation!r}>"

    def _repr_html_(self) -> str:
        header = ("kind", "predictions", f"mAP {self.headline} (%) without them")
        rows = [
            (kind, count, 100 * self.fixed[kind] if kind in self.fixed else "")
            for kind, count in self.profile.whole.items()
        ]
        return html_table(repr(self).strip("<>"), header, rows)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        value = super().to_json()
        by_threshold = value.pop("fixed_by_threshold")
        value["fixed_mAP"] = {
            kind: {"average": self.fixed[kind], "tiou": by_threshold[kind]} for kind in ERRORS
        }
        return value


def diagnose(
    detections: Detections,
    annotations: Annotations,
    protocol: Protocol,
    subset: str | None = None,
    *,
    tiou: float = 0.5,
    match_names: bool = False,
) -> Diagnosis:
    """Diagnose detections under a protocol.

    Args:
        detections: in seconds.
        annotations: with segments.
        protocol: see `consider`.
        subset: see `consider`.
        tiou: the threshold of kinds, missed segments and calibration; one of the protocol's.
        match_names: see `consider`.

    Raises:
        UsageError: not a threshold of the protocol; or as `consider`.
        DuetalError: as `consider`.
    """
    if tiou not in protocol.tiou:
        valid = ", ".join(f"{threshold:g}" for threshold in protocol.tiou)
        raise UsageError(f"tIoU {tiou:g} is not of {protocol.name}, which has {valid}")
    considered = consider(detections, annotations, protocol, subset, match_names=match_names)
    ranking = rank(considered.truth, considered.detections, protocol.tiou)
    overlaps = false_positives.best_overlaps(considered, ranking)
    kinds = false_positives.classify(considered, ranking, overlaps)
    fixed = false_positives.fixed_mean_ap(considered, ranking, kinds)
    column = protocol.tiou.index(tiou)
    headline, rows = list(averaged(protocol).items())[-1]
    found = sensitivity(considered, ranking, annotations, column)
    evaluation = score(considered, ranking)
    if found.characteristics[0].name != "coverage":
        note = "no coverage: the annotations lack the duration of some videos"
        evaluation = evaluation.model_copy(update={"notes": (*evaluation.notes, note)})
    scores = np.asarray(considered.detections.score[ranking.rows], dtype=np.float64)
    return Diagnosis(
        evaluation,
        headline,
        false_positives.error_profile(considered, ranking, kinds, column),
        {kind: float(values[rows].mean()) for kind, values in fixed.items()},
        {kind: tuple(values.tolist()) for kind, values in fixed.items()},
        found,
        calibration(scores, ranking.matched[:, column] >= 0, tiou),
    )
