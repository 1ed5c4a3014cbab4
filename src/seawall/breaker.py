"""A circuit breaker: whether a part of somebody else's (policy service, database, name server) is worth asking now.

Pure: time is an argument, in seconds of a monotonic clock.  It opens after refused connections or several full
timeouts, and lets one question through from time to time; the first answer closes it.  A slow answer within the
timeout is an answer.  docs/differences.md D-21, D-45, D-76
"""

from __future__ import annotations

FAILURES = 3
"""Full timeouts in a row after which nobody else waits.  Ours: one may be an accident, three are an outage."""
PAUSE = 1.0
"""Seconds between an outage and the first trial.  Ours."""
LONGEST_PAUSE = 2.0
"""Seconds between two trials at most: what comes back is found well within five."""


class Breaker:
    """The state of one part: closed, or open with one trial at a time.

    >>> breaker = Breaker()
    >>> breaker.may_ask(now=10.0)
    True
    >>> breaker.failed(now=10.0, refused=True)
    >>> breaker.may_ask(now=10.5), breaker.may_ask(now=11.0), breaker.may_ask(now=11.0)
    (False, True, False)
    >>> breaker.answered(now=11.1)
    >>> breaker.is_open
    False
    """

    __slots__ = ("_failures", "_longest", "_next_pause", "_pause", "_row", "_trial_until", "_until", "is_open")

    def __init__(self, *, failures: int = FAILURES, pause: float = PAUSE, longest_pause: float = LONGEST_PAUSE) -> None:
        """`failures` in a row open it; `pause` doubles with each failed trial, up to `longest_pause`."""
        self._failures = max(1, failures)
        self._pause = pause
        self._longest = max(pause, longest_pause)
        self._row = 0
        self._next_pause = pause
        self._until = 0.0
        self.is_open = False
        """True while questions are turned away."""

    def may_ask(self, now: float) -> bool:
        """True where the part may be asked: always while closed; while open, to the one trial that is due.

        Who hears True asks, and tells how it ended.  A trial that nobody tells the end of is given up for lost after
        the longest pause: then another one is due, so that the breaker cannot stay open for want of a word.
        """
        if not self.is_open:
            return True
        if now < self._until:
            return False
        self._until = now + self._longest
        return True

    def answered(self, now: float) -> None:
        """It answered, lawfully, however slowly."""
        self._row = 0
        self._next_pause = self._pause
        self.is_open = False

    def failed(self, now: float, *, refused: bool) -> None:
        """It did not: `refused` where nobody is there (opens at once), else a full timeout or a broken answer."""
        self._row += 1
        if self.is_open:  # a trial, or a question from before: that one must not put the next trial off
            self._next_pause = min(self._longest, self._next_pause * 2)
            self._until = min(self._until, now + self._next_pause)
        elif refused or self._row >= self._failures:
            self.is_open = True
            self._until = now + self._next_pause
