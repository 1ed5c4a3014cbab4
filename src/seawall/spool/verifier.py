"""The address verification service: answers at once from what is known, and has unknown addresses probed.  verify(8)

One for each queue manager, and the only owner of what is kept.  Probes are jobs in memory, at most
address_verify_pending_request_limit of them; one address has one at a time, and everybody who waits for it shares it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import msgspec

from seawall.clock import Clock
from seawall.config.settings import Settings
from seawall.mail.verified import Learned, Standing, Verified
from seawall.spool.hands import Hands
from seawall.spool.verify_cache import Entry, Times, consult, has_expired, learn, lose

IN_MEMORY = 20_000
"""Addresses in memory beside the file.  Ours: some megabytes."""
ONLY_MEMORY = 200_000
"""Addresses in memory where there is no file (address_verify_map is empty).  Ours: Postfix has no limit."""
WRITE_BEHIND = 0.2
"""Seconds between an answer and its row; ours.  What a crash takes is tried again."""
AT_ONCE = 2000
"""Expired rows that are dropped in one go, so that questions come in between; ours."""
TOO_MANY = "Too many address verification requests"

Probe: TypeAlias = Callable[[str], Awaitable[Sequence[Learned]]]
"""Tries to deliver to an address without a message; what was learned, of the address itself and of what it leads to.
Nothing at all where a table failed on the way."""


class Store(Protocol):
    """Where entries outlive the process.  Methods block, and raise sqlite3.Error and OSError."""

    def find(self, address: str) -> Entry | None:
        """What is kept of an address."""
        ...

    def save(self, changes: Sequence[tuple[str, Entry | None]]) -> None:
        """Keep these entries; None is dropped."""
        ...

    def forget(self, now: float, times: Times, most: int) -> int:
        """Drop what has expired, at most so many; how many went."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


@dataclass(frozen=True, slots=True)
class VerifyRules:
    """The parameters of verify(8).  Times are seconds."""

    times: Times
    pending_limit: int
    cleanup_interval: float
    is_persistent: bool


def read_verify_rules(settings: Settings) -> VerifyRules:
    """The rules of a configuration.  Raises ConfigTrouble."""
    return VerifyRules(
        Times(
            settings.seconds("address_verify_positive_expire_time"),
            settings.seconds("address_verify_positive_refresh_time"),
            settings.seconds("address_verify_negative_expire_time"),
            settings.seconds("address_verify_negative_refresh_time"),
            settings.flag("address_verify_negative_cache"),
        ),
        settings.number("address_verify_pending_request_limit"),
        settings.seconds("address_verify_cache_cleanup_interval"),
        bool(settings.text("address_verify_map").strip()),
    )


