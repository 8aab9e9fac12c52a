"""Scores per snippet of any model as detections: the method's localization without its networks."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from duetal import __version__
from duetal.api.trained_run import PathLike
from duetal.core.array_types import Singles
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError, first_line, unknown
from duetal.core.extras import naming_extras
from duetal.core.grid import FPS, MOST_FRAMES, TimeGrid
from duetal.core.video_names import composed
from duetal.features.arrays import Header
from duetal.features.streams import check_name, open_part
from duetal.formats.options import read_class_numbers
from duetal.localization.ensemble import log_odds
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.proposals import ROUNDING, VideoDetections, assemble, localize_video

# It imports PyTorch.
if TYPE_CHECKING:
    from duetal.runs.localizing import Progress

ScoreKind = Literal["probabilities", "logits"]


@naming_extras()
def localize_scores(
    scores: Mapping[str, ArrayLike] | PathLike,
    classes: Sequence[str] | PathLike,
    *,
    fps: float,
    stride: int,
    window: int | None = None,
    kind: ScoreKind | None = None,
    offset: float = 0.0,
    topk_ratio: int = 8,
    video_scores: Mapping[str, ArrayLike] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: "Progress" = lambda what, done, total: None,
) -> Detections:
    """Find the actions in videos whose scores any model gave, as `duetal localize-scores`.

    A class's probability in a video, unless it is given, is pooled as the method does: the sigmoid
    of the mean of its top ceil(T / `topk_ratio`) logits; of probabilities, these are their
    log-odds.

    Args:
        scores: by video, (T, K) floating-point scores of each class at each snippet; or a file
            (.npz) with an array per video, or a folder with a file per video (.npy). Of files, one
            video is in memory at a time.
        classes: the K classes in the order of the columns: a sequence, a text file with one a line,
            or their names separated by commas.
        fps: frames per second that the snippets were counted in.
        stride: frames from one snippet's start to the next one's.
        window: frames that a snippet sees, where it isn't `stride`.
        kind: what the scores are; by default logits, where any value of any video is outside 0..1.
        offset: seconds at which the first snippet begins.
        topk_ratio: the top eighth of the snippets is pooled with 8.
        video_scores: by video, (K,) probabilities that it has each class, to choose classes by.
        settings: of localization, other than the defaults (docs/settings.md).
        progress: called with what is being done, the videos done, and the videos in all.

    Returns:
        The detections in seconds; `external_data["scores"]` is the kind that was taken.

    Raises:
        UsageError: an impossible value, an unknown setting, or a video without `video_scores`.
        DuetalError: no video, unreadable, or an array that is not (T, K), finite, with snippets and
            as many columns as there are classes; names the video.
    """
    from duetal.method.video_scoring import probabilities, video_probabilities
    from duetal.runs.localizing import class_progress

    window = stride if window is None else window
    if not (FPS[0] <= fps <= FPS[1]):
        raise UsageError(f"fps must be from {FPS[0]:g} to {FPS[1]:g}, not {fps}")
    if min(stride, window, topk_ratio) < 1 or max(stride, window) > MOST_FRAMES:
        cause = "stride, window and topk_ratio must be 1 or more, stride and window at most"
        raise UsageError(f"{cause} {MOST_FRAMES:,}")
    if not np.isfinite(offset):
        raise UsageError(f"offset: {offset} is not a finite number")
    if kind not in (None, *get_args(ScoreKind)):
        raise UsageError(unknown("kind of scores", str(kind), get_args(ScoreKind)))
    chosen = LocalizationSettings().replace(**(settings or {}))
    grid, names = TimeGrid(fps, stride, window), class_names(classes)
    given = _given_scores(scores, names)
    if kind is None:
        outside = any(_is_outside(given.read(video)) for video in given.videos)
        kind = "logits" if outside else "probabilities"
    found: list[VideoDetections] = []
    for video in given.videos:
        values = given.read(video)
        if kind == "probabilities":
            if _is_outside(values):
                cause = f"scores of {values.min():g} to {values.max():g} are no probabilities"
                raise given.fault(cause, video)
            curves = np.clip(values, 0, 1)
            values = log_odds(values)
        else:
            curves = probabilities(values)
        pooled = video_probabilities(values, topk_ratio)
        if video_scores is not None:
            if video not in video_scores:
                raise UsageError(f"video_scores: have no video {video!r}")
            pooled = np.asarray(video_scores[video], dtype=np.float32)
        tell = class_progress(progress, video, len(found), len(given.videos))
        detections = localize_video(
            curves, pooled, grid, chosen, offset=offset, name=video, progress=tell
        )
        found.append(detections)
        progress("localizing", len(found), len(given.videos))
    about = {
        "scores": kind,
        "limited_videos": sum(video.limited for video in found),
        "duetal": __version__,
    }
    return replace(assemble(found, given.videos, names), external_data=about)


def class_names(classes: Sequence[str] | PathLike) -> tuple[str, ...]:
    """The names of classes: given so, in a file with one a line, or separated by commas.

    Raises:
        DuetalError: the file can't be read, there is no name, an empty one, or one twice.
    """
    file = None
    if isinstance(classes, str) and not (classes.endswith(".txt") or _is_file(classes)):
        classes = classes.split(",")
    elif isinstance(classes, str | os.PathLike):
        file = Path(classes)
        # In the order of their numbers, where it has some.
        classes = [name for _, name in sorted(read_class_numbers(file).items())]
    names = [composed(str(name)).strip() for name in classes]
    if not any(names):
        raise DuetalError("no class is named", file=file, place=None if file else "classes")
    for name in names:
        if not name or names.count(name) > 1:
            cause = f"the class {name!r} is named twice" if name else "a class has no name"
            raise DuetalError(cause, file=file, place=None if file else "classes")
    return tuple(names)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # a text longer than any name
        return False


def _is_outside(values: Singles) -> bool:
    """Whether a value lies outside 0..1, but for rounding."""
    return bool(values.min() < -ROUNDING or values.max() > 1 + ROUNDING)


@dataclass(frozen=True)
class _GivenScores:
    """Scores of videos, from memory or from files; none is read before it is needed."""

    classes: tuple[str, ...]
    videos: tuple[str, ...]
    read_unchecked: Callable[[str], NDArray[np.floating]]  #: Of a video.
    files: Mapping[str, Path]  #: By video, where they are in files.

    def fault(self, cause: str, video: str) -> DuetalError:
        """An error that names a video, and the file that its scores are in."""
        return DuetalError(cause, file=self.files.get(video), place=f"video {video!r}")

    def read(self, video: str) -> Singles:
        """(T, K) scores of a video; a DuetalError if they are not (T, K), finite and readable."""
        values = self.read_unchecked(video)
        header = Header.of(values.shape, values.dtype, self.files.get(video), f"video {video!r}")
        if header.crops is not None or header.dim != len(self.classes):
            cause = f"(T, K) = {values.shape}, but {len(self.classes)} classes are named"
            raise self.fault(cause, video)
        with np.errstate(over="ignore"):
            singles = np.array(values, dtype=np.float32)
        finite = np.isfinite(singles)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            cause = f"the score of {self.classes[column]!r} is {singles[row, column]}"
            raise self.fault(f"{cause} at snippet {row}", video)
        return singles


def _given_scores(
    scores: Mapping[str, ArrayLike] | PathLike, classes: tuple[str, ...]
) -> _GivenScores:
    """The videos that have scores; a DuetalError if there are none."""
    if not isinstance(scores, Mapping):
        part = open_part("score", [Path(scores)])

        def read(video: str) -> NDArray[np.floating]:
            array = part.open(video)
            rows = array.rows(0, array.header.length)
            if len(rows) < array.header.length:
                raise DuetalError("truncated", file=array.path, place=array.place)
            return rows

        files = {video: entry.path for video, entry in part.entries.items()}
        return _GivenScores(classes, tuple(files), read, files)
    if not scores:
        raise DuetalError("no video has scores")
    for video in scores:
        check_name(video, None)

    def convert(video: str) -> NDArray[np.floating]:
        try:
            return np.asarray(scores[video])
        except (TypeError, ValueError, RuntimeError) as error:
            # Rows of different lengths; a tensor on a GPU, or with a gradient.
            cause = f"not an array: {first_line(error)}"
            raise DuetalError(cause, place=f"video {video!r}") from error

    return _GivenScores(classes, tuple(scores), convert, {})
