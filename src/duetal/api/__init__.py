"""What `import duetal` gives: a trained run opened, used and evaluated in a few lines of Python.

    run = duetal.load("runs/thumos14/seed-0")
    found = run.localize("data/new-videos")
    result = duetal.evaluate(found, "gt.json", "thumos14/seconds-210")
    print(result.averages["0.1:0.7"])

The commands print and write what these functions return. Whatever takes annotations or detections
takes a file of any known form, or the object itself.
"""

import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from duetal import formats
from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.core.extras import naming_extras
from duetal.core.grid import TimeGrid
from duetal.evaluation import Evaluation, Protocol, comparison, diagnosis, protocol_named
from duetal.evaluation import evaluate as evaluate_detections
from duetal.evaluation.comparison import Comparison, Contender
from duetal.evaluation.diagnosis import Diagnosis
from duetal.formats.activitynet import write_detections as write_results

# Whatever needs PyTorch is imported by the functions that use it.
if TYPE_CHECKING:
    from duetal.datasets import Dataset
    from duetal.results.schema import RunEvaluation
    from duetal.runs.localizing import Progress
    from duetal.runs.run import Run

__all__ = [
    "Annotations",
    "Comparison",
    "Detections",
    "Diagnosis",
    "DuetalError",
    "DuetalWarning",
    "Evaluation",
    "Segment",
    "TrainedRun",
    "UsageError",
    "VideoAnnotation",
    "compare",
    "diagnose",
    "evaluate",
    "load",
    "read_annotations",
    "read_detections",
    "write_detections",
]

PathLike = str | os.PathLike[str]
AnnotationsLike = Annotations | PathLike
DetectionsLike = Detections | PathLike
Item = TypeVar("Item", bound=Detections | str | os.PathLike[str])


class DuetalWarning(UserWarning):
    """A restriction of a result: a video that was left out, a class that is unknown."""


@dataclass(frozen=True)
class TrainedRun:
    """A trained run; see `load`."""

    #: Its folder, its settings, and which of its checkpoints to use.
    run: "Run"

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
        settings: Mapping[str, Any] | None = None,
        subset: Literal["train", "test", "all"] | None = None,
        features: PathLike | None = None,
        weights: Mapping[str, PathLike] | None = None,
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
            settings: of localization, instead of the run's own (docs/settings.md), such as
                `{"min_score": 0.01, "nms_sigma": 0.5}`.
            subset: of a dataset; "test", the default, is all of it without annotations.
            features: of videos: the folder that keeps their features for later calls; by default
                they are deleted after this call.
            weights: of videos: by the name of the features (`rgb`, `flow`, `clip`), where the
                weights are, if they moved since the run was trained.
            accelerator: where to compute: "auto", "cpu", "cuda" or "mps".
            progress: called with what is being done, the videos done, and the videos in all.

        Returns:
            The detections in seconds; `external_data` names the checkpoints that found them, and
            the rule that chose those.

        Raises:
            UsageError: arguments that do not go together, or other weights than the run's.
            DuetalError: nothing there, or something unreadable or damaged.
        """
        from duetal.own_videos.raw_videos import is_dataset
        from duetal.own_videos.video_features import MODALITIES, local_store
        from duetal.runs.localizing import localize
        from duetal.runs.processes import device_of
        from duetal.runs.run import with_localization

        if branch is not None and stage is not None:
            raise UsageError("branch and stage: a stage is of one branch, give one of the two")
        run = with_localization(self.run, settings or {})
        stages = run.model.stages_named(stage or branch)
        paths = [os.fspath(path) for path in _several(inputs)]
        from_features = is_dataset(paths)
        if from_features and (features is not None or weights is not None):
            raise UsageError("features and weights: are for videos, and inputs are a dataset")
        if not from_features and subset is not None:
            raise UsageError("subset: is for a dataset, and inputs are videos")
        moved = {modality: os.fspath(source) for modality, source in (weights or {}).items()}
        for modality in moved:
            if modality not in MODALITIES:
                raise UsageError(unknown("modality", modality, MODALITIES), place="weights")
        with tempfile.TemporaryDirectory(prefix="duetal-") as temporary:
            if from_features:
                dataset, names = _open_dataset(run, Path(paths[0]), subset or "test")
            else:
                store = local_store(os.fspath(temporary if features is None else features))
                dataset, names = _open_videos(run, paths, store, moved, accelerator)
            return localize(
                run,
                dataset,
                names,
                stages=stages,
                literal=literal,
                device=device_of(accelerator),
                progress=progress,
            )


def _open_dataset(run: "Run", path: Path, subset: str) -> "tuple[Dataset, tuple[str, ...]]":
    """A dataset and the videos of it to localize."""
    from duetal.datasets import open_dataset
    from duetal.runs.localizing import choose_videos, unknown_classes

    dataset = open_dataset(path)
    names = choose_videos(dataset, subset)
    for label in unknown_classes(run, dataset):
        _warn(f"the run was not trained on the class {label!r}")
    return dataset, names


def _open_videos(
    run: "Run", paths: Sequence[str], store: Path, weights: Mapping[str, str], accelerator: str
) -> "tuple[Dataset, tuple[str, ...]]":
    """The features of videos, in a store, as a dataset; the videos that have some."""
    from duetal.datasets import open_dataset
    from duetal.own_videos.raw_videos import UNVERIFIABLE, prepare_videos

    if run.model.features is None:
        _warn(UNVERIFIABLE)
    videos, failures = prepare_videos(run, paths, store, weights, accelerator=accelerator)
    if not videos:
        raise DuetalError(f"no video could be processed; {failures[0].reason}")
    for failure in failures:
        _warn(f"left out: {failure.reason}")
    return open_dataset(store), tuple(videos)


@naming_extras()
def load(path: PathLike) -> TrainedRun:
    """Open a trained run: the folder that `duetal train` made, or that `duetal push` published.

    Of a run of several seeds it is one of its `seed-N`.

    Raises:
        DuetalError: no run, one that is not trained to its end, or damaged.
    """
    from duetal.runs.run import open_run

    return TrainedRun(open_run(Path(path)))


def read_annotations(path: PathLike) -> Annotations:
    """Read annotations of any known form: ActivityNet JSON, THUMOS14 text, CSV, ELAN and others.

    Raises:
        DuetalError: nothing there, of no known form, or malformed.
    """
    return formats.read_annotations(Path(path))


def read_detections(path: PathLike) -> Detections:
    """Read detections of any known form: ActivityNet results JSON, CSV, THUMOS14 text and others.

    Raises:
        DuetalError: nothing there, of no known form, or malformed.
    """
    return formats.read_detections(Path(path))


def write_detections(path: PathLike, detections: Detections) -> None:
    """Write detections as ActivityNet results JSON, which every command reads.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    write_results(Path(path), detections)


