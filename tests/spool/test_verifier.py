"""The address verification service with probes by script: who waits, who shares, what is kept where."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seawall.config.settings import Settings
from seawall.mail.verified import Learned, Standing, Verified
from seawall.spool.hands import Hands
from seawall.spool.verifier import TOO_MANY, Store, Verifier, VerifyRules, read_verify_rules
from seawall.spool.verify_cache import Entry, Times
from seawall.spool.verify_store import VerifyStore
from tests.spool.world import HandClock

GOOD, BAD, UNCLEAR, OPEN = Standing.DELIVERABLE, Standing.UNDELIVERABLE, Standing.DEFERRED, Standing.IN_PROGRESS
TIMES = Times(positive_expire=1000.0, positive_refresh=500.0, negative_expire=300.0, negative_refresh=100.0)
PATIENCE = 20.0
ANN, BOB = "ann@far.example", "bob@far.example"


@dataclass
class Site:
    """A verifier whose probes find what `found` says, once `gate` is open."""

    store: Store | None = None
    times: Times = TIMES
    limit: int = 100
    found: dict[str, list[Standing]] = field(default_factory=dict)
    leads_to: dict[str, str] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.gate.set()
        self.hands = Hands(threads=1)
        rules = VerifyRules(self.times, self.limit, cleanup_interval=0.0, is_persistent=self.store is not None)
        self.verifier = Verifier(rules, self.probe, self.store, self.hands, self.clock, self.warnings.append)

    async def probe(self, address: str) -> Sequence[Learned]:
        self.sent.append(address)
        await self.gate.wait()
        script = self.found.get(address, [GOOD])
        standing = script.pop(0) if len(script) > 1 else script[0]
        if standing is OPEN:
            return ()
        names = (address, self.leads_to[address]) if address in self.leads_to else (address,)
        return tuple(Learned(name, standing, f"{standing.value} as asked") for name in names)

    async def ask(self, address: str, patience: float = PATIENCE) -> Standing:
        return (await self.verifier.ask(address, patience)).standing


@asynccontextmanager
async def site(
    path: Path | None = None,
    *,
    store: Store | None = None,
    times: Times = TIMES,
    limit: int = 100,
    found: dict[str, list[Standing]] | None = None,
    leads_to: dict[str, str] | None = None,
) -> AsyncIterator[Site]:
    made = Site(VerifyStore(path) if path is not None else store, times, limit, found or {}, leads_to or {})
    try:
        yield made
    finally:
        await made.verifier.stop()
        await asyncio.to_thread(made.hands.close)


async def test_who_waits_hears_what_the_probe_finds() -> None:
    async with site(found={BOB: [BAD]}) as here:
        assert await here.verifier.ask(ANN, PATIENCE) == Verified(GOOD, "deliverable as asked")
        assert await here.ask(BOB) is BAD
        assert (await here.verifier.ask(ANN, 0)).good_for == 500.0
        assert here.sent == [ANN, BOB]


async def test_who_does_not_wait_hears_that_it_is_in_progress() -> None:
    async with site() as here:
        here.gate.clear()
        assert await here.ask(ANN, 0) is OPEN
        assert await here.ask(ANN, 0.01) is OPEN
        here.gate.set()
        assert await here.ask(ANN) is GOOD
        assert here.sent == [ANN]


async def test_all_who_wait_share_one_probe() -> None:
    async with site() as here:
        here.gate.clear()
        waiting = [asyncio.ensure_future(here.ask(ANN)) for _ in range(50)]
        await asyncio.sleep(0)
        here.gate.set()
        assert set(await asyncio.gather(*waiting)) == {GOOD}
        assert here.sent == [ANN]


async def test_an_old_success_serves_while_it_is_tried_again() -> None:
    async with site(found={ANN: [GOOD, BAD]}) as here:
        assert await here.ask(ANN) is GOOD
        here.clock.time += 600
        here.gate.clear()
        assert await here.ask(ANN) is GOOD
        here.gate.set()
        while here.verifier.pending:
            await asyncio.sleep(0)
        assert await here.ask(ANN) is GOOD  # a failure takes nothing from it
        assert here.sent == [ANN, ANN]


async def test_what_it_leads_to_is_remembered_too() -> None:
    async with site(leads_to={ANN: BOB}) as here:
        assert await here.ask(ANN) is GOOD
        assert await here.ask(BOB, 0) is GOOD
        assert here.sent == [ANN]


async def test_too_many_probes_are_put_off_and_that_is_not_remembered() -> None:
    async with site(limit=2) as here:
        here.gate.clear()
        for number in range(2):
            assert await here.ask(f"user{number}@far.example", 0) is OPEN
        assert await here.verifier.ask(ANN, PATIENCE) == Verified(UNCLEAR, TOO_MANY)
        here.gate.set()
        assert await here.ask("user1@far.example") is GOOD
        assert await here.ask(ANN) is GOOD


async def test_a_probe_that_learned_nothing_is_sent_again() -> None:
    async with site(found={ANN: [OPEN, GOOD]}) as here:
        assert await here.ask(ANN) is OPEN
        assert await here.ask(ANN) is GOOD


async def test_without_a_negative_cache_every_question_about_a_failure_sends_a_probe() -> None:
    async with site(times=TIMES._replace(keeps_failures=False), found={ANN: [BAD, BAD, GOOD]}) as here:
        assert [await here.ask(ANN) for _ in range(4)] == [OPEN, OPEN, GOOD, GOOD]
        assert here.sent == [ANN] * 3


async def test_a_restart_finds_what_was_learned_and_nothing_that_was_under_way(tmp_path: Path) -> None:
    path = tmp_path / "verify.sqlite"
    async with site(path, found={BOB: [BAD]}) as here:
        assert (await here.ask(ANN), await here.ask(BOB)) == (GOOD, BAD)
        here.gate.clear()
        assert await here.ask("new@far.example", 0) is OPEN
    async with site(path) as here:
        assert (await here.ask(ANN, 0), await here.ask(BOB, 0)) == (GOOD, BAD)
        assert await here.ask("new@far.example") is GOOD
        assert here.sent == ["new@far.example"]


async def test_what_has_expired_is_cleaned_up(tmp_path: Path) -> None:
    path = tmp_path / "verify.sqlite"
    async with site(path, found={BOB: [BAD]}) as here:
        assert (await here.ask(ANN), await here.ask(BOB)) == (GOOD, BAD)
    async with site(path) as here:
        here.clock.time += 301
        await here.verifier.clean_up()
        assert (await here.ask(ANN, 0), await here.ask(BOB, 0)) == (GOOD, OPEN)


class BrokenStore:
    """A disk that fails."""

    def find(self, address: str) -> Entry | None:
        raise sqlite3.OperationalError("disk I/O error")

    def save(self, changes: Sequence[tuple[str, Entry | None]]) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    def forget(self, now: float, times: Times, most: int) -> int:
        raise sqlite3.OperationalError("disk I/O error")

    def close(self) -> None:
        """Nothing to close."""


async def test_a_broken_disk_is_told_once_and_memory_goes_on() -> None:
    async with site(store=BrokenStore()) as here:
        assert await here.ask(ANN) is GOOD
        assert await here.ask(ANN, 0) is GOOD
        await here.verifier.clean_up()
    assert here.warnings == ["address verification cache: disk I/O error"]


def test_the_parameters_are_read() -> None:
    rules = read_verify_rules(Settings.from_text("address_verify_map =\naddress_verify_negative_cache = no\n"))
    assert rules == VerifyRules(Times(keeps_failures=False), 5000, 43200.0, False)
    assert read_verify_rules(Settings.from_text("address_verify_map = btree:/var/lib/x\n")).is_persistent
