"""Render a run as one self-contained HTML file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from duetal.core.annotations import Annotations
from duetal.core.files import without_folders, write_text
from duetal.pages import scores
from duetal.pages.explorer import Exploration, Lane, Progress, Written, explore
from duetal.pages.html import links, render
from duetal.pages.judgement import judging_protocol
from duetal.pages.marks import BranchMarks
from duetal.pages.run_files import open_signals, read_videos
from duetal.pages.steps import changes, steps
from duetal.pages.training_curves import curves
from duetal.results.folder import RunFolder
from duetal.results.log_events import LabelCounts
from duetal.results.reading import RunResults, Settings, read_run
from duetal.results.schema import ENSEMBLE, PhaseRecord

STYLES = ("style.css", "explorer.css")


def write_report(
    run: Path,
    out: Path | None = None,
    annotations: Annotations | None = None,
    *,
    title: str = "",
    progress: Progress = lambda what: None,
) -> Written:
    """Write the report of a run folder, of one seed or several; it may still be training.

    The HTML file is `out`, or `run/report.html`; `title` stands in place of the folder's name.
    `progress` is called with what is being done. See also `render_report`.

    Raises:
        DuetalError: the folder is no run, a file in it is damaged, or `out` can't be written.
    """
    target = run / "report.html" if out is None else out
    html, exploration = _render(run, annotations, title, target.parent, progress)
    progress("writing the page")
    write_text(target, html)
    return Written(target, exploration.left_out())


def render_report(run: Path, annotations: Annotations | None = None) -> str:
    """The report as HTML text.

    Args:
        run: run folder.
        annotations: segments of videos that the run was not evaluated on, shown beside their
            pseudo-labels; the run's folder holds its own ground truth.

    Raises:
        DuetalError: the folder is no run, or a file in it is damaged.
    """
    return _render(run, annotations)[0]


def _render(
    run: Path,
    annotations: Annotations | None,
    title: str = "",
    place: Path | None = None,
    progress: Progress = lambda what: None,
) -> tuple[str, Exploration]:
    """The report, to be written into the folder `place`, and the part of it to explore."""
    progress("reading the run")
    opened = read_run(run)
    table = scores.score_table(opened)
    labels = scores.label_table(opened)
    # One seed is shown: scores and detections of all would multiply the page's size.
    evaluated = (seed for seed in opened.seeds if seed.evaluation or seed.labels)
    shown = next(evaluated, opened.seeds[0])
    diagnostics = scores.stage_diagnostics(opened)
    branches = BranchMarks.of(opened.branches())
    stages = {phase.stage: phase for phase in opened.phases().values()}
    worse = [change for _, change in changes(table, opened.phases()) if change.is_worse]
    progress("judging the detections")
    exploration = _explore(opened, shown.folder, table or labels, annotations)
    html = render(
        "page.html.j2",
        {
            "branches": branches.data(),
            "headline": table.headline if table else "",
            "journey": _journey(table, branches, stages),
            "precisionRecall": _precision_recall(diagnostics, branches, stages),
            "training": [
                phase | {"mark": branches.mark(str(phase["branch"]))} for phase in curves(opened)
            ],
            "explorer": exploration.data,
        },
        styles=STYLES,
        script="run_page.js",
        title=title or opened.name,
        run=public_results(opened),
        detections=links(found_files(shown.folder), place) if place else [],
        branches=branches,
        shown_seed=shown.folder.path.name if len(opened.seeds) > 1 else None,
        table=table,
        unseen=scores.unseen_table(opened),
        label_table=labels,
        lede=_lede(table),
        worse=worse,
        steps=steps(opened, table),
        class_rows=scores.class_rows(opened, table) if table else [],
        diagnostics=diagnostics,
        pseudo_labels=_pseudo_labels(opened),
        pseudo_segments=_pseudo_segments(opened),
        detector=next((seed.model.detector for seed in opened.seeds if seed.model), None),
        exploration=exploration,
    )
    return html, exploration


def found_files(folder: RunFolder) -> list[Path]:
    """The files of a run's detections."""
    return sorted(folder.detections("any").parent.glob("*.json"))


def public_results(run: RunResults) -> RunResults:
    """A run's texts without the paths of the machine it was made on."""

    def public(settings: Settings) -> Settings:
        return [(name, without_folders(value)) for name, value in settings]

    return replace(
        run,
        config=public(run.config),
        environment=public(run.environment),
        choices=[(public(values), without_folders(reason)) for values, reason in run.choices],
        notices=[without_folders(notice) for notice in run.notices],
    )


