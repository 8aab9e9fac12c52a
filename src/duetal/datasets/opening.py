"""Opening a dataset: its pieces are read, joined and checked against each other.

Every step takes a callback for problems. `open_dataset` raises the first fatal one; `duetal check`
goes through the same steps and collects them all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

from duetal.core.annotations import Annotations, VideoAnnotation, display_name
from duetal.core.errors import DuetalError, unknown
from duetal.core.name_matching import plain, propose
from duetal.core.pickled_arrays import as_text, load_object_array
from duetal.core.segment_faults import segment_note
from duetal.core.url_paths import UrlPath
from duetal.core.video_names import known_name
from duetal.datasets.dataset import Dataset
from duetal.datasets.layouts import PartPlaces, Pieces, find_pieces
from duetal.datasets.problems import OnProblem, Problem, raise_fatal, reporting
from duetal.features.metadata import RECORDS
from duetal.features.streams import FeaturePart, FeatureStream, check_name, open_part
from duetal.formats import read_annotations
from duetal.formats.delimited import read_lines


def open_dataset(
    path: Path, report: OnProblem = raise_fatal, choice: Mapping[str, str] | None = None
) -> Dataset:
    """Open the dataset at a folder or a YAML file; see `duetal.datasets.layouts` for the layouts.

    `choice` names the features of some branches, see `find_pieces`.
    No feature file is opened, which takes seconds in large datasets; `duetal check` reads all.
    `report` takes what is wrong and can be lived with; it raises what is fatal.

    Raises:
        DuetalError: a piece is missing or malformed, a label is outside the class list, a video
            is listed twice or is both trained and evaluated on, a name would leave the folder,
            or there is no video with features.
        UsageError: a bad `dataset.yaml`.
    """
    pieces = find_pieces(path, choice)
    labelling = read_labelling(pieces, report)
    for annotations, but in labelling.examined():
        if note := segment_note(annotations, but=but):
            report(Problem.warning(note, annotations.source))
    labelling, streams = open_streams(pieces, labelling, report)
    names = next(iter(streams.values())).names()
    if pieces.annotations is None and pieces.train_labels is None:
        labelling = unlabelled(names, labelling)
    there = set.intersection(*(set(stream.names()) for stream in streams.values()))
    wanted = (*labelling.train_labels, *labelling.evaluation)
    if not there.intersection(wanted):
        raise DuetalError(_empty(wanted, names), file=pieces.source)
    return Dataset(
        source=pieces.source,
        annotations=labelling.annotations,
        train_labels={n: labels for n, labels in labelling.train_labels.items() if n in there},
        marks={n: video for n, video in labelling.marks.items() if n in there},
        evaluation=tuple(name for name in labelling.evaluation if name in there),
        missing=tuple(name for name in wanted if name not in there),
        streams=streams,
        grid=pieces.grid,
        text_encoder=pieces.text_encoder,
        display_names={label: display_name(label) for label in labelling.annotations.classes}
        | dict(pieces.display_names),
    )


def _empty(wanted: Sequence[str], found: Sequence[str]) -> str:
    if not wanted:
        return "empty dataset: the annotation names no video to train or to evaluate on"
    return (
        f"empty dataset: none of its {len(wanted)} videos has features; "
        f"the annotation has {wanted[0]!r}, the features {found[0]!r}"
    )


@dataclass(frozen=True)
class Labelling:
    """Annotations of a dataset's videos, whether they have features or not."""

    annotations: Annotations  #: Of all videos; `classes` is the dataset's class list.
    train_labels: Mapping[str, tuple[str, ...]]  #: The labels of each video to train on.
    evaluation: tuple[str, ...]  #: The videos to evaluate on.
    #: What is known of the training videos' times: by the weak table, where that has any.
    marks: Mapping[str, VideoAnnotation] = field(default_factory=dict)

    def examined(self) -> Iterator[tuple[Annotations, tuple[str, ...]]]:
        """The annotations to look for faulty segments in, each with what is no fault there."""
        videos = {**self.annotations.videos, **self.marks}
        # In a training video a segment of no length is a point.
        training = self.marks.keys()
        whole = replace(self.annotations, videos=videos)
        yield whole.select(name for name in videos if name not in training), ()
        yield whole.select(training), ("has no length",)


