"""The last stage of a run: the detector, trained on the run's own detections.

Each round leaves a checkpoint `checkpoints/detector-<round>.safetensors`. A round that a kill cut
short is trained again from its start, to the same weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from lightning_fabric import Fabric

from duetal.config import Config
from duetal.core.weak_videos import FeatureReader, WeakVideos
from duetal.datasets import Dataset
from duetal.detector.detecting import detect, predict
from duetal.detector.detector_settings import Teacher
from duetal.detector.detector_training import train_round
from duetal.detector.pseudo_segments import PseudoSegment, make_pseudo_segments
from duetal.detector.pyramid import PyramidDetector
from duetal.localization.localization_settings import LocalizationSettings
from duetal.method.sampling import random_seed
from duetal.results import checkpoints
from duetal.results.log_events import PseudoSegmentEvent, SegmentCounts
from duetal.results.schema import (
    DETECTOR,
    ENSEMBLE,
    DetectorRecord,
    ModelRecord,
    PhaseRecord,
    StageRecord,
)
from duetal.runs.journal import Journal
from duetal.runs.run import Run
from duetal.runs.stage_scoring import Localized, Videos, VideoScores, features_of, stage_scorer


def with_detector(model: ModelRecord, config: Config) -> ModelRecord:
    """The record of a run with the rounds of the detector that its settings ask for."""
    if not config.detector.rounds:
        return model
    teachers = model.branches[:1] if config.detector.teacher is Teacher.FIRST else model.branches
    phases, stages = [], []
    for turn in range(1, config.detector.rounds + 1):
        stage = StageRecord(
            name=f"{DETECTOR}-{turn}",
            title=f"Detector after round {turn}",
            branch=DETECTOR,
            phase=f"D{turn}",
        )
        phase = PhaseRecord(
            name=f"D{turn}",
            title=f"Detector, round {turn}",
            student=DETECTOR,
            teacher=teachers[0].name if len(teachers) == 1 else ENSEMBLE,
            distils=["segments"],
            epochs=config.detector.epochs,
            stage=stage.name,
        )
        phases.append(phase)
        stages.append(stage)
    record = DetectorRecord(
        title="Detector",
        streams={branch.name: branch.dim for branch in model.branches},
        teachers=[branch.final for branch in teachers],
        stages=stages,
    )
    return model.model_copy(update={"detector": record, "phases": [*model.phases, *phases]})


def train_detector(
    fabric: Fabric, run: Run, dataset: Dataset, videos: WeakVideos, journal: Journal
) -> None:
    """Train the rounds that are left, with checkpoints.

    `run` holds the record that `with_detector` made, `videos` are those that the branches were
    trained on, `journal` counts the updates. One process does it.

    Raises:
        DuetalError: bad features, or a loss that is not finite.
    """
    record = run.model.detector
    if record is None:
        return
    device = fabric.device
    videos = replace(videos, streams=final_streams(run, dataset))
    detector: PyramidDetector | None = None
    curves: list[np.ndarray] = []
    phases = [phase for phase in run.model.phases if phase.student == DETECTOR]
    for turn, phase in enumerate(phases):
        if run.folder.checkpoint(phase.stage).is_file():
            detector = restore_detector(run, phase.stage).to(device)
            journal.skip(run.config.detector.updates(len(videos.names)))
            journal.log(f"{phase.name}: already done")
            continue
        if not curves:
            scorer = stage_scorer(run, record.teachers, dataset, device, videos.names)
            curves = [scorer(name).snippets for name in videos.names]
        segments = _label(run, videos, curves, detector, device)
        detector = _train_phase(run, videos, phase, turn, segments, journal, device)


def _label(
    run: Run,
    videos: WeakVideos,
    curves: list[np.ndarray],
    detector: PyramidDetector | None,
    device: torch.device,
) -> list[list[PseudoSegment]]:
    """The pseudo-segments of all training videos, for the next round."""
    segments = []
    for name, present, curve in zip(videos.names, videos.labels, curves, strict=True):
        detected = None
        if detector is not None:
            predicted = predict(detector, videos.streams, name, run.config.data.crop, device)
            detected = {int(k): predicted.of_class(int(k)) for k in np.flatnonzero(present)}
        times = videos.times.get(name)
        segments.append(make_pseudo_segments(curve, present, detected, times, videos.grid))
    return segments


def _train_phase(
    run: Run,
    videos: WeakVideos,
    phase: PhaseRecord,
    turn: int,
    segments: list[list[PseudoSegment]],
    journal: Journal,
    device: torch.device,
) -> PyramidDetector:
    """Train one round, and keep its events and its weights."""
    journal.begin_phase(phase)
    journal.record(_count(run, phase.name, segments).to_json())
    detector = train_round(
        videos,
        segments,
        run.config.detector,
        run.config.data.crop,
        random_seed(run.config.schedule.seed, DETECTOR, turn),
        device=device,
        on_update=lambda losses: journal.step(phase.name, losses),
        on_epoch=lambda epoch, losses: journal.end_epoch(phase, epoch, losses),
    )
    journal.end_phase(phase)
    record = {"stage": phase.stage, "metrics": journal.position()}
    checkpoints.save(run.folder.checkpoint(phase.stage), detector.state_dict(), record)
    return detector


def _count(run: Run, phase: str, segments: list[list[PseudoSegment]]) -> PseudoSegmentEvent:
    """What is taught, by class."""
    settings, classes = run.config.detector, {}
    for column, label in enumerate(run.model.classes):
        own = [segment for video in segments for segment in video if segment.label == column]
        taught = [s for s in own if s.confidence >= settings.least_confidence]
        spreads = [spread for s in taught for spread in (s.start_spread, s.end_spread)]
        classes[label] = SegmentCounts(
            segments=len(own),
            taught=len(taught),
            borders=sum(spread <= settings.unsure_border for spread in spreads),
            confidence=float(sum(s.confidence for s in own)),
        )
    return PseudoSegmentEvent(phase=phase, classes=classes)


def restore_detector(run: Run, stage: str) -> PyramidDetector:
    """The detector of a checkpoint, in eval mode.

    Raises:
        DuetalError: the checkpoint is missing, damaged or of another configuration.
    """
    assert run.model.detector is not None
    dim = sum(run.model.detector.streams.values())
    with torch.random.fork_rng(devices=[]):
        detector = PyramidDetector(dim, len(run.model.classes), run.config.detector)
    path = run.folder.checkpoint(stage)
    checkpoints.load_into(detector, checkpoints.load(path).tensors, path)
    return detector.eval()


def final_streams(run: Run, dataset: Videos) -> dict[str, FeatureReader]:
    """What the detector reads: the features of each branch, as its final checkpoint reads them."""
    assert run.model.detector is not None
    streams = run.model.detector.streams
    return {name: features_of(run, run.model.branch(name).final, dataset) for name in streams}


def stage_detector(
    run: Run,
    stage: str,
    dataset: Videos,
    device: torch.device,
    settings: LocalizationSettings,
    names: Sequence[str] = (),
) -> Callable[[str], Localized]:
    """Localize videos of a dataset with a round of the detector.

    Raises:
        DuetalError: a checkpoint or features that do not fit or are damaged.
    """
    record = run.model.detector
    assert record is not None
    streams = final_streams(run, dataset)
    teacher = stage_scorer(run, record.teachers, dataset, device, names)
    detector = restore_detector(run, stage).to(device)

    def localizer(name: str) -> Localized:
        video = teacher(name).video
        predicted = predict(detector, streams, name, run.config.data.crop, device)
        detections = detect(
            predicted,
            video,
            dataset.grid,
            settings,
            offset=dataset.offset(name),
            duration=dataset.duration(name),
        )
        scores = VideoScores(predicted.snippets, video, {DETECTOR: predicted.snippets})
        return Localized(name, scores, detections)

    return localizer
