"""Threads for what blocks on the disk, and directory fsyncs shared by all who wait (group commit)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from seawall.spool.disk import Disk

T = TypeVar("T")
P = ParamSpec("P")

THREADS = 16
"""Fsyncs under way at once; measured: with fewer the file system groups less, with more the threads cost more."""


@dataclass(slots=True, eq=False)
class _Task:
    """Work for a thread, and who waits for it."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    work: Callable[[], Any]
    result: Any = None
    trouble: BaseException | None = None


class Hands:
    """A bounded pool of threads for one event loop.  Work beyond `threads` waits in line.

    Leaner than `run_in_executor`, because every message takes this way: results that are ready together wake the
    loop once.
    """

    def __init__(self, threads: int = THREADS) -> None:
        self._most = threads
        self._threads: list[threading.Thread] = []
        self._outstanding = 0
        self._waiting: SimpleQueue[_Task | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._ready: list[_Task] = []

    async def do(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run `work` in a thread; what it raises is raised here.  Goes on to its end even where the caller is cancelled."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._outstanding += 1
            if len(self._threads) < min(self._outstanding, self._most):
                thread = threading.Thread(target=self._work, name="spool", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._waiting.put(_Task(loop, future, partial(work, *arguments, **named)))
        return await future

    def _work(self) -> None:
        """A thread's life."""
        while (task := self._waiting.get()) is not None:
            try:
                task.result = task.work()
            except BaseException as trouble:  # it belongs to who waits
                task.trouble = trouble
            with self._lock:
                self._outstanding -= 1
                self._ready.append(task)
                first = len(self._ready) == 1
            if first:
                with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                    task.loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        """In the loop: all results that are ready."""
        with self._lock:
            ready, self._ready = self._ready, []
        for task in ready:
            if task.future.done():
                continue
            if task.trouble is None:
                task.future.set_result(task.result)
            else:
                task.future.set_exception(task.trouble)

    def close(self) -> None:
        """Wait for what is under way, and end the threads."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()


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
