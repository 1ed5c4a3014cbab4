"""A worker's greylist and the watcher's: over real pairs of sockets, with a watcher that keeps, answers, hangs or ends."""

import inspect
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from seawall.dns.answers import Answer, NoSuchName
from seawall.policy.greylist import Rules, Sought, Standing
from seawall.run import messages as m
from seawall.run.channel import Channel, pair
from seawall.run.greylist_link import GreylistKeeper, WorkerGreylist
from seawall.run.links import WatcherLink


class Nothing:
    """A DNS in which nothing is."""

    def ask(self, name: str, kind: str) -> Answer:
        return NoSuchName()


class Worker:
    """One worker, linked to a keeper or to a watcher that says nothing."""

    def __init__(self, site: "Site", answers: bool = True) -> None:
        self.link = WatcherLink()
        self.site = site
        self.greylist = WorkerGreylist(
            Rules(),
            site.path,
            self.link,
            lambda: site.now,
            lambda: site.now,
            site.said.append,
            20.0 if answers else 0.1,
        )
        self.link.heard, self.link.lost = self.greylist.heard, self.greylist.lost
        self.questions = 0
        ours, theirs = pair()
        self.link.renew(ours)
        site.workers.append(self)
        self.watcher: Channel[m.LinkMessage] = Channel(
            theirs, m.LinkMessage, lambda message, fds: self.hear(message, answers), lambda: None
        )

    def hear(self, message: m.LinkMessage, answers: bool) -> None:
        self.questions += isinstance(message, m.GreylistQuestion)
        if answers:
            self.site.keeper.take(self.watcher, message)

    async def attempt(self, address: str, name: str = "") -> Standing:
        met = self.greylist.greylister.meet(Nothing(), Sought(address, name, "a@b.example", "c@d.example", "h"))
        standing: Standing = (await met if inspect.isawaitable(met) else met).standing
        return standing


class Site:
    def __init__(self, path: Path) -> None:
        self.path = path / "state" / "greylist.sqlite"
        self.now = 1000.0
        self.said: list[str] = []
        self.workers: list[Worker] = []
        self.keeper = GreylistKeeper(Rules(), self.path, lambda: self.now, self.said.append)

    async def settle(self, *workers: Worker) -> None:
        """What the workers know is in the store: a question goes behind it on the same pair."""
        for worker in workers:
            worker.greylist.flush()
            await worker.greylist.elders(0)
        self.keeper.commit()


@asynccontextmanager
async def open_site(path: Path) -> AsyncIterator[Site]:
    before = os.umask(0o077)
    site = Site(path)
    try:
        yield site
    finally:
        site.keeper.close()
        for worker in site.workers:
            worker.link.close()
            worker.watcher.close()
        os.umask(before)


async def test_a_retry_at_another_worker_finds_the_first_attempt(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        one, two = Worker(site), Worker(site)
        for worker in (one, two):
            await worker.greylist.begin()
        assert await one.attempt("198.18.1.1", "out1.big.example") is Standing.NEW
        await site.settle(one)
        assert await two.attempt("198.18.2.1", "out2.big.example") is Standing.NEW
        await site.settle(two)
        site.now += 301
        assert await two.attempt("198.18.3.1", "out3.big.example") is Standing.RETRIED
        assert await one.attempt("198.18.4.1", "elsewhere.example") is Standing.NEW
        assert site.said == []


async def test_a_worker_that_is_replaced_knows_what_the_store_knows(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        one = Worker(site)
        await one.greylist.begin()
        assert await one.attempt("198.18.1.1") is Standing.NEW
        await site.settle(one)
        site.now += 301
        two = Worker(site)
        await two.greylist.begin()
        assert await two.attempt("198.18.1.1") is Standing.RETRIED
        assert two.questions == 0
        assert await one.attempt("198.18.1.1") is Standing.RETRIED


async def test_a_worker_that_takes_a_neighbours_client_knows_what_the_neighbour_wrote(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        one, two = Worker(site), Worker(site)
        for worker in (one, two):
            await worker.greylist.begin()
        assert await one.attempt("198.18.1.1") is Standing.NEW
        await site.settle(one)
        site.now += 301
        assert await two.attempt("198.18.1.1") is Standing.RETRIED
        assert two.questions == 0


async def test_changes_wait_for_a_watcher_and_a_dead_one_holds_nobody_up(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        one = Worker(site)
        await one.greylist.begin()
        one.watcher.close()
        assert await one.attempt("198.18.1.1") is Standing.NEW
        one.greylist.flush()
        ours, theirs = pair()
        one.link.renew(ours)
        one.watcher = Channel(theirs, m.LinkMessage, lambda message, fds: one.hear(message, True), lambda: None)
        await site.settle(one)
        keys = one.greylist.greylister.greylist.keys("198.18.1.1", "a@b.example", "c@d.example")
        assert [elder.address for elder in await one.greylist.elders(keys.pair)] == ["198.18.1.1"]


async def test_a_watcher_that_hangs_is_not_asked_for_long(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        one = Worker(site, answers=False)
        for number in range(5):
            assert await one.attempt(f"198.18.{number}.1") is Standing.NEW
        assert one.questions == 3  # then the breaker is open


async def test_a_store_that_cannot_be_used_is_told_and_done_without(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        site.path.parent.mkdir()
        site.path.write_bytes(b"no database " * 1000)
        one = Worker(site)
        await one.greylist.begin()
        assert await one.attempt("198.18.1.1") is Standing.NEW
        site.now += 301
        assert await one.attempt("198.18.1.1") is Standing.RETRIED
        await site.settle(one)
        assert len(site.said) == 2 and all("is kept in memory only" in text for text in site.said)
