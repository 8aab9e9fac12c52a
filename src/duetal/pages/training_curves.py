"""The loss curves of a run, as the page embeds them."""

from collections.abc import Mapping

from duetal.results.log_events import EpochEvent
from duetal.results.reading import RunResults
from duetal.results.schema import PhaseRecord


def curves(run: RunResults) -> list[dict[str, object]]:
    """Loss curves of one or several seeds, phase by phase, as the page embeds them.

    Returns:
        per phase `{"phase", "title", "branch", "series": [{"name", "runs": [[[epoch, value], …],
        …]}]}`, the total loss first, one entry in `runs` for each log that has the phase.
    """
    logs, titles, phases = [seed.log.epochs for seed in run.seeds], run.branches(), run.phases()
    result: list[dict[str, object]] = []
    for name in dict.fromkeys(name for log in logs for name in log):
        seeds = [log[name] for log in logs if name in log]
        terms = dict.fromkeys(t for epochs in seeds for e in epochs.values() for t in e.terms)
        # One term alone is the total again.
        shown = {"total": None} | ({term: term for term in terms} if len(terms) > 1 else {})
        series = [
            {"name": label, "runs": [_points(epochs, term) for epochs in seeds]}
            for label, term in shown.items()
        ]
        title, branch = phase_title(phases[name], titles), phases[name].student
        result.append({"phase": name, "title": title, "branch": branch, "series": series})
    return result


def phase_title(phase: PhaseRecord, titles: Mapping[str, str]) -> str:
    """A title for a phase: "B1 · VLP learns background from CBP"."""
    student = titles.get(phase.student, phase.student)
    if phase.teacher is None:
        return f"{phase.title} · {student} alone"
    distilled, teacher = " and ".join(phase.distils), titles.get(phase.teacher, phase.teacher)
    return f"{phase.name} · {student} learns {distilled} from {teacher}"


def _points(epochs: Mapping[int, EpochEvent], term: str | None) -> list[list[float | None]]:
    """Epoch and loss, or a term of it, to five significant digits: more than a screen shows."""
    losses = {n: epochs[n].loss if term is None else epochs[n].terms.get(term) for n in epochs}
    return [[n, x if x is None else float(f"{x:.5g}")] for n, x in sorted(losses.items())]
