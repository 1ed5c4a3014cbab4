"""The places at the server behind: so many clients may be joined with it, and who comes next where more want to be.

Who waits is served by worth, then by arrival, for a short while.  Who has a place and does not use it, because its
client is silent, gives it up as soon as somebody waits; nobody loses one that no other wants.
"""

from __future__ import annotations

import asyncio
from bisect import insort

from seawall.journey import Holder

LOOK_AGAIN = 0.5
"""Seconds between two looks for a place that is not used, while somebody waits; ours."""


class Waiting:
    """Somebody who wants a place."""

    __slots__ = ("holder", "place", "rank")

    def __init__(self, holder: Holder, rank: tuple[int, int], place: asyncio.Future[bool]) -> None:
        self.holder = holder
        self.rank = rank
        self.place = place
        """True when it has one, False when it waits in vain."""

    def __lt__(self, other: Waiting) -> bool:
        return self.rank < other.rank


class Places:
    """`most` places, `patience` seconds of waiting for one."""

    def __init__(self, most: int, patience: float) -> None:
        self.most = most
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._held: set[Holder] = set()
        self._waiting: list[Waiting] = []
        self._arrivals = 0
        self._is_looking = False

    def __len__(self) -> int:
        return len(self._held)

    async def take(self, holder: Holder) -> bool:
        """A place for this client; False where none gets free in time."""
        if len(self._held) < self.most and not self._waiting:
            self._held.add(holder)
            return True
        self._arrivals += 1
        place: asyncio.Future[bool] = self._loop.create_future()
        waiting = Waiting(holder, (-holder.worth, self._arrivals), place)
        insort(self._waiting, waiting)
        alarm = self._loop.call_later(self._patience, self._in_vain, waiting)
        self._make_room()
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(LOOK_AGAIN, self._look)
        try:
            return await place
        finally:
            alarm.cancel()

    def free(self, holder: Holder) -> None:
        """The place, or the wish for one, is given back."""
        self._held.discard(holder)
        for waiting in [each for each in self._waiting if each.holder is holder]:
            self._in_vain(waiting)
        self._serve()

    def _in_vain(self, waiting: Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        if not waiting.place.done():
            waiting.place.set_result(False)

    def _serve(self) -> None:
        while self._waiting and len(self._held) < self.most:
            waiting = self._waiting.pop(0)
            if not waiting.place.done():
                self._held.add(waiting.holder)
                waiting.place.set_result(True)

    def _make_room(self) -> None:
        """Ask whoever needs its place least to leave, one for each who waits."""
        now = self._loop.time()
        unused = [
            (spare, at, holder) for at, holder in enumerate(self._held) if (spare := holder.spare(now)) is not None
        ]
        unused.sort(reverse=True)
        for _, _, holder in unused[: len(self._waiting)]:
            holder.give_up()
        self._serve()

    def _look(self) -> None:
        self._is_looking = bool(self._waiting)
        if self._is_looking:
            self._make_room()
            self._loop.call_later(LOOK_AGAIN, self._look)
