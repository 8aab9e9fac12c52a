"""A trained run as Python opens and uses it."""

import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.core.extras import naming_extras
from duetal.core.grid import TimeGrid
from duetal.core.url_paths import as_path

# Whatever needs PyTorch is imported by the functions that use it.
if TYPE_CHECKING:
    from duetal.datasets import Dataset
    from duetal.results.schema import RunEvaluation
    from duetal.runs.localizing import Progress
    from duetal.runs.run import Run
    from duetal.runs.score_source import Source

PathLike = str | os.PathLike[str]
#: Names of classes, or their phrasings by name; see `duetal.api.by_words.class_phrases`.
Classes = Mapping[str, Sequence[str]] | Sequence[str] | PathLike
Item = TypeVar("Item", bound=Detections | str | os.PathLike[str])


class DuetalWarning(UserWarning):
    """A restriction of a result: a video that was left out, a class that is unknown."""


@dataclass(frozen=True, repr=False)
class TrainedRun:
    """A trained run; see `load`."""

    #: Its folder, its settings, and which of its checkpoints to use.
    run: "Run"

    def __repr__(self) -> str:
        stages = ", ".join(self.stages)
        return f"<TrainedRun {self.path}: {len(self.classes):,} classes; {stages}>"

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.run.folder.path

    @property
    def classes(self) -> tuple[str, ...]:
        """The actions it was trained on, in the order of their indices."""
        return tuple(self.run.model.classes)

    @property
    def stages(self) -> tuple[str, ...]:
        """Its checkpoints, in order of training."""
        return tuple(stage.name for stage in self.run.model.stages)

    @property
    def selection(self) -> str:
        """The rule that chose the checkpoints that `localize` uses."""
        return self.run.model.selection

    @property
    def grid(self) -> TimeGrid:
        """The time grid of the features it reads."""
        return self.run.model.grid

    @property
    def evaluation(self) -> "RunEvaluation | None":
        """The scores of every stage on the dataset's test videos; None where there are none.

        Raises:
            DuetalError: they are damaged.
        """
        from duetal.results.schema import RunEvaluation

        file = self.run.folder.evaluation_file
        return RunEvaluation.read(file) if file.is_file() else None

    @naming_extras()
    def localize(
        self,
        inputs: PathLike | Sequence[PathLike],
        *,
        branch: str | None = None,
        stage: str | None = None,
        literal: bool = False,
        classes: Classes | None = None,
        text_encoder: PathLike | None = None,
        settings: Mapping[str, Any] | None = None,
        subset: Literal["train", "test", "all"] | None = None,
        features: PathLike | None = None,
        weights: Mapping[str, PathLike] | None = None,
        stream: int | None = None,
        damaged: bool = False,
        accelerator: str = "auto",
        progress: "Progress" = lambda what, done, total: None,
    ) -> Detections:
        """Find the actions in a dataset, or in raw videos.

        Videos that can't be processed are a `DuetalWarning` each, and are not among the result's
        `videos`.

        Args:
            inputs: a dataset (a folder or a YAML file of features), or videos: a file, a folder,
                a list (.txt), a pattern, a URL, or several of these.
            branch: "cbp" or "vlp" (default: the first), or "both" for their ensemble.
            stage: another checkpoint than the run's final one, such as "cbp-warmup".
            literal: the paper to the letter: one threshold, maximum scoring.
            classes: find these by their words, trained on or not, in place of the run's own: names,
                or phrasings by name. The default of `branch` is then "both".
            text_encoder: with `classes`: what reads them, where the run's is elsewhere by now.
            settings: of localization, instead of the run's own (docs/settings.md), such as
                `{"min_score": 0.01, "nms_sigma": 0.5}`.
            subset: of a dataset; "test", the default, is all of it without annotations.
            features: of videos: the folder that keeps their features for later calls; by default
                they are deleted after this call.
            weights: of videos: by the name of the features (`rgb`, `flow`, `clip`), where the
                weights are, if they moved since the run was trained.
            stream: of videos: number of the stream to read, of files with several; by default the
                file's default one, or the largest.
            damaged: of videos: what can be decoded is taken, however much is lost.
            accelerator: where to compute: "auto", "cpu", "cuda" or "mps".
            progress: called with what is being done, the videos done, and the videos in all.

        Returns:
            The detections in seconds; `external_data` names the checkpoints that found them, and
            the rule that chose those.

        Raises:
            UsageError: arguments that do not go together, or other weights than the run's.
            DuetalError: nothing there, or something unreadable or damaged.
        """
        from duetal.api.by_words import class_phrases
        from duetal.runs.score_source import trained

        if branch is not None and stage is not None:
            raise UsageError("branch and stage: a stage is of one branch, give one of the two")
        text = None if text_encoder is None else os.fspath(text_encoder)
        phrases = None if classes is None else class_phrases(classes)
        return localize_from(
            trained(self.run, settings or {}, stage or branch, phrases, text),
            inputs,
            literal=literal,
            subset=subset,
            features=features,
            weights=weights,
            stream=stream,
            damaged=damaged,
            accelerator=accelerator,
            progress=progress,
        )


