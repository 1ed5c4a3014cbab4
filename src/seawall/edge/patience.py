"""One timer for all sessions of a worker: each session has a deadline, and only those whose second has come are looked at.

A session changes its deadline by setting an attribute.  It lies in the bucket of an earlier second then, is found
there to have time left, and is moved: so a command costs no timer call, whatever the number of sessions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

NEVER = math.inf


class Patient(Protocol):
    """Somebody who must be done by a time.  `bucket` belongs to Patience."""

    deadline: float
    """Monotonic seconds; NEVER where nothing is awaited of the client."""
    bucket: int

    def run_out(self) -> None:
        """The deadline has passed."""
        ...


class Patience:
    """`time` gives monotonic seconds, `call_later(delay, callback)` is the loop's.  Precise to one second, never early."""

    def __init__(self, time: Callable[[], float], call_later: Callable[[float, Callable[[], None]], object]) -> None:
        self._time = time
        self._call_later = call_later
        self._buckets: dict[int, set[Patient]] = {}
        self._tick = 0
        self._is_running = False

    def watch(self, patient: Patient) -> None:
        """Begin to look after somebody; `deadline` is set already."""
        if not self._is_running:
            self._is_running = True
            self._tick = int(self._time())
            self._call_later(1.0, self._turn)
        self._put(patient)

    def forget(self, patient: Patient) -> None:
        """Look after somebody no longer."""
        bucket = self._buckets.get(patient.bucket)
        if bucket is not None:
            bucket.discard(patient)

    def _put(self, patient: Patient) -> None:
        # A deadline that may come closer while we do not look is looked at again within the minute.
        latest = self._tick + 60
        at = latest if patient.deadline > latest else max(int(patient.deadline) + 1, self._tick + 1)
        patient.bucket = at
        self._buckets.setdefault(at, set()).add(patient)

    def _turn(self) -> None:
        now = self._time()
        while self._tick < int(now):
            self._tick += 1
            for patient in self._buckets.pop(self._tick, ()):
                if patient.deadline <= now:
                    patient.bucket = 0
                    patient.run_out()
                else:
                    self._put(patient)
        if self._buckets:
            self._call_later(1.0, self._turn)
        else:
            self._is_running = False
