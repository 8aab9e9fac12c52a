"""The annotation folder of the W-TALC pack, which CO2-Net and its relatives evaluate with.

One `.npy` per field, a row per video: `videoname`, `subset`, `segments` (seconds) with a class
each in `labels`, the video-level classes in `labels_all`, `duration`; and `classlist`,
`Ambiguous_test.txt`. Its `extracted_fps` is 10 where the features were made at 25 frames per
second, and is not read.

The form is read and not written: its rows are of different lengths, so that the arrays are pickled,
and whoever opens them with numpy has to let them run what they like.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError, Report, raise_error, reporting
from duetal.core.pickled_arrays import as_text, load_object_array
from duetal.core.video_names import known_name
from duetal.formats.thumos14 import AMBIGUOUS, read_segments


def is_wtalc(folder: Path) -> bool:
    """Whether a folder looks like the pack's annotation folder."""
    return (folder / "videoname.npy").is_file() and (folder / "segments.npy").is_file()


def read_annotations(folder: Path, *, report: Report = raise_error) -> Annotations:
    """Read the pack's annotation folder.

    A video's `labels` are those of `labels_all.npy`, which the field trains on, and not always
    those of its segments (27 of THUMOS14's 412 videos differ, 8 of them training videos; a note
    names them). Where `labels_all.npy` is missing or has none for a video, its segments' classes
    serve. Classes are in the order of `classlist.npy`.

    Raises:
        DuetalError: a missing, damaged or malicious array; arrays of different lengths; a row
            of another shape, named by video.
    """
    names = [known_name(name) for name in _texts(folder, "videoname")]
    columns: dict[str, Sequence[Any] | NDArray[Any]] = {"subset": _texts(folder, "subset")}
    present = [field for field in ("labels_all", "duration") if (folder / f"{field}.npy").exists()]
    columns |= {field: _load(folder, field) for field in ("segments", "labels", *present)}
    for field, column in columns.items():
        _check_column(folder / f"{field}.npy", column, len(names))
    classes = tuple(_texts(folder, "classlist"))
    videos: dict[str, VideoAnnotation] = {}
    for index, name in enumerate(names):
        row = {field: column[index] for field, column in columns.items()}
        with reporting(report):
            if name in videos:
                raise DuetalError(f"names {name!r} twice", file=folder / "videoname.npy")
            videos[name] = _video(name, row, classes, folder)
    notes = [*_add_ambiguous(videos, folder), *_label_note(videos)]
    return Annotations(videos, classes, folder, tuple(notes))


def _video(
    name: str, row: dict[str, Any], classes: tuple[str, ...], folder: Path
) -> VideoAnnotation:
    try:
        labels = [as_text(label) for label in row["labels"]]
        pairs = [(float(start), float(end)) for start, end in row["segments"]]
        if len(labels) != len(pairs):
            raise ValueError(f"{len(pairs)} segments and {len(labels)} labels")
        weak = [as_text(label) for label in row.get("labels_all", ())] or labels
        duration = row.get("duration")
        if duration is not None:
            duration = float(duration.item() if hasattr(duration, "item") else duration)
        for label in sorted({*weak, *labels}):
            if label not in classes:
                raise ValueError(f"label {label!r} is not in classlist.npy")
    except (TypeError, ValueError, OverflowError) as error:
        raise DuetalError(str(error), file=folder, place=f"video {name!r}") from error
    segments = tuple(Segment(*pair, label) for pair, label in zip(pairs, labels, strict=True))
    return VideoAnnotation(name, row["subset"], duration, tuple(sorted(set(weak))), segments)


def _segment_classes(video: VideoAnnotation) -> tuple[str, ...]:
    return tuple(sorted({segment.label for segment in video.segments or ()}))


def _add_ambiguous(videos: dict[str, VideoAnnotation], folder: Path) -> list[str]:
    path = folder / "Ambiguous_test.txt"
    if not path.exists():
        return []
    unknown = set()
    ambiguous: defaultdict[str, list[Segment]] = defaultdict(list)
    for name, segment in read_segments(path, AMBIGUOUS):
        if name in videos:
            ambiguous[name].append(segment)
        else:
            unknown.add(name)
    for name, segments in ambiguous.items():
        videos[name] = replace(videos[name], ambiguous=tuple(segments))
    return [f"{path.name}: {name!r} is not among the videos" for name in sorted(unknown)]


def _label_note(videos: dict[str, VideoAnnotation]) -> list[str]:
    differing = [video.name for video in videos.values() if video.labels != _segment_classes(video)]
    if not differing:
        return []
    which = ", ".join(differing[:3]) + (", …" if len(differing) > 3 else "")
    return [f"{len(differing)} videos have other classes in labels_all than in segments: {which}"]


def _load(folder: Path, field: str) -> NDArray[Any]:
    path = folder / f"{field}.npy"
    array = load_object_array(path)
    if array.ndim == 0:
        raise DuetalError("holds a single value, expected a row per video", file=path)
    return array


def _texts(folder: Path, field: str) -> list[str]:
    try:
        return [as_text(value) for value in _load(folder, field)]
    except ValueError as error:
        raise DuetalError(str(error), file=folder / f"{field}.npy") from error


def _check_column(path: Path, column: Sequence[Any] | NDArray[Any], videos: int) -> None:
    if len(column) != videos:
        raise DuetalError(f"{len(column)} rows, videoname.npy has {videos}", file=path)
    # Rows that are one long list many times take a few bytes of pickle.
    if sum(len(row) for row in column if isinstance(row, list)) > path.stat().st_size:
        raise DuetalError("its rows hold more values than the file has bytes", file=path)
