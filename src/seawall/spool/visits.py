"""Who is being served at a local socket, so that an ending program can wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from typing import Any

KEEPS_SOCKET: Mapping[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""For start_unix_server: a socket that goes on in the next generation is not unlinked, as Python does from 3.13 on."""


class Visits:
    """The tasks of connections under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def enter(self) -> None:
        """Called by a connection's task when it starts."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def quiet(self) -> None:
        """Wait until nobody is being served."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))


async def part(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait until that is done."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
