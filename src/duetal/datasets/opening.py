"""Opening a dataset: its pieces are read, joined and checked against each other.

Every step takes a callback for problems. `open_dataset` raises the first fatal one; `duetal check`
goes through the same steps and collects them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from duetal.core.annotations import Annotations, VideoAnnotation, display_name
from duetal.core.errors import DuetalError, unknown
from duetal.core.pickled_arrays import as_text, load_object_array
from duetal.datasets.dataset import Dataset
from duetal.datasets.layouts import PartPlaces, Pieces, find_pieces
from duetal.datasets.problems import OnProblem, Problem, raise_fatal, reporting
from duetal.features.streams import FeaturePart, FeatureStream, check_name, open_part
from duetal.formats import read_annotations
from duetal.formats.delimited import read_lines


def open_dataset(path: Path) -> Dataset:
    """Open the dataset at a folder or a YAML file; see `duetal.datasets.layouts` for the layouts.

    No feature file is opened, which takes seconds in large datasets; `duetal check` reads all.

    Raises:
        DuetalError: a piece is missing or malformed, a label is outside the class list, a video
            is listed twice or is both trained and evaluated on, a name would leave the folder,
            or there is no video with features.
        UsageError: a bad `dataset.yaml`.
    """
    pieces = find_pieces(path)
    labelling = read_labelling(pieces, raise_fatal)
    streams = open_streams(pieces, raise_fatal)
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


def read_labelling(pieces: Pieces, report: OnProblem) -> Labelling:
    """Read and join annotation, weak labels and split lists."""
    strong = _read(pieces.annotations, report)
    weak = _read(pieces.train_labels, report)
    classes = pieces.classes or strong.classes or weak.classes
    strong, weak = (_within_classes(one, classes, report) for one in (strong, weak))
    training, evaluation = _split(pieces, strong, weak, report)
    labelled = strong if pieces.train_labels is None else weak
    train_labels = {name: labelled.videos[name].labels for name in training}
    for name, labels in train_labels.items():
        place = f"video {name!r}"
        if not labels and not labelled.videos[name].is_background:
            report(Problem.warning("has no label; not trained on", labelled.source, place))
        elif name in evaluation:
            cause = "is both to be trained on and to be evaluated on"
            report(Problem.fatal(cause, labelled.source, place))
    for label in pieces.display_names:
        if label not in classes:
            cause = f"display_names: {unknown('class', label, classes)}"
            report(Problem.fatal(cause, pieces.source))
    videos = dict(weak.videos) | dict(strong.videos)
    source = strong.source or weak.source
    return Labelling(
        Annotations(videos, classes, source, (*strong.notes, *weak.notes)),
        {
            name: labels
            for name, labels in train_labels.items()
            if labels or labelled.videos[name].is_background
        },
        evaluation,
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
        training = tuple(weak.videos)
    return training, evaluation


def _listed(path: Path, annotations: Annotations, report: OnProblem) -> tuple[str, ...]:
    """The names in a split list, one a line, that are annotated; each once."""
    names: dict[str, None] = {}
    lines: list[str] = []
    with reporting(report):
        lines = [line.rstrip("\r\n") for line in read_lines(path)]
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if name in names:
            report(Problem.fatal(f"{name!r} is listed twice", path, f"line {number}"))
        elif name and name not in annotations.videos:
            report(Problem.fatal(f"{name!r} is not annotated", path, f"line {number}"))
        elif name:
            names[name] = None
    return tuple(names)


def _within_classes(
    annotations: Annotations, classes: tuple[str, ...], report: OnProblem
) -> Annotations:
    """The annotations without labels outside the class list, each of which is reported."""
    videos: dict[str, VideoAnnotation] = {}
    for video in annotations:
        for label in set(video.labels).difference(classes):
            cause = f"label {label!r} is not in the class list"
            report(Problem.fatal(cause, annotations.source, f"video {video.name!r}"))
        labels = tuple(label for label in video.labels if label in classes)
        videos[video.name] = replace(video, labels=labels)
    return Annotations(videos, classes, annotations.source, annotations.notes)


def open_streams(pieces: Pieces, report: OnProblem) -> dict[str, FeatureStream]:
    """Open all streams, by name; those of which every part can be opened."""
    opened = {
        name: _open_stream(name, parts, pieces, report) for name, parts in pieces.streams.items()
    }
    return {name: stream for name, stream in opened.items() if stream is not None}


def _open_stream(
    title: str, parts: Sequence[PartPlaces], pieces: Pieces, report: OnProblem
) -> FeatureStream | None:
    """Find a stream's files and their names. None when a part could not be opened."""
    opened: list[FeaturePart] = []
    names = None
    if any(place.suffix == ".npy" for part in parts for place in part.places):
        with reporting(report):
            names = _pack_names(pieces.pack_names)
    for part in parts:
        with reporting(report):
            opened.append(
                open_part(part.title, part.places, names, lambda error: report(Problem.of(error)))
            )
    return FeatureStream(title, opened) if len(opened) == len(parts) else None


def _pack_names(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    try:
        return [as_text(name) for name in load_object_array(path)]
    except (TypeError, ValueError) as error:
        raise DuetalError(str(error), file=path) from error
