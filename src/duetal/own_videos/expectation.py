"""The accuracy to expect of a number of videos, by measurement."""

from collections import Counter
from collections.abc import Collection, Iterable
from itertools import chain
from typing import NamedTuple


class Measured(NamedTuple):
    """A row of the table that `examples/videos_per_class.py` prints.

    `videos` to train on, of each class (of all videos: of the rarest); `mean_ap` in percent, the
    average over tIoU 0.1:0.7 and the mean over three seeds.
    """

    videos: int
    mean_ap: float


#: On UCI HAPT: sensor sequences, 12 classes, the recipe `hapt`.
CURVE = (Measured(5, 18.5), Measured(10, 28.1), Measured(20, 31.5), Measured(40, 37.2))
#: All 259 videos: frequent classes have up to 112.
ALL = Measured(41, 40.0)
#: The share of the mAP of all videos from which on more of them gain little.
_ENOUGH = 0.85
#: Classes that are named, where many are short of videos.
_NAMED = 5


def expectation(training: Iterable[Collection[str]]) -> list[str]:
    """The accuracy to expect of training videos with these labels, in sentences."""
    known = list(training)
    videos = [labels for labels in known if labels]
    nothing = len(known) - len(videos)
    counts = Counter(chain.from_iterable(videos))
    rarest = min(counts, key=lambda label: (counts[label], label))
    below = [row for row in CURVE if row.videos <= counts[rarest]][-1:]
    above = [row for row in CURVE if row.videos >= counts[rarest]][:1]
    near = " and ".join(
        f"{row.videos} videos a class gave {share(row):.0f} %"
        for row in dict.fromkeys([*below, *above])
    )
    fewer = "" if below else "fewer were never tried, and will give less than this: "
    short = sorted((label for label in counts if counts[label] < enough()), key=counts.__getitem__)
    if short:
        named = ", ".join(f"{label} ({counts[label]})" for label in short[:_NAMED])
        others = f" and {len(short) - _NAMED:,} more classes" if len(short) > _NAMED else ""
        advice = f"Aim for {enough()} or more videos of each class; short of it: {named}{others}."
    else:
        advice = f"Every class has the {enough()} videos from which on more gained little there."
    classes = "1 class" if len(counts) == 1 else f"{len(counts):,} classes"
    others = f", and {nothing:,} in which nothing of them happens" if nothing else ""
    return [
        f"{len(videos):,} training videos of {classes}; "
        f"the rarest, {rarest!r}, is in {counts[rarest]:,} of them{others}.",
        "Measured on one data set, 12 classes of sensor sequences, not on video: "
        f"{fewer}{near} of the mAP that {ALL.videos} and more gave. "
        "Yours will differ (docs/own-videos.md).",
        advice,
    ]


def share(row: Measured) -> float:
    """The mAP of a row in percent of that of all videos."""
    return 100 * row.mean_ap / ALL.mean_ap


def enough() -> int:
    """From how many videos a class on more gained little."""
    return next(row.videos for row in CURVE if row.mean_ap >= _ENOUGH * ALL.mean_ap)
