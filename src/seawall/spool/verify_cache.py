"""What is kept of an address, for how long, and when it is tried again: pure, with time as an argument.  verify(8)

An entry is asked for (`consult`) and learns what a probe found (`learn`).  A success is served until it expires, and is
tried anew in the background some time before; a failure likewise, with times of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from seawall.mail.verified import Standing, Verified

PROBE_TTL = 1000.0
"""Seconds after which a probe without an answer is given up for lost.  verify.c has the same number."""
IN_PROGRESS = "Address verification in progress"


class Times(NamedTuple):
    """Seconds, and whether failures are kept at all.  postconf(5) address_verify_positive_expire_time and its neighbours"""

    positive_expire: float = 31 * 86400.0
    positive_refresh: float = 7 * 86400.0
    negative_expire: float = 3 * 86400.0
    negative_refresh: float = 3 * 3600.0
    keeps_failures: bool = True

    def expires(self, entry: Entry) -> float:
        """When an entry is of no use any more."""
        good = entry.standing is Standing.DELIVERABLE
        return entry.updated + (self.positive_expire if good else self.negative_expire)

    def refreshes(self, entry: Entry) -> float:
        """When an entry is to be tried again."""
        good = entry.standing is Standing.DELIVERABLE
        return entry.updated + (self.positive_refresh if good else self.negative_refresh)


class Entry(NamedTuple):
    """One address.  `updated` is when a probe's answer came, 0 where none did; `probed` when the outstanding one went
    out, 0 where none is.  Both are in seconds since the epoch."""

    standing: Standing
    updated: float
    probed: float
    text: str


class Consulted(NamedTuple):
    """The answer to a question, what is to be kept from now on, and whether a probe must go out."""

    answer: Verified
    entry: Entry | None
    probes: bool


def has_expired(entry: Entry, now: float, times: Times) -> bool:
    """True where an entry is of no use any more, and no probe is out for it."""
    return now - entry.probed > PROBE_TTL and times.expires(entry) < now


def consult(entry: Entry | None, now: float, times: Times) -> Consulted:
    """What is known of an address.  verify.c verify_query_service()"""
    kept = entry
    if entry is None or has_expired(entry, now, times):
        entry = Entry(Standing.IN_PROGRESS, 0.0, 0.0, IN_PROGRESS)
        if not times.keeps_failures:
            kept = None
    answer = Verified(entry.standing, entry.text)
    if now - entry.probed <= PROBE_TTL:
        return Consulted(answer, kept, False)
    refreshes = times.refreshes(entry)
    if refreshes >= now:
        expires = times.expires(entry)
        return Consulted(Verified(entry.standing, entry.text, min(refreshes, expires) - now), kept, False)
    if entry.updated or times.keeps_failures:
        kept = entry._replace(probed=now)
    return Consulted(answer, kept, True)


def learn(entry: Entry | None, standing: Standing, text: str, now: float, times: Times) -> Entry | None:
    """What is kept once a probe has its answer.  verify.c verify_update_service()

    A failure takes nothing from a success that has not expired: it will be tried again later.
    """
    if standing is not Standing.DELIVERABLE:
        if not times.keeps_failures:
            return entry
        if entry is not None and entry.standing is Standing.DELIVERABLE:
            return entry
    return Entry(standing, now, 0.0, text)


def lose(entry: Entry | None) -> Entry | None:
    """What is kept where a probe ended without an answer: the next question sends another."""
    if entry is None or not entry.updated:
        return None
    return entry._replace(probed=0.0)
