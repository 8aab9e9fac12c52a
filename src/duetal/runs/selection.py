"""Which checkpoint of each branch a finished run uses; the test set never chooses.

It is the last one, or that of best video-level mAP on training videos held out from training.
"""

from collections.abc import Mapping, Sequence

from duetal.results.schema import StageRecord

LAST_RULE = "last checkpoint of each branch; the test set chose nothing"
#: It is filled with the number of held-out videos.
HELDOUT_RULE = (
    "of each branch the checkpoint with the best video-level mAP on {} training videos held out "
    "from training; the test set chose nothing"
)


def last_stages(stages: Sequence[StageRecord]) -> dict[str, str]:
    """The last checkpoint of each branch, by the branch's name."""
    return {stage.branch: stage.name for stage in stages}


def best_stages(stages: Sequence[StageRecord], mean_ap: Mapping[str, float]) -> dict[str, str]:
    """Of each branch the checkpoint of the best mAP, by the branch's name; of equal ones the later.

    `stages` are in order of training.
    """
    best: dict[str, str] = {}
    for stage in stages:
        if mean_ap[stage.name] >= mean_ap[best.setdefault(stage.branch, stage.name)]:
            best[stage.branch] = stage.name
    return best
