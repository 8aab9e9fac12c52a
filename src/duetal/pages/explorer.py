"""The part of a page to explore: predictions, ground truth and signals of many videos.

Everything is embedded as columns: tens of thousands of predictions as JSON objects would take
megabytes. `assets/exploration.js` reads them.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.evaluation import Evaluation, Protocol
from duetal.evaluation.false_positives import KINDS
from duetal.pages.columns import column, pack_nibbles
from duetal.pages.curves import SignalWriter, names_of
from duetal.pages.judgement import NOT_ASKED, Judgement, judge
from duetal.pages.marks import BranchMarks
from duetal.pages.run_files import Signals

#: Predictions on a page; beyond, each lane keeps the highest-scoring of each video.
MAX_ROWS = 150_000
#: The threshold at which kinds are shown first, where the protocol has it (DETAD).
FIRST_TIOU = 0.5


#: Called with what is being done.
Progress = Callable[[str], object]


class Written(NamedTuple):
    """A page that was written, and what it had no room for, in a sentence or none."""

    path: Path
    left_out: str


@dataclass(frozen=True)
class Lane:
    """Predictions drawn on a line of their own."""

    title: str  #: Of the stage or run.
    short: str  #: The label beside the line.
    mark: str  #: The line's colour and shape, see `duetal.pages.marks`.
    detections: Detections  #: In seconds; finite.


@dataclass(frozen=True)
class Exploration:
    """The data of a page, and what its text needs to know of it."""

    data: dict[str, Any]  #: JSON, see `explore`.
    videos: int  #: How many.
    training: int  #: How many of them are training videos, shown for their pseudo-labels.
    branches: BranchMarks  #: Those that have curves.
    has_truth: bool  #: Whether predictions are judged.
    kept: int  #: Number of predictions embedded.
    total: int  #: Number of predictions.
    unlabelled: int  #: Training videos whose pseudo-labels did not fit.
    pooled: int  #: Snippets that a point of a curve stands for, where all curves share their room.
    evaluations: list[Evaluation]  #: Of each lane; empty where nothing is judged.

    def left_out(self) -> str:
        """What the page had no room for, as text; empty where it holds everything."""
        text = ""
        if self.kept < self.total:
            text = "To keep this page small it holds the highest-scoring predictions of each "
            text += f"video, {self.kept:,} of {self.total:,}. "
        if self.unlabelled:
            text += f"The pseudo-labels of {self.unlabelled:,} training videos did not fit on it. "
        if self.pooled > 1:
            text += f"A point of a curve is the highest score of {self.pooled:,} snippets. "
        return text


def explore(
    lanes: Sequence[Lane],
    annotations: Annotations | None,
    protocol: Protocol,
    *,
    subset: str | None = None,
    signals: Sequence[Signals] = (),
    further: Annotations | None = None,
    branches: BranchMarks | None = None,
) -> Exploration:
    """Embed predictions with everything known of their videos.

    Args:
        lanes: one line each.
        annotations: ground truth; None, or without a segment, if nothing is known.
        protocol: of the evaluation.
        subset: see `duetal.evaluation.evaluate`.
        signals: of the runs.
        further: segments of videos that are not evaluated, such as the training videos.
        branches: of the run; None if the lanes are several runs to be compared.

    Raises:
        UsageError: an unknown subset.
        DuetalError: a value that is not finite, or a damaged file.
    """
    judgements: list[Judgement] = []
    if annotations is not None and any(video.segments for video in annotations):
        judgements = [judge(lane.detections, annotations, protocol, subset) for lane in lanes]
    # Of two annotations of a video the evaluated one counts.
    known = {video.name: video for part in (further, annotations) for video in part or ()}
    evaluated = list(judgements[0].missed) if judgements else [v.name for v in annotations or ()]
    scored, labelled = names_of(signals)
    found = [name for lane in lanes for name in lane.detections.videos]
    names = list(dict.fromkeys([*evaluated, *found, *scored, *labelled]))
    annotated = [known[name].segments or () if name in known else () for name in names]
    labels = [label for each in signals for label in each.classes]
    labels += [segment.label for segments in annotated for segment in segments]
    labels += [label for lane in lanes for label in lane.detections.classes]
    index = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    tables = [_LaneTable(lane, names, MAX_ROWS // max(1, len(lanes))) for lane in lanes]
    writers = [SignalWriter(each, index, len(signals)) for each in signals]
    embedded: list[dict[int, Any]] = [{} for _ in writers]
    for at, name in enumerate(names):
        own = list(dict.fromkeys(segment.label for segment in annotated[at]))
        detected = _top_labels(tables, at)
        for number, writer in enumerate(writers):
            if video := writer.video(name, own, detected):
                embedded[number][at] = video
    training = set(labelled)
    known_branches = branches or BranchMarks.of({b: b.upper() for s in signals for b in s.scores})
    with_curves = known_branches.only(branch for each in signals for branch in each.scores)
    data = {
        "classes": list(index),
        "kinds": list(KINDS),
        "tiou": list(protocol.tiou) if judgements else [],
        "shown": protocol.tiou.index(FIRST_TIOU) if FIRST_TIOU in protocol.tiou else 0,
        "compared": branches is None,
        "branches": with_curves.data(),
        "videos": names,
        "durations": [known[name].duration if name in known else None for name in names],
        "training": [int(name in training) for name in names],
        "truth": _truth(annotated, index),
        "lanes": [
            table.to_json(index, judgements[number] if judgements else None, annotated)
            for number, table in enumerate(tables)
        ],
        "signals": [
            {
                "title": each.title,
                "grid": asdict(each.grid),
                "phases": list(each.labels),
                "videos": videos,
            }
            for each, videos in zip(signals, embedded, strict=True)
        ],
    }
    return Exploration(
        data=data,
        videos=len(names),
        training=sum(name in training for name in names),
        branches=with_curves,
        has_truth=bool(judgements),
        kept=sum(len(table.rows) for table in tables),
        total=sum(len(lane.detections) for lane in lanes),
        unlabelled=sum(writer.left_out for writer in writers),
        pooled=max((writer.pool for writer in writers), default=1),
        evaluations=[judgement.evaluation for judgement in judgements],
    )


class _LaneTable:
    """The predictions of one lane as rows by video, the highest-scoring first."""

    def __init__(self, lane: Lane, names: Sequence[str], room: int):
        self.lane = lane
        self.names = names
        position = {name: at for at, name in enumerate(names)}
        found = lane.detections
        of_video = np.array([position[name] for name in found.videos], dtype=np.int64)
        self.video = of_video[found.video] if len(found) else np.empty(0, np.int64)
        self.rows = top_of_each(self.video, found.score, room)
        self.offsets = np.searchsorted(self.video[self.rows], np.arange(len(names) + 1))

    def to_json(
        self,
        index: Mapping[str, int],
        judgement: Judgement | None,
        annotated: Sequence[Sequence[Any]],
    ) -> dict[str, Any]:
        """Columns in base64; see `assets/exploration.js`."""
        found = self.lane.detections.take(self.rows)
        label = np.array([index[name] for name in found.classes], dtype=np.int64)
        columns = {
            "title": self.lane.title,
            "short": self.lane.short,
            "mark": self.lane.mark,
            "total": len(self.lane.detections),
            "offsets": column(self.offsets, "<u4"),
            "label": column(label[found.label] if len(found) else found.label, "<u4"),
            "start": column(found.start, "<f4"),
            "end": column(found.end, "<f4"),
            "score": column(found.score, "<f4"),
        }
        if judgement is not None:
            columns["kind"] = pack_nibbles(judgement.kinds[self.rows])
            columns["missed"] = column(self._missed(judgement, annotated), "<u2")
        return columns

    def _missed(
        self, judgement: Judgement, annotated: Sequence[Sequence[Any]]
    ) -> NDArray[np.uint16]:
        parts = [
            judgement.missed.get(name, np.full(len(segments), 1 << NOT_ASKED, dtype=np.uint16))
            for name, segments in zip(self.names, annotated, strict=True)
        ]
        return np.concatenate([np.empty(0, np.uint16), *parts])


def top_of_each(
    group: NDArray[np.int64], score: NDArray[np.floating], room: int
) -> NDArray[np.int64]:
    """Rows by group, the highest-scoring first; past `room` rows, the same limit for each group.

    `group` and `score` are (N,).
    """
    order = np.lexsort((-score, group))
    sizes = np.bincount(group) if len(group) else np.zeros(1, dtype=np.int64)
    most = int(sizes.max())
    fit = bisect_right(range(most + 1), room, key=lambda n: int(np.minimum(sizes, n).sum())) - 1
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.asarray(order[rank < fit], dtype=np.int64)


def _top_labels(tables: Sequence[_LaneTable], video: int) -> list[str]:
    """Detected classes of a video, by the highest score of any lane."""
    best: dict[str, float] = {}
    for table in tables:
        found = table.lane.detections
        rows = table.rows[table.offsets[video] : table.offsets[video + 1]]
        for label, score in zip(
            found.label[rows].tolist(), found.score[rows].tolist(), strict=True
        ):
            name = found.classes[label]
            best[name] = max(score, best.get(name, score))
    return sorted(best, key=lambda name: -best[name])


def _truth(annotated: Sequence[Sequence[Any]], index: Mapping[str, int]) -> dict[str, str]:
    """Annotated segments as columns, video after video, in the annotation's order."""
    rows = [segment for segments in annotated for segment in segments]
    sizes = [len(segments) for segments in annotated]
    return {
        "offsets": column(np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]), "<u4"),
        "label": column(np.array([index[row.label] for row in rows]), "<u4"),
        "start": column(np.array([row.start for row in rows]), "<f4"),
        "end": column(np.array([row.end for row in rows]), "<f4"),
    }
