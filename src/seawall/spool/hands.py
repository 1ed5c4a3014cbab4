"""Threads for what blocks on the disk, and directory fsyncs shared by all who wait (group commit)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from seawall.spool.disk import Disk

T = TypeVar("T")
P = ParamSpec("P")

THREADS = 16
"""Fsyncs under way at once; measured: with fewer the file system groups less, with more the threads cost more."""


class Hands:
    """A bounded pool of threads.  Work beyond `threads` waits in line."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="spool")

    async def do(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run `work` in a thread; what it raises is raised here.  Goes on to its end even where the caller is cancelled."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: work(*arguments, **named))

    def close(self) -> None:
        """Wait for what is under way, and end the threads."""
        self._pool.shutdown(wait=True)


class SharedFsync:
    """Group commit: each caller waits for an fsync of the directory that started after he asked; callers share it."""

    def __init__(self, disk: Disk, hands: Hands) -> None:
        self._disk = disk
        self._hands = hands
        self._running: dict[str, asyncio.Future[None]] = {}
        self._next: dict[str, asyncio.Future[None]] = {}

    async def wait(self, directory: str) -> None:
        """Return when the names that are in `directory` now are durable; OSError where that fsync failed."""
        turn = self._next.get(directory)
        if turn is None:
            loop = asyncio.get_running_loop()
            turn = self._next[directory] = loop.create_future()
            if directory not in self._running:
                self._start(directory)
        await asyncio.shield(turn)

    def _start(self, directory: str) -> None:
        turn = self._next.pop(directory)
        self._running[directory] = turn
        task = asyncio.ensure_future(self._hands.do(self._disk.fsync_directory, directory))
        task.add_done_callback(lambda done: self._ended(directory, turn, done))

    def _ended(self, directory: str, turn: asyncio.Future[None], done: asyncio.Future[None]) -> None:
        del self._running[directory]
        if directory in self._next:
            self._start(directory)
        trouble = None if done.cancelled() else done.exception()
        if trouble is not None:
            turn.set_exception(trouble)
            turn.exception()  # nobody may be waiting any more; then it is not to be told as forgotten
        elif done.cancelled():
            turn.cancel()
        else:
            turn.set_result(None)