def localize_from(
    source: "Source",
    inputs: PathLike | Sequence[PathLike],
    *,
    literal: bool = False,
    subset: Literal["train", "test", "all"] | None = None,
    features: PathLike | None = None,
    weights: Mapping[str, PathLike] | None = None,
    stream: int | None = None,
    damaged: bool = False,
    accelerator: str = "auto",
    progress: "Progress" = lambda what, done, total: None,
) -> Detections:
    """Find the actions in a dataset or raw videos; see `TrainedRun.localize`."""
    from duetal.own_videos.raw_videos import is_dataset
    from duetal.own_videos.video_features import MODALITIES, local_store
    from duetal.runs.localizing import localize
    from duetal.runs.processes import device_of

    paths = [os.fspath(path) for path in several(inputs)]
    from_features = is_dataset(paths)
    if from_features and (features, weights, stream, damaged) != (None, None, None, False):
        cause = "features, weights, stream and damaged: are for videos, and inputs are a dataset"
        raise UsageError(cause)
    if not from_features and subset is not None:
        raise UsageError("subset: is for a dataset, and inputs are videos")
    moved = {modality: os.fspath(source) for modality, source in (weights or {}).items()}
    for modality in moved:
        if modality not in MODALITIES:
            raise UsageError(unknown("modality", modality, MODALITIES), place="weights")
    with tempfile.TemporaryDirectory(prefix="duetal-") as temporary:
        if from_features:
            dataset, names = _open_dataset(source, as_path(paths[0]), subset or "test")
        else:
            store = local_store(os.fspath(temporary if features is None else features))
            dataset, names = _open_videos(
                source,
                paths,
                store,
                moved,
                accelerator=accelerator,
                stream=stream,
                damaged=damaged,
            )
        return localize(
            source.make(dataset),
            dataset,
            names,
            stages=source.stages,
            literal=literal,
            device=device_of(accelerator),
            progress=progress,
        )


def _open_dataset(source: "Source", path: Path, subset: str) -> "tuple[Dataset, tuple[str, ...]]":
    """A dataset and the videos of it to localize."""
    from duetal.datasets import open_dataset
    from duetal.runs.localizing import choose_videos, unknown_classes

    dataset = open_dataset(path, choice=source.choice)
    names = choose_videos(dataset, subset)
    for label in () if source.run is None else unknown_classes(source.run, dataset):
        warn(f"the run was not trained on the class {label!r}")
    return dataset, names


def _open_videos(
    source: "Source", paths: Sequence[str], store: Path, weights: Mapping[str, str], **how: Any
) -> "tuple[Dataset, tuple[str, ...]]":
    """The features of videos, in a store, as a dataset; the videos that have some."""
    from duetal.own_videos.raw_videos import UNVERIFIABLE, prepare_videos
    from duetal.own_videos.video_features import open_features

    run = source.run
    if run is not None and run.model.features is None:
        warn(UNVERIFIABLE)
    videos, failures = prepare_videos(source, paths, store, weights, **how)
    if not videos:
        raise DuetalError(f"no video could be processed; {failures[0].reason}")
    for failure in failures:
        warn(f"left out: {failure.reason}")
    return open_features(run, store), tuple(videos)


@naming_extras()
def load(path: PathLike) -> TrainedRun:
    """Open a trained run: the folder that `duetal train` made, or that `duetal push` published.

    Of a run of several seeds it is one of its `seed-N`. `hf://OWNER/NAME` is one on the hub, with
    `@REVISION` or `/seed-N` behind it; it is downloaded, and nothing of it is executed.

    Raises:
        UsageError: an address that can't be.
        DuetalError: no run, one that is not trained to its end, damaged, or not to be had.
    """
    from duetal.publishing.hub_runs import download_run, is_hub_address
    from duetal.runs.run import open_run

    address = os.fspath(path)
    return TrainedRun(open_run(download_run(address) if is_hub_address(address) else Path(path)))


def several(given: Item | Sequence[Item]) -> Sequence[Item]:
    """One item, or several, as a sequence."""
    # A string is a sequence, too; one of letters is never meant.
    if isinstance(given, (str, os.PathLike, Detections)):
        return [cast(Item, given)]
    return given


def warn(text: str, depth: int = 6) -> None:
    """Give a `DuetalWarning`."""
    # Attributed to the line that called `localize`, with its decorator between them.
    warnings.warn(text, DuetalWarning, stacklevel=depth)
