"""Chance level: every class everywhere, as often as it occurs in training."""

from collections.abc import Mapping

import numpy as np

from duetal.core.detections import Detections
from duetal.core.weak_videos import WeakVideos

#: Numbers of equal parts of a video; of several choices, the best one on HAPT's training persons.
PARTS = (2, 3, 4, 6, 12)


def guess_by_labels(
    videos: WeakVideos, durations: Mapping[str, float], parts: tuple[int, ...] = PARTS
) -> Detections:
    """Detections from the training videos' labels alone; no feature is read.

    Labels do not give the length of segments, so each class is guessed at every length at once: a
    video is cut into m equal parts for several m, and each part is a guess of every class. Its
    score is the class's share of the training videos, divided by m. Nothing is random; random
    segments of the best single length have about half the mAP.

    `durations` are the seconds of each video to guess in, by name; `parts` are the values of m.
    """
    prior = videos.labels.mean(axis=0)
    bounds = np.array([(i / m, (i + 1) / m, 1 / m) for m in parts for i in range(m)])
    first, stop, weight = bounds.T
    count, classes, guesses = len(durations), len(prior), len(bounds)
    seconds = np.repeat(np.fromiter(durations.values(), np.float64, count), classes * guesses)
    return Detections(
        videos=tuple(durations),
        classes=videos.classes,
        video=np.repeat(np.arange(count), classes * guesses),
        label=np.tile(np.repeat(np.arange(classes), guesses), count),
        start=np.tile(first, count * classes) * seconds,
        end=np.tile(stop, count * classes) * seconds,
        score=np.tile(np.outer(prior, weight).ravel(), count),
    )
