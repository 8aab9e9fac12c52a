"""Holding videos back from training: the same ones for the same videos, some of each class."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping

#: The share of a class's videos that is held back.
SHARE = 0.2
#: Training videos that every class of a held-back video keeps.
LEAST_TRAINING = 8
#: Fewer held-back videos than this are too few to measure on; they are trained on.
LEAST_HELD_BACK = 5


def hold_back(
    labels: Mapping[str, Collection[str]],
    candidates: Collection[str] | None = None,
    *,
    least: int = LEAST_HELD_BACK,
) -> frozenset[str]:
    """Choose videos to evaluate on instead of training, from names and labels alone.

    Videos are considered in the order of a hash of their names, so the choice depends neither on a
    seed nor on their order. A video is taken while each of its classes has given less than its
    share and keeps enough videos to train on.

    Args:
        labels: of every video, by name.
        candidates: those that may be held back; None for all.
        least: with fewer held-back videos none is held back.
    """
    there = Counter(label for present in labels.values() for label in set(present))
    most = {label: min(round(SHARE * n), n - LEAST_TRAINING) for label, n in there.items()}
    taken: Counter[str] = Counter()
    held = []
    for name in sorted(labels if candidates is None else candidates, key=_hash):
        classes = set(labels[name])
        if classes and all(taken[label] < most[label] for label in classes):
            held.append(name)
            taken.update(classes)
    return frozenset(held if len(held) >= least else ())


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
