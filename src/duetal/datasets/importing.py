"""Public features made into a dataset of ours: put on one time grid, named, and written together.

A grid is stated, never guessed: rows every 4 frames of 30 a second are not rows every 16 of 25.
Features of two grids are put on one, by seconds; see `regridded`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import replacing, write_text
from duetal.core.grid import TimeGrid
from duetal.core.name_matching import propose
from duetal.datasets.layouts import PartPlaces, parts_at
from duetal.features.arrays import reading
from duetal.features.metadata import DATASET_FILE
from duetal.features.streams import FeatureStream, open_part

#: A file of one of ten crops, which some write apart (VadCLIP).
_CROP = re.compile(r"(.+)__(\d)$")
#: Rows may be this much too many or too few for the stated grid and duration: a share, and rows.
TOLERANCE = 0.05, 4


@dataclass(frozen=True)
class Published:
    """Features of one branch, as somebody published them."""

    branch: str
    place: Path  #: A folder or file, in a form that the readers know.
    #: Their grid; None where a video's rows, however many, lie evenly over its duration.
    grid: TimeGrid | None
    ending: str | None = None  #: Take `<video>_<ending>` alone, as those of `<video>`.


@dataclass(frozen=True)
class Imported:
    """What was written."""

    grid: TimeGrid
    videos: int
    moved: tuple[str, ...]  #: The branches whose rows were put on another grid.
    missing: tuple[str, ...]  #: Videos that one of the sources lacks.
    renamed: tuple[str, ...]  #: By which rule names met those of the annotations, or of CBP.


def import_features(
    out: Path,
    sources: list[Published],
    grid: TimeGrid | None = None,
    durations: Mapping[str, float] | None = None,
    text_encoder: str | None = None,
) -> Imported:
    """Write features of one or two branches as a dataset on one grid, as float16.

    Args:
        out: the dataset's folder; made, and refused where it has features.
        sources: where the features are, and their grids.
        grid: of the dataset; None takes that of the first source with one.
        durations: seconds by video, where they are known.
        text_encoder: the model whose texts go with VLP's features.

    Raises:
        UsageError: features are there already; no grid; a source without one and no durations.
        DuetalError: features that can't be read, or whose number of rows is not that of the stated
            grid.
    """
    seconds = durations or {}
    grid = grid or next((one.grid for one in sources if one.grid is not None), None)
    if grid is None:
        raise UsageError("rows evenly over a video have no grid of their own; name one with --grid")
    for source in sources:
        folder = out / "features" / source.branch
        if folder.exists():
            raise UsageError("is there already; import into another folder", file=folder)
    published = [_Published(source, seconds) for source in sources]
    renamed = [one.rename(seconds or published[0].arrays) for one in published]
    names = [set(one.arrays) for one in published]
    shared = sorted(set.intersection(*names))
    if not shared:
        examples = " and ".join(repr(min(one)) for one in names)
        raise DuetalError(f"no video in common: {examples}", file=sources[-1].place)
    for name in shared:
        for branch, rows in _on_grid(published, name, grid, seconds).items():
            path = out / "features" / branch / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, rows.astype(np.float16))
    content: dict[str, object] = {"grid": asdict(grid)}
    content |= {one.branch: f"features/{one.branch}" for one in sources}
    content |= {"text_encoder": text_encoder} if text_encoder else {}
    write_text(out / DATASET_FILE, yaml.safe_dump(content, sort_keys=False))
    moved = tuple(one.branch for one in sources if one.grid != grid)
    missing = tuple(sorted(set.union(*names).difference(shared)))
    return Imported(grid, len(shared), moved, missing, tuple(filter(None, renamed)))


def _on_grid(
    published: "list[_Published]", name: str, grid: TimeGrid, seconds: Mapping[str, float]
) -> dict[str, NDArray[np.float32]]:
    """A video's features by branch, as many rows of each; DuetalError if the grids contradict."""
    read = {one.source.branch: one.read(name) for one in published}
    ends = [seconds.get(name, one.end(len(read[one.source.branch]))) for one in published]
    if max(ends) - min(ends) > max(TOLERANCE[0] * max(ends), 2 * grid.seconds_per_snippet):
        lasting = " and ".join(f"{end:.1f} s" for end in ends)
        cause = f"by the stated grids its features last {lasting}: one of the grids is another"
        raise DuetalError(cause, file=published[-1].source.place, place=f"video {name!r}")
    kept = [len(read[one.source.branch]) for one in published if one.source.grid == grid]
    length = min(kept) if kept else max(1, grid.length(min(ends)))
    return {
        one.source.branch: values[:length]
        if one.source.grid == grid
        else regridded(values, one.centres(name, len(values)), grid, length)
        for one, values in zip(published, read.values(), strict=True)
    }


