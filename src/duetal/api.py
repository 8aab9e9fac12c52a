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
from duetal.core.grid import TimeGrid
from duetal.evaluation import Evaluation, Protocol, comparison, diagnosis, protocol_named
from duetal.evaluation import evaluate as evaluate_detections
from duetal.evaluation.comparison import Comparison, Contender
from duetal.evaluation.diagnosis import Diagnosis
from duetal.formats.activitynet import write_detections as write_results

# Whatever needs PyTorch is imported by the functions that use it.
if TYPE_CHECKING:
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
    """A trained run; see `load`.

    Args:
        run: its folder, its settings, and which of its checkpoints to use.
    """

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
        from duetal.own_videos.video_features import OPTIONS, local_store
        from duetal.runs.run import with_localization

        if branch is not None and stage is not None:
            raise UsageError("branch and stage: a stage is of one branch, give one of the two")
        run = with_localization(self.run, settings or {})
        stages = run.model.stages_named(stage or branch)
        how: dict[str, Any] = {"stages": stages, "literal": literal, "progress": progress}
        paths = [os.fspath(path) for path in _several(inputs)]
        if is_dataset(paths):
            if features is not None or weights is not None:
                raise UsageError("features and weights: are for videos, and inputs are a dataset")
            return _localize_dataset(run, Path(paths[0]), subset or "test", accelerator, **how)
        if subset is not None:
            raise UsageError("subset: is for a dataset, and inputs are videos")
        moved = {modality: os.fspath(source) for modality, source in (weights or {}).items()}
        for modality in moved:
            if modality not in OPTIONS:
                raise UsageError(unknown("modality", modality, OPTIONS), place="weights")
        if features is not None:
            store = local_store(os.fspath(features))
            return _localize_videos(run, paths, store, moved, accelerator, **how)
        with tempfile.TemporaryDirectory(prefix="duetal-") as folder:
            return _localize_videos(run, paths, Path(folder), moved, accelerator, **how)


def _localize_dataset(
    run: "Run", path: Path, subset: str, accelerator: str, **how: Any
) -> Detections:
    from duetal.datasets import open_dataset
    from duetal.runs.localizing import choose_videos, localize, unknown_classes
    from duetal.runs.processes import device_of

    dataset = open_dataset(path)
    names = choose_videos(dataset, subset)
    for label in unknown_classes(run, dataset):
        _warn(f"the run was not trained on the class {label!r}")
    return localize(run, dataset, names, device=device_of(accelerator), **how)


def _localize_videos(
    run: "Run",
    paths: Sequence[str],
    store: Path,
    weights: Mapping[str, str],
    accelerator: str,
    **how: Any,
) -> Detections:
    from duetal.own_videos.raw_videos import UNVERIFIABLE, localize_prepared, prepare_videos

    if run.model.features is None:
        _warn(UNVERIFIABLE)
    prepared = prepare_videos(run, paths, store, weights, accelerator=accelerator)
    if not prepared.videos:
        raise DuetalError(f"no video could be processed; {prepared.failures[0].reason}")
    for failure in prepared.failures:
        _warn(f"left out: {failure.reason}")
    return localize_prepared(run, prepared, accelerator=accelerator, **how)


def load(path: PathLike) -> TrainedRun:
    """Open a trained run.

    Args:
        path: the folder that `duetal train` made, or a downloaded one that `duetal push` published;
            of a run of several seeds, one of its `seed-N`.

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

    Args:
        detections: see `evaluate`.
        annotations: see `evaluate`.
        protocol: see `evaluate`.
        subset: see `evaluate`.
        tiou: the threshold at which predictions are right or wrong.

    Raises:
        UsageError: an unknown protocol, subset or threshold.
        DuetalError: see `evaluate`.
    """
    found, truth = _detections(detections), _annotations(annotations)
    return diagnosis.diagnose(found, truth, _protocol(protocol), subset, tiou=tiou)


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

    Args:
        contenders: detections of each, by name; a list where they come of several seeds.
        annotations: see `evaluate`.
        protocol: see `evaluate`.
        subset: see `evaluate`.
        draws: resamples of the videos.
        seed: of the resamples.

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


def _warn(text: str) -> None:
    # Attributed to the line that called `TrainedRun.localize`.
    warnings.warn(text, DuetalWarning, stacklevel=4)
