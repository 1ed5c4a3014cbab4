"""Stress as a measured quantity: pure.  It begins where something is used up, and ends well below that.

What is measured comes as shares: 1.0 is where stress begins.  Between `ENDS` and 1.0 nothing changes, whatever comes, and
stress lasts for `LEAST` seconds at least: sessions are not served now one way, now the other.
"""

from __future__ import annotations

from collections.abc import Mapping

ENDS = 0.7
"""The share below which all must be for stress to end.  postscreen(8) has the same between its two marks."""
LEAST = 10.0
"""Seconds that stress lasts at least.  Ours."""


class Stress:
    """One switch, and why it is on."""

    __slots__ = ("_since", "cause", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        self.cause = ""
        """The name of what set it off."""
        self._since = 0.0

    def look(self, shares: Mapping[str, float], now: float) -> bool:
        """True where that changes it."""
        if not self.is_on:
            worst = max(shares, key=shares.__getitem__, default="")
            if not worst or shares[worst] < 1.0:
                return False
            self.is_on, self.cause, self._since = True, worst, now
            return True
        if now - self._since < LEAST or any(share > ENDS for share in shares.values()):
            return False
        self.is_on, self.cause = False, ""
        return True


class Smooth:
    """The mean of late measurements: the last second counts most, one bad moment little."""

    __slots__ = ("_weight", "value")

    def __init__(self, weight: float) -> None:
        self._weight = weight
        """What one measurement counts, 0 to 1."""
        self.value = 0.0

    def add(self, measured: float) -> float:
        """One more; the mean."""
        self.value += (measured - self.value) * self._weight
        return self.value