def regridded(
    values: NDArray[np.float32], centres: NDArray[np.float64], grid: TimeGrid, length: int
) -> NDArray[np.float32]:
    """Rows (T, C) with their centres in seconds -> (length, C) on a grid.

    A row is the mean of those whose centres lie within its stride; where they are fewer than two,
    it lies between its neighbours, in proportion to the seconds.
    """
    half = grid.seconds_per_snippet / 2
    wanted = grid.centre(np.arange(length))
    first, last = (np.searchsorted(centres, wanted + side) for side in (-half, half))
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0, np.float64)])
    after = np.clip(np.searchsorted(centres, wanted), 1, max(1, len(centres) - 1))
    after = np.minimum(after, len(centres) - 1)
    before = np.maximum(after - 1, 0)
    span = np.maximum(centres[after] - centres[before], 1e-9)
    share = np.clip((wanted - centres[before]) / span, 0, 1)[:, None]
    between = (1 - share) * values[before] + share * values[after]
    count = (last - first)[:, None]
    mean = (sums[last] - sums[first]) / np.maximum(count, 1)
    found: NDArray[np.float32] = np.where(count > 1, mean, between).astype(np.float32)
    return found


class _Published:
    """The features of a source, by video."""

    def __init__(self, source: Published, seconds: Mapping[str, float]):
        self.source, self._seconds = source, seconds
        if source.ending is not None:
            parts = [PartPlaces(source.branch, (source.place,), source.ending)]
        else:
            parts = [*parts_at(source.branch, (source.place,))]
        opened = [open_part(part.title, part.places, ending=part.ending) for part in parts]
        self._stream = FeatureStream(source.branch, opened)
        #: The arrays of each video: one, or one a crop.
        self.arrays: dict[str, list[str]] = {}
        for name in self._stream.names():
            crop = _CROP.fullmatch(name)
            self.arrays.setdefault(name if crop is None else crop[1], []).append(name)

    def rename(self, known: Collection[str]) -> str:
        """Call the videos as known ones are that differ by one rule; the rule, if there is one."""
        if (proposal := propose(self.arrays, known)) is None:
            return ""
        self.arrays = {proposal.names.get(n, n): arrays for n, arrays in self.arrays.items()}
        return f"{self.source.branch}: {proposal}"

    def read(self, name: str) -> NDArray[np.float32]:
        """(T, C), the mean of crops; DuetalError if its number of rows contradicts the grid."""
        crops = [self._stream.read(one) for one in self.arrays[name]]
        if len({one.shape for one in crops}) > 1:
            raise self._error(name, "its crops have different numbers of rows")
        values: NDArray[np.float32] = np.asarray(np.mean(crops, axis=0, dtype=np.float32))
        grid, duration = self.source.grid, self._seconds.get(name)
        if grid is None:
            if duration is None:
                raise self._error(name, "rows evenly over a video need its duration: --annotations")
            return values
        stated = self._fps(name)
        if stated is not None and abs(stated - grid.fps) > 0.01 * grid.fps:
            raise self._error(name, f"made at {stated:g} frames a second, stated are {grid.fps:g}")
        if duration is not None:
            expected = grid.length(duration)
            if abs(len(values) - expected) > max(TOLERANCE[0] * expected, TOLERANCE[1]):
                cause = f"{len(values):,} rows in {duration:.1f} s, and the stated grid of "
                cause += f"{grid.fps:g}/{grid.stride}/{grid.window} has {expected:,}"
                raise self._error(name, cause)
        return values

    def centres(self, name: str, rows: int) -> NDArray[np.float64]:
        """Seconds of the middle of each row."""
        if self.source.grid is not None:
            return self.source.grid.centre(np.arange(rows))
        return (np.arange(rows) + 0.5) * self._seconds[name] / rows

    def end(self, rows: int) -> float:
        """Seconds in which so many rows end at the earliest; of rows without a grid, 0."""
        grid = self.source.grid
        return 0.0 if grid is None else ((rows - 1) * grid.stride + grid.window) / grid.fps

    def _fps(self, name: str) -> float | None:
        """What `video_features` writes beside its arrays: the rate of the frames."""
        path = self.source.place / f"{self.arrays[name][0]}_fps.npy"
        if not path.is_file():
            return None
        with reading(path, damage="not a .npy file"):
            value = np.load(path, allow_pickle=False)
        return float(value) if value.size == 1 else None

    def _error(self, name: str, cause: str) -> DuetalError:
        return DuetalError(cause, file=self.source.place, place=f"video {name!r}")