def _explore(
    run: RunResults,
    folder: RunFolder,
    table: scores.ScoreTable | scores.LabelTable | None,
    annotations: Annotations | None,
) -> Exploration:
    """The videos of one seed, a lane for each stage."""
    titles = {row.stage: row.title for row in (table.rows if table else ())}
    owners = {row.stage: row.branch for row in (table.rows if table else ())}
    model = run.seeds[0].model
    if model is not None and not titles:
        titles = {stage: model.title_of(stage) for stage in model.evaluated_stages()}
    branches = BranchMarks.of(run.branches())
    stages = {phase.stage: phase for phase in run.phases().values()}
    videos = read_videos(folder, list(titles))
    lanes = []
    for stage, found in videos.found.items():
        phase, title = stages.get(stage), titles.get(stage, stage)
        branch = owners.get(stage) or (phase.student if phase else ENSEMBLE)
        short = _short_title(stage, title, phase)
        lanes.append(Lane(title, short, branches.mark(branch), found))
    with ExitStack() as stack:
        return explore(
            lanes,
            videos.truth,
            judging_protocol(run.protocol),
            signals=[open_signals(folder, run.name, stack)],
            further=annotations,
            branches=branches,
        )


def _journey(
    table: scores.ScoreTable | None, branches: BranchMarks, stages: Mapping[str, PhaseRecord]
) -> list[dict[str, Any]]:
    """The headline score of every stage."""
    shown = [row for row in (table.rows if table else ()) if table and row.scores[table.headline]]
    return [
        _stage_point(row, branches, stages)
        | {
            "teacher": _teacher_of(shown, number, stages),
            "mean": round(score.mean, 3),
            "spread": score.spread,
        }
        for number, row in enumerate(shown)
        if table and (score := row.scores[table.headline])
    ]


def _teacher_of(
    rows: Sequence[scores.StageRow], number: int, stages: Mapping[str, PhaseRecord]
) -> int | None:
    """The place of the latest stage of a stage's teacher; None where it has none."""
    phase = stages.get(rows[number].stage)
    before = [i for i in range(number) if phase and rows[i].branch == phase.teacher]
    return before[-1] if before else None


def _precision_recall(
    diagnostics: list[scores.StageRow],
    branches: BranchMarks,
    stages: Mapping[str, PhaseRecord],
) -> list[dict[str, Any]]:
    return [
        _stage_point(row, branches, stages) | {"precision": precision.mean, "recall": recall.mean}
        for row in diagnostics
        if (precision := row.scores["precision"]) and (recall := row.scores["recall"])
    ]


def _stage_point(
    row: scores.StageRow, branches: BranchMarks, stages: Mapping[str, PhaseRecord]
) -> dict[str, Any]:
    """A stage in a chart; its branch is None for the ensemble."""
    return {
        "title": row.title,
        "short": _short_title(row.stage, row.title, stages.get(row.stage)),
        "branch": branches.name(row.branch),
        "mark": branches.mark(row.branch),
    }


def _short_title(stage: str, title: str, phase: PhaseRecord | None) -> str:
    """A title for a stage whose branch is shown by a mark: "B1", "warm-up"."""
    if stage == ENSEMBLE:
        return "both"
    if phase is None:
        return title
    return phase.name if phase.teacher else phase.title.lower()


def _pseudo_labels(run: RunResults) -> list[dict[str, Any]]:
    """Snippets by pseudo-label in each step, summed over seeds."""
    steps: dict[str, dict[str, Any]] = {}
    phases = run.phases()
    kinds = set(LabelCounts.model_fields)
    for event in (event for seed in run.seeds for event in seed.log.pseudo_labels.values()):
        teacher = event.teacher or phases[event.phase].teacher or ""
        new = {"phase": event.phase, "teacher": teacher, "total": Counter(), "classes": {}}
        step = steps.setdefault(event.phase, new)
        step["total"].update(event.model_dump(include=kinds))
        for name, counts in event.classes.items():
            step["classes"].setdefault(name, Counter()).update(counts.model_dump())
    return list(steps.values())


def _pseudo_segments(run: RunResults) -> dict[str, dict[str, Any]]:
    """What each round of the detector was taught by class, summed over seeds; its teacher."""
    rounds: dict[str, dict[str, Any]] = {}
    for event in (event for seed in run.seeds for event in seed.log.pseudo_segments.values()):
        teacher = run.phases()[event.phase].teacher or ""
        new = {"teacher": teacher, "total": Counter(), "classes": {}}
        found = rounds.setdefault(event.phase, new)
        for name, counts in event.classes.items():
            for kept in (found["total"], found["classes"].setdefault(name, Counter())):
                kept.update(counts.model_dump())
    return rounds


def _lede(table: scores.ScoreTable | None) -> dict[str, Any] | None:
    """The first sentence: the last stage's score, and its gain over the first stages."""
    if table is None:
        return None
    final = table.rows[-1]
    score = final.scores[table.headline]
    if score is None:
        return None
    gains = [
        (row.title, score.mean - start.mean)
        for row in table.rows[:-1]
        if row.first and (start := row.scores[table.headline])
    ]
    is_average = table.headline in table.averages
    return {"title": final.title, "score": score, "gains": gains, "is_average": is_average}
