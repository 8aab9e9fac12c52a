"""`metrics.jsonl` as the curves and counts that the page draws."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from duetal.core.errors import DuetalError
from duetal.report.records import EpochEvent, PseudoLabelEvent, parse


@dataclass
class PhaseLog:
    """One phase of training: warm-up, a B step or an F step."""

    phase: str
    branch: str
    epochs: dict[int, EpochEvent] = field(default_factory=dict)

    def term_names(self) -> list[str]:
        """Names of the loss terms, in order of appearance."""
        return list(dict.fromkeys(name for epoch in self.epochs.values() for name in epoch.terms))


@dataclass
class TrainingLog:
    """What `metrics.jsonl` tells, by phase in order of appearance."""

    phases: dict[str, PhaseLog] = field(default_factory=dict)
    pseudo_labels: dict[str, PseudoLabelEvent] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def read_training_log(path: Path) -> TrainingLog:
    """Read `metrics.jsonl`; a missing file gives an empty log.

    A killed run can leave half a last line: it is left out and a notice says so. A resumed run
    repeats the epochs since its checkpoint: the later line counts.

    Raises:
        DuetalError: a line before the last is not a JSON object of the known shape.
    """
    log = TrainingLog()
    try:
        # Only a line feed ends a record; splitlines() would also cut at U+2028 inside a name.
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return log
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error
    last = max((number for number, line in enumerate(lines, 1) if line.strip()), default=0)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            if number == last:
                log.notices.append(
                    f"{path.name}: the last line ({number}) is cut off and left out; "
                    "the run was stopped while writing it."
                )
                continue
            raise DuetalError("not JSON", file=path, place=f"line {number}") from error
        _add(log, event, path, number)
    return log


def _add(log: TrainingLog, event: object, path: Path, number: int) -> None:
    place = f"line {number}"
    if not isinstance(event, dict):
        raise DuetalError("not a JSON object", file=path, place=place)
    if event.get("event") == "epoch":
        epoch = parse(EpochEvent, event, path, place)
        phase = log.phases.setdefault(epoch.phase, PhaseLog(epoch.phase, epoch.branch))
        phase.epochs[epoch.epoch] = epoch
    elif event.get("event") == "pseudo_labels":
        labels = parse(PseudoLabelEvent, event, path, place)
        log.pseudo_labels[labels.phase] = labels


def curves(logs: Iterable[TrainingLog]) -> list[dict[str, object]]:
    """Loss curves of one or several seeds, phase by phase, as the page embeds them.

    Returns:
        per phase `{"phase", "title", "branch", "series": [{"name", "runs": [[[epoch, value], …],
        …]}]}`, the total loss first, one entry in `runs` for each log that has the phase.
    """
    logs = list(logs)
    names = dict.fromkeys(name for log in logs for name in log.phases)
    result: list[dict[str, object]] = []
    for name in names:
        phases = [log.phases[name] for log in logs if name in log.phases]
        terms = dict.fromkeys(term for phase in phases for term in phase.term_names())
        series: list[dict[str, object]] = [
            {"name": "total", "runs": [_points(phase, None) for phase in phases]}
        ]
        # One term alone is the total again.
        if len(terms) > 1:
            series += [
                {"name": term, "runs": [_points(phase, term) for phase in phases]} for term in terms
            ]
        branch = phases[0].branch
        title = phase_title(name, branch)
        result.append({"phase": name, "title": title, "branch": branch, "series": series})
    return result


def phase_title(phase: str, branch: str) -> str:
    """A title for a phase: `B1` → "B1 · VLP learns background from CBP"."""
    if phase == "warmup":
        return "Warm-up · CBP alone"
    if re.fullmatch(r"B\d+", phase, re.IGNORECASE):
        return f"{phase} · VLP learns background from CBP"
    if re.fullmatch(r"F\d+", phase, re.IGNORECASE):
        return f"{phase} · CBP learns foreground from VLP"
    return f"{phase} · {branch.upper()}"


def _points(phase: PhaseLog, term: str | None) -> list[list[float | None]]:
    rows = (phase.epochs[number] for number in sorted(phase.epochs))
    return [[row.epoch, _round(row.loss if term is None else row.terms.get(term))] for row in rows]


def _round(value: float | None) -> float | None:
    """Five significant digits: more than a screen shows."""
    return None if value is None else float(f"{value:.5g}")
