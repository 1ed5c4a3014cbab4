"""One timer for all connections of a worker: each has a deadline, and only those whose moment has come are looked at.

A connection changes its deadline by setting an attribute.  It lies in the bucket of an earlier moment then, is found
there to have time left, and is moved: so a command costs no timer call, whatever the number of connections.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

NEVER = math.inf
LONGEST = 60.0
"""Seconds after which a deadline is looked at again at the latest: it may have come closer meanwhile."""
AT_ONCE = 4
"""Connections that are looked at in one turn of the loop: what they do then may be 500 µs of work each."""
PAUSE = 0.001
"""Seconds between two turns while more are due.  Ours: thousands of strangers whose wait ends together hold nobody up."""
_DUE, _FORGOTTEN = 0, -1


class Patient(Protocol):
    """Somebody who must be done by a time.  `bucket` belongs to Patience."""

    deadline: float
    """Monotonic seconds; NEVER where nothing is awaited of the client."""
    bucket: int

    def run_out(self) -> None:
        """The deadline has passed."""
        ...


class Patience:
    """`time` gives monotonic seconds, `call_later(delay, callback)` is the loop's.  Precise to `grain` seconds, never early."""

    def __init__(
        self,
        time: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
        grain: float = 1.0,
    ) -> None:
        self._time = time
        self._call_later = call_later
        self._grain = grain
        self._farthest = int(LONGEST / grain)
        self._buckets: dict[int, set[Patient]] = {}
        self._due: deque[Patient] = deque()
        """Those whose moment has come; their `bucket` tells whether they are still to be looked at."""
        self._tick = 0
        self._is_running = False

    def watch(self, patient: Patient) -> None:
        """Begin to look after somebody; `deadline` is set already."""
        if not self._is_running:
            self._is_running = True
            self._tick = int(self._time() / self._grain)
            self._call_later(self._grain, self._turn)
        self._put(patient)

    def forget(self, patient: Patient) -> None:
        """Look after somebody no longer."""
        bucket = self._buckets.get(patient.bucket)
        if bucket is not None:
            bucket.discard(patient)
        patient.bucket = _FORGOTTEN

    def _put(self, patient: Patient) -> None:
        latest = self._tick + self._farthest
        due = patient.deadline / self._grain
        at = latest if due > latest else max(int(due) + 1, self._tick + 1)
        patient.bucket = at
        self._buckets.setdefault(at, set()).add(patient)

    def _turn(self) -> None:
        now = self._time()
        due = self._due
        while self._tick < int(now / self._grain):
            self._tick += 1
            for patient in self._buckets.pop(self._tick, ()):
                patient.bucket = _DUE
                due.append(patient)
        for _ in range(min(AT_ONCE, len(due))):
            patient = due.popleft()
            if patient.bucket != _DUE:
                continue
            if patient.deadline <= now:
                patient.run_out()
            else:
                self._put(patient)
        if due:
            self._call_later(PAUSE, self._turn)
        elif self._buckets:
            self._call_later(self._grain, self._turn)
        else:
            self._is_running = False
