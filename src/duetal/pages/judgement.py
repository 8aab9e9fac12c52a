"""The kind of each prediction on a page, and the segments that are missed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.evaluation import PROTOCOLS, Evaluation, Protocol
from duetal.evaluation.considered import consider
from duetal.evaluation.false_positives import KINDS, best_overlaps, classify
from duetal.evaluation.mean_ap import rank, score
from duetal.evaluation.protocols import SECONDS

#: The kind of a prediction that the protocol leaves out, after the six of `KINDS`.
NOT_JUDGED = len(KINDS)
#: Bit of a segment that is not evaluated; the lower bits are of the thresholds.
NOT_ASKED = 15


@dataclass(frozen=True)
class Judgement:
    """How a protocol judges the predictions of many videos, at each of its thresholds."""

    kinds: NDArray[np.uint8]  #: (N, K) indices into `KINDS`, or NOT_JUDGED; rows as detections.
    #: By video, (M,) for its annotated segments in their order: bit k is set where no prediction
    #: matches at threshold k, or bit NOT_ASKED alone if it is not evaluated.
    missed: dict[str, NDArray[np.uint16]]
    evaluation: Evaluation  #: mAP of the same predictions.


def judge(
    detections: Detections, annotations: Annotations, protocol: Protocol, subset: str | None = None
) -> Judgement:
    """Judge predictions as `duetal diagnose` does; arguments and errors are those of `consider`."""
    considered = consider(detections, annotations, protocol, subset)
    ranking = rank(considered.truth, considered.detections, protocol.tiou)
    found = classify(considered, ranking, best_overlaps(considered, ranking))
    kinds = np.full((len(detections), len(protocol.tiou)), NOT_JUDGED, dtype=np.uint8)
    kinds[considered.rows[ranking.rows]] = found

    truth = considered.truth
    missed = np.zeros(len(truth), dtype=np.uint16)
    for threshold in range(len(protocol.tiou)):
        unmatched = np.ones(len(truth), dtype=np.bool_)
        matched = ranking.matched[:, threshold]
        unmatched[matched[matched >= 0]] = False
        missed |= unmatched.astype(np.uint16) << np.uint16(threshold)
    borders = np.searchsorted(truth.video, np.arange(len(truth.videos) + 1))
    by_video = {
        name: missed[borders[row] : borders[row + 1]] for row, name in enumerate(truth.videos)
    }
    return Judgement(kinds, by_video, score(considered, ranking))


def judging_protocol(name: str) -> Protocol:
    """The protocol of a name; an unknown name gives `seconds`."""
    return PROTOCOLS.get(name, SECONDS)
