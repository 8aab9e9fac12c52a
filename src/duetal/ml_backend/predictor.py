"""What a run finds in videos, one job after the other; what was found is kept.

OUT/features/                     the features, unless they are kept elsewhere
OUT/found/<version>/<sha256>.json what a run found in the video of that fingerprint
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duetal.core.errors import DuetalError
from duetal.core.files import reading
from duetal.core.records import Record, read_if_there
from duetal.extraction.sources import Found, Video, readable
from duetal.extraction.store import Store, open_store
from duetal.localization.non_overlapping import keep_non_overlapping
from duetal.localization.proposals import assemble
from duetal.own_videos.raw_videos import open_extractor
from duetal.own_videos.result_folder import safe_name
from duetal.own_videos.video_features import fill_store, open_features, require_same
from duetal.runs.localizing import localize
from duetal.runs.processes import device_of
from duetal.runs.run import Run, open_run
from duetal.runs.score_source import Source, trained
from duetal.runs.stage_scoring import Localized

if TYPE_CHECKING:
    from duetal.extraction.pipeline import Extractor


class KeptAction(Record):
    """An action that was found, in seconds."""

    label: str
    start: float
    end: float
    score: float


class KeptVideo(Record):
    """What was found in a video."""

    #: The probability that the video contains each class.
    classes: dict[str, float]
    #: Those of a class do not overlap.
    actions: list[KeptAction]


class Predictor:
    """Finds the actions in videos by a run, which another can take the place of.

    Its methods are called by one thread at a time; `version` and `run` by any.

    Args:
        path: the folder of the run.
        out: where features, unless `store` is given, and what was found are kept.
        store: the folder of a store of the run's features.
        branch: which branch or branches find; None for the run's first.
        weights: the backbones' weights, as `prepare_videos` takes them.
        accelerator: "auto", "cpu", "cuda" or "mps".

    Raises:
        DuetalError: no trained run.
        UsageError: no such branch, or a store of other features.
    """

    def __init__(
        self,
        path: Path,
        out: Path,
        *,
        store: Path | None = None,
        branch: str | None = None,
        weights: Mapping[str, str] | None = None,
        accelerator: str = "auto",
    ) -> None:
        self._out, self.store = out, store or out / "features"
        self._branch, self._weights = branch, dict(weights or {})
        self._accelerator = accelerator
        self._extractor: Extractor | None = None
        self.use(path)

    def use(self, path: Path, name: str = "") -> None:
        """Take another run into use, of the same features; raises as the class.

        `name` is what it is called, by default as its folder.
        """
        source = trained(open_run(path), {}, self._branch)
        name = readable(name or path.absolute().name)
        self._source, self.version = source, f"{name}-{_digest(_run_of(source))}"

    @property
    def run(self) -> Run:
        """The run that is in use."""
        return _run_of(self._source)

    def find(self, videos: Iterable[Video]) -> dict[str, KeptVideo | DuetalError]:
        """What is found in each video, or why nothing can be, by name.

        Raises:
            DuetalError: a store that can't be written, weights that can't be had, a checkpoint that
                does not fit.
        """
        wanted = {video.name: video for video in videos}
        source, folder = self._source, self._out / "found" / safe_name(self.version)
        answers: dict[str, KeptVideo | DuetalError] = {}
        store = self.fill(wanted.values(), answers)
        missing: dict[str, Path] = {}
        for name in wanted.keys() - answers.keys():
            record = store.record(name)
            assert record is not None, "the store has its features"
            file = folder / f"{record.sha256}.json"
            kept = read_if_there(KeptVideo, file)
            if kept is None:
                missing[name] = file
            else:
                answers[name] = kept
        if missing:

            def keep(localized: Localized) -> None:
                found = _found(localized, _run_of(source).model.classes)
                found.write(missing[localized.name])
                answers[localized.name] = found

            localize(
                _run_of(source),
                open_features(source.run, self.store),
                list(missing),
                stages=source.stages,
                device=device_of(self._accelerator),
                on_video=keep,
            )
        return answers

    def fill(self, videos: Iterable[Video], failed: dict[str, Any]) -> Store:
        """Extract the features of videos that the store lacks; raises as `find`.

        `failed` takes an error by name for each video that has none.
        """
        run = self.run
        unusable = Found(tuple(videos), ())
        _, failures = fill_store(
            unusable,
            self.store,
            self._open_extractor,
            check=lambda store: require_same(run, store.settings, self.store),
        )
        by_name = {readable(video.name): video.name for video in unusable.videos}
        failed |= {by_name[f.name]: DuetalError(f.reason) for f in failures}
        return open_store(self.store)

    def _open_extractor(self) -> "Extractor":
        """What makes features; its networks are loaded once."""
        if self._extractor is None:
            self._extractor = open_extractor(
                self._source, self._weights, self.store, self._accelerator
            )
        return self._extractor


def _run_of(source: Source) -> Run:
    assert source.run is not None, "it is made of a run"
    return source.run


def _digest(run: Run) -> str:
    """The beginning of a hash of a run's weights, which may be others in the same folder."""
    digest = hashlib.sha256()
    checkpoints = (run.folder.checkpoint(branch.final) for branch in run.model.branches)
    for file in (run.folder.model_file, *checkpoints):
        with reading(file), file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:8]


def _found(localized: Localized, classes: tuple[str, ...] | list[str]) -> KeptVideo:
    name, scores = localized.name, localized.scores.video
    found = assemble([localized.detections], [name], list(classes))
    found = found.take(keep_non_overlapping(found))
    rows = zip(found.label, found.start, found.end, found.score, strict=True)
    return KeptVideo(
        classes={
            label: float(f"{score:.6g}") for label, score in zip(classes, scores, strict=True)
        },
        actions=[
            KeptAction(label=classes[label], start=start, end=end, score=float(f"{score:.6g}"))
            for label, start, end, score in rows
        ],
    )
