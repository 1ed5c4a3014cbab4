"""The connections of a worker: how many it may hold, and which clients it knows from before.  docs/differences.md D-61"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from seawall.journal.store import read_arrivals
from seawall.policy.worth import MOST_KNOWN, Crowd
from seawall.run.build import Common
from seawall.run.build_door import Doors
from seawall.run.site import OWN
from seawall.tables.match import AddressList
from seawall.tables.table import TableTrouble

JOURNAL = "journal.sqlite"
GRACE = 2.0
"""Seconds of silence behind a greeting that mean nothing.  Ours: many round trips."""


def make_crowd(common: Common, places: int, doors: Doors) -> Crowd:
    """For one worker, before privileges are dropped.  Known are also mynetworks, and who was at the door before."""
    mynetworks = common.tables.address_list(common.settings.text("mynetworks"), title="mynetworks")

    def vouch(address: str) -> bool:
        return _is_in(mynetworks, address) or doors.has_behaved(address)

    return Crowd(places, time.monotonic, vouch=vouch, grace=GRACE + doors.longest_wait)


async def remember(common: Common, crowd: Crowd) -> None:
    """The networks from which the journal knows that mail was taken, as far back as it goes."""
    path = Path(common.settings.path(common.settings.text("data_directory"))) / OWN / JOURNAL
    arrivals = await asyncio.to_thread(read_arrivals, path, 0.0, MOST_KNOWN)
    crowd.known.learn(address for _, address in reversed(arrivals))


def _is_in(addresses: AddressList, address: str) -> bool:
    """Is it in the list?  False where the list cannot tell at once."""
    try:
        found = addresses.test("", address)
    except TableTrouble:
        return False
    if isinstance(found, bool):
        return found
    close = getattr(found, "close", None)
    if close is not None:
        close()
    return False
