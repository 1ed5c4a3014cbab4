"""Lists that lie or are silent, at the door: they weigh nothing, and nobody waits for them."""

from __future__ import annotations

import asyncio
import random

from seawall.dns.answers import NoSuchName, TryAgain
from seawall.door.dnsbl_score import Score, ScoreRules, Scores, parse_sites
from seawall.journal.record import MemoryJournal
from seawall.patience import Patience
from seawall.policy.list_watch import News, What
from seawall.policy.list_watching import Watching
from tests.door.test_lists import Clock, Lists
from tests.edge.test_limits import Timer

ERROR = "127.255.255.254"


class World:
    def __init__(self, sites: str, *, is_watched: bool = True) -> None:
        self.timer, self.lists, self.journal = Timer(), Lists(), MemoryJournal()
        self.told: list[News] = []
        clock = Clock(self.timer)
        patience = Patience(
            clock.monotonic, lambda delay, call: self.timer.calls.append((self.timer.now + delay, call))
        )
        self.watching = Watching(self.lists, clock.monotonic, random.Random(1).randrange, self.told.append)
        self.scores = Scores(self.lists, self.journal, clock, patience, self.watching)
        self.rules = ScoreRules(parse_sites(sites), str.upper, 60, 3600, 10.0, is_watched)
        self.scores.watch(self.rules)
        self.heard: list[tuple[int, str, int]] = []

    def ask(self, address: str = "192.0.2.9") -> Score:
        return self.scores.ask(address, self.rules, lambda score: self.heard.append(score.so_far()))

    def points(self) -> list[str]:
        return [name for name in self.lists.asked if ".2.0.192." not in name]


def test_a_hit_counts_once_the_list_has_denied_what_no_list_has() -> None:
    world = World("a.example*2")
    world.ask()
    world.lists.say("9.2.0.192.a.example", "127.0.0.2")
    assert world.heard == []
    for name in world.points():
        world.lists.say(name)
    assert world.heard == [(2, "A.EXAMPLE", 100)]
    world.ask("192.0.2.10")
    world.lists.say("10.2.0.192.a.example", "127.0.0.2")  # and at once from now on
    assert world.heard[1:] == [(2, "A.EXAMPLE", 100)]


def test_a_list_that_lists_everybody_weighs_nothing() -> None:
    world = World("a.example*2 b.example*1")
    world.ask()
    world.lists.say("9.2.0.192.b.example")
    world.lists.say("9.2.0.192.a.example", "127.0.0.2")
    for name in world.points():
        world.lists.say(name, "127.0.0.2")
    assert world.heard == [(0, "", 100)]
    assert [news.what for news in world.told] == [What.ASIDE]
    world.ask("192.0.2.10")
    assert list(world.lists.asked) == ["10.2.0.192.b.example"]


def test_a_permit_list_that_lists_everybody_lets_nobody_past() -> None:
    world = World("a.example*-5")
    world.ask()
    world.lists.say("9.2.0.192.a.example", "127.0.0.2")
    for name in world.points():
        world.lists.say(name, "127.0.0.2")
    assert world.heard == [(0, "", 60)]


def test_an_error_answer_weighs_nothing_and_stands_in_the_log() -> None:
    world = World("a.example")
    world.ask()
    world.lists.say("9.2.0.192.a.example", ERROR)
    assert world.heard == [(0, "", 60)]
    assert [news.why for news in world.told] == ["error answer"]
    assert world.journal.records[0].text() == f"addr 192.0.2.9 listed by domain a.example as {ERROR}"


def test_nobody_waits_for_a_silent_list_once_it_is_known() -> None:
    world = World("a.example b.example")
    for last in range(5):
        world.ask(f"192.0.2.{last}")
        world.lists.say(f"{last}.2.0.192.b.example")
    assert world.heard == []
    for last in range(3):
        world.lists.asked.pop(f"{last}.2.0.192.a.example").come(TryAgain("timeout"))
    assert len(world.heard) == 3
    for name in world.points():
        world.lists.asked.pop(name).come(TryAgain("timeout") if name.endswith(".a.example") else NoSuchName())
    assert [news.why for news in world.told] == ["silent"]
    assert len(world.heard) == 5
    world.ask("192.0.2.7")
    world.lists.say("7.2.0.192.b.example")
    assert len(world.heard) == 6
    world.lists.say("3.2.0.192.a.example", "127.0.0.2")  # a late answer is too late
    assert len(world.heard) == 6


async def test_a_rank_is_asked_for_without_a_word_and_what_comes_too_late_weighs_nothing() -> None:
    world = World("a.example*2 b.example*3", is_watched=False)
    rank = world.scores.rank("192.0.2.9", world.rules)
    assert not isinstance(rank, int)
    waiting = asyncio.ensure_future(rank)
    await asyncio.sleep(0)
    world.lists.say("9.2.0.192.a.example", "127.0.0.2")
    world.lists.say("9.2.0.192.b.example")
    assert await waiting == 2
    assert world.journal.records == []
    world.rules = ScoreRules(world.rules.sites, str.upper, 60, 3600, 0.01)
    rank = world.scores.rank("192.0.2.10", world.rules)
    assert not isinstance(rank, int)
    world.lists.say("10.2.0.192.b.example", "127.0.0.2")
    assert await rank == 3


def test_without_the_watch_every_answer_counts() -> None:
    world = World("a.example", is_watched=False)
    world.ask()
    world.lists.say("9.2.0.192.a.example", ERROR)
    assert world.heard == [(1, "A.EXAMPLE", 100)]
    assert world.points() == []
