"""The writing of the direct way, in rounds: all files written, all fsynced, all renamed, all directories fsynced.

A round is done for every recipient of every message of a batch before the next begins.  So nobody finds a mail of
which another recipient's copy could still fail for want of space, and the file system groups its commits.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import msgspec

from seawall.clock import Clock
from seawall.delivery.batches import Batches
from seawall.delivery.maildir import LOCAL_STATUS, Maildirs, Written
from seawall.delivery.trouble import StoreTrouble, delivered, failed
from seawall.delivery.writers import Places
from seawall.linux.identity import Borrower, Identity, IdentityTrouble
from seawall.linux.writeback import start_writing
from seawall.mail.message import Message
from seawall.mail.outcome import Outcome

Become = Callable[[Identity], None]
UNKNOWN_DISK = -1
_MOST_DISKS = 65536
THREADS = 16
"""Batches under way at once over all disks; our choice: five slow disks leave a place for the good one."""


@dataclass(frozen=True, slots=True)
class Target:
    """One Maildir to write: its path with the slash, whose it is, the headers, the limit in bytes, the log's relay.

    `forwards` are the paths at which no .forward may be found; `status` is that of a Maildir that cannot be made.
    """

    maildir: str
    identity: Identity
    head: bytes
    limit: int
    relay: str
    forwards: tuple[str, ...] = ()
    status: str = LOCAL_STATUS


@dataclass(frozen=True, slots=True)
class Order:
    """A message and its Maildirs, one a recipient, in order."""

    message: Message
    targets: tuple[Target, ...]


class _NotNow(Exception):
    """A condition does not hold for this message, and nothing of it is written yet."""


@dataclass(slots=True)
class _Copy:
    """One recipient's copy on its way through the rounds; `outcome` is set where it left them early."""

    target: Target
    written: Written | None = None
    directory: int = -1
    outcome: Outcome | None = None

    def fail(self, status: str, text: str) -> None:
        self.outcome = failed(status, f"maildir delivery failed: {text}", self.target.relay)


@dataclass(slots=True)
class _Running:
    """One message of a batch; `copies` is empty where it does not take this way."""

    order: Order
    started: float
    copies: list[_Copy] = field(default_factory=list)


class Rounds:
    """Writes messages into Maildirs for the direct way; used from one event loop.  `close` it at the end."""

    def __init__(self, borrower: Borrower, maildirs: Maildirs, clock: Clock, places: Places | None = None) -> None:
        self._borrower = borrower
        self._maildirs = maildirs
        self._clock = clock
        self._places = places or Places()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="direct")
        self._batches: Batches[Order, tuple[Outcome, ...] | None] = Batches(self._work, self._pool)
        self._disks: dict[str, int] = {}

    async def deliver(self, order: Order) -> tuple[Outcome, ...] | None:
        """One outcome a Maildir; None, with nothing written, where a .forward is there or no place is free."""
        if not all(self._borrower.can_be(target.identity) for target in order.targets):
            return None
        disks = {self._disks.get(target.maildir, UNKNOWN_DISK) for target in order.targets}
        mailboxes = {target.maildir for target in order.targets}
        if not self._places.take(disks, mailboxes):
            return None
        try:
            return await self._batches.run(min(disks), order)
        finally:
            self._places.give_back(disks, mailboxes)

    def close(self) -> None:
        """Wait for what is being written."""
        self._pool.shutdown(wait=True)

    def _work(self, orders: Sequence[Order]) -> list[tuple[Outcome, ...] | None]:
        """A batch, in a thread."""
        running = [_Running(order, self._clock.monotonic()) for order in orders]
        with self._borrower.acting() as be:
            for one in running:
                self._write(one, be)
            copies = [copy for one in running for copy in one.copies if copy.outcome is None]
            for copy in copies:
                self._sync(copy)
            for copy in copies:
                self._publish(copy, be)
            for copy in copies:
                self._settle(copy)
        ended = self._clock.monotonic()
        return [_outcomes(one, ended) for one in running]

    def _write(self, one: _Running, be: Become) -> None:
        """The last conditions, then the files in tmp/."""
        try:
            for target in one.order.targets:
                be(target.identity)
                self._inspect(target)
        except (_NotNow, IdentityTrouble):
            return
        content, now = one.order.message.content, self._clock.now()
        for target in one.order.targets:
            copy = _Copy(target)
            one.copies.append(copy)
            try:
                if len(one.order.targets) > 1:
                    be(target.identity)
                copy.written = self._maildirs.write(
                    target.maildir, target.head, content, now=now, limit=target.limit, status=target.status
                )
                start_writing(copy.written.descriptor)
            except StoreTrouble as trouble:
                copy.fail(trouble.status, trouble.text)
            except IdentityTrouble as trouble:
                copy.fail("4.3.0", str(trouble))

    def _inspect(self, target: Target) -> None:
        """No .forward may be there; and learn which disk the Maildir is on."""
        for path in target.forwards:
            try:
                os.lstat(path)
            except OSError as trouble:
                if trouble.errno not in (errno.ENOENT, errno.ENOTDIR):
                    raise _NotNow from None
            else:
                raise _NotNow
        if target.maildir not in self._disks:
            if len(self._disks) >= _MOST_DISKS:
                self._disks.clear()
            self._disks[target.maildir] = _device(target.maildir)

    def _sync(self, copy: _Copy) -> None:
        if copy.written is None:
            return
        try:
            self._maildirs.sync(copy.written)
        except StoreTrouble as trouble:
            copy.fail(trouble.status, trouble.text)

    def _publish(self, copy: _Copy, be: Become) -> None:
        """Rename into new/, or remove from tmp/ what failed before."""
        if copy.written is None:
            return
        try:
            be(copy.target.identity)
            if copy.outcome is not None:
                self._maildirs.withdraw(copy.written)
                return
            self._maildirs.publish(copy.written)
            copy.directory = self._maildirs.open_new(copy.written)
        except StoreTrouble as trouble:
            copy.fail(trouble.status, trouble.text)
        except IdentityTrouble as trouble:
            copy.fail("4.3.0", str(trouble))

    def _settle(self, copy: _Copy) -> None:
        if copy.outcome is not None or copy.written is None:
            return
        try:
            self._maildirs.settle(copy.written, copy.directory)
        except StoreTrouble as trouble:
            copy.fail(trouble.status, trouble.text)


def _outcomes(one: _Running, ended: float) -> tuple[Outcome, ...] | None:
    if not one.copies:
        return None
    took = ended - one.started
    return tuple(
        msgspec.structs.replace(copy.outcome or delivered("delivered to maildir", copy.target.relay), sending=took)
        for copy in one.copies
    )


def _device(path: str) -> int:
    """st_dev of a directory, or of what it will be made in."""
    at = path.rstrip("/")
    while True:
        try:
            return os.stat(at or "/").st_dev
        except OSError:
            if not at:
                raise _NotNow from None
            at = os.path.dirname(at).rstrip("/")
