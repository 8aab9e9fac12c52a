"""One page of several runs or files of detections, on the same ground truth."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import UsageError
from duetal.core.files import write_text
from duetal.evaluation import Protocol, evaluate
from duetal.evaluation.comparison import Comparison, Contender, compare
from duetal.pages.explorer import Exploration, Lane, Progress, Written, explore
from duetal.pages.html import links, render
from duetal.pages.marks import mark_of_run
from duetal.pages.page import STYLES
from duetal.pages.run_files import open_signals
from duetal.pages.scores import Score, mark_best, over_seeds
from duetal.results.folder import RunFolder

#: As many as there are distinct marks.
MAX_ENTRIES = 6
LETTERS = "ABCDEF"
#: Classes and videos of a comparison that the page lists.
MAX_LISTED = 12


@dataclass(frozen=True)
class PageEntry:
    """A run or a file of detections on a page."""

    name: str  #: Its title on the page.
    #: The detections of each seed; the first one's are drawn, scores are their mean.
    runs: tuple[Detections, ...]
    #: Of the first seed's run, for its curves and pseudo-labels; None for a file.
    folder: Path | None = None
    rule: str = ""  #: How the checkpoint was chosen, if known.


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one entry: by threshold, then by average."""

    entry: PageEntry
    mark: str
    letter: str
    scores: list[Score | None]


def write_contenders(
    entries: Sequence[PageEntry],
    annotations: Annotations,
    protocol: Protocol,
    out: Path,
    subset: str | None = None,
    *,
    title: str = "",
    files: Sequence[Path] = (),
    progress: Progress = lambda what: None,
) -> Written:
    """Write one page of runs and files of detections to `out`, an HTML file.

    The page links to those of `files` that lie beside it or below. `title` stands in place of the
    entries' names, and `progress` is called with what is being done. Several entries are compared
    with the first. The annotations have segments; for `protocol` and `subset` see
    `duetal.evaluation.evaluate`.

    Raises:
        UsageError: more than `MAX_ENTRIES`, or an unknown subset.
        DuetalError: nothing to evaluate on, a damaged file, or `out` can't be written.
    """
    if len(entries) > MAX_ENTRIES:
        raise UsageError(f"{len(entries)} runs: a page can show at most {MAX_ENTRIES}")
    progress("judging the detections")
    exploration = _explore(entries, annotations, protocol, subset)
    progress("scoring the detections")
    rows = [
        _score_row(number, entry, annotations, protocol, subset)
        for number, entry in enumerate(entries)
    ]
    comparison = None
    if len(entries) > 1:
        progress("comparing by a bootstrap over videos")
        contenders = [Contender(entry.name, entry.runs) for entry in entries]
        comparison = compare(contenders, annotations, protocol, subset)
    evaluation = exploration.evaluations[0]
    notes = [*evaluation.notes, *(comparison.notes if comparison else ())]
    html = render(
        "contenders.html.j2",
        {"explorer": exploration.data},
        styles=STYLES,
        script="contenders_page.js",
        title=title or ", ".join(entry.name for entry in entries),
        chosen_title=title,
        detections=links(files, out.parent),
        rows=[
            replace(row, scores=scores)
            for row, scores in zip(rows, mark_best([row.scores for row in rows]), strict=True)
        ],
        evaluation=evaluation,
        protocol=protocol,
        comparison=comparison,
        versus=[] if comparison is None else _versus(comparison),
        notes=list(dict.fromkeys(notes)),
        exploration=exploration,
        shown_seed=None,
    )
    progress("writing the page")
    write_text(out, html)
    return Written(out, exploration.left_out())


def _explore(
    entries: Sequence[PageEntry], annotations: Annotations, protocol: Protocol, subset: str | None
) -> Exploration:
    lanes = [
        Lane(entry.name, LETTERS[number], mark_of_run(number), entry.runs[0])
        for number, entry in enumerate(entries)
    ]
    with ExitStack() as stack:
        signals = [
            open_signals(RunFolder(entry.folder), entry.name, stack)
            for entry in entries
            if entry.folder is not None
        ]
        return explore(
            lanes,
            annotations,
            protocol,
            subset=subset,
            signals=[each for each in signals if each.scores or each.labels],
            further=annotations,
        )


def _score_row(
    number: int, entry: PageEntry, annotations: Annotations, protocol: Protocol, subset: str | None
) -> ScoreRow:
    found = [evaluate(run, annotations, protocol, subset) for run in entry.runs]
    numbers = [
        [*each.mean_ap, *(each.averages[name] for name in protocol.averages)] for each in found
    ]
    scores = [over_seeds(values) for values in zip(*numbers, strict=True)]
    return ScoreRow(entry, mark_of_run(number), LETTERS[number], scores)


def _versus(comparison: Comparison) -> list[dict[str, Any]]:
    """Every entry against the first, as the template shows it, in points of mAP."""
    return [
        {
            "name": versus.name,
            "headline": versus.averages[comparison.headline],
            "better": 100 * versus.better,
            "classes": list(versus.per_class.items())[:MAX_LISTED],
            "videos": versus.videos[:MAX_LISTED],
        }
        for versus in comparison.versus
    ]
