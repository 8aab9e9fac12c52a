"""The ground truth and the detections of each stage, read from a run's folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.records import read_if_there
from duetal.results.folder import RunFolder
from duetal.results.schema import GroundTruth, StageDetections


@dataclass(frozen=True)
class RunVideos:
    """The detections of a run, and the ground truth.

    Args:
        truth: the videos that it was evaluated on; None before that.
        found: by stage, in the order of training.
    """

    truth: Annotations | None
    found: dict[str, Detections]


def read_videos(folder: RunFolder, stage_order: Sequence[str] = ()) -> RunVideos:
    """Read ground truth and detections of a run; whichever of them is there.

    Args:
        folder: folder of one seed's run.
        stage_order: stages in the order of training; further ones follow by name.

    Raises:
        DuetalError: a file is damaged.
    """
    rank = {stage: number for number, stage in enumerate(stage_order)}
    paths = sorted(
        (folder.path / "detections").glob("*.json"),
        key=lambda path: (rank.get(path.stem, len(rank)), path.stem),
    )
    files = ((path, read_if_there(StageDetections, path)) for path in paths)
    return RunVideos(
        _read_truth(folder.ground_truth_file),
        {path.stem: _detections(file, path) for path, file in files if file is not None},
    )


def _read_truth(path: Path) -> Annotations | None:
    file = read_if_there(GroundTruth, path)
    if file is None:
        return None
    videos = {}
    for name, video in file.database.items():
        segments = tuple(Segment(*row.segment, row.label) for row in video.annotations)
        labels = tuple(sorted({segment.label for segment in segments}))
        # All that a run was evaluated on is in the file, and nothing else.
        videos[name] = VideoAnnotation(name, "test", video.duration, labels, segments)
    classes = dict.fromkeys(label for video in videos.values() for label in video.labels)
    return Annotations(videos, tuple(classes), path)


def _detections(file: StageDetections, path: Path) -> Detections:
    rows = (
        (name, row.label, *row.segment, row.score)
        for name, rows in file.results.items()
        for row in rows
    )
    return Detections.from_rows(rows, videos=file.results, source=path)
