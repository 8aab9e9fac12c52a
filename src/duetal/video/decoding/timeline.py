"""When each picture of a video begins and where its end is declared, in spite of broken times."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

#: A picture may be shown this long, seconds; shorter where a container's clock may be reset.
LONGEST_HOLD = Fraction(3600)
LONGEST_HOLD_WITH_LEAPS = Fraction(10)
#: Differences up to this, seconds, are jitter of one clock; beyond it the clock was reset.
TOLERANCE = Fraction(2)
LATE = Fraction(1, 2)  #: Begins and durations that differ by more, seconds, are not the same.
STANDSTILL = 3  #: This many timestamps in a row that do not advance are a clock that stands still.
USUAL_RATE = Fraction(25)  #: Pictures a second where nothing is declared.
TICKS = 1_000_000  #: A second in the unit of FFmpeg's containers.
#: Demuxers' flags of `libavformat/avformat.h`: no timestamps; a clock that may be reset.
NO_TIMESTAMPS, TS_DISCONT = 0x0080, 0x0200


@dataclass
class Timeline:
    """Places pictures one after the other, each by its timestamp where that is plausible.

    A picture whose timestamp is a little behind the picture before it replaces that picture. A
    timestamp behind the declared end is believed where the next one goes on from there: headers are
    wrong more often than timestamps that agree. A timestamp that leaps, back by more than 2 s or
    forward further than a picture can be shown, is used once the next one goes on from there; the
    pictures then go on without a gap (a clock that was reset, as where recordings were joined).
    Until then, and where a timestamp is missing, the picture follows after the usual step.
    """

    step: Fraction  #: Seconds from one picture to the next where none are declared.
    declared: Fraction | None = None  #: Seconds from the first picture to the declared end.
    leaps: bool = False  #: Whether the container's clock may be reset (MPEG transport streams).
    indexed: bool = False  #: Whether the container lists the time of every picture (MP4).
    #: Whether another stream's clock ran on from one timestamp to another, in seconds.
    runs_on: Callable[[Fraction, Fraction], bool] = lambda begin, end: False
    #: Pictures without a timestamp, and those whose timestamp was not plausible.
    missing: int = 0
    broken: int = 0
    first_broken: Fraction | None = None
    assumed: Fraction | None = None  #: Seconds taken for the picture before one without timestamp.
    reset: bool = False  #: Whether the clock was reset: the declared duration means nothing then.
    last: Fraction | None = None
    _offset: Fraction = Fraction(0)
    _suspected_offset: Fraction | None = field(default=None, repr=False)
    _standing: int = field(default=0, repr=False)

    def place(
        self,
        stamp: Fraction | None,
        usual: Fraction | None = None,
        following: Callable[[], Fraction | None] = lambda: None,
    ) -> Fraction:
        """The next picture's begin, in seconds since the first one's; never before the last one's.

        Args:
            stamp: its timestamp in seconds, counted from anywhere; None where it has none.
            usual: declared seconds of the picture before.
            following: gives the timestamp of the picture after it, which is asked where in doubt.
        """
        if self.last is None:
            self._offset = -(stamp or Fraction(0))
            self.missing += stamp is None
            self.last = Fraction(0)
            return self.last
        step = usual if usual is not None and 0 < usual <= TOLERANCE + self.step else self.step
        self.last = self._follow(self.last, self.last + step, stamp, following)
        return self.last

    def _follow(
        self,
        last: Fraction,
        expected: Fraction,
        stamp: Fraction | None,
        following: Callable[[], Fraction | None],
    ) -> Fraction:
        if stamp is None:
            self.missing += 1
            self.assumed = expected - last
            return expected
        begin = stamp + self._offset
        if 0 < begin - last <= self._longest_hold(begin, last, following):
            self._suspected_offset, self._standing = None, 0
            return begin
        self.broken += 1
        if self.first_broken is None:
            self.first_broken = last
        if 0 <= last - begin <= TOLERANCE and self._standing < STANDSTILL - 1:
            self._standing += 1
            return last
        suspected = self._suspected_offset
        if suspected is not None and 0 < stamp + suspected - last <= TOLERANCE + self.step:
            self._offset, self._suspected_offset, self.reset = suspected, None, True
            return stamp + suspected
        self._suspected_offset = expected - stamp
        return expected

    def _longest_hold(
        self, begin: Fraction, last: Fraction, following: Callable[[], Fraction | None]
    ) -> Fraction:
        """Seconds for which the last picture can be shown, where the next is said to begin."""
        if self.leaps:
            hold = LONGEST_HOLD_WITH_LEAPS + self.step
            steady = begin - last > hold and self.runs_on(last - self._offset, begin - self._offset)
            return LONGEST_HOLD if steady else hold
        if self.declared is not None and begin > self.declared + TOLERANCE + self.step:
            after = following()
            if after is None and not self.indexed:
                return Fraction(0)
            if after is not None and after + self._offset <= begin:
                return Fraction(0)
            self.declared = None
        return LONGEST_HOLD


class StreamTimes:
    """The times that a container declares of a video stream, its packets and its pictures."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, whole: Fraction | None = None
    ) -> None:
        self._container, self._stream = container, stream
        #: Seconds of the whole file, where it is known to be cut off.
        self._whole = whole
        #: Pictures a second; None where nothing plausible is declared.
        rates = filter(None, (stream.average_rate, stream.guessed_rate))
        self.rate = next((rate for rate in rates if 1 / LONGEST_HOLD <= rate <= 1000), None)
        flags = int(container.format.flags)
        self._has_times, self.leaps = not flags & NO_TIMESTAMPS, bool(flags & TS_DISCONT)
        #: Whether the container lists the time of every picture.
        self._is_mp4 = "mp4" in container.format.name.split(",")
        self.indexed = self._is_mp4 and stream.frames > 0
        #: Timestamp of the stream's first packet, and of the last end of any packet, in seconds.
        self.first_packet: Fraction | None = None
        self.reached = Fraction(0)
        #: By index of a sound stream, begin and end of its last stretch without a leap.
        self._sound: dict[int, tuple[Fraction, Fraction]] = {}

    def duration(self) -> tuple[Fraction, Fraction] | None:
        """Declared begin and length in seconds, of the stream or else the whole container."""
        stream, container = self._stream, self._container
        if not self._has_times:
            return None
        if self._whole is not None:
            return Fraction((stream.start_time or 0) * (stream.time_base or 0)), self._whole
        if stream.duration and stream.duration > 0 and stream.time_base:
            begin = (stream.start_time or 0) * stream.time_base
            return begin, stream.duration * stream.time_base
        if container.duration and container.duration > 0:
            return Fraction(container.start_time or 0, TICKS), Fraction(container.duration, TICKS)
        return None

    def end(self, first: Fraction) -> Fraction | None:
        """The declared end in seconds after the first picture's timestamp; None where unknown."""
        declared = self.duration()
        if declared is None:
            return None
        begin, length = declared
        if self.indexed:
            return begin + length - first
        if self._is_mp4 and begin > LATE:
            # A later fragment of a recording, whose header has the length of the whole.
            return None
        # Some write the length (Matroska, ASF, FLV), others the time of the end.
        ends = (begin + length - first, length - first)
        return min((end for end in ends if end > 0), default=None)

    @property
    def is_own_duration(self) -> bool:
        """Whether the declared duration is the stream's, not that of the longest stream."""
        stream, total = self._stream, self._container.duration
        if not stream.duration or not stream.time_base:
            return False
        # FFmpeg gives a stream without a duration about that of the container.
        of_stream = stream.duration * stream.time_base
        return self.indexed or not total or abs(of_stream - Fraction(total, TICKS)) > LATE

    def packet(self, packet: "Packet[Stream]") -> None:
        """Note the times of a packet of any stream."""
        if packet.pts is None or packet.stream.type not in ("audio", "video"):
            return
        begin = packet.pts * packet.time_base
        end = begin + (packet.duration or 0) * packet.time_base
        self.reached = max(self.reached, end)
        if packet.stream.type == "audio":
            first, last = self._sound.get(packet.stream.index, (begin, begin))
            first = first if abs(begin - last) <= TOLERANCE else begin
            self._sound[packet.stream.index] = first, end
        ours = packet.stream is self._stream and not packet.is_discard
        if ours and self.first_packet is None:
            self.first_packet = begin

    def runs_on(self, begin: Fraction, end: Fraction) -> bool:
        """Whether some sound goes on without a leap from one timestamp to another, in seconds."""
        return any(
            first <= begin + TOLERANCE and end - TOLERANCE <= last
            for first, last in self._sound.values()
        )

    def stamp(self, frame: VideoFrame) -> Fraction | None:
        """A picture's timestamp in seconds; None where it has none."""
        stamp = frame.dts
        # AVI has the order of decoding alone; FFmpeg's times of display are wrong for B-frames.
        if self._container.format.name != "avi" and frame.pts is not None:
            stamp = frame.pts
        return None if stamp is None else stamp * self._unit(frame)

    def lasting(self, frame: VideoFrame) -> Fraction | None:
        """Declared seconds of a picture; None where they are not plausible."""
        lasting = frame.duration * self._unit(frame)
        return lasting if 0 < lasting <= LONGEST_HOLD else None

    def _unit(self, frame: VideoFrame) -> Fraction:
        """Seconds of a picture's unit of time."""
        return frame.time_base or self._stream.time_base or Fraction(1, TICKS)
