"""The first stage of the pipeline: videos become frames."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.features.items import Broken, End, Frames, Job, internal_error
from duetal.features.sources import Video, fetched
from duetal.video.decoding.video_reader import VideoReader, open_video


@dataclass(frozen=True)
class Decoding:
    """How videos are decoded.

    Args:
        grid: gives the frame rate and, with `preprocess`, the frames that CLIP sees: the middle
            ones of the snippets.
        short_side: pixels, of the frames that come out.
        preprocess: makes of a picture (H, W, 3) uint8 what CLIP sees; None where that is not asked.
        threads: of the decoder.
        together: frames that come out in one piece.
    """

    grid: TimeGrid
    short_side: int
    preprocess: Callable[[NDArray[np.uint8]], Any] | None
    threads: int
    together: int

    def __call__(self, videos: Iterable[Video]) -> Generator[Frames | End | Broken, None, None]:
        """Decode video after video."""
        for video in videos:
            job = Job(video)
            try:
                yield from self._decode(job)
            except DuetalError as error:
                yield Broken(job, error)
            except Exception as error:
                yield Broken(job, internal_error(error, job))

    def _decode(self, job: Job) -> Iterator[Frames | End]:
        with ExitStack() as stack:
            with job.timed("read"):
                file = stack.enter_context(fetched(job.video.source))
            job.sha256, job.size = file.sha256, file.size
            try:
                with open_video(file.path, threads=self.threads) as reader:
                    if reader.info.duration is not None:
                        job.expected = self.grid.length(reader.info.duration)
                    yield from self._read(job, reader)
            except DuetalError as error:
                if error.file != file.path:
                    raise
                # The copy of what lies at a URL means nothing to the user.
                raise DuetalError(error.cause, file=job.video.source, place=error.place) from error

    def _read(self, job: Job, reader: VideoReader) -> Iterator[Frames | End]:
        frames = reader.frames(self.grid.fps, self.short_side)
        # Not the frames themselves, which keep their decoded pictures.
        read: list[tuple[NDArray[np.uint8], bool]] = []
        pictures: dict[int, Any] = {}
        while True:
            with job.timed("decode"):
                frame = next(frames, None)
                if frame is not None:
                    read.append((frame.image, frame.repeated))
                    if self.preprocess is not None and self._is_middle(frame.index):
                        pictures[frame.index] = self.preprocess(frame.full())
            if read and (frame is None or len(read) == self.together):
                images, repeated = zip(*read, strict=True)
                yield Frames(job, np.stack(images), np.array(repeated), pictures)
                read, pictures = [], {}
            if frame is None:
                break
        decoded = reader.decoded
        yield End(job, decoded.frames, decoded.source_frames, decoded.duration, decoded.notes)

    def _is_middle(self, index: int) -> bool:
        into = index - self.grid.window // 2
        return into >= 0 and into % self.grid.stride == 0