def evaluate(
    detections: DetectionsLike,
    annotations: AnnotationsLike,
    protocol: Protocol | str,
    subset: str | None = None,
) -> Evaluation:
    """Temporal mAP of detections under a named protocol, as `duetal evaluate`.

    Args:
        detections: in seconds.
        annotations: with segments.
        protocol: such as "thumos14/seconds-210"; "seconds" for data of one's own.
        subset: which part of the annotations, such as "test".

    Raises:
        UsageError: an unknown protocol or subset.
        DuetalError: a file that can't be read, or no segment to evaluate against.
    """
    return evaluate_detections(_detections(detections), _annotations(annotations), protocol, subset)


def diagnose(
    detections: DetectionsLike,
    annotations: AnnotationsLike,
    protocol: Protocol | str,
    subset: str | None = None,
    *,
    tiou: float = 0.5,
) -> Diagnosis:
    """What is wrong with detections and what each kind of error costs, as `duetal diagnose`.

    Predictions are right or wrong at the threshold `tiou`; see `evaluate` for the rest.

    Raises:
        UsageError: an unknown protocol, subset or threshold.
        DuetalError: see `evaluate`.
    """
    named = _protocol(protocol)
    found, truth = _detections(detections), _annotations(annotations)
    return diagnosis.diagnose(found, truth, named, subset, tiou=tiou)


def compare(
    contenders: Mapping[str, DetectionsLike | Sequence[DetectionsLike]],
    annotations: AnnotationsLike,
    protocol: Protocol | str,
    subset: str | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare several methods with the first by a bootstrap over videos, as `duetal compare`.

    `contenders` are detections by name, a list where they come of several seeds. The videos are
    resampled `draws` times, by `seed`; see `evaluate` for the rest.

    Raises:
        UsageError: fewer than two contenders or 100 draws, or as `evaluate`.
        DuetalError: see `evaluate`.
    """
    opened = [
        Contender(name, tuple(map(_detections, _several(runs))))
        for name, runs in contenders.items()
    ]
    truth = _annotations(annotations)
    return comparison.compare(opened, truth, _protocol(protocol), subset, draws=draws, seed=seed)


def _annotations(given: AnnotationsLike) -> Annotations:
    return given if isinstance(given, Annotations) else read_annotations(given)


def _detections(given: DetectionsLike) -> Detections:
    return given if isinstance(given, Detections) else read_detections(given)


def _protocol(given: Protocol | str) -> Protocol:
    return given if isinstance(given, Protocol) else protocol_named(given)


def _several(given: Item | Sequence[Item]) -> Sequence[Item]:
    # A string is a sequence, too; one of letters is never meant.
    if isinstance(given, (str, os.PathLike, Detections)):
        return [cast(Item, given)]
    return given


def _warn(text: str, depth: int = 5) -> None:
    # Attributed to the line that called `TrainedRun.localize`, with its decorator between them.
    warnings.warn(text, DuetalWarning, stacklevel=depth)
