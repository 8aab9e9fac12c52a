"""The result of an evaluation, and the summary of several."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from duetal.core.errors import DuetalError


class PlainRecord:
    """Base of the dataclasses that results are made of."""

    #: Keys of JSON that are not the field's name.
    json_keys: ClassVar[Mapping[str, str]] = {}

    def to_json(self) -> dict[str, Any]:
        """The fields in their order as plain values: dicts, lists, numbers, text and None."""
        names = [each.name for each in fields(self)]  # type: ignore[arg-type]
        return {self.json_keys.get(name, name): plain(getattr(self, name)) for name in names}


def plain(value: Any) -> Any:
    """Records and mappings as dicts, tuples as lists, anything else as it is."""
    if isinstance(value, PlainRecord):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Evaluation(PlainRecord):
    """Mean average precision under one protocol.

    Args:
        protocol: its name.
        subset: its name, as the annotation spells it.
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

    json_keys: ClassVar = {"mean_ap": "mAP"}

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
class MeanStd(PlainRecord):
    """Mean over several runs, and the sample standard deviation (None for a single run)."""

    mean: float
    std: float | None

    @staticmethod
    def of(values: Sequence[float]) -> "MeanStd":
        """Of one value per run; the standard deviation is divided by n - 1."""
        std = statistics.stdev(values) if len(values) > 1 else None
        return MeanStd(math.fsum(values) / len(values), std)


@dataclass(frozen=True)
class Summary:
    """Evaluations of several runs; fields as in `Evaluation`."""

    protocol: str
    runs: int
    tiou: tuple[float, ...]
    mean_ap: tuple[MeanStd, ...]
    averages: Mapping[str, MeanStd]

    def to_json(self) -> dict[str, Any]:
        """As plain values: `mAP_mean`, `mAP_std`, and mean and std of each average."""
        return {
            "protocol": self.protocol,
            "runs": self.runs,
            "tiou": list(self.tiou),
            "mAP_mean": [each.mean for each in self.mean_ap],
            "mAP_std": [each.std for each in self.mean_ap],
            "averages": plain(self.averages),
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
        tuple(MeanStd.of(column) for column in columns),
        {name: MeanStd.of([e.averages[name] for e in evaluations]) for name in first.averages},
    )
