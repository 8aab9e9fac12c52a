"""How the frames of videos are counted, for forms of annotations that count them."""

from collections.abc import Iterable

from duetal.core.errors import DuetalError
from duetal.extraction.sources import find_videos
from duetal.formats.options import FrameClock
from duetal.video.decoding.video_reader import open_video


def frame_clocks(inputs: Iterable[str]) -> tuple[dict[str, FrameClock], list[str]]:
    """The clocks of videos by their names, and a line for each that can't be read.

    Args:
        inputs: as of `find_videos`.

    Raises:
        DuetalError: nothing there, or no video in it.
    """
    found = find_videos(inputs)
    clocks, failures = {}, [f"{failure.source}: {failure.reason}" for failure in found.failures]
    for video in found.videos:
        try:
            with open_video(video.source, threads=1) as reader:
                info = reader.info
        except DuetalError as error:
            failures.append(str(error))
            continue
        if info.rate is not None:
            clocks[video.name] = FrameClock(info.rate, info.offset)
        else:
            failures.append(f"{video.source}: declares no frame rate")
    return clocks, failures
