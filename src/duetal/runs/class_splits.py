"""Training on a part of the classes, and the scores of the others, found by their words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from duetal.baselines import guess_by_labels
from duetal.config import Config
from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import UsageError, unknown
from duetal.datasets import Dataset
from duetal.evaluation import Evaluation, evaluate, summarize
from duetal.evaluation.result import Summary
from duetal.formats.activitynet import write_annotations, write_detections
from duetal.results.folder import RunFolder
from duetal.results.schema import UnseenScores
from duetal.runs.localizing import Progress, localize
from duetal.runs.open_vocabulary import with_words
from duetal.runs.run import Run, open_data
from duetal.runs.run_evaluation import ground_truth
from duetal.runs.zero_shot_run import STAGE, zero_shot_config, zero_shot_run

#: What unseen classes are compared with.
CHANCE, WORDS, WHOLE = "chance", "words alone", "all classes seen"


def is_split(config: Config) -> bool:
    """Whether a run is trained on a part of its dataset's classes."""
    return config.data.seen_share is not None or config.data.seen_classes is not None


def seen_classes(config: Config, dataset: Dataset) -> tuple[str, ...]:
    """The classes to train on: those named, or a random share of all by `data.class_split`.

    Raises:
        UsageError: an unknown class, none that is left unseen, or both are set.
    """
    every, data = dataset.classes, config.data
    if data.seen_share is not None and data.seen_classes is not None:
        cause = "the classes are named and drawn; give seen_share or seen_classes"
        raise UsageError(cause, place="data.seen_share")
    chosen = set(data.seen_classes or ())
    for name in chosen.difference(every):
        raise UsageError(unknown("class", name, every), place="data.seen_classes")
    if data.seen_share is not None:
        count = max(1, round(data.seen_share * len(every)))
        order = np.random.default_rng(data.class_split).permutation(len(every))
        chosen = {every[index] for index in order[:count]}
    if len(chosen) == len(every):
        raise UsageError(f"all {len(every):,} classes are seen", place="data.seen_classes")
    return tuple(name for name in every if name in chosen)


def with_seen_classes(dataset: Dataset, config: Config) -> Dataset:
    """The dataset as if there were no other classes than those that are seen, if a part is.

    A training video of other classes alone is left out: it is no video in which nothing happens.
    """
    if not is_split(config):
        return dataset
    if "vlp" not in dataset.streams:
        cause = "unseen classes are found by VLP, which is not trained"
        raise UsageError(cause, file=dataset.source, place="data.branches")
    seen = seen_classes(config, dataset)
    labels = {
        name: tuple(label for label in present if label in seen)
        for name, present in dataset.train_labels.items()
    }
    kept = {n: own for n, own in labels.items() if own or not dataset.train_labels[n]}
    names = {label: dataset.display_names[label] for label in seen}
    annotations = only_classes(dataset.annotations, seen)
    return replace(dataset, annotations=annotations, train_labels=kept, display_names=names)


def only_classes(annotations: Annotations, classes: tuple[str, ...]) -> Annotations:
    """The annotations of some classes alone, in all videos."""

    def part(video: VideoAnnotation) -> VideoAnnotation:
        segments = video.segments
        if segments is not None:
            segments = tuple(segment for segment in segments if segment.label in classes)
        labels = tuple(label for label in video.labels if label in classes)
        return replace(video, labels=labels, segments=segments)

    videos = {name: part(video) for name, video in annotations.videos.items()}
    return replace(annotations, videos=videos, classes=classes)


def evaluate_unseen(
    run: Run, device: torch.device, progress: Progress, whole: Run | None = None
) -> dict[str, Evaluation]:
    """The scores of the classes that a run was not trained on, found by their display names.

    As the field does: among the unseen classes, on the evaluation videos that have one. They are by
    what found them: chance, the words alone, VLP, VLP with CBP's foreground-ness, and `whole`, a
    run that was trained on all classes; empty where there is no such video. The run's folder gets
    `unseen.json`, and `gt.json` and `detections.json` of what it found itself, so that a folder of
    such runs is one of splits for `duetal evaluate`.

    Raises:
        DuetalError: as `with_words`.
    """
    dataset, data = open_data(run.config), run.config.data
    unseen = tuple(name for name in dataset.classes if name not in run.model.classes)
    truth = only_classes(ground_truth(dataset, data.protocol), unseen)
    names = [name for name, video in truth.videos.items() if video.segments]
    truth = truth.select(names)
    if not names:
        return {}
    phrases = {label: (dataset.display_names[label],) for label in unseen}

    def found_by(finder: Run, stages: list[str]) -> Detections:
        return localize(finder, dataset, names, stages=stages, device=device, progress=progress)

    settings = {name: value for name, value in run.config.zero_shot if name != "templates"}
    # A run reads new words without templates, too.
    alone = zero_shot_config({**settings, "templates": ["{}"]})
    words = zero_shot_run(dataset, phrases, alone, data.text_encoder)
    found = {CHANCE: guessed(dataset, unseen, names), WORDS: found_by(words, [STAGE])}
    for stage in ("vlp", "both")[: 1 + (len(run.model.branches) > 1)]:
        named, stages = with_words(run, phrases, stage, data.text_encoder)
        title = " and ".join(run.model.title_of(one) for one in stages)
        found[title] = found_by(named, stages)
    write_annotations(run.folder.path / "gt.json", truth)
    write_detections(run.folder.path / "detections.json", found[title])
    if whole is not None:
        found[WHOLE] = found_by(*with_words(whole, phrases, text_encoder=data.text_encoder))
    scores = {title: evaluate(each, truth, data.protocol) for title, each in found.items()}
    UnseenScores(scores=scores).write(run.folder.unseen_file)
    return scores


def guessed(dataset: Dataset, classes: Sequence[str], names: Sequence[str]) -> Detections:
    """What chance finds of some classes in some videos."""
    seconds = dataset.grid.seconds_per_snippet
    durations = {n: dataset.duration(n) or dataset.length(n) * seconds for n in names}
    videos = dataset.weak()
    labels = videos.labels[:, [videos.classes.index(label) for label in classes]]
    return guess_by_labels(replace(videos, labels=labels, classes=tuple(classes)), durations)


def summarize_unseen(
    folder: RunFolder, found: Sequence[Mapping[str, Evaluation]]
) -> dict[str, Summary]:
    """Mean and deviation over splits, or seeds, of each that `evaluate_unseen` has scored.

    The folder gets `unseen.json`, too.
    """
    summaries = {
        title: summarize([each[title] for each in found])
        for title in (found[0] if found else ())
        if all(title in each for each in found)
    }
    UnseenScores(summary=summaries).write(folder.unseen_file)
    return summaries