def read_labelling(pieces: Pieces, report: OnProblem) -> Labelling:
    """Read and join annotation, weak labels and split lists."""
    strong = _read(pieces.annotations, report)
    weak = _read(pieces.train_labels, report)
    classes = pieces.classes or strong.classes or weak.classes
    strong, weak = (_matched_classes(one, classes, pieces, report) for one in (strong, weak))
    strong, weak = (_within_classes(one, classes, report) for one in (strong, weak))
    _report_alike(classes, strong.source or weak.source, report)
    training, evaluation = _split(pieces, strong, weak, report)
    labelled = strong if pieces.train_labels is None else weak
    train_labels, evaluated = {}, set(evaluation)
    for name in training:
        video, place = labelled.videos[name], f"video {name!r}"
        # In a table an empty label says that none of the classes occurs; an annotation states it.
        if not video.labels and labelled is strong and not video.is_background:
            report(Problem.warning("has no label; not trained on", labelled.source, place))
            continue
        if name in evaluated:
            cause = "is both to be trained on and to be evaluated on"
            report(Problem.fatal(cause, labelled.source, place))
        train_labels[name] = video.labels
    empty = [labelled.videos[name] for name, labels in train_labels.items() if not labels]
    if empty := [video for video in empty if not (video.is_background or video.known)]:
        cause = f"no label: trained on as a video in which nothing happens ({len(empty):,} in all)"
        report(Problem.warning(cause, labelled.source, f"video {empty[0].name!r}"))
    for label in pieces.display_names:
        if label not in classes:
            cause = f"display_names: {unknown('class', label, classes)}"
            report(Problem.fatal(cause, pieces.source))
    videos = dict(weak.videos) | dict(strong.videos)
    source = strong.source or weak.source
    has_times = any(video.segments or video.known for video in weak)
    marked = weak.videos if has_times else strong.videos
    return Labelling(
        Annotations(videos, classes, source, (*strong.notes, *weak.notes)),
        train_labels,
        evaluation,
        {name: marked[name] for name in train_labels if name in marked},
    )


def unlabelled(names: Sequence[str], labelling: Labelling) -> Labelling:
    """The labelling of a dataset that is features alone: every video can be localized."""
    videos = {name: VideoAnnotation(name) for name in names}
    return Labelling(Annotations(videos, labelling.annotations.classes), {}, tuple(names))


def _read(path: Path | None, report: OnProblem) -> Annotations:
    """Read an annotation, without the videos whose names can't be used."""
    annotations = Annotations({}, (), path)
    if path is None:
        return annotations
    with reporting(report):
        annotations = read_annotations(path, report=lambda e: report(Problem.of(e)))
    for note in annotations.notes:
        report(Problem.warning(note, path))
    usable = []
    for name in annotations.videos:
        with reporting(report):
            check_name(name, path)
            usable.append(name)
    return annotations.select(usable)


