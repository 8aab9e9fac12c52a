"""How much of a video is lost: gaps between pictures that decoding errors explain."""

from dataclasses import dataclass
from fractions import Fraction

#: Seconds that may be lost of a video, in all; more makes it an error.
MOST_LOST = Fraction(2)
#: A gap this many pictures after a decoding error belongs to it: decoders work ahead.
ERROR_REACH = 100


@dataclass
class Damage:
    """What is lost of a video, counted picture by picture.

    A gap alone is no damage: a video of variable rate may hold a picture for long. One that comes
    with a decoding error is.

    Args:
        step: seconds from one picture to the next.
    """

    step: Fraction
    #: Seconds that were lost so far, and the first one's place.
    lost: Fraction = Fraction(0)
    first: Fraction = Fraction(0)
    #: Begin and seconds of the longest unexplained gap that is longer than may be lost.
    held: tuple[Fraction, Fraction] | None = None
    _since_error: int = ERROR_REACH

    @property
    def near_error(self) -> bool:
        """Whether a gap now would belong to an error."""
        return self._since_error < ERROR_REACH

    def error(self) -> None:
        """A packet could not be read or decoded."""
        self._since_error = 0

    def picture(self, begin: Fraction, *, corrupt: bool) -> None:
        """A picture was decoded; a corrupt one was, in part, made up."""
        self._since_error += 1
        if corrupt:
            self.error()
            self.lose(begin, self.step)

    def between(self, before: Fraction, begin: Fraction, usual: Fraction) -> None:
        """Look at the time between a picture, which was to last as usual, and the next one."""
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

    def notes(self) -> list[str]:
        """What was found, a line each."""
        notes = []
        if self.lost:
            notes.append(
                f"{float(self.lost):.2f} s could not be decoded, the first at "
                f"{float(self.first):.2f} s; the picture before stands instead"
            )
        if self.held is not None:
            at, length = map(float, self.held)
            notes.append(f"one picture stands for {length:.2f} s at {at:.2f} s")
        return notes
