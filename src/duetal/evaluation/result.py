"""The result of an evaluation, and the mean and spread of several."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, FiniteFloat

from duetal.core.errors import DuetalError
from duetal.core.records import Record
from duetal.core.tables import data_frame, html_table

Fractions = tuple[FiniteFloat, ...]


class PlainRecord:
    """Base of the dataclasses of results that are written as JSON and not read back."""

    #: Keys of JSON that are not the field's name.
    json_keys: ClassVar[Mapping[str, str]] = {}

    def to_json(self) -> dict[str, Any]:
        """The fields in their order as plain values: dicts, lists, numbers, text and None."""
        names = [each.name for each in fields(self)]  # type: ignore[arg-type]
        return {self.json_keys.get(name, name): plain(getattr(self, name)) for name in names}


def plain(value: Any) -> Any:
    """Records and mappings as dicts, tuples as lists, anything else as it is."""
    if isinstance(value, PlainRecord | Record):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple) else value


class Evaluation(Record):
    """Mean average precision under one protocol."""

    protocol: str = ""  # Its name.
    subset: str = ""  # The part of the annotation that was evaluated on, as it is called there.
    tiou: Fractions  # (K,) thresholds.
    #: (K,) mAP in [0, 1], the mean over the classes present in the ground truth.
    mean_ap: Annotated[Fractions, Field(alias="mAP")]
    averages: dict[str, FiniteFloat] = {}  # Of `mean_ap` over thresholds, by the range's name.
    per_class: dict[str, Fractions] = {}  # (K,) AP of each class.
    videos: int | None = None  # Evaluated on.
    segments: int | None = None  # To find in them.
    predictions: int | None = None  # Compared with them, the dropped ones not among them.
    dropped: dict[str, int] = {}  # Predictions left out, by reason.
    notes: tuple[str, ...] = ()  # What a reader of the numbers must know, one line each.

    def __repr__(self) -> str:
        scores = self.averages or dict(zip(map(str, self.tiou), self.mean_ap, strict=True))
        text = ", ".join(f"{name} {100 * value:.2f} %" for name, value in scores.items())
        return f"<Evaluation under {self.protocol or 'no named protocol'}: mAP {text}>"

    def _repr_html_(self) -> str:
        header = ["AP (%) at tIoU", *(f"{value:g}" for value in self.tiou), *self.averages]
        rows: list[Sequence[object]] = [
            [label, *(100 * value for value in values), *([""] * len(self.averages))]
            for label, values in self.per_class.items()
        ]
        means = [*self.mean_ap, *self.averages.values()]
        rows.append(["mAP", *(100 * value for value in means)])
        return html_table(repr(self).strip("<>"), header, rows)

    def to_frame(self) -> Any:
        """AP as fractions: a `pandas.DataFrame` of class, tiou and ap.

        Raises:
            UsageError: pandas is not installed.
        """
        cells = [
            (label, tiou, ap)
            for label, values in self.per_class.items()
            for tiou, ap in zip(self.tiou, values, strict=True)
        ]
        labels, thresholds, values = zip(*cells, strict=True) if cells else ((), (), ())
        return data_frame({"label": labels, "tiou": thresholds, "ap": values})


class MeanStd(Record):
    """Mean over several runs and the sample standard deviation (None for a single run)."""

    mean: FiniteFloat
    std: FiniteFloat | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of the values of the runs; the variance is divided by n - 1."""
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(mean=math.fsum(values) / len(values), std=std)


def over_seeds(seeds: Sequence[int]) -> str:
    """What numbers over seeds are: "mean ± standard deviation over the seeds 0, 1", or "seed 0"."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"mean ± standard deviation over the seeds {', '.join(map(str, seeds))}"


class Summary(Record):
    """Evaluations of several seeds, summarized."""

    protocol: str = ""  # Its name.
    runs: int | None = None  # How many evaluations.
    tiou: Fractions  # (K,) thresholds.
    mean_ap: Annotated[Fractions, Field(alias="mAP_mean")]  # (K,) mean of the mAP.
    #: (K,) its standard deviation.
    std: Annotated[tuple[FiniteFloat | None, ...], Field(alias="mAP_std")]
    averages: dict[str, MeanStd] = {}  # By the name of the range of thresholds.

    @property
    def spreads(self) -> tuple[MeanStd, ...]:
        """(K,) mean and standard deviation of the mAP."""
        pairs = zip(self.mean_ap, self.std, strict=True)
        return tuple(MeanStd(mean=mean, std=std) for mean, std in pairs)


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
    columns = [MeanStd.of(values) for values in zip(*(e.mean_ap for e in evaluations), strict=True)]
    return Summary(
        protocol=first.protocol,
        runs=len(evaluations),
        tiou=first.tiou,
        mean_ap=tuple(column.mean for column in columns),
        std=tuple(column.std for column in columns),
        averages={
            name: MeanStd.of([e.averages[name] for e in evaluations]) for name in first.averages
        },
    )