def _split(
    pieces: Pieces, strong: Annotations, weak: Annotations, report: OnProblem
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which videos to train on and which to evaluate on."""
    training, evaluation = strong.training_names(), strong.evaluation_names()
    if not any(video.subset for video in strong):
        # Without subsets the weak table marks the training videos, or all are for training.
        training = tuple(strong.videos)
        if pieces.train_labels is not None:
            evaluation = tuple(name for name in strong.videos if name not in weak.videos)
    if pieces.train_list is not None:
        training = _listed(pieces.train_list, strong, report)
    if pieces.test_list is not None:
        evaluation = _listed(pieces.test_list, strong, report)
    if pieces.train_labels is not None:
        training = weak.training_names()
        if not any(video.subset for video in weak):
            training = tuple(weak.videos)
        if pieces.test_list is None:
            evaluation = _evaluated_beside(strong, weak, evaluation)
    return training, evaluation


def _evaluated_beside(
    strong: Annotations, weak: Annotations, evaluation: tuple[str, ...]
) -> tuple[str, ...]:
    """The evaluation videos where a table gives those to train on: "val…" is free for it."""
    if any(strong.videos[name].segments for name in evaluation):
        return evaluation
    free = strong.by_subset("val")
    marked = any(strong.videos[name].segments for name in free)
    return free if marked and not any(name in weak.videos for name in free) else evaluation


def _listed(path: Path, annotations: Annotations, report: OnProblem) -> tuple[str, ...]:
    """The names in a split list, one a line, that are annotated; each once."""
    names: dict[str, None] = {}
    lines: list[str] = []
    with reporting(report):
        lines = [line.rstrip("\r\n") for line in read_lines(path)]
    for number, line in enumerate(lines, start=1):
        name = known_name(line.strip())
        if name in names:
            report(Problem.fatal(f"{name!r} is listed twice", path, f"line {number}"))
        elif name and name not in annotations.videos:
            report(Problem.fatal(f"{name!r} is not annotated", path, f"line {number}"))
        elif name:
            names[name] = None
    return tuple(names)


def _matched_classes(
    annotations: Annotations, classes: tuple[str, ...], pieces: Pieces, report: OnProblem
) -> Annotations:
    """The annotations under the class list's names, where wanted and one rule gives them."""
    used = {label for video in annotations for label in video.labels}
    proposal = propose(sorted(used), classes) if used.difference(classes) else None
    if proposal is None:
        return annotations
    if not pieces.match_names:
        cause = f"names of classes do not meet; {_HOW} takes them with {proposal}"
        report(Problem.fatal(cause, annotations.source))
        return annotations
    report(Problem.warning(f"names of classes matched: {proposal}", annotations.source))
    names = proposal.names
    videos = {video.name: _relabelled(video, names) for video in annotations}
    return replace(annotations, videos=videos, classes=classes)


def _report_alike(classes: Sequence[str], source: Path | None, report: OnProblem) -> None:
    """Warn of classes that differ in their spelling alone."""
    spellings: dict[str, list[str]] = {}
    for label in classes:
        spellings.setdefault(plain(label), []).append(label)
    for alike in spellings.values():
        if len(alike) > 1:
            names = " and ".join(map(repr, alike))
            cause = f"the classes {names} differ in case, '_', '-' or spaces alone"
            report(Problem.warning(f"{cause}; if they are one, spell them alike", source))


def _relabelled(video: VideoAnnotation, names: Mapping[str, str]) -> VideoAnnotation:
    segments = video.segments
    if segments is not None:
        segments = tuple(replace(s, label=names.get(s.label, s.label)) for s in segments)
    labels = tuple(sorted(names.get(label, label) for label in video.labels))
    if (known := video.known) is not None:
        absent = (replace(s, label=names.get(s.label, s.label)) for s in known.absent)
        known = replace(known, absent=tuple(absent))
    return replace(video, labels=labels, segments=segments, known=known)


def _within_classes(
    annotations: Annotations, classes: tuple[str, ...], report: OnProblem
) -> Annotations:
    """The annotations without labels outside the class list, each of which is reported."""
    videos: dict[str, VideoAnnotation] = {}
    nearest: dict[str, str] = {}
    for video in annotations:
        outside = set(video.labels).difference(classes)
        for label in outside:
            if label not in nearest:
                nearest[label] = unknown("class", label, classes).partition("; ")[2]
            cause = f"label {label!r} is not in the class list; {nearest[label]}"
            report(Problem.fatal(cause, annotations.source, f"video {video.name!r}"))
        labels = tuple(label for label in video.labels if label not in outside)
        videos[video.name] = replace(video, labels=labels) if outside else video
    return Annotations(videos, classes, annotations.source, annotations.notes)


#: How names that differ by one rule are taken for the same.
_HOW = "match_names: true in dataset.yaml"


def open_streams(
    pieces: Pieces, labelling: Labelling, report: OnProblem
) -> tuple[Labelling, dict[str, FeatureStream]]:
    """Open all streams, by name; those of which every part can be opened.

    Where names of features do not meet the annotated ones, they are matched, or a rule is reported
    that would match them. Gives the labelling, in which names of a table of labels may be others.
    """
    streams = {}
    for name, places in pieces.streams.items():
        parts = _open_parts(places, pieces, report)
        if len(parts) == len(places):
            parts = [_matched_part(part, labelling, pieces, report) for part in parts]
            parts = [_with_unlisted(part, labelling, report) for part in parts]
            streams[name] = FeatureStream(name, parts)
    if streams:
        there = next(iter(streams.values())).names()
        labelling = _matched_table(labelling, there, pieces, report)
    return labelling, streams


def _with_unlisted(part: FeaturePart, labelling: Labelling, report: OnProblem) -> FeaturePart:
    """The part of a store at a URL with the arrays that are recorded and that it does not list."""
    wanted = {*labelling.train_labels, *labelling.evaluation}.difference(part.entries)
    if not isinstance(part.place, UrlPath) or not wanted:
        return part
    records = (part.place.parent.parent / RECORDS).glob("*.json")
    recorded = sorted(wanted.intersection(path.stem for path in records))
    part = part.with_unlisted(recorded) if recorded else part
    for name in recorded:
        if name not in part.entries:
            cause = f"no {part.title} features of video {name!r}, of which the store has a record"
            report(Problem.fatal(cause, part.place))
    return part


def _matched_part(
    part: FeaturePart, labelling: Labelling, pieces: Pieces, report: OnProblem
) -> FeaturePart:
    """The part under the annotated names, where that is wanted and one rule gives them."""
    wanted = {*labelling.train_labels, *labelling.evaluation}
    if 2 * len(wanted.intersection(part.entries)) >= len(wanted):
        return part
    proposal = propose(part.entries, labelling.annotations.videos)
    if proposal is None:
        return part
    if not pieces.match_names:
        cause = f"names of features and annotation do not meet; {_HOW} takes the features with "
        report(Problem.fatal(f"{cause}{proposal}", part.place))
        return part
    report(Problem.warning(f"names of features matched: {proposal}", part.place))
    return part.renamed(proposal.names)


def _matched_table(
    labelling: Labelling, there: Sequence[str], pieces: Pieces, report: OnProblem
) -> Labelling:
    """The labelling with the features' names in its table of labels, likewise."""
    table = labelling.train_labels
    known = set(there)
    if pieces.train_labels is None or 2 * len(known.intersection(table)) >= len(table):
        return labelling
    proposal = propose(table, known)
    if proposal is None:
        return labelling
    if not pieces.match_names:
        cause = f"names of labels and features do not meet; {_HOW} takes the labels with {proposal}"
        report(Problem.fatal(cause, pieces.train_labels))
        return labelling
    report(Problem.warning(f"names of labels matched: {proposal}", pieces.train_labels))
    names = proposal.names
    videos = dict(labelling.annotations.videos)
    for old in names:
        video = videos.pop(old)
        videos.setdefault(names[old], replace(video, name=names[old]))
    labels = {names.get(name, name): present for name, present in table.items()}
    marks = {names.get(name, name): video for name, video in labelling.marks.items()}
    annotations = replace(labelling.annotations, videos=videos)
    return replace(labelling, annotations=annotations, train_labels=labels, marks=marks)


def _open_parts(
    parts: Sequence[PartPlaces], pieces: Pieces, report: OnProblem
) -> list[FeaturePart]:
    """Find a stream's files and their names; without the parts that can't be opened."""
    opened: list[FeaturePart] = []
    names = None
    if any(place.suffix == ".npy" for part in parts for place in part.places):
        with reporting(report):
            names = _pack_names(pieces.pack_names)

    def open_(part: PartPlaces) -> FeaturePart:
        on_error = lambda error: report(Problem.of(error))  # noqa: E731
        return open_part(part.title, part.places, names, on_error, part.ending)

    for part in parts:
        with reporting(report):
            opened.append(reduce(FeaturePart.filled, map(open_, part.others), open_(part)))
    return opened


def _pack_names(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    try:
        return [as_text(name) for name in load_object_array(path)]
    except (TypeError, ValueError) as error:
        raise DuetalError(str(error), file=path) from error
