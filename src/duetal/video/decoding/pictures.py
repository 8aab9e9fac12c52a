"""Every picture of a video with the time at which it begins, whatever is wrong in between."""

import itertools
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from statistics import median
from typing import cast

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from duetal.core.errors import DuetalError
from duetal.video.decoding.container import VideoFile, length_before_cut
from duetal.video.decoding.damage import MOST_LOST, Damage
from duetal.video.decoding.timeline import LONGEST_HOLD, TICKS, USUAL_RATE, StreamTimes, Timeline

MOST_UNREADABLE = 1000  #: Unreadable places of a container after which the rest of it is given up.
RECENT = 25  #: Pictures whose length is taken for the last one's, where none is declared.
LONGEST_DELAY = 16  #: Pictures that a decoder may keep back to bring them in order.


class Pictures:
    """The pictures of a stream of an opened container, in the order of display.

    `StreamTimes` reads the times that are declared, `Timeline` decides when a picture begins, and
    `Damage` decides what is lost. Where a picture can't be decoded, the one before is shown longer.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, file: VideoFile, *, damaged: bool
    ) -> None:
        self._accepts_damage = damaged
        self._container, self._stream, self._source = container, stream, file.source
        self.times = times = StreamTimes(container, stream, length_before_cut(file, stream))
        self._step = 1 / (times.rate or USUAL_RATE)
        self._timeline = Timeline(
            self._step, leaps=times.leaps, indexed=times.indexed, runs_on=times.runs_on
        )
        is_matroska = container.format.name.startswith("matroska")
        self._damage = Damage(self._step, file.read_at if is_matroska else None)
        #: Seconds from picture to picture, of the last ones, and those that were declared.
        self._steps: deque[Fraction] = deque(maxlen=RECENT)
        self._lasting: deque[Fraction] = deque(maxlen=RECENT)
        #: Pictures that have been decoded in order to look ahead.
        self._ahead: deque[VideoFrame] = deque()
        #: Pictures, and the last one's end in seconds after the first one's begin, so far.
        self.count, self.end = 0, Fraction(0)
        #: Pictures a second at the end, where most go on for as long as the ones before.
        self.rate = Fraction(0)
        #: The first picture's timestamp, and the earliest declared end after it.
        self._zero = Fraction(0)
        self._declared_end: Fraction | None = None

    def __iter__(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Pairs of begin, in seconds after the first picture's, and picture.

        Raises:
            DuetalError: the file can't be read, no picture can be decoded or, at the end, more
                than 2 seconds were lost of a video that is not accepted damaged.
        """
        usual: Fraction | None = None
        frames = self._frames()

        def following() -> Fraction | None:
            self._ahead.extend(itertools.islice(frames, 1 - len(self._ahead)))
            return self.times.stamp(self._ahead[0]) if self._ahead else None

        while (frame := self._ahead.popleft() if self._ahead else next(frames, None)) is not None:
            before, stamp = self._timeline.last, self.times.stamp(frame)
            if before is None:
                stamp = self._begin(stamp)
            begin = self._timeline.place(stamp, usual, following)
            if before is not None:
                self._damage.between(before, begin, usual or self._step)
                self._steps.append(begin - before)
                self._lasting.append(usual or self._step)
            self._damage.picture(begin, corrupt=frame.is_corrupt)
            self.count += 1
            usual = self.times.lasting(frame)
            yield begin, frame
        if self._timeline.last is None:
            raise DuetalError("no picture in it can be decoded", file=self._source)
        step = median(self._steps or [usual or self._step])
        # A declared rate is an average, and a pause makes it slow; so is a length that many have.
        if usual is None or median(self._lasting or [step]) > step * 6 / 5:
            usual = step
        self.end, self.rate = self._timeline.last + usual, 1 / (step or self._step)
        declared = self._declared_end or Fraction(0)
        refusal = self._damage.refusal(self.end, declared, self._missing_at_end())
        if refusal and not self._accepts_damage:
            raise DuetalError(f"{refusal} ({self.count} pictures)", file=self._source)

    @property
    def zero(self) -> Fraction:
        """The first picture's timestamp, in seconds."""
        return self._zero

    @property
    def offset(self) -> Fraction:
        """Seconds that a player's clock shows at the first picture; it begins with the file."""
        # Sound that an encoder puts before 0 is not played.
        begin = max(0, self._container.start_time or 0)
        return max(Fraction(0), self._zero - Fraction(begin, TICKS))

    def notes(self) -> tuple[str, ...]:
        """What was wrong and could be tolerated, a line each; complete at the end."""
        notes, timeline = self._damage.notes(), self._timeline
        # A few, but not all of them, are a decoder's last pictures in a container that has
        # decoding times alone.
        if timeline.missing > LONGEST_DELAY or timeline.missing == self.count:
            rate = float(1 / (timeline.assumed or self._step))
            notes.append(f"{timeline.missing} pictures have no time; taken as {rate:g} a second")
        if timeline.broken:
            first = f"{float(timeline.first_broken or 0):.2f} s"
            notes.append(f"timestamps that do not fit: {timeline.broken}, the first at {first}")
        missing = self._missing_at_end()
        if missing > MOST_LOST / 4:
            notes.append(f"ends {float(missing):.2f} s before its declared end")
        return tuple(notes)

    def _frames(self) -> Iterator[VideoFrame]:
        for packet in itertools.chain(self._packets(), [None]):
            try:
                frames = self._stream.decode(packet)
            except EOFError:
                continue
            except FFmpegError:
                self._damage.error()
                continue
            yield from frames

    def _packets(self) -> Iterator["Packet[VideoStream]"]:
        """The video's packets; of the others only the times are noted."""
        unreadable = 0
        while unreadable < MOST_UNREADABLE:
            try:
                for packet in self._container.demux(self._container.streams.get()):
                    if packet.size == 0:
                        # An AVI's sign for a repeated picture; or PyAV's for the end.
                        continue
                    self._damage.packet(packet)
                    self.times.packet(packet)
                    if packet.stream is self._stream:
                        yield cast("Packet[VideoStream]", packet)
                return
            except IndexError:
                # PyAV's, at the end of a file with streams that were not announced at its begin.
                return
            except FFmpegError:
                unreadable += 1
                self._damage.error()

    def _begin(self, stamp: Fraction | None) -> Fraction | None:
        """The first picture's timestamp; an earlier one where pictures before it were lost."""
        first = self.times.first_packet
        if self._damage.near_error and first is not None and stamp is not None:
            lost = min(max(Fraction(0), stamp - first), LONGEST_HOLD)
            self._damage.lose(Fraction(0), lost)
            stamp -= lost
        self._zero = stamp or Fraction(0)
        self._declared_end = self._timeline.declared = self.times.end(self._zero)
        return stamp

    def _missing_at_end(self) -> Fraction:
        """Seconds between the end that was found and the declared one."""
        if self._declared_end is None or self._timeline.reset:
            return Fraction(0)
        reached = self.end
        if not self.times.is_own_duration:
            # That of the longest stream, which need not be the video.
            reached = max(reached, self.times.reached - self._zero)
        return max(Fraction(0), self._declared_end - reached)
