import asyncio
from collections.abc import Awaitable

import pytest

from seawall.config.settings import ConfigTrouble
from seawall.dns.answers import Answer, Coming, Found, NoSuchName, Resource, TryAgain
from seawall.door.access_list import AccessList
from seawall.door.dnsbl_score import Score, ScoreRules, Scores, parse_sites
from seawall.door.screening import Listing
from seawall.journal.record import MemoryJournal, Warned
from seawall.journal.records.door import InDnsList
from seawall.patience import Patience
from seawall.tables.registry import Tables
from tests.edge.test_limits import Timer


class Clock:
    def __init__(self, timer: Timer) -> None:
        self._timer = timer

    def now(self) -> float:
        return self._timer.now

    def monotonic(self) -> float:
        return self._timer.now


class Lists:
    """Answers are given by hand."""

    def __init__(self) -> None:
        self.asked: dict[str, Coming] = {}

    def ask(self, name: str, kind: str) -> Answer | Coming:
        assert kind == "A"
        assert name not in self.asked
        self.asked[name] = Coming()
        return self.asked[name]

    def say(self, name: str, *addresses: str, ttl: int = 100) -> None:
        records = tuple(Resource("A", name, address, ttl) for address in addresses)
        self.asked.pop(name).come(Found(records) if records else NoSuchName(ttl))


class World:
    def __init__(self, sites: str) -> None:
        self.timer, self.lists, self.journal = Timer(), Lists(), MemoryJournal()
        clock = Clock(self.timer)
        patience = Patience(
            clock.monotonic, lambda delay, call: self.timer.calls.append((self.timer.now + delay, call))
        )
        self.scores = Scores(self.lists, self.journal, clock, patience)
        self.rules = ScoreRules(parse_sites(sites), str.upper, 60, 3600, 10.0)
        self.heard: list[tuple[int, str, int]] = []

    def ask(self, address: str = "192.0.2.9") -> Score:
        return self.scores.ask(address, self.rules, lambda score: self.heard.append(score.so_far()))


def test_weights_add_up_and_the_heaviest_list_is_named() -> None:
    world = World("a.example*2 b.example=127.0.0.[2..4]*3 b.example=127.0.0.9*5 c.example*-1")
    world.ask()
    world.lists.say("9.2.0.192.a.example", "127.0.0.2")
    world.lists.say("9.2.0.192.c.example", "127.0.0.2", ttl=5000)
    assert not world.heard
    world.lists.say("9.2.0.192.b.example", "127.0.0.3", "127.0.0.250")
    assert world.heard == [(4, "B.EXAMPLE", 100)]
    assert next(r.text() for r in world.journal.records if isinstance(r, InDnsList)) == (
        "addr 192.0.2.9 listed by domain a.example as 127.0.0.2"
    )


def test_connections_of_one_client_share_the_questions() -> None:
    world = World("a.example")
    assert world.ask() is world.ask()
    world.lists.say("9.2.0.192.a.example")
    assert world.heard == [(0, "", 100)] * 2


def test_an_ipv6_client_is_asked_for_by_nibbles() -> None:
    world = World("a.example")
    world.ask("2001:db8::1")
    assert next(iter(world.lists.asked)).startswith("1.0.0.0.0.0.")


def test_the_time_a_good_score_holds_is_bounded() -> None:
    for ttl, kept in ((5, 60), (100, 100), (9999, 3600)):
        world = World("a.example")
        world.ask()
        world.lists.say("9.2.0.192.a.example", ttl=ttl)
        assert world.heard == [(0, "", kept)]


def test_a_score_holds_as_long_as_the_answers_that_made_it() -> None:
    """Seen at postscreen(8): answers against the client count where the score is above 0, those for it elsewhere."""
    for (bad, good), kept in {((700, None), 700), ((900, 400), 400), ((None, 300), 100)}:
        world = World("bl.example wl.example*-2")
        world.ask()
        for name, ttl in (("bl", bad), ("wl", good)):
            query = f"9.2.0.192.{name}.example"
            if ttl is None:
                world.lists.say(query, ttl=100 if name == "bl" else 5000)
            else:
                world.lists.say(query, "127.0.0.2", ttl=ttl)
        assert world.heard[0][2] == kept


