"""When each picture of a video begins and where its end is declared, in spite of broken times."""

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
STANDSTILL = 3  #: This many timestamps in a row that do not advance are a clock that stands still.
USUAL_RATE = Fraction(25)  #: Pictures a second where nothing is declared.
TICKS = 1_000_000  #: A second in the unit of FFmpeg's containers.
#: Demuxers' flags of `libavformat/avformat.h`: no timestamps; a clock that may be reset.
NO_TIMESTAMPS, TS_DISCONT = 0x0080, 0x0200


@dataclass
class Timeline:
    """Places pictures one after the other, each by its timestamp where that is plausible.

    A picture whose timestamp is a little behind the picture before it replaces that picture. A
    timestamp that leaps, back by more than 2 s or forward further than a picture can be shown, is
    used once the next one goes on from there; the pictures then go on without a gap (a clock that
    was reset, as where recordings were joined). Until then, and where a timestamp is missing, the
    picture follows after the usual step.
    """

    step: Fraction  #: Seconds from one picture to the next where none are declared.
    declared: Fraction | None = None  #: Seconds from the first picture to the declared end.
    leaps: bool = False  #: Whether the container's clock may be reset (MPEG transport streams).
    #: Pictures without a timestamp, and those whose timestamp was not plausible.
    missing: int = 0
    broken: int = 0
    first_broken: Fraction | None = None
    reset: bool = False  #: Whether the clock was reset: the declared duration means nothing then.
    last: Fraction | None = None
    _offset: Fraction = Fraction(0)
    _suspected_offset: Fraction | None = field(default=None, repr=False)
    _standing: int = field(default=0, repr=False)

    def place(self, stamp: Fraction | None, usual: Fraction | None = None) -> Fraction:
        """The next picture's begin, in seconds since the first one's; never before the last one's.

        Args:
            stamp: its timestamp in seconds, counted from anywhere; None where it has none.
            usual: declared seconds of the picture before.
        """
        if self.last is None:
            self._offset = -(stamp or Fraction(0))
            self.missing += stamp is None
            self.last = Fraction(0)
            return self.last
        step = usual if usual is not None and 0 < usual <= TOLERANCE + self.step else self.step
        self.last = self._follow(self.last, self.last + step, stamp)
        return self.last

    def _follow(self, last: Fraction, expected: Fraction, stamp: Fraction | None) -> Fraction:
        if stamp is None:
            self.missing += 1
            return expected
        begin = stamp + self._offset
        if 0 < begin - last <= self._longest_hold(last):
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

    def _longest_hold(self, last: Fraction) -> Fraction:
        if self.leaps:
            return LONGEST_HOLD_WITH_LEAPS + self.step
        if self.declared is None:
            return LONGEST_HOLD
        return min(LONGEST_HOLD, max(Fraction(0), self.declared - last) + TOLERANCE + self.step)


class StreamTimes:
    """The times that a container declares of a video stream, its packets and its pictures."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        #: Pictures a second; None where nothing plausible is declared.
        rates = filter(None, (stream.average_rate, stream.guessed_rate))
        self.rate = next((rate for rate in rates if 1 / LONGEST_HOLD <= rate <= 1000), None)
        flags = int(container.format.flags)
        self._has_times, self.leaps = not flags & NO_TIMESTAMPS, bool(flags & TS_DISCONT)
        #: Timestamp of the stream's first packet, and of the last end of any packet, in seconds.
        self.first_packet: Fraction | None = None
        self.reached = Fraction(0)

    def duration(self) -> tuple[Fraction, Fraction] | None:
        """Declared begin and length in seconds, of the stream or else the whole container."""
        stream, container = self._stream, self._container
        if not self._has_times:
            return None
        if stream.duration and stream.duration > 0 and stream.time_base:
            begin = (stream.start_time or 0) * stream.time_base
            return begin, stream.duration * stream.time_base
        if container.duration and container.duration > 0:
            return Fraction(container.start_time or 0, TICKS), Fraction(container.duration, TICKS)
        return None

    def packet(self, packet: "Packet[Stream]") -> None:
        """Note the times of a packet of any stream."""
        if packet.pts is None or packet.stream.type not in ("audio", "video"):
            return
        end = (packet.pts + (packet.duration or 0)) * packet.time_base
        self.reached = max(self.reached, end)
        ours = packet.stream is self._stream and not packet.is_discard
        if ours and self.first_packet is None:
            self.first_packet = packet.pts * packet.time_base

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
