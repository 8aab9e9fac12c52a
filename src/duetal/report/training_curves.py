"""The loss curves of a run, as the page embeds them."""

from collections.abc import Mapping

from duetal.results.reading import RunResults
from duetal.results.schema import PhaseRecord
from duetal.results.training_log import PhaseLog


def curves(run: RunResults) -> list[dict[str, object]]:
    """Loss curves of one or several seeds, phase by phase, as the page embeds them.

    Returns:
        per phase `{"phase", "title", "branch", "series": [{"name", "runs": [[[epoch, value], …],
        …]}]}`, the total loss first, one entry in `runs` for each log that has the phase.
    """
    logs = [seed.log for seed in run.seeds]
    titles = run.branches()
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
        record = phases[0].phase
        title = phase_title(record, titles)
        branch = record.student
        result.append({"phase": name, "title": title, "branch": branch, "series": series})
    return result


def phase_title(phase: PhaseRecord, titles: Mapping[str, str]) -> str:
    """A title for a phase: "B1 · VLP learns background from CBP"."""
    student = titles.get(phase.student, phase.student)
    if phase.teacher is None:
        return f"{phase.title} · {student} alone"
    distilled, teacher = " and ".join(phase.distils), titles.get(phase.teacher, phase.teacher)
    return f"{phase.name} · {student} learns {distilled} from {teacher}"


def _points(phase: PhaseLog, term: str | None) -> list[list[float | None]]:
    rows = (phase.epochs[number] for number in sorted(phase.epochs))
    return [[row.epoch, _round(row.loss if term is None else row.terms.get(term))] for row in rows]


def _round(value: float | None) -> float | None:
    """Five significant digits: more than a screen shows."""
    return None if value is None else float(f"{value:.5g}")
