"""A review's folder: begun from what a run found, from detections or from nothing; or gone on with.

REVIEW/review.sqlite          the proposals and the journal of corrections
REVIEW/media/<video>.mp4      copies of the videos that browsers do not play
REVIEW/thumbnails/            small pictures of the videos, made when they are first seen
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError, reporting
from duetal.core.files import is_url, reading, without_folders
from duetal.core.records import parse
from duetal.extraction.sources import Failure, Video, find_videos, readable
from duetal.formats.guess import read_detections
from duetal.localization.non_overlapping import score_floor
from duetal.own_videos.result_folder import JSON, MEDIA, PAGE, show
from duetal.pages.player import MAX_SHOWN
from duetal.review.corrections import Corrections
from duetal.review.review_facts import (
    ReviewFacts,
    VideoFacts,
    decoded,
    read_found_page,
)
from duetal.review.statements import Statement, StatementKind, Verdict
from duetal.video.browser import playback
from duetal.video.decoding.video_reader import open_video

FILE = "review.sqlite"


@dataclass
class OpenReview:
    """A review that is open, and the files of its videos."""

    folder: Path
    corrections: Corrections
    about: ReviewFacts
    videos: dict[str, VideoFacts]  #: By name.
    #: The file that is played of each video that can be, and its size and time as it was opened.
    files: dict[str, tuple[Path, os.stat_result]] = field(default_factory=dict)
    #: Videos that could not be opened, and why.
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that can be given, those of the run first."""
        listed = [
            one.label
            for one in self.corrections.state("").values()
            if one.kind is StatementKind.CLASS
        ]
        return tuple(dict.fromkeys(listed))

    def keep_scores(self, about: ReviewFacts, curves: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep other facts of the review, and other curves of some of its videos."""
        videos = {
            name: (self.videos[name], own) for name, own in curves.items() if name in self.videos
        }
        self.about = about
        _keep(self, videos)

    def durations(self) -> dict[str, float]:
        """Seconds of each video, by name; infinite where they are not known."""
        return {name: about.duration or np.inf for name, about in self.videos.items()}


def open_review(
    folder: Path,
    source: Path | None,
    inputs: Sequence[str],
    *,
    run: Path | None = None,
    classes: Iterable[str] = (),
    copies: bool = True,
    on_video: Callable[[str], None] = lambda name: None,
) -> OpenReview:
    """Open a review, beginning it where it is new.

    Args:
        folder: of the review; one that has begun goes on as it was left.
        source: what the proposals of a new one are: the folder of results of `duetal localize`, or
            a file of detections; None to begin from nothing.
        inputs: the videos, as `find_videos` takes them; nothing else is shown.
        run: that found the proposals; what is kept of a review that has begun, by default.
        classes: names that can be given, beside those of the proposals.
        copies: make copies of videos that browsers do not play.
        on_video: called with the name of each video that is opened for the first time.

    Raises:
        DuetalError: the review is open already, damaged or can't be written; the source can't be
            read, or has none of the videos.
    """
    found = find_videos(inputs, without=folder) if inputs else None
    corrections = Corrections(folder / FILE)
    try:
        videos = {} if found is None else {video.name: video for video in found.videos}
        is_new = not corrections.about
        known = {
            name: parse(VideoFacts, about, corrections.path, f"video {name!r}")
            for name, about in corrections.videos().items()
        }
        about = parse(ReviewFacts, corrections.about, corrections.path)
        review = OpenReview(folder, corrections, about, known)
        review.failures += found.failures if found else ()
        if is_new and source is not None:
            _begin(review, source, given=videos)
        added = dict(_looked_at(review, videos.values(), copies, on_video))
        if run is not None and not about.round:
            review.about = review.about.model_copy(update={"run": str(run.absolute())})
            _keep(review, {})
        if is_new and not (added or review.videos):
            first = f": {review.failures[0].reason}" if review.failures else ""
            raise DuetalError(f"none of the videos can be opened{first}", file=folder)
        if added:
            _keep(review, {name: (new, corrections.scores(name)) for name, new in added.items()})
        _add_classes(review, classes)
        _find_files(review, videos)
    except BaseException:
        corrections.close()
        raise
    return review


def _keep(
    review: OpenReview,
    videos: Mapping[str, tuple[VideoFacts, Mapping[str, Any]]],
    statements: Iterable[tuple[str, Statement]] = (),
) -> None:
    """Write what is known of videos, with their curves, and what nobody has judged yet."""
    plain = {name: (about.to_json(), curves) for name, (about, curves) in videos.items()}
    review.corrections.begin(review.about.to_json(), plain, statements)
    review.videos |= {name: about for name, (about, _) in videos.items()}


def _begin(review: OpenReview, source: Path, given: Collection[str]) -> None:
    """Take over the proposals of a source, and what its page knows of the videos.

    It is a UsageError if videos are given, and none of them is among the source's.
    """
    if source.is_dir() and not (source / PAGE).is_file():
        cause = "holds no results of duetal localize: name its --out folder, or a detections file"
        raise UsageError(cause, file=source)
    page = read_found_page(source / PAGE) if source.is_dir() else None
    found = read_detections(source / JSON if page else source)
    found.require_finite()
    videos: dict[str, tuple[VideoFacts, Mapping[str, Any]]]
    videos = {name: (_guessed(found, index), {}) for index, name in enumerate(found.videos)}
    if given and not {*given} & {*videos}:
        cause = f"none of its videos is among those given, such as {next(iter(given))!r}"
        raise UsageError(cause, file=source)
    review.about = ReviewFacts(floor=score_floor(found))
    if page is not None:
        review.about = ReviewFacts(**page.facts())
        videos |= {video.name: (video.facts(), video.curves(page.classes)) for video in page.videos}
    statements = list(proposals_of(found))
    if left := len(found) - len(statements):
        review.notes.append(
            f"the {MAX_SHOWN} highest-scoring detections of a video are proposals; "
            f"{left:,} more are left out"
        )
    labels = dict.fromkeys(found.classes)
    classes = [("", Statement(StatementKind.CLASS, label)) for label in labels]
    _keep(review, videos, [*classes, *statements])


def _guessed(found: Detections, index: int) -> VideoFacts:
    """What detections tell of a video: that it ends no earlier than the last of them."""
    last = float(found.end[found.video == index].max(initial=1.0))
    return VideoFacts(duration=round(last, 3), is_guessed=True)


def proposals_of(found: Detections) -> Iterator[tuple[str, Statement]]:
    """The best detections of each video, by start."""
    for index, name in enumerate(found.videos):
        rows = np.flatnonzero(found.video == index)
        best = rows[np.argsort(-found.score[rows], kind="stable")][:MAX_SHOWN]
        for row in best[np.argsort(found.start[best], kind="stable")]:
            start, end = (round(max(0.0, float(t[row])), 3) for t in (found.start, found.end))
            label = found.classes[found.label[row]]
            score = float(f"{found.score[row]:.4g}")
            one = Statement(StatementKind.ACTION, label, start, end, score, Verdict.OPEN)
            yield name, one


def _looked_at(
    review: OpenReview, videos: Iterable[Video], copies: bool, on_video: Callable[[str], None]
) -> Iterator[tuple[str, VideoFacts]]:
    """What is newly known of videos: of those that are new, or whose file is another by now.

    Failures are gathered.
    """
    for video in videos:

        def fail(error: DuetalError, video: Video = video) -> None:
            review.failures.append(Failure.of(video, error))

        with reporting(fail):
            mark = _mark_of(video)
            known = review.videos.get(video.name)
            if known is not None and known.mark in ("", mark) and not known.is_guessed:
                if not known.mark:
                    yield video.name, known.model_copy(update={"mark": mark})
                continue
            on_video(video.name)
            about = _probed(review, video, mark, copies)
            if known is not None and known.mark:
                before, now = known.duration, about.duration
                review.notes.append(
                    f"the file of video {readable(video.name)!r} is another: {now:g} s, not "
                    f"{before:g} s long; its corrections are kept"
                )
            yield video.name, about


def _mark_of(video: Video) -> str:
    """What tells a file from another of its name."""
    if is_url(video.source):
        return video.source
    with reading(Path(video.source)):
        status = Path(video.source).stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _probed(review: OpenReview, video: Video, mark: str, copies: bool) -> VideoFacts:
    """What a video itself tells, copied if browsers do not play it."""
    begin = playback(video.source).offset
    with open_video(video.source, threads=1) as opened:
        duration = opened.info.duration
        if duration is None:
            for _ in opened.frames(25.0, None):
                pass
            duration = opened.decoded.duration
    shown = show(review.folder, video, fingerprint=mark, fps=25.0, copies=copies)
    return VideoFacts(
        begin=begin,
        offset=shown.offset,
        duration=round(begin + duration, 3),
        note=shown.note or without_folders(shown.failure),
        copied=Path(decoded(shown.url)).name if shown.is_copy else "",
        mark=mark,
    )


def _add_classes(review: OpenReview, classes: Iterable[str]) -> None:
    from duetal.review.actions import label_of

    new = [c for c in dict.fromkeys(map(label_of, classes)) if c not in review.classes]
    if new:
        rows = [("", Statement(StatementKind.CLASS, label)) for label in new]
        _keep(review, {}, rows)


def _find_files(review: OpenReview, given: dict[str, Video]) -> None:
    """Which file is played of each video: a copy of ours, or one of those that were given."""
    for name, about in review.videos.items():
        path = None
        if about.copied:
            copies = review.folder / MEDIA
            path = copies / about.copied
            # A folder from elsewhere may hold, or name, a link to anything.
            if not path.resolve().is_relative_to(copies.resolve()):
                continue
        elif name in given:
            path = Path(given[name].source)
        if path is not None and path.is_file():
            review.files[name] = (path, path.stat())
    if missing := len(review.videos) - len(review.files):
        review.notes.append(
            f"{missing:,} of {len(review.videos):,} videos are not shown: "
            "name the folder that they are in"
        )
