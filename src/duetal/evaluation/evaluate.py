"""From detections and annotations to mAP under a protocol, with an account of what was dropped."""

import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.evaluation.ap import Ranking, average_precision, rank
from duetal.evaluation.considered import Considered, consider
from duetal.evaluation.protocols import Protocol
from duetal.evaluation.result import Evaluation


def evaluate(
    detections: Detections,
    annotations: Annotations,
    protocol: Protocol | str,
    subset: str | None = None,
) -> Evaluation:
    """Mean average precision of detections under a protocol.

    Args:
        detections: in seconds.
        annotations: with segments.
        protocol: or its name.
        subset: which part of the annotations; see `consider`, which says what is dropped.

    Raises:
        UsageError: an unknown protocol or subset.
        DuetalError: no segment to evaluate against, or a value that is not finite.
    """
    considered = consider(detections, annotations, protocol, subset)
    truth, found = considered.truth, considered.detections
    return score(considered, rank(truth, found, considered.protocol.tiou))


def score(considered: Considered, ranking: Ranking) -> Evaluation:
    """Mean average precision of what a protocol compares.

    Args:
        considered: what it compares.
        ranking: of its predictions, at the protocol's thresholds.
    """
    protocol, truth = considered.protocol, considered.truth
    ap = average_precision(ranking, truth)
    mean_ap = ap.mean(axis=0)
    return Evaluation(
        protocol=protocol.name,
        subset=considered.subset,
        tiou=protocol.tiou,
        mean_ap=tuple(mean_ap.tolist()),
        averages={name: float(mean_ap[rows].mean()) for name, rows in averaged(protocol).items()},
        per_class={
            label: tuple(row) for label, row in zip(truth.classes, ap.tolist(), strict=True)
        },
        videos=len(truth.videos),
        segments=len(truth),
        predictions=len(considered.detections),
        dropped=considered.dropped,
        notes=considered.notes,
    )


def averaged(protocol: Protocol) -> dict[str, NDArray[np.bool_]]:
    """Which of a protocol's thresholds each of its averages is over."""
    tiou = np.asarray(protocol.tiou)
    return {name: (tiou >= low) & (tiou <= high) for name, (low, high) in protocol.averages.items()}
