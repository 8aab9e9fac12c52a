"""What `import duetal` gives: a trained run opened, used and evaluated in a few lines of Python.

    run = duetal.load("runs/thumos14/seed-0")
    found = run.localize("data/new-videos")
    result = duetal.evaluate(found, "gt.json", "thumos14/seconds-210")
    print(result.averages["0.1:0.7"])

The commands print and write what these functions return. Whatever takes annotations or detections
takes a file of any known form, or the object itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from duetal import formats
from duetal.api.by_words import localize
from duetal.api.given_scores import localize_scores
from duetal.api.making import convert, extract, report, train
from duetal.api.splits import evaluate_splits
from duetal.api.trained_run import DuetalWarning, PathLike, TrainedRun, load, several
from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.core.url_paths import as_path
from duetal.evaluation import Evaluation, Protocol, comparison, diagnosis, protocol_named
from duetal.evaluation import evaluate as evaluate_detections
from duetal.evaluation.comparison import Comparison, Contender
from duetal.evaluation.diagnosis import Diagnosis
from duetal.formats.activitynet import write_detections as write_results

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
    "convert",
    "diagnose",
    "evaluate",
    "evaluate_splits",
    "extract",
    "load",
    "localize",
    "localize_scores",
    "read_annotations",
    "read_detections",
    "report",
    "train",
    "write_detections",
]

AnnotationsLike = Annotations | PathLike
DetectionsLike = Detections | PathLike


def read_annotations(path: PathLike) -> Annotations:
    """Read annotations of any known form: ActivityNet JSON, THUMOS14 text, CSV, ELAN and others.

    Raises:
        DuetalError: nothing there, of no known form, or malformed.
    """
    return formats.read_annotations(as_path(path))


def read_detections(path: PathLike) -> Detections:
    """Read detections of any known form: ActivityNet results JSON, CSV, THUMOS14 text and others.

    Raises:
        DuetalError: nothing there, of no known form, or malformed.
    """
    return formats.read_detections(as_path(path))


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
    *,
    match_names: bool = False,
    count_excluded: bool = False,
) -> Evaluation:
    """Temporal mAP of detections under a named protocol, as `duetal evaluate`.

    Args:
        detections: in seconds.
        annotations: with segments.
        protocol: such as "thumos14/seconds-210"; "seconds" for data of one's own.
        subset: which part of the annotations, such as "test".
        match_names: take names of videos and classes that differ from the annotations' by one rule
            (a prefix or suffix, case, `_` for a space) for those; a note names the rule.
        count_excluded: count predictions in videos that the protocol excludes as false positives,
            as public code does, instead of dropping them.

    Raises:
        UsageError: an unknown protocol or subset.
        DuetalError: a file that can't be read, no segment to evaluate against, or names that do
            not meet.
    """
    found, truth = _detections(detections), _annotations(annotations)
    return evaluate_detections(
        found, truth, protocol, subset, match_names=match_names, count_excluded=count_excluded
    )


def diagnose(
    detections: DetectionsLike,
    annotations: AnnotationsLike,
    protocol: Protocol | str,
    subset: str | None = None,
    *,
    tiou: float = 0.5,
    match_names: bool = False,
) -> Diagnosis:
    """What is wrong with detections and what each kind of error costs, as `duetal diagnose`.

    Predictions are right or wrong at the threshold `tiou`; see `evaluate` for the rest.

    Raises:
        UsageError: an unknown protocol, subset or threshold.
        DuetalError: see `evaluate`.
    """
    named = _protocol(protocol)
    found, truth = _detections(detections), _annotations(annotations)
    return diagnosis.diagnose(found, truth, named, subset, tiou=tiou, match_names=match_names)


def compare(
    contenders: Mapping[str, DetectionsLike | Sequence[DetectionsLike]],
    annotations: AnnotationsLike,
    protocol: Protocol | str,
    subset: str | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
    match_names: bool = False,
) -> Comparison:
    """Compare several methods with the first by a bootstrap over videos, as `duetal compare`.

    `contenders` are detections by name, a list where they come of several seeds. The videos are
    resampled `draws` times, by `seed`; see `evaluate` for the rest.

    Raises:
        UsageError: fewer than two contenders or 100 draws, or as `evaluate`.
        DuetalError: see `evaluate`.
    """
    opened = [
        Contender(name, tuple(map(_detections, several(runs)))) for name, runs in contenders.items()
    ]
    truth = _annotations(annotations)
    return comparison.compare(
        opened,
        truth,
        _protocol(protocol),
        subset,
        draws=draws,
        seed=seed,
        match_names=match_names,
    )


def _annotations(given: AnnotationsLike) -> Annotations:
    return given if isinstance(given, Annotations) else read_annotations(given)


def _detections(given: DetectionsLike) -> Detections:
    return given if isinstance(given, Detections) else read_detections(given)


def _protocol(given: Protocol | str) -> Protocol:
    return given if isinstance(given, Protocol) else protocol_named(given)
