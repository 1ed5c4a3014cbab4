"""Queue ids: unique without an inode, sortable by time, in the alphabet of Postfix's long ids.

postconf(5) enable_long_queue_ids: base 52, no vowels, so that no id spells a word.  Seawall's parts are the
microsecond, the worker and a counter, because a message that takes the direct way never has a queue file.
"""

from __future__ import annotations

from functools import lru_cache

ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"


_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)
"""Two digits of base 52 by their value."""


@lru_cache(maxsize=4)
def _seconds(seconds: int) -> str:
    """Six digits, the same for all messages of a second."""
    rest, low = divmod(seconds, 2704)
    high, middle = divmod(rest, 2704)
    return _PAIRS[high % 2704] + _PAIRS[middle] + _PAIRS[low]


def format_queue_id(microseconds: int, worker: int, counter: int) -> str:
    """An id of 14 characters: six of seconds and four of microseconds (as Postfix has them), two of worker, two of counter."""
    seconds, micros = divmod(microseconds, 1_000_000)
    high, low = divmod(micros, 2704)
    return f"{_seconds(seconds)}{_PAIRS[high]}{_PAIRS[low]}{_PAIRS[worker % 2704]}{_PAIRS[counter % 2704]}"


def is_queue_id(text: str) -> bool:
    """True for a name that may be a queue id of ours or of Postfix (short or long), safe as a file name."""
    return 6 <= len(text) <= 64 and text.isascii() and text.isalnum()


class QueueIds:
    """A source of ids for one process.  `next(now)` takes seconds since the epoch; no two calls give the same id."""

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._counter = 0
        self._last = 0

    def next(self, now: float) -> str:
        """The id for a message that arrives at `now`; a clock that steps back does not repeat an id."""
        micros = max(int(now * 1_000_000), self._last)
        self._counter += 1
        if self._counter == 2704:
            self._counter = 0
            micros = max(micros, self._last + 1)
        self._last = micros
        return format_queue_id(micros, self._worker, self._counter)