def test_a_list_in_trouble_weighs_nothing_and_is_named() -> None:
    world = World("a.example b.example")
    world.ask()
    world.lists.asked.pop("9.2.0.192.a.example").come(TryAgain("timeout"))
    world.lists.say("9.2.0.192.b.example", "127.0.0.2")
    assert world.heard == [(1, "B.EXAMPLE", 100)]
    (warning,) = [record for record in world.journal.records if isinstance(record, Warned)]
    assert warning.source == "dnsblog"


def test_a_slow_list_is_named_once_and_nobody_waits_for_ever() -> None:
    world = World("a.example")
    score = world.ask()
    world.timer.advance(12)
    assert [record.text() for record in world.journal.records] == ["warning: dnsblog reply timeout 10s for a.example"]
    assert score.so_far() == (0, "", 60)


@pytest.mark.parametrize("text", ["a.example*x", "a.example*", "-a.example", "a.example=127.0.0", "*2", "=1.2.3.4"])
def test_a_site_that_is_none_ends_the_start(text: str) -> None:
    with pytest.raises(ConfigTrouble):
        parse_sites(text)


def access(value: str, warnings: list[str], tables: Tables | None = None) -> AccessList:
    tables = tables or Tables()
    return AccessList(value, tables.address_list("192.0.2.0/24"), tables, warnings.append)


@pytest.mark.parametrize(
    ("value", "address", "listing"),
    [
        ("permit_mynetworks", "192.0.2.1", Listing.ALLOWED),
        ("permit_mynetworks", "198.51.100.1", Listing.UNKNOWN),
        ("permit_mynetworks, reject", "198.51.100.1", Listing.DENIED),
        ("dunno, reject", "198.51.100.1", Listing.UNKNOWN),
        ("inline:{198.51.100.1=REJECT}", "198.51.100.1", Listing.DENIED),
        ("inline:{198.51.100.1=dunno} permit", "198.51.100.1", Listing.ALLOWED),
        ("inline:{198.51.100.1=permit_mynetworks} reject", "198.51.100.1", Listing.DENIED),
        ("", "198.51.100.1", Listing.UNKNOWN),
    ],
)
def test_the_first_word_that_says_something_decides(value: str, address: str, listing: Listing) -> None:
    warnings: list[str] = []
    assert access(value, warnings).ask(address) is listing
    assert not warnings


@pytest.mark.parametrize("value", ["bogus, reject", "inline:{198.51.100.1=bogus} reject", "hash:/nowhere reject"])
def test_what_cannot_be_understood_ends_the_list(value: str) -> None:
    warnings: list[str] = []
    assert access(value, warnings, Tables(warn=lambda text: None)).ask("198.51.100.1") is Listing.UNKNOWN
    assert len(warnings) == 1


class Slow:
    """A table that has to ask somebody else."""

    name = "slow:table"
    fixed = False

    def __init__(self, value: str | None) -> None:
        self._value = value

    async def _find(self) -> str | None:
        await asyncio.sleep(0)
        return self._value

    def lookup(self, key: str) -> Awaitable[str | None]:
        return self._find()


@pytest.mark.parametrize(
    ("values", "listing"),
    [(("reject",), Listing.DENIED), ((None, "permit"), Listing.ALLOWED), (("dunno", None), Listing.UNKNOWN)],
)
async def test_tables_that_must_wait_are_asked_in_turn(values: tuple[str | None, ...], listing: Listing) -> None:
    each = iter([Slow(value) for value in values])
    tables = Tables(types={"t": lambda opening: next(each)})
    access = AccessList(" ".join(f"t:{at}" for at in range(len(values))), tables.address_list(""), tables, print)
    said = access.ask("198.51.100.1")
    assert not isinstance(said, Listing)
    assert await said is listing
