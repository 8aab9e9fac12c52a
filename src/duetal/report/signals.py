"""What a run says of every snippet: the scores of its branches, and its pseudo-labels."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from duetal.core.errors import DuetalError
from duetal.report.records import GridRecord, ModelFile, ScoreIndexFile, read_record

#: Those that a run without a list of its own can have, in order.
BRANCHES = ("cbp", "vlp")


class SnippetFile:
    """An open safetensors file that holds a (T, K) array of each video.

    Args:
        path: the file.
        columns: K.
        stack: closes it.

    Raises:
        DuetalError: no safetensors file.
    """

    def __init__(self, path: Path, columns: int, stack: ExitStack):
        self._path = path
        self._columns = columns
        try:
            self._file: Any = stack.enter_context(safe_open(path, framework="np"))
            self.videos = tuple(sorted(self._file.keys()))
            self._lengths = {name: self._length(name) for name in self.videos}
        except (SafetensorError, OSError) as error:
            raise DuetalError(f"not a safetensors file: {error}", file=path) from error

    def length(self, video: str) -> int:
        """T of a video; 0 where the file does not have it."""
        return self._lengths.get(video, 0)

    def scores(self, video: str) -> NDArray[np.float32] | None:
        """(T, K) probabilities; None where the file does not have the video.

        Raises:
            DuetalError: of another shape, or not finite.
        """
        values = self._read(video)
        if values is None:
            return None
        scores = values.astype(np.float32)
        if not np.isfinite(scores).all():
            raise self._error(video, "a score is not finite")
        return scores

    def labels(self, video: str) -> NDArray[np.int8] | None:
        """(T, K) of -1, 0 and 1; None where the file does not have the video.

        Raises:
            DuetalError: of another shape, or another value.
        """
        values = self._read(video)
        if values is None:
            return None
        if not np.isin(values, (-1, 0, 1)).all():
            raise self._error(video, "a pseudo-label is none of -1, 0 and 1")
        return values.astype(np.int8)

    def _length(self, video: str) -> int:
        shape = self._file.get_slice(video).get_shape()
        return int(shape[0]) if shape else 0

    def _read(self, video: str) -> NDArray[Any] | None:
        if video not in self._lengths:
            return None
        try:
            values = np.asarray(self._file.get_tensor(video))
        except (SafetensorError, TypeError, ValueError, OSError) as error:
            raise self._error(video, f"cannot read: {error}") from error
        if values.ndim != 2 or values.shape[1] != self._columns:
            raise self._error(video, f"an array of shape {values.shape}, not (T, {self._columns})")
        return values

    def _error(self, video: str, cause: str) -> DuetalError:
        return DuetalError(cause, file=self._path, place=f"video {video!r}")


@dataclass(frozen=True)
class Signals:
    """Everything that one run says by the snippet, its files open.

    Args:
        title: of the run.
        classes: of the arrays' columns.
        grid: of their rows.
        scores: by branch.
        labels: by phase, in the order of training.
    """

    title: str
    classes: tuple[str, ...] = ()
    grid: GridRecord = field(default_factory=GridRecord)
    scores: Mapping[str, SnippetFile] = field(default_factory=dict)
    labels: Mapping[str, SnippetFile] = field(default_factory=dict)


def open_signals(folder: Path, title: str, stack: ExitStack) -> Signals:
    """Open what there is of a run of one seed.

    Args:
        folder: of the run; one that names no classes has nothing to tell.
        title: of the run.
        stack: closes the files.

    Raises:
        DuetalError: a file is damaged.
    """
    index = read_record(ScoreIndexFile, folder / "scores" / "index.json")
    model = read_record(ModelFile, folder / "model.json") or ModelFile()
    known = index or model
    if not known.classes:
        return Signals(title)
    scores = {path.stem: path for path in (folder / "scores").glob("*.safetensors")}
    labels = {path.stem: path for path in (folder / "pseudo_labels").glob("*.safetensors")}

    def opened(paths: Mapping[str, Path]) -> dict[str, SnippetFile]:
        return {
            name: SnippetFile(path, len(known.classes), stack)
            for name, path in paths.items()
            if path.exists()
        }

    ordered = {name: labels[name] for name in sorted(labels, key=_step)}
    scores = {name: scores[name] for name in sorted(scores, key=_branch)}
    return Signals(title, tuple(known.classes), known.grid, opened(scores), opened(ordered))


def _branch(name: str) -> tuple[int, str]:
    return (BRANCHES.index(name) if name in BRANCHES else len(BRANCHES), name)


def _step(phase: str) -> tuple[float, str]:
    """B1, F1, B2, F2, …: the order of training; what is called otherwise follows."""
    match = re.fullmatch(r"[A-Za-z](\d{1,9})", phase)
    return (int(match[1]) if match else float("inf"), phase)
