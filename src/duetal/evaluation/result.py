"""What an evaluation found, and what several of them found together."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duetal.core.errors import DuetalError


@dataclass(frozen=True)
class Evaluation:
    """Mean average precision under one protocol.

    Args:
        protocol: its name.
        subset: which part of the annotation was evaluated on, as the annotation calls it.
        tiou: (K,) thresholds.
        mean_ap: (K,) mAP in [0, 1], the mean over the classes present in the ground truth.
        averages: mean of `mean_ap` over a range of thresholds, by the range's name.
        per_class: (K,) AP of each class.
        videos: evaluated on.
        segments: to find in them.
        predictions: compared with them, the dropped ones not among them.
        dropped: predictions left out, by reason.
        notes: what a reader of the numbers must know, one line each.
    """

    protocol: str
    subset: str
    tiou: tuple[float, ...]
    mean_ap: tuple[float, ...]
    averages: Mapping[str, float]
    per_class: Mapping[str, tuple[float, ...]]
    videos: int
    segments: int
    predictions: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values, in the form that `duetal evaluate --json` writes."""
        return {
            "protocol": self.protocol,
            "subset": self.subset,
            "tiou": list(self.tiou),
            "mAP": list(self.mean_ap),
            "averages": dict(self.averages),
            "per_class": {label: list(values) for label, values in self.per_class.items()},
            "videos": self.videos,
            "segments": self.segments,
            "predictions": self.predictions,
            "dropped": dict(self.dropped),
            "notes": list(self.notes),
        }

    @staticmethod
    def from_json(value: Any, *, file: Path | None = None) -> "Evaluation":
        """Build from what `to_json` gave; other keys are ignored.

        Raises:
            DuetalError: a key is missing or of another type; `file` is named as its source.
        """
        try:
            return Evaluation(
                protocol=str(value["protocol"]),
                subset=str(value.get("subset", "")),
                tiou=tuple(map(float, value["tiou"])),
                mean_ap=tuple(map(float, value["mAP"])),
                averages={str(k): float(v) for k, v in value["averages"].items()},
                per_class={str(k): tuple(map(float, v)) for k, v in value["per_class"].items()},
                videos=int(value["videos"]),
                segments=int(value["segments"]),
                predictions=int(value["predictions"]),
                dropped={str(k): int(v) for k, v in value["dropped"].items()},
                notes=tuple(map(str, value.get("notes", ()))),
            )
        except KeyError as error:
            raise DuetalError(f"not an evaluation: no key {error}", file=file) from error
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise DuetalError(f"not an evaluation: {error}", file=file) from error


@dataclass(frozen=True)
class Spread:
    """Mean over several runs and the sample standard deviation (None for a single run)."""

    mean: float
    std: float | None

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Of the values of the runs; the deviation is divided by n - 1."""
        std = statistics.stdev(values) if len(values) > 1 else None
        return Spread(math.fsum(values) / len(values), std)

    def to_json(self) -> dict[str, float | None]:
        """As plain values."""
        return {"mean": self.mean, "std": self.std}


@dataclass(frozen=True)
class Summary:
    """Evaluations of several seeds, summarized.

    Args:
        protocol: its name.
        runs: how many evaluations.
        tiou: (K,) thresholds.
        mean_ap: (K,) mAP.
        averages: by the name of the range of thresholds.
    """

    protocol: str
    runs: int
    tiou: tuple[float, ...]
    mean_ap: tuple[Spread, ...]
    averages: Mapping[str, Spread]

    def to_json(self) -> dict[str, Any]:
        """As plain values: `mAP_mean`, `mAP_std`, and mean and std of each average."""
        return {
            "protocol": self.protocol,
            "runs": self.runs,
            "tiou": list(self.tiou),
            "mAP_mean": [spread.mean for spread in self.mean_ap],
            "mAP_std": [spread.std for spread in self.mean_ap],
            "averages": {name: spread.to_json() for name, spread in self.averages.items()},
        }


def summarize(evaluations: Sequence[Evaluation]) -> Summary:
    """Mean and sample standard deviation over evaluations of the same kind.

    Raises:
        DuetalError: none given, or of different protocols, thresholds or averages.
    """
    if not evaluations:
        raise DuetalError("no evaluation to summarize")
    first = evaluations[0]
    for other in evaluations:
        if (other.protocol, other.tiou) != (first.protocol, first.tiou):
            cause = f"cannot summarize {first.protocol!r} together with {other.protocol!r}"
            raise DuetalError(cause)
        if other.averages.keys() != first.averages.keys():
            raise DuetalError("cannot summarize evaluations with different averages")
    columns = zip(*(evaluation.mean_ap for evaluation in evaluations), strict=True)
    return Summary(
        first.protocol,
        len(evaluations),
        first.tiou,
        tuple(Spread.of(column) for column in columns),
        {name: Spread.of([e.averages[name] for e in evaluations]) for name in first.averages},
    )
