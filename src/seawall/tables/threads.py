"""Look-ups that may take long, in threads: the user database behind NSS, expressions without a bound.

Where an event loop runs, such a look-up is an awaitable with a deadline; a tool without one just waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from seawall.tables.table import Answer, TableTrouble

DEADLINE = 10.0
"""Seconds until a look-up counts as temporary trouble. Ours: Postfix waits as long as it takes."""


def in_thread(find: Callable[[str], str | None], key: str, name: str) -> Answer:
    """``find(key)`` where it holds nobody up; TableTrouble of table `name` where it takes too long."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return find(key)
    return _wait(loop.run_in_executor(None, find, key), name)


async def _wait(future: asyncio.Future[str | None], name: str) -> str | None:
    """Needs no task of its own before it waits, as `eager` asks."""
    done, _ = await asyncio.wait({future}, timeout=DEADLINE)
    if not done:
        raise TableTrouble(name, f"no answer within {DEADLINE:.0f} seconds")
    return future.result()
