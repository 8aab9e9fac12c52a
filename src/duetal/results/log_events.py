"""The events of `metrics.jsonl`, one a line."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FiniteFloat, NonNegativeInt

from duetal.core.records import Record
from duetal.results.schema import Named, PhaseRecord


def _finite_or_none(value: Any) -> Any:
    """A loss that was not finite becomes a gap in its curve."""
    return None if isinstance(value, float) and value - value != 0 else value


Gap = Annotated[FiniteFloat | None, BeforeValidator(_finite_or_none)]


class LogEvent(Record):
    """A line of `metrics.jsonl`; `event` is its kind."""

    event: str


class PhaseStart(PhaseRecord, LogEvent):
    """A phase begins."""

    event: Literal["phase_start"] = "phase_start"


class EpochEvent(LogEvent):
    """The mean losses of one epoch; `terms` are weighted and add up to `loss`."""

    event: Literal["epoch"] = "epoch"
    phase: Named
    branch: str = ""
    epoch: int
    epochs: int | None = None
    loss: Gap
    terms: dict[str, Gap] = {}
    seconds: float | None = None


class LabelCounts(Record):
    """Snippets by their pseudo-label."""

    foreground: NonNegativeInt = 0
    background: NonNegativeInt = 0
    ignored: NonNegativeInt = 0


class PseudoLabelEvent(LabelCounts, LogEvent):
    """A teacher has labelled the training videos; counts over present classes."""

    event: Literal["pseudo_labels"] = "pseudo_labels"
    phase: Named
    teacher: str = ""
    snippets: NonNegativeInt | None = None
    classes: dict[str, LabelCounts] = {}


class SegmentCounts(Record):
    """Pseudo-segments of a class, those of them that are taught, and the borders that are."""

    segments: NonNegativeInt = 0
    taught: NonNegativeInt = 0
    borders: NonNegativeInt = 0
    #: The sum over the segments; of each relative to the best of its class in its video.
    confidence: FiniteFloat = 0.0


class PseudoSegmentEvent(LogEvent):
    """What a round of the detector is taught, by class."""

    event: Literal["pseudo_segments"] = "pseudo_segments"
    phase: Named
    classes: dict[str, SegmentCounts] = {}


class PhaseEnd(LogEvent):
    """A phase has ended, and its checkpoint follows."""

    event: Literal["phase_end"] = "phase_end"
    phase: Named
    stage: Named
    seconds: float
