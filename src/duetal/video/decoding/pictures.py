"""Every picture of a video with the time at which it begins, whatever is wrong in between."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from duetal.core.errors import DuetalError
from duetal.video.decoding.damage import MOST_LOST, Damage
from duetal.video.decoding.timeline import LONGEST_HOLD, Timeline

#: Unreadable places of a container after which the rest of it is given up.
MOST_UNREADABLE = 1000
#: Pictures that a decoder may keep back to bring them in order.
LONGEST_DELAY = 16
#: Bytes between two blocks of a sound Matroska file: the heads of blocks and clusters.
MOST_BETWEEN_BLOCKS = 2048
USUAL_RATE = Fraction(25)
#: A second in the unit of FFmpeg's containers.
TICKS = 1_000_000
#: Demuxers' flags of `libavformat/avformat.h`: no timestamps; a clock that may be set anew.
NO_TIMESTAMPS, TS_DISCONT = 0x0080, 0x0200


class Pictures:
    """The pictures of an opened video, streamed in the order of display.

    Where a picture can't be decoded, the one before it stands longer, and the time counts as lost.

    Args:
        container: opened.
        stream: of the container.
        source: for error messages.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, source: str | Path) -> None:
        self._container = container
        self._stream = stream
        self._source = source
        self.rate = _plausible_rate(stream.average_rate) or _plausible_rate(stream.guessed_rate)
        self._step = 1 / (self.rate or USUAL_RATE)
        self.timeline = Timeline(self._step, leaps=_has(container, TS_DISCONT))
        #: Pictures that were decoded.
        self.count = 0
        #: Seconds from the first picture's begin to the last one's end, once all are decoded.
        self.end = Fraction(0)
        self._damage = Damage(self._step)
        self._first_packet: Fraction | None = None
        self._reached = Fraction(0)
        self._zero = Fraction(0)
        self._surely: Fraction | None = None
        self._is_matroska = container.format.name.startswith("matroska")
        self._read_up_to = 0

    def __iter__(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Pairs of begin, in seconds after the first picture's, and picture.

        Raises:
            DuetalError: the file can't be read, no picture can be decoded or, at the end, more
                than 2 seconds were lost; then it says what could be decoded.
        """
        usual: Fraction | None = None
        for frame in self._frames():
            before = self.timeline.last
            stamp = self._stamp(frame)
            if before is None:
                stamp = self._begin(stamp)
            begin = self.timeline.place(stamp, usual)
            if before is not None:
                self._damage.between(before, begin, usual or self._step)
            self._damage.picture(begin, corrupt=frame.is_corrupt)
            self.count += 1
            usual = self._lasting(frame)
            yield begin, frame
        if self.timeline.last is None:
            raise DuetalError("no picture in it can be decoded", file=self._source)
        self.end = self.timeline.last + (usual or self._step)
        self._check()

    def notes(self) -> tuple[str, ...]:
        """What was wrong and could be lived with, a line each; complete at the end."""
        notes = self._damage.notes()
        # Without all of them being so, it is a decoder's last pictures in a container that has
        # decoding times alone.
        if self.timeline.missing > LONGEST_DELAY or self.timeline.missing == self.count:
            rate = float(1 / self._step)
            notes.append(
                f"{self.timeline.missing} pictures have no time; taken as {rate:g} a second"
            )
        if self.timeline.broken:
            first = f"{float(self.timeline.first_broken or 0):.2f} s"
            notes.append(
                f"timestamps that do not fit: {self.timeline.broken}, the first at {first}"
            )
        missing = self._missing_at_end()
        if missing > MOST_LOST / 4:
            notes.append(f"ends {float(missing):.2f} s before its declared end")
        return tuple(notes)

    def declared_duration(self) -> Fraction | None:
        """Seconds of the video as its container says; None where it says nothing."""
        declared = self._declared()
        return None if declared is None else declared[1]

    def _declared(self) -> tuple[Fraction, Fraction] | None:
        """Begin and length in seconds, of the video's own stream or else of all streams."""
        stream, container = self._stream, self._container
        if _has(container, NO_TIMESTAMPS):
            return None
        if stream.duration and stream.duration > 0 and stream.time_base:
            begin = (stream.start_time or 0) * stream.time_base
            return begin, stream.duration * stream.time_base
        if container.duration and container.duration > 0:
            return Fraction(container.start_time or 0, TICKS), Fraction(container.duration, TICKS)
        return None

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
        """The video's packets; the others are looked at for how far the file reaches."""
        unreadable = 0
        while unreadable < MOST_UNREADABLE:
            try:
                for packet in self._container.demux(self._container.streams.get()):
                    if packet.size == 0:
                        # An AVI's sign for a picture that stands on; or PyAV's for the end.
                        continue
                    if packet.is_corrupt or self._skipped_before(packet):
                        self._damage.error()
                    self._note_reach(packet)
                    if packet.stream is self._stream:
                        yield cast("Packet[VideoStream]", packet)
                return
            except IndexError:
                # PyAV's, at the end of a file in which streams were found that had not been
                # announced at its begin.
                return
            except FFmpegError:
                unreadable += 1
                self._damage.error()

    def _skipped_before(self, packet: "Packet[Stream]") -> bool:
        """Whether FFmpeg passed over a damaged part of a Matroska file, and said nothing of it."""
        if not self._is_matroska or packet.pos is None:
            return False
        begin, read_up_to = packet.pos, self._read_up_to
        self._read_up_to = max(read_up_to, begin + packet.size)
        return 0 < read_up_to < begin - MOST_BETWEEN_BLOCKS

    def _note_reach(self, packet: "Packet[Stream]") -> None:
        if packet.pts is None or packet.stream.type not in ("audio", "video"):
            return
        end = (packet.pts + (packet.duration or 0)) * packet.time_base
        self._reached = max(self._reached, end)
        ours = packet.stream is self._stream and not packet.is_discard
        if ours and self._first_packet is None:
            self._first_packet = packet.pts * packet.time_base

    def _stamp(self, frame: VideoFrame) -> Fraction | None:
        """A picture's timestamp in seconds, where it has any."""
        # AVI knows the order of decoding alone; what FFmpeg makes of it for B-frames is wrong.
        stamps = (
            (frame.dts, None) if self._container.format.name == "avi" else (frame.pts, frame.dts)
        )
        stamp = stamps[0] if stamps[0] is not None else stamps[1]
        return None if stamp is None else stamp * self._base(frame)

    def _lasting(self, frame: VideoFrame) -> Fraction | None:
        """Seconds that a picture is said to last, where that can be."""
        lasting = frame.duration * self._base(frame)
        return lasting if 0 < lasting <= LONGEST_HOLD else None

    def _base(self, frame: VideoFrame) -> Fraction:
        """Seconds of a picture's unit of time."""
        return frame.time_base or self._stream.time_base or Fraction(1, TICKS)

    def _begin(self, stamp: Fraction | None) -> Fraction | None:
        """The first picture's timestamp; an earlier one where pictures before it were lost."""
        first = self._first_packet
        if self._damage.near_error and first is not None and stamp is not None:
            lost = min(max(Fraction(0), stamp - first), LONGEST_HOLD)
            self._damage.lose(Fraction(0), lost)
            stamp -= lost
        self._zero = stamp or Fraction(0)
        declared = self._declared()
        if declared is not None:
            begin, length = declared
            self.timeline.declared = begin + length - self._zero
            # Into Matroska some write the length, others the time of the end.
            begin = min(begin, Fraction(0)) if self._is_matroska else begin
            self._surely = begin + length - self._zero
        return stamp

    def _check(self) -> None:
        """Refuse a video of which too much is missing, now that its end is known."""
        end, declared = float(self.end), float(self._surely or 0)
        lost, missing = self._damage.lost, self._missing_at_end()
        if lost + missing <= MOST_LOST:
            return
        if missing > lost:
            cause = f"ends early: {end:.2f} s of the declared {declared:.2f} s could be decoded"
        else:
            at = f"the first at {float(self._damage.first):.2f} s"
            cause = f"damaged: {float(lost):.2f} s of {end:.2f} s could not be decoded, {at}"
        raise DuetalError(f"{cause} ({self.count} pictures)", file=self._source)

    def _missing_at_end(self) -> Fraction:
        """Seconds between the end that was found and the declared one."""
        if self._surely is None or self.timeline.reset:
            return Fraction(0)
        reached = self.end
        if not self._stream.duration:
            # The duration is that of the longest stream, which need not be the video.
            reached = max(reached, self._reached - self._zero)
        return max(Fraction(0), self._surely - reached)


def _plausible_rate(rate: Fraction | None) -> Fraction | None:
    return rate if rate is not None and 1 / LONGEST_HOLD <= rate <= 1000 else None


def _has(container: InputContainer, flag: int) -> bool:
    return bool(int(container.format.flags) & flag)
