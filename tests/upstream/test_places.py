"""The places at the server behind: how many, who is next, who must leave.  No socket: only the order counts."""

from __future__ import annotations

import asyncio

from seawall.upstream.places import Places


class Somebody:
    """A holder."""

    def __init__(self, places: Places, worth: int = 1, spare: float | None = None) -> None:
        self.places = places
        self.worth = worth
        self.unused = spare
        self.has_left = False

    def spare(self, now: float) -> float | None:
        return self.unused

    def give_up(self) -> None:
        self.has_left = True
        self.places.free(self)


async def test_there_are_so_many_and_no_more() -> None:
    places = Places(2, 0.01)
    assert [await places.take(Somebody(places)) for _ in range(3)] == [True, True, False]
    assert len(places) == 2


async def test_who_waits_is_served_by_worth_and_then_by_arrival() -> None:
    places = Places(1, 10)
    first = Somebody(places)
    await places.take(first)
    served: list[str] = []

    async def come(name: str, holder: Somebody) -> None:
        if await places.take(holder):
            served.append(name)
            places.free(holder)

    waiting = [("a", 1), ("b", 1), ("known", 2), ("refused", 0)]
    tasks = [asyncio.create_task(come(name, Somebody(places, worth))) for name, worth in waiting]
    await asyncio.sleep(0)
    places.free(first)
    await asyncio.gather(*tasks)
    assert served == ["known", "a", "b", "refused"]
    assert len(places) == 0


async def test_who_does_not_use_it_makes_room_the_longest_silent_first() -> None:
    places = Places(3, 10)
    busy, short, long = Somebody(places), Somebody(places, spare=1.0), Somebody(places, spare=9.0)
    for each in (busy, short, long):
        await places.take(each)
    assert await places.take(Somebody(places))
    assert (busy.has_left, short.has_left, long.has_left) == (False, False, True)


async def test_nobody_leaves_where_nobody_waits() -> None:
    places = Places(2, 10)
    idle = Somebody(places, spare=100.0)
    assert await places.take(idle)
    assert await places.take(Somebody(places))
    assert not idle.has_left


async def test_who_is_gone_waits_no_more() -> None:
    places = Places(1, 10)
    await places.take(Somebody(places))
    gone = Somebody(places)
    task = asyncio.create_task(places.take(gone))
    await asyncio.sleep(0)
    places.free(gone)
    assert not await task
    assert len(places) == 1
