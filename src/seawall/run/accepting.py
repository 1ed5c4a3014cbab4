"""Accepting in bounded batches: so many connections in one turn of the loop, and no more.

asyncio's server takes as many connections in one turn as its backlog says: thousands, 0.1 s of work.  uvloop's takes one a
turn, which is few where turns are long.  So a socket is listened on by several servers, each with a small backlog of
its own; the kernel's is set to its size again behind them.  docs/decisions/0009
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from seawall.run.listeners import BACKLOG

SERVERS = 4
"""On each socket.  Ours: who comes alone wakes them all, 0.3 µs each."""
BATCH = 4
"""Connections that asyncio's server takes in one turn.  With `SERVERS` 16, and below 1 ms with their greetings."""


async def accept_from(
    listener: socket.socket, factory: Callable[[], asyncio.BaseProtocol]
) -> tuple[asyncio.Server, ...]:
    """Accept from a socket; it belongs to the servers from now on."""
    loop = asyncio.get_running_loop()
    with listener:
        listener.setblocking(False)  # a copy of it would be made to wait, and with it all of them
        servers = [await loop.create_server(factory, sock=listener.dup(), backlog=BATCH) for _ in range(SERVERS)]
        listener.listen(BACKLOG)
    return tuple(servers)
