"""Pseudo-labels as a run's folder keeps them: of each video the columns of its own classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def columns_record(names: tuple[str, ...], present: NDArray[np.bool_]) -> dict[str, Any]:
    """What a file's record says of its arrays (T, classes that a video has); of labels (N, K)."""
    own = (np.flatnonzero(row).tolist() for row in present)
    return {"classes": present.shape[1], "present": dict(zip(names, own, strict=True))}


def all_classes(labels: NDArray[Any], name: str, record: Mapping[str, Any]) -> NDArray[Any]:
    """(T, K) pseudo-labels of a video, of its array in the file: background of all others.

    Version 0.1.0 wrote all classes, which its record does not list. KeyError or ValueError if the
    array does not fit the record.
    """
    if "present" not in record:
        return labels
    whole = np.zeros((len(labels), record["classes"]), labels.dtype)
    whole[:, record["present"][name]] = labels
    return whole