class Verifier:
    """`ask` is the service; `run` cleans up from time to time; `stop` writes what is not written yet."""

    def __init__(
        self,
        rules: VerifyRules,
        probe: Probe,
        store: Store | None,
        hands: Hands,
        clock: Clock,
        warn: Callable[[str], None],
    ) -> None:
        self._rules = rules
        self._probe = probe
        self._store = store
        self._hands = hands
        self._clock = clock
        self._warn = warn
        self._most = IN_MEMORY if store is not None else ONLY_MEMORY
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._unwritten: dict[str, Entry | None] = {}
        self._writing: dict[str, Entry | None] = {}
        self._writer: asyncio.Task[None] | None = None
        self._trouble = ""
        self._stopping = False

    @property
    def pending(self) -> int:
        """Probes that are out."""
        return len(self._probes)

    async def ask(self, address: str, patience: float) -> Verified:
        """What is known of an address; where that is nothing yet, what its probe finds within `patience` seconds."""
        entry = await self._find(address)
        consulted = consult(entry, self._clock.now(), self._rules.times)
        answer = consulted.answer
        if consulted.probes and address not in self._probes:
            if self._stopping or len(self._probes) >= self._rules.pending_limit:
                return Verified(Standing.DEFERRED, TOO_MANY) if answer.standing is Standing.IN_PROGRESS else answer
            self._keep(address, consulted.entry, written=False)
            self._probes[address] = asyncio.ensure_future(self._run_probe(address))
        elif consulted.entry is not entry:
            self._keep(address, consulted.entry)
        probe = self._probes.get(address)
        if probe is None or answer.standing is not Standing.IN_PROGRESS or patience <= 0:
            return answer
        await asyncio.wait((probe,), timeout=patience)
        return self._answer_now(address, answer)

    def _answer_now(self, address: str, answer: Verified) -> Verified:
        """What a probe that may have ended has found; no second one is sent for the same question."""
        entry = self._entries.get(address)
        if entry is None:
            return answer
        return msgspec.structs.replace(answer, standing=entry.standing, text=entry.text)

    # -- probes -------------------------------------------------------------------------------------------------

    async def _run_probe(self, address: str) -> None:
        """One probe from its start to what was learned; a defect in it is told, and tried again."""
        learned: Sequence[Learned] = ()
        try:
            learned = await self._probe(address)
        except Exception as error:
            self._warn(f"probe of {address}: {type(error).__name__}: {error}")
        finally:
            del self._probes[address]
            if all(each.address != address for each in learned):
                self._keep(address, lose(self._entries.get(address)), written=False)
        times = self._rules.times
        for each in learned:
            entry = self._entries.get(each.address) if each.address == address else await self._find(each.address)
            self._keep(each.address, learn(entry, each.standing, each.text, self._clock.now(), times))

    # -- what is kept -------------------------------------------------------------------------------------------

    async def _find(self, address: str) -> Entry | None:
        """An entry from memory, or else from the file."""
        entry = self._entries.get(address)
        if entry is not None:
            self._entries.move_to_end(address)
            return entry
        for changed in (self._unwritten, self._writing):
            if address in changed:
                return changed[address]
        if self._store is None:
            return None
        try:
            entry = await self._hands.do(self._store.find, address)
        except (sqlite3.Error, OSError) as trouble:
            self._complain(trouble)
            return None
        if entry is None or address in self._entries or address in self._unwritten:
            return self._entries.get(address)
        self._keep(address, entry, written=False)
        return entry

    def _keep(self, address: str, entry: Entry | None, *, written: bool = True) -> None:
        """Remember an entry, or forget it; `written` is false for what the file has, or need not have."""
        if entry is None:
            self._entries.pop(address, None)
        else:
            self._entries[address] = entry
            self._entries.move_to_end(address)
            if len(self._entries) > self._most:
                self._drop_oldest()
        if written and self._store is not None:
            self._unwritten[address] = entry
            if self._writer is None and not self._stopping:
                self._writer = asyncio.ensure_future(self._write_behind())

    def _drop_oldest(self) -> None:
        """Make room; an address whose probe is out stays, because its answer depends on what is known."""
        for address in self._entries:
            if address not in self._probes:
                del self._entries[address]
                return

    async def _write_behind(self) -> None:
        await asyncio.sleep(WRITE_BEHIND)
        await self._write()
        self._writer = None
        if self._unwritten and not self._stopping:
            self._writer = asyncio.ensure_future(self._write_behind())

    async def _write(self) -> None:
        if self._store is None or not self._unwritten:
            return
        self._writing, self._unwritten = self._unwritten, {}
        try:
            await self._hands.do(self._store.save, tuple(self._writing.items()))
        except (sqlite3.Error, OSError) as trouble:
            self._complain(trouble)
        self._writing = {}

    def _complain(self, trouble: Exception) -> None:
        """Tell the operator, once for each trouble: what cannot be kept is tried again."""
        if str(trouble) != self._trouble:
            self._trouble = str(trouble)
            self._warn(f"address verification cache: {trouble}")

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Clean up now and every address_verify_cache_cleanup_interval, until cancelled; never where that is 0."""
        interval = self._rules.cleanup_interval
        while interval > 0:
            await self.clean_up()
            await asyncio.sleep(interval)

    async def clean_up(self) -> None:
        """Drop what has expired."""
        now, times = self._clock.now(), self._rules.times
        for address in [a for a, e in self._entries.items() if has_expired(e, now, times) and a not in self._probes]:
            del self._entries[address]
        if self._store is None:
            return
        try:
            while await self._hands.do(self._store.forget, now, times, AT_ONCE) == AT_ONCE:
                await asyncio.sleep(0)
        except (sqlite3.Error, OSError) as trouble:
            self._complain(trouble)

    async def stop(self) -> None:
        """Begin no probe, end those that are out, write what is known."""
        self._stopping = True
        for task in list(self._probes.values()):
            task.cancel()
        await asyncio.gather(*self._probes.values(), return_exceptions=True)
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if self._store is not None:
            self._unwritten = {**self._writing, **self._unwritten}
            await self._write()
            await self._hands.do(self._store.close)
