"""When each picture of a video begins, in spite of timestamps that are missing or broken."""

from dataclasses import dataclass, field
from fractions import Fraction

#: A picture may stand this long, seconds; containers whose clock may leap say less.
LONGEST_HOLD = Fraction(3600)
LONGEST_HOLD_WITH_LEAPS = Fraction(10)
#: Differences up to this, seconds, are jitter of one clock; beyond it the clock was set anew.
TOLERANCE = Fraction(2)
#: This many timestamps in a row that do not advance are a clock that stands still.
STANDSTILL = 3


@dataclass
class Timeline:
    """Places pictures one after the other, each by its timestamp where that can be believed.

    A timestamp a little behind the picture before it replaces that picture. One that leaps, back
    by more than 2 s or forward further than a picture can stand, is believed once the next one
    goes on from there; the pictures then go on without a gap (a clock set anew, as where
    recordings were joined). Until then, as where a timestamp is missing, the picture follows after
    the usual step.

    Args:
        step: seconds from one picture to the next where nothing better is known.
        declared: seconds from the first picture to the end, where the container says so.
        leaps: the container's clock may be set anew (MPEG transport streams).
    """

    step: Fraction
    declared: Fraction | None = None
    leaps: bool = False
    #: Pictures without a timestamp, and those whose timestamp was not believed.
    missing: int = 0
    broken: int = 0
    first_broken: Fraction | None = None
    #: Whether the clock was found set anew: the declared duration means nothing then.
    reset: bool = False
    last: Fraction | None = None
    _offset: Fraction = Fraction(0)
    _suspected_offset: Fraction | None = field(default=None, repr=False)
    _standing: int = field(default=0, repr=False)

    def place(self, stamp: Fraction | None, usual: Fraction | None = None) -> Fraction:
        """The next picture's begin.

        Args:
            stamp: its timestamp in seconds, counted from anywhere; None where it has none.
            usual: how long the picture before it was said to last.

        Returns:
            Seconds since the first picture's begin; never less than the picture before.
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
