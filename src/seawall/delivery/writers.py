"""The threads that write as the recipient, and the places in flight that keep one mailbox from holding all of them."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from seawall.linux.identity import Borrower, Identity

T = TypeVar("T")

THREADS: Final = 32
"""Writers of one delivery process; our choice: a disk gives its best with half of them."""


class Writers:
    """Runs functions in threads, each as some identity.  Close it at the end."""

    def __init__(self, borrower: Borrower, threads: int = THREADS) -> None:
        self.borrower = borrower
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="writer")

    async def run(self, function: Callable[[], T]) -> T:
        """`function` in a thread, as the process itself: for look-ups that may block."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    async def run_as(self, identity: Identity, function: Callable[[], T]) -> T:
        """`function` in a thread that is `identity` to the file system.  IdentityTrouble where that cannot be."""

        def work() -> T:
            with self.borrower.borrowed(identity):
                return function()

        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Wait for what is being written, and let the threads go."""
        self._pool.shutdown(wait=True, cancel_futures=False)


class Places:
    """How many direct deliveries may be under way: so many for one file system, so many for one recipient.

    Taken without waiting, from any thread; who gets none leaves the message to the spool.
    """

    def __init__(self, for_filesystem: int = 256, for_recipient: int = 64) -> None:
        self._for_filesystem = for_filesystem
        self._for_recipient = for_recipient
        self._taken: Counter[object] = Counter()
        self._lock = threading.Lock()

    def take(self, filesystems: set[int], recipients: set[str]) -> bool:
        """True where every file system (st_dev) and every recipient has a place; then all are taken."""
        with self._lock:
            if any(self._taken[at] >= self._for_filesystem for at in filesystems):
                return False
            if any(self._taken[at] >= self._for_recipient for at in recipients):
                return False
            for at in (*filesystems, *recipients):
                self._taken[at] += 1
            return True

    def give_back(self, filesystems: set[int], recipients: set[str]) -> None:
        """Free what `take` took."""
        with self._lock:
            for at in (*filesystems, *recipients):
                self._taken[at] -= 1
                if self._taken[at] <= 0:
                    del self._taken[at]
