"""The evaluation protocols that published numbers follow.

On identical predictions they differ by up to 3 points of mAP, so every number names its own.
THUMOS14 gives 213 test videos with temporal annotation; which of them are evaluated, and in what
unit, is where the protocols differ:

- `video_test_0001292` has ambiguous segments only, and no protocol evaluates on it;
- `video_test_0000270` is annotated up to 714 s but lasts 176 s;
- `video_test_0001496` is labelled FrisbeeCatch, its segments are of CricketShot.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from duetal.core.errors import UsageError
from duetal.core.grid import TimeGrid


@dataclass(frozen=True)
class Protocol:
    """How detections are compared with the ground truth."""

    name: str  # As users spell it.
    summary: str  # One line on where it comes from.
    tiou: tuple[float, ...]  # Thresholds, ascending.
    averages: Mapping[str, tuple[float, float]]  # Lowest and highest threshold, by name.
    shown: tuple[float, ...]  # Thresholds to print; all of them are evaluated.
    #: The beginning of the name of the subset it means, where that is fixed, in lower case.
    subset: str | None = None
    excluded: frozenset[str] = frozenset()  # Not evaluated on, wherever they are annotated.
    videos: int | None = None  # How many published numbers under it rest on, where that is fixed.
    #: Where given, segments are rounded to whole snippets of this grid before they are compared,
    #: and predictions that overlap an ambiguous segment are deleted.
    grid: TimeGrid | None = None


_NO_SEGMENTS = "video_test_0001292"
_TOO_LONG = "video_test_0000270"
_WRONG_CLASS = "video_test_0001496"


def _tenths(
    name: str, summary: str, *excluded: str, videos: int | None = None, grid: TimeGrid | None = None
) -> Protocol:
    """A protocol with THUMOS14's thresholds."""
    tiou = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    averages = {"0.1:0.5": (0.1, 0.5), "0.3:0.7": (0.3, 0.7), "0.1:0.7": (0.1, 0.7)}
    subset = None if videos is None else "test"
    return Protocol(name, summary, tiou, averages, tiou, subset, frozenset(excluded), videos, grid)


def _activitynet(version: str, videos: int) -> Protocol:
    return Protocol(
        f"activitynet/{version}",
        "the official evaluator, on the validation subset",
        (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
        {"0.5:0.95": (0.5, 0.95)},
        (0.5, 0.75, 0.95),
        "val",
        videos=videos,
    )


#: CO2-Net's evaluator: segments at `round(seconds * 25 / 16)`, half to even. 17 of the 3,358
#: become empty: nothing can match them, and they count for recall all the same. A prediction
#: that shares a snippet with an ambiguous segment is deleted, whatever its class. Predictions
#: are rounded too, since that evaluator's own are whole snippets.
THUMOS14_GRID_212 = _tenths(
    "thumos14/grid-212",
    "CO2-Net family, snippets of 16 frames at 25 fps, without ambiguous",
    _NO_SEGMENTS,
    videos=212,
    grid=TimeGrid(fps=25.0, stride=16, window=16),
)

SECONDS = _tenths("seconds", "any other data: all evaluation videos, seconds")

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        # As BaS-Net's `gt.json` and the projects that took it over; SSN, P-GCN and AFSD agree.
        _tenths(
            "thumos14/seconds-210",
            "BaS-Net family, seconds",
            *(_NO_SEGMENTS, _TOO_LONG, _WRONG_CLASS),
            videos=210,
        ),
        # OpenTAD's README: following G-TAD and VSGN it leaves out 0000270 (wrong annotation) and
        # 0001292 (none). Its removal of repeated segments has nothing to remove in THUMOS14.
        _tenths("thumos14/tad-211", "OpenTAD, seconds", _NO_SEGMENTS, _TOO_LONG, videos=211),
        # ActionFormer's `thumos14.json`: 212 test videos with 3,358 segments, all that have any.
        _tenths("thumos14/tad-212", "ActionFormer, seconds", _NO_SEGMENTS, videos=212),
        THUMOS14_GRID_212,
        _activitynet("1.2", 2383),
        _activitynet("1.3", 4926),
        SECONDS,
    )
}


def protocol_named(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UsageError: there is none; names the nearest and lists them all.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = difflib.get_close_matches(name, PROTOCOLS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown protocol {name!r}; {hint}one of: {', '.join(PROTOCOLS)}")
