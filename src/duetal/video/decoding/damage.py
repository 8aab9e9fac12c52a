"""Damage of a video: the seconds that are lost, and when they are too many."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

from duetal.video.decoding.matroska import leads_on

MOST_LOST = Fraction(2)  #: Seconds of a video that may be lost in total; more is an error.
#: A gap this many pictures after a decoding error belongs to it: decoders work ahead.
ERROR_REACH = 100
#: Bytes between two blocks of a sound Matroska file: the heads of blocks and clusters.
MOST_BETWEEN_BLOCKS = 2048


@dataclass
class Damage:
    """What is lost of a video, counted picture by picture.

    A gap alone is no damage: a video of variable rate may hold a picture for long. A gap with a
    decoding error is.
    """

    step: Fraction  #: Seconds from one picture to the next.
    #: Of a Matroska file, whose damaged parts FFmpeg skips without an error: see `leads_on`.
    read: Callable[[int, int], bytes] | None = None
    lost: Fraction = Fraction(0)  #: Seconds that were lost so far.
    first: Fraction = Fraction(0)  #: Where the first of them were.
    #: Begin and seconds of the longest unexplained gap that is longer than may be lost.
    held: tuple[Fraction, Fraction] | None = None
    _since_error: int = ERROR_REACH
    _block: int = 0
    _read_up_to: int = 0

    @property
    def near_error(self) -> bool:
        """Whether a gap now would belong to an error."""
        return self._since_error < ERROR_REACH

    def error(self) -> None:
        """Count an error: a packet could not be read or decoded."""
        self._since_error = 0

    def packet(self, packet: "Packet[Stream]") -> None:
        """Check a packet of any stream."""
        if packet.is_corrupt:
            self.error()
        elif self.read is not None and packet.pos is not None:
            skipped = 0 < self._read_up_to < packet.pos - MOST_BETWEEN_BLOCKS
            if skipped and not leads_on(self.read, self._block, packet.pos):
                self.error()
            if packet.pos + packet.size > self._read_up_to:
                self._block, self._read_up_to = packet.pos, packet.pos + packet.size

    def picture(self, begin: Fraction, *, corrupt: bool) -> None:
        """Count a decoded picture; the decoder invented parts of a corrupt one."""
        self._since_error += 1
        if corrupt:
            self.error()
            self.lose(begin, self.step)

    def between(self, before: Fraction, begin: Fraction, usual: Fraction) -> None:
        """Check the time between a picture, which was to last as usual, and the next one."""
        gap = begin - before - usual
        if gap > self.step / 2 and self.near_error:
            self.lose(before, gap)
        elif gap > MOST_LOST and (self.held is None or gap > self.held[1]):
            self.held = before, begin - before

    def lose(self, at: Fraction, seconds: Fraction) -> None:
        """Count seconds as lost."""
        if not self.lost:
            self.first = at
        self.lost += seconds

    def refusal(self, end: Fraction, declared: Fraction, missing: Fraction) -> str:
        """Why the video is refused, where too much of it is lost; else empty.

        `end` is that of the last picture, and `missing` seconds before the declared end are lost.
        """
        if self.lost + missing <= MOST_LOST:
            return ""
        decoded = f"{float(end):.2f} s"
        if missing > self.lost:
            return f"ends early: {decoded} of the declared {float(declared):.2f} s could be decoded"
        lost, first = f"{float(self.lost):.2f} s", f"{float(self.first):.2f} s"
        return f"damaged: {lost} of {decoded} could not be decoded, the first at {first}"

    def notes(self) -> list[str]:
        """What was found, a line each."""
        notes = []
        if self.lost:
            notes.append(
                f"{float(self.lost):.2f} s could not be decoded, the first at "
                f"{float(self.first):.2f} s; the picture before is shown instead"
            )
        if self.held is not None:
            at, length = map(float, self.held)
            notes.append(f"one picture is shown for {length:.2f} s at {at:.2f} s")
        return notes
