"""Facts about a worker that has much to do: stress, and clients that it could not serve."""

from __future__ import annotations

from seawall.journal.record import Record


class StressChanged(Record, frozen=True, tag=True, kw_only=True):
    """From here on new sessions run under ``stress``, or no longer.

    `who` is ``service smtp`` or ``worker 0``; `cause` what was measured, as text.  STRESS_README
    """

    program = "master"
    who: str
    is_on: bool
    cause: str = ""

    def text(self) -> str:
        """``warning: service smtp is under stress: 100 sessions of 100``, and its end."""
        if self.is_on:
            return f"warning: {self.who} is under stress: {self.cause}"
        return f"{self.who} is no longer under stress"


class CrowdThinned(Record, frozen=True, tag=True, kw_only=True):
    """There was no place for some clients of `who`: told once in a while, however many they are.

    `turned_away` heard 421 at once, `let_go` in the midst, because another was worth more; `loudest` is (network, strangers).
    """

    level = "warning"
    program = "master"
    who: str
    turned_away: int
    let_go: int
    seconds: float
    held: int
    most: int
    loudest: tuple[tuple[str, int], ...] = ()

    def text(self) -> str:
        """How many in which time, how many are there, and who holds the most."""
        loudest = ", ".join(f"{network} ({count})" for network, count in self.loudest)
        return (
            f"warning: {self.who} has too many connections: {self.turned_away} turned away and {self.let_go} let go "
            f"in {self.seconds:.0f} s; {self.held} of {self.most} held"
            + (f"; loudest networks: {loudest}" if loudest else "")
        )
