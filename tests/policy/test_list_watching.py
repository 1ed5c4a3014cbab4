"""Checks that ask DNS lists which lie: what they say, what is asked for it, and what is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine

from seawall.dns.answers import Answer, Coming, Found, NoSuchName, Resource, TryAgain
from seawall.eager import result_now
from seawall.policy.attempt import Attempt
from seawall.policy.judge import Judge
from seawall.policy.list_watch import BELIEVED, News, What
from seawall.policy.list_watching import Deciding, Watching
from seawall.policy.verdict import Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from tests.policy.versus import settings_of

LIES, LISTS, ERROR = "lies", "lists", "127.255.255.254"


class World:
    """A judge, lists that behave as `mood` says, and a clock by hand."""

    def __init__(self, checks: str, *, watches: bool = True, **more: str) -> None:
        settings = settings_of({"smtpd_recipient_restrictions": checks, **more})
        self.mood, self.now = "sound", 0.0
        self.listed: set[str] = set()
        self.asked: list[str] = []
        self.told: list[News] = []
        self.coming: dict[str, Coming] = {}
        tables = Tables()
        self.watching = Watching(self, lambda: self.now, random.Random(1).randrange, self.told.append, interval=3600)
        lists = self.watching if watches else None
        self.judge = Judge(
            settings, WorldFacts(settings, tables, Routing(settings, tables), self, lists=lists), needs_guard=False
        )

    def ask(self, name: str, kind: str) -> Answer | Coming:
        if "l.example" not in name:
            return NoSuchName()
        self.asked.append(name)
        match self.mood:
            case "silent":
                return TryAgain("timeout")
            case "error":
                return Found((Resource(kind, name, ERROR, 5),))
            case "lies":
                return Found((Resource(kind, name, "127.0.0.2", 5),))
            case "empty":
                return NoSuchName()
            case "slow" if not name.endswith(".18.198.bl.example"):
                return self.coming.setdefault(name, Coming())
        if name in self.listed or name.startswith(("2.0.0.127.", "TEST.")):
            return Found((Resource(kind, name, "127.0.0.2", 5),))
        return NoSuchName()

    def rcpt(self, address: str = "198.18.7.7", name: str = "bot.example") -> str:
        attempt = Attempt(address, name=name, reverse_name=name, helo="bot.example")
        attempt.sender, attempt.recipient, attempt.where = "a@friend.example", "joe@here.example", "RCPT"
        verdict = self.judge.rcpt(attempt)
        if not isinstance(verdict, Verdict):
            assert isinstance(verdict, Coroutine)
            verdict = result_now(verdict)
        assert isinstance(verdict, Verdict)
        self.remarks = [remark.text for remark in attempt.remarks]
        return "ok" if verdict.act is not Act.REJECT or verdict.reply is None else str(verdict.reply.code)

    @property
    def news(self) -> list[What]:
        return [news.what for news in self.told]


def test_a_sound_list_refuses_whom_it_lists() -> None:
    world = World("reject_rbl_client bl.example")
    world.listed = {"7.7.18.198.bl.example"}
    assert world.rcpt() == "554"
    assert world.rcpt("198.18.7.8") == "ok"
    assert world.news == []


def test_a_list_that_lists_everybody_refuses_nobody_not_even_the_first() -> None:
    world = World("reject_rbl_client bl.example")
    world.mood = LIES
    assert world.rcpt() == "ok"
    assert world.news == [What.ASIDE]
    asked = len(world.asked)
    assert world.rcpt("198.18.9.9") == "ok"
    assert len(world.asked) == asked  # nobody asks it any more


def test_a_list_that_begins_to_lie_refuses_for_a_second_at_most() -> None:
    world = World("reject_rbl_client bl.example")
    world.listed = {"7.7.18.198.bl.example"}
    world.rcpt()
    world.mood, world.now = LIES, BELIEVED + 1
    assert world.rcpt("198.18.9.9") == "ok"


def test_the_questions_about_the_list_are_few() -> None:
    world = World("reject_rbl_client bl.example")
    world.listed = {f"7.{at}.18.198.bl.example" for at in range(100)}
    for at in range(100):
        assert world.rcpt(f"198.18.{at}.7") == "554"
    assert len([name for name in world.asked if not name.endswith(".18.198.bl.example")]) == 2


def test_a_list_of_domains_is_watched_as_well() -> None:
    world = World("reject_rhsbl_sender dbl.example")
    world.mood = LIES
    assert world.rcpt() == "ok"
    assert "INVALID.dbl.example" in world.asked
    assert world.told[0].zone == "dbl.example"


def test_a_permit_list_that_lists_everybody_permits_nobody() -> None:
    world = World("permit_dnswl_client wl.example, reject")
    world.mood = LIES
    assert world.rcpt() == "554"
    assert world.news == [What.ASIDE]


def test_an_error_answer_is_no_entry_and_is_trouble_for_a_permit_list() -> None:
    world = World("reject_rbl_client bl.example", watches=False)
    world.mood = "error"
    assert world.rcpt() == "ok"
    assert world.remarks == ["7.7.18.198.bl.example: the DNS list answers with an error: 127.255.255.254"]
    world = World("permit_dnswl_client wl.example, reject", watches=False)
    world.mood = "error"
    assert world.rcpt() == "450"


def test_a_list_that_will_not_serve_us_is_put_aside() -> None:
    world = World("permit_dnswl_client wl.example, reject")
    world.mood = "error"
    assert [world.rcpt(), world.rcpt()] == ["554", "554"]
    assert world.told[0].why == "error answer"


def test_a_silent_list_is_put_aside_and_its_warnings_end() -> None:
    world = World("reject_rbl_client bl.example")
    world.mood = "silent"
    for _ in range(3):
        assert world.rcpt() == "ok"
    assert world.told[0].why == "silent"
    world.rcpt()
    assert world.remarks == []


def test_it_comes_back_when_it_is_mended() -> None:
    world = World("reject_rbl_client bl.example")
    world.mood = LIES
    world.rcpt()
    world.mood, world.listed, world.now = "sound", {"7.7.18.198.bl.example"}, 61.0
    world.watching.look()
    assert world.news == [What.ASIDE, What.BACK]
    assert world.rcpt() == "554"


def test_a_missing_test_entry_is_found_in_a_regular_round() -> None:
    world = World("reject_rbl_client bl.example, reject_rhsbl_helo dbl.example")
    world.watching.look()
    assert world.asked == []  # not at once
    world.mood, world.now = "empty", 66
    world.watching.look()
    assert [(news.what, news.zone, news.evidence) for news in world.told] == [
        (What.LACKS_TEST, "bl.example", "127.0.0.2"),
        (What.LACKS_TEST, "dbl.example", "TEST"),
    ]


def test_without_the_watch_all_is_as_postfix_has_it() -> None:
    for mood in (LIES, "error"):
        world = World("reject_rbl_client bl.example", seawall_dnsbl_watch="no")
        world.mood = mood
        assert world.rcpt() == "554"
        assert world.told == []


async def test_who_is_listed_waits_until_it_is_known_whether_that_counts() -> None:
    world = World("reject_rbl_client bl.example")
    world.mood = "slow"
    watched = world.watching.lists["bl.example"]
    first, second = watched.believes(), watched.believes()
    assert isinstance(first, Deciding)
    assert first is second

    async def wait() -> bool:
        return await first

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    assert len(world.coming) == 2
    for each in world.coming.values():
        each.come(NoSuchName())
    assert await waiting
    assert watched.believes() is True
