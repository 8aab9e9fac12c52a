"""`metrics.jsonl`: epochs, pseudo-labels and pseudo-segments by phase."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from duetal.core.errors import DuetalError
from duetal.core.files import reading
from duetal.core.records import parse
from duetal.results import version_0_1
from duetal.results.log_events import EpochEvent, PhaseStart, PseudoLabelEvent, PseudoSegmentEvent
from duetal.results.schema import PhaseRecord


@dataclass
class TrainingLog:
    """The content of `metrics.jsonl`."""

    #: Every phase that has begun, by name, in order of appearance.
    phases: dict[str, PhaseRecord] = field(default_factory=dict)
    #: By phase and number.
    epochs: dict[str, dict[int, EpochEvent]] = field(default_factory=dict)
    #: By phase.
    pseudo_labels: dict[str, PseudoLabelEvent] = field(default_factory=dict)
    pseudo_segments: dict[str, PseudoSegmentEvent] = field(default_factory=dict)
    #: Lines left out, one sentence each.
    notices: list[str] = field(default_factory=list)


def read_training_log(path: Path) -> TrainingLog:
    """Read `metrics.jsonl`; a missing file gives an empty log.

    A killed run can leave half a last line: it is left out, with a notice. A resumed run repeats
    the epochs since its checkpoint: the later line counts.

    Raises:
        DuetalError: a line before the last is not a JSON object of the known shape.
    """
    log = TrainingLog()
    if not path.exists():
        return log
    with reading(path):
        # Only a line feed ends a record; splitlines() would also cut at U+2028 inside a name.
        lines = path.read_bytes().split(b"\n")
    records = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    for number, line in records:
        try:
            event = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            if number == records[-1][0]:
                log.notices.append(
                    f"{path.name}: the last line ({number}) is cut off and left out; "
                    "the run was stopped while writing it."
                )
                continue
            raise DuetalError("not JSON", file=path, place=f"line {number}") from error
        _add(log, event, path, f"line {number}")
    return log


def _add(log: TrainingLog, event: object, path: Path, place: str) -> None:
    if not isinstance(event, dict):
        raise DuetalError("not a JSON object", file=path, place=place)
    kind = event.get("event")
    if kind == "phase_start":
        start = parse(PhaseStart, event, path, place)
        log.phases[start.name] = start
    elif kind == "epoch":
        epoch = parse(EpochEvent, event, path, place)
        _derive_phase(log, epoch.phase, epoch.branch)
        log.epochs.setdefault(epoch.phase, {})[epoch.epoch] = epoch
    elif kind == "pseudo_labels":
        labels = parse(PseudoLabelEvent, event, path, place)
        _derive_phase(log, labels.phase)
        log.pseudo_labels[labels.phase] = labels
    elif kind == "pseudo_segments":
        segments = parse(PseudoSegmentEvent, event, path, place)
        log.pseudo_segments[segments.phase] = segments


def _derive_phase(log: TrainingLog, name: str, branch: str = "") -> None:
    """Add the record of a phase that version 0.1.0 began without one."""
    if name not in log.phases:
        log.phases[name] = PhaseRecord.model_validate(version_0_1.phase(name, branch))
