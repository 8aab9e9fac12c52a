"""The protocol of open vocabularies: one method on several splits of the classes, averaged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duetal.api.trained_run import PathLike
from duetal.core.errors import DuetalError
from duetal.evaluation import Protocol, evaluate, protocol_named
from duetal.evaluation.result import Evaluation, Summary, summarize
from duetal.formats import read_annotations, read_detections

#: The files of a split.
TRUTH, DETECTIONS = "gt.json", "detections.json"


@dataclass(frozen=True)
class SplitScores:
    """The scores of every split by its folder's name, and their mean and spread."""

    splits: Mapping[str, Evaluation]
    summary: Summary

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        splits = {name: each.to_json() for name, each in self.splits.items()}
        return {"summary": self.summary.to_json(), "splits": splits}


def split_folders(folder: PathLike) -> list[Path]:
    """The splits of a folder, the tenth after the ninth; DuetalError if there is none."""
    root = Path(folder)
    if not root.is_dir():
        raise DuetalError("no such folder", file=root)
    parts = [each for each in root.iterdir() if each.is_dir() and not each.name.startswith(".")]
    parts = [each for each in parts if (each / TRUTH).is_file() or (each / DETECTIONS).is_file()]
    if not parts:
        cause = f"no split: a folder for each, with {TRUTH} and {DETECTIONS}"
        raise DuetalError(cause, file=root)
    return sorted(parts, key=lambda part: (len(part.name), part.name))


def evaluate_splits(
    folder: PathLike,
    protocol: Protocol | str,
    subset: str | None = None,
    *,
    match_names: bool = False,
    count_excluded: bool = False,
) -> SplitScores:
    """Temporal mAP on every split of a folder, as `duetal evaluate --splits`.

    A split is a folder with `gt.json` and `detections.json`, in any form that is read; each has its
    own classes and videos. See `evaluate` for the other arguments.

    Raises:
        UsageError: an unknown protocol or subset.
        DuetalError: no split there, one that lacks a file, or a file that can't be evaluated.
    """
    named = protocol if isinstance(protocol, Protocol) else protocol_named(protocol)
    scores = {
        part.name: evaluate(
            read_detections(part / DETECTIONS),
            read_annotations(part / TRUTH),
            named,
            subset,
            match_names=match_names,
            count_excluded=count_excluded,
        )
        for part in split_folders(folder)
    }
    return SplitScores(scores, summarize(list(scores.values())))
