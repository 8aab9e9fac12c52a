"""Which video is handed to which worker of a cluster, and which is given up."""

import itertools
from collections import Counter, deque
from collections.abc import Collection, Iterator

from duetal.extraction.sources import Video

#: Videos that a worker has at once: one is decoded while the end of another is encoded.
AT_HAND = 3
#: Workers that may be lost over a video.
ATTEMPTS = 3


class Dispatch:
    """Hands videos out, in their order.

    A lost worker had several videos, and nobody knows over which one it was lost. From then on each
    of them is handed out alone, so that one that kills its worker takes no other with it.

    """

    def __init__(self, videos: Iterator[Video]):
        self._fresh = videos
        self._exhausted = False
        self._again: deque[Video] = deque()
        self._losses: Counter[Video] = Counter()

    def more(self, at_hand: Collection[Video]) -> list[Video]:
        """Further videos for a worker that has not finished those `at_hand`."""
        if any(video in self._losses for video in at_hand):
            return []
        if not at_hand and self._again:
            return [self._again.popleft()]
        wanted = AT_HAND - len(at_hand)
        videos = list(itertools.islice(self._fresh, wanted))
        self._exhausted = self._exhausted or len(videos) < wanted
        return videos

    def lost(self, video: Video) -> bool:
        """Take note that a worker was lost with a video; False when that was the last attempt."""
        self._losses[video] += 1
        if self._losses[video] == ATTEMPTS:
            return False
        self._again.append(video)
        return True

    @property
    def is_empty(self) -> bool:
        """Whether every video has been handed out, as often as it was needed so far."""
        return self._exhausted and not self._again
