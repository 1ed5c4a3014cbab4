"""However many connections wait, the loop takes a few in one turn, and serves the others in between."""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

import pytest
import uvloop

from seawall.run.accepting import BATCH, SERVERS, accept_from

MANY = 100
LOOPS: tuple[Callable[[], asyncio.AbstractEventLoop], ...] = (uvloop.new_event_loop, asyncio.new_event_loop)


class Greeting(asyncio.Protocol):
    """Counts who came, and greets."""

    def __init__(self, came: list[asyncio.Transport]) -> None:
        self._came = came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)
        self._came.append(made)
        made.write(b"220 here\r\n")


async def turns(listener: socket.socket) -> list[int]:
    """How many came in each turn of the loop; all are served in the end."""
    came: list[asyncio.Transport] = []
    address = listener.getsockname()
    waiting = [socket.create_connection(address) for _ in range(MANY)]
    servers = await accept_from(listener, lambda: Greeting(came))
    found: list[int] = []
    while sum(found) < MANY:
        await asyncio.sleep(0)
        found.append(len(came) - sum(found))
    loop = asyncio.get_running_loop()
    for client in waiting:
        client.setblocking(False)
        assert await loop.sock_recv(client, 100) == b"220 here\r\n"
        client.close()
    for transport in came:
        transport.abort()
    for server in servers:
        server.close()
    for _ in range(5):
        await asyncio.sleep(0)
    return found


@pytest.mark.parametrize("new_loop", LOOPS, ids=["uvloop", "asyncio"])
def test_a_backlog_is_taken_in_small_batches(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        found = runner.run(turns(listener))
    assert sum(found) == MANY
    assert max(found) <= SERVERS * (BATCH + 1)  # later Pythons take one more than the backlog


def test_the_kernels_backlog_stays_as_long_as_it_was() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    address = listener.getsockname()

    async def many_at_once() -> int:
        servers = await accept_from(listener, lambda: Greeting([]))
        clients = []
        for _ in range(4 * BATCH * SERVERS):  # the loop has no turn meanwhile
            client = socket.socket()
            client.settimeout(0.5)
            client.connect(address)
            clients.append(client)
        for client in clients:
            client.close()
        for server in servers:
            server.close()
        return len(clients)

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert runner.run(many_at_once()) == 4 * BATCH * SERVERS
