"""Finding the actions in the videos of a dataset with a trained run."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from lightning_fabric import Fabric

from duetal import __version__
from duetal.config import Config
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import Dataset
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.proposals import VideoDetections, assemble, localize_video
from duetal.runs.detector_stage import stage_detector
from duetal.runs.dividing import in_turns, share_of_names
from duetal.runs.run import Run
from duetal.runs.stage_scoring import Localized, Videos, stage_scorer

#: Called with what is being done, the videos done, and the videos in all.
Progress = Callable[[str, int, int], None]


def choose_videos(dataset: Dataset, subset: str) -> tuple[str, ...]:
    """The videos of a dataset that are to be localized.

    `subset` is "train"; "test" (all videos, where the dataset is features alone); or "all".

    Raises:
        UsageError: there are none.
    """
    first, *others = (stream.names() for stream in dataset.streams.values())
    everywhere = set(first).intersection(*others)
    names = {
        "train": dataset.training,
        "test": dataset.evaluation,
        "all": tuple(name for name in first if name in everywhere),
    }[subset]
    if not names:
        cause = f"no video in the subset {subset!r}; another --subset has some"
        raise UsageError(cause, file=dataset.source)
    return names


def unknown_classes(run: Run, dataset: Dataset) -> list[str]:
    """The dataset's classes that the run was not trained on; a DuetalError if it is all.

    None of a run that finds classes by their words.
    """
    if run.make_scorer is not None:
        return []
    unknown = [label for label in dataset.classes if label not in run.model.classes]
    if unknown and len(unknown) == len(dataset.classes):
        cause = f"the run was trained on none of its classes ({unknown[0]!r}, …)"
        raise DuetalError(cause, file=dataset.annotations.source or dataset.source)
    return unknown


def limit_notes(detections: Detections, config: Config) -> tuple[str, ...]:
    """What was left out of detections by `localization.max_per_minute`; nothing, as a rule."""
    limited = detections.external_data.get("limited_videos")
    if not limited:
        return ()
    rate = config.localization.max_per_minute
    return (
        f"in {limited:,} videos more was found than the {rate:g} detections a minute that are kept "
        "(max_per_minute=none keeps all)",
    )


def class_progress(
    progress: Progress, name: str, done: int, total: int
) -> Callable[[int, int], None]:
    """Progress over the classes of one video, of which `done` videos of `total` came before."""

    def tell(classes: int, of: int) -> None:
        progress(f"localizing {name}, class {classes + 1:,} of {of:,}", done, total)

    return tell


def open_localizer(
    run: Run,
    stages: list[str],
    dataset: Videos,
    *,
    settings: LocalizationSettings,
    names: Sequence[str] = (),
    own: Sequence[str] = (),
    device: torch.device | str = "cpu",
    progress: Callable[[str], Callable[[int, int], None]] = lambda name: lambda done, total: None,
) -> Callable[[str], Localized]:
    """What localizes videos by their names, with its networks loaded; arguments as of `localize`.

    `names` are the videos that a run by words counts over, `own` those that this process will
    localize, in their order, `progress` gives that over the classes of one.

    Raises:
        DuetalError: a checkpoint or features that do not fit or are damaged.
    """
    where = torch.device(device)
    if run.model.is_detector(stages):
        return stage_detector(run, stages[0], dataset, where, settings, own)
    if run.make_scorer is not None:
        scorer = run.make_scorer(dataset, names, where)
    else:
        scorer = stage_scorer(run, stages, dataset, where, own)

    def localizer(name: str) -> Localized:
        scores = scorer(name)
        detections = localize_video(
            scores.snippets,
            scores.video,
            dataset.grid,
            settings,
            offset=dataset.offset(name),
            duration=dataset.duration(name),
            name=name,
            progress=progress(name),
        )
        return Localized(name, scores, detections)

    return localizer


def localize(
    run: Run,
    dataset: Dataset,
    names: Sequence[str],
    *,
    stages: list[str],
    literal: bool = False,
    device: torch.device | str = "cpu",
    fabric: Fabric | None = None,
    on_video: Callable[[Localized], object] = lambda localized: None,
    progress: Progress = lambda what, done, total: None,
) -> Detections:
    """Find the actions in videos of a dataset; the scores of no more than one are in memory.

    `stages` is one checkpoint of the run; or one of CBP and one of VLP, for their ensemble. The
    detector's reads all streams, and the video's classes are its teachers'. The processes of
    `fabric`, if that is given, all call this and divide the videos; the first gets the detections.
    `literal`: the paper's supplement to the letter; see `LocalizationSettings.literal`. `on_video`
    is called with every video as it is localized, then `progress`, as before and within a video.

    Returns:
        The detections; their `external_data` names the checkpoints that found them, and the rule
        that chose those.

    Raises:
        DuetalError: a checkpoint or features that do not fit or are damaged.
    """
    settings = run.config.localization.literal() if literal else run.config.localization
    found: list[VideoDetections] = []

    def within(name: str) -> Callable[[int, int], None]:
        return class_progress(progress, name, len(found), len(names))

    localizer = open_localizer(
        run,
        stages,
        dataset,
        settings=settings,
        names=names,
        own=share_of_names(fabric, names),
        device=device,
        progress=within,
    )

    def score(name: str) -> Localized:
        progress(f"scoring {name}", len(found), len(names))
        return localizer(name)

    for localized in in_turns(fabric, names, score):
        found.append(localized.detections)
        on_video(localized)
        progress("localizing", len(found), len(names))
    about = {
        "selection": run.model.rule(stages),
        "trained_on": run.model.trained_on,
        "stages": stages,
        "literal": literal,
        # Videos of which there were more detections than `localization.max_per_minute` keeps.
        "limited_videos": sum(video.limited for video in found),
        "duetal": __version__,
    }
    names = names if fabric is None or fabric.is_global_zero else ()
    return replace(assemble(found, names, run.model.classes), external_data=about)
