"""Who is screened holds a place of the worker: there may be none, it may be needed for others, and the session inherits it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from seawall.policy.worth import Crowd, Place
from tests.door.test_sockets import House, line

FULL = b"421 4.7.0 mx.example Error: too many connections from 127.0.0.1\r\n"


class Remembering(Crowd):
    """A crowd that remembers who came."""

    def __init__(self, most: int) -> None:
        super().__init__(most, asyncio.get_running_loop().time)
        self.came: list[Place | None] = []

    def enter(self, address: str, holder: Any) -> Place | None:
        self.came.append(super().enter(address, holder))
        return self.came[-1]


@asynccontextmanager
async def client(most: int) -> AsyncIterator[tuple[House, Remembering, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A door with so many places, and somebody at it."""
    house = House("")
    crowd = house.door.crowd = Remembering(most)
    server = await asyncio.get_running_loop().create_server(house.door.stranger, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    try:
        yield house, crowd, reader, writer
    finally:
        writer.close()
        await writer.wait_closed()
        for session in house.sessions:
            session.transport.abort()
        server.close()
        await asyncio.sleep(0)


async def test_for_whom_there_is_no_place_is_told_so_and_the_log_hears_nothing() -> None:
    async with client(0) as (house, _, reader, _):
        assert await reader.read() == FULL
        assert house.said == []
        assert not house.door.strangers


async def test_who_waits_makes_room_with_a_word() -> None:
    async with client(1) as (house, crowd, reader, _):
        assert await line(reader) == b"220-mx.example ESMTP Seawall\r\n"
        (place,) = crowd.came
        assert place is not None
        assert place.holder is not None
        assert not place.holder.has_spoken
        assert place.holder.shed()
        assert await reader.read() == FULL
        while crowd.held:
            await asyncio.sleep(0)
        assert not house.door.strangers


async def test_the_session_has_the_place_of_who_was_screened() -> None:
    async with client(1) as (house, crowd, reader, _):
        await line(reader)
        assert await line(reader) == b"220 session\r\n"
        (place,) = crowd.came
        assert place is not None
        assert place.holder is house.sessions[-1]
        assert house.sessions[-1].place is place
        assert crowd.held == 1


async def test_who_leaves_while_he_waits_gives_back_his_place() -> None:
    async with client(1) as (_, crowd, reader, writer):
        await line(reader)
        writer.close()
        while crowd.held:
            await asyncio.sleep(0.01)
