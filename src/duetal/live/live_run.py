"""A live source from its pictures to the detections, with a trained run."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duetal.backbones.protocol import Reads
from duetal.core.errors import UsageError
from duetal.extraction.items import Broken, Decoding, End, Job, Snippet
from duetal.extraction.pipeline import Extractor
from duetal.extraction.snippets import frame_blocks
from duetal.extraction.sources import Video
from duetal.extraction.threads import Stages
from duetal.live.live_events import LiveEvents
from duetal.live.live_frames import LiveFrames
from duetal.live.live_localizer import LiveDetection, LiveLocalizer
from duetal.live.live_source import LiveSource, Session
from duetal.video.decoding.video_reader import Decoded, Frame


def require_pictures(extractor: Extractor) -> None:
    """Check that a run's features are of pictures alone; a UsageError if not."""
    for record in extractor.settings.backbones:
        if record.input.reads is Reads.SOUND:
            raise UsageError(f"--live: the run reads {record.name} features, which are of sound")


@dataclass
class LiveRun:
    """Localizes the sessions of a live source, one after the other."""

    extractor: Extractor
    #: Makes the localizer of a session that begins at so many seconds.
    localizer: Callable[[float], LiveLocalizer]
    events: LiveEvents
    #: By branch, the features that it reads, in the order of their channels.
    streams: Mapping[str, Sequence[str]]
    speed: float = 1.0
    detections: int = 0
    lost: float = 0.0  #: Seconds that were not looked at.

    def follow(self, source: LiveSource) -> None:
        """Localize until the source ends, or until the caller is interrupted.

        Raises:
            DuetalError: the source can't be read, a file can't be written.
        """
        # Who waits for what is read loses nothing.
        loses = source.comes_back or (source.is_file and self.speed > 0)
        for session in source.sessions():
            self.events.tell("begin", begin=round(session.begin, 3))
            localizer = self.localizer(session.begin)
            try:
                self._session(source, session, localizer, loses=loses)
            finally:
                # Also of an interrupted session: nothing that ended is kept back.
                for found in localizer.finish():
                    self._tell(found)
                self.events.tell("end", end=round(localizer.seconds, 3))

    def _session(
        self, source: LiveSource, session: Session, localizer: LiveLocalizer, *, loses: bool
    ) -> None:
        settings = self.extractor.settings
        job = Job(Video("live", source.address))
        speed = self.speed if source.is_file else 0.0
        size = settings.short_side
        with (
            Stages() as stages,
            # Closed first: a stage may be waiting for a frame.
            LiveFrames(session, settings.grid, size, speed=speed, loses=loses) as frames,
        ):
            lost_since: float | None = None

            def skipped() -> None:
                nonlocal lost_since
                if lost_since is not None:
                    self.lost += localizer.seconds - lost_since
                    times = {"start": round(lost_since, 3), "end": round(localizer.seconds, 3)}
                    self.events.tell("skipped", **times, cause="too slow for the source")
                lost_since = None

            for item in self.extractor.passing(stages, self._blocks(job, iter(frames))):
                if isinstance(item, Broken):
                    if not source.comes_back:
                        raise item.error
                    self.events.tell("broken", cause=str(item.error))
                    return
                if isinstance(item, End):
                    break
                rows = self._rows(item)
                if rows is not None:
                    skipped()
                elif lost_since is None:
                    lost_since = localizer.seconds
                for found in localizer.add(rows):
                    self._tell(found)
            skipped()

    def _blocks(self, job: Job, frames: Iterator[Frame]) -> Generator[Decoding, None, None]:
        """The frames in blocks of a stride, and the end."""
        grid, count = self.extractor.settings.grid, 0
        try:
            for block in frame_blocks(
                job, frames, grid=grid, networks=self.extractor.networks, together=grid.stride
            ):
                count += len(block.images)
                yield block
            yield End(job, Decoded(count, count, count / grid.fps, 0.0, grid.fps, 0, ()))
        except Exception as error:
            yield Broken.by(error, job)

    def _rows(self, snippet: Snippet) -> dict[str, NDArray[np.floating]] | None:
        """The features (C,) by branch, as a store would give them; None of a lost snippet."""
        if not snippet.features:
            return None
        stored = self.extractor.stored(snippet)
        return {
            branch: np.concatenate([stored[name] for name in names])
            for branch, names in self.streams.items()
        }

    def _tell(self, found: LiveDetection) -> None:
        self.detections += 1
        self.events.detection(found)
