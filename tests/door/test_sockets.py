"""The door on real sockets: how a session takes over what came before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from seawall.clock import SystemClock
from seawall.config.settings import Settings
from seawall.dns.answers import Coming, Found, Resource
from seawall.door.dnsbl_score import Scores
from seawall.door.door import Door
from seawall.door.passed_clients import PassedClients
from seawall.door.rules import compile_rules
from seawall.journal.record import MemoryJournal
from seawall.mail.reply import Reply
from seawall.patience import Patience
from seawall.policy.attempt import Attempt
from seawall.policy.worth import Place
from seawall.tables.registry import Tables

BASE = """
compatibility_level = 3.6
myhostname = mx.example
mynetworks =
postscreen_greet_wait = 1s
smtpd_client_connection_count_limit = 0
process_name = postscreen
"""


class Echo(asyncio.Protocol):
    """A session that greets and says what it heard."""

    screened: Callable[[Attempt], Reply] | None = None
    watch: Callable[[bytes], bool] | None = None
    ends: Any = None
    place: Place | None = None
    has_spoken = False
    withheld = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 session\r\n")

    def data_received(self, data: bytes) -> None:
        if self.watch is None or self.watch(data):
            self.transport.write(b"heard " + data)

    def eof_received(self) -> bool:
        self.transport.write(b"end\r\n")
        self.transport.close()
        return True

    def withhold(self, keyword: str) -> None:
        self.withheld = keyword

    def tell(self, reply: Reply) -> None:
        self.transport.write(reply.format())

    def hang_up(self) -> None:
        self.transport.close()

    def shed(self) -> bool:
        self.transport.abort()
        return True


class Nobody:
    """A DNS server that lists everybody, when it is told to answer."""

    def __init__(self) -> None:
        self.coming: list[tuple[str, Coming]] = []

    def ask(self, name: str, kind: str) -> Coming:
        coming = Coming()
        self.coming.append((name, coming))
        return coming

    def answer(self) -> None:
        for name, coming in self.coming:
            coming.come(Found((Resource("A", name, "127.0.0.2", 60),)))


class House:
    def __init__(self, more: str) -> None:
        loop = asyncio.get_running_loop()
        settings = Settings.from_text(BASE + more)
        self.journal, self.dns, self.sessions = MemoryJournal(), Nobody(), list[Echo]()
        clock, patience = SystemClock(), Patience(loop.time, loop.call_later, 0.05)
        self.passed = PassedClients()
        rules = compile_rules(settings, Tables(), lambda text: None, workers=1)
        scores = Scores(self.dns, self.journal, clock, patience)
        logins = "logins = yes" in more
        self.door = Door(rules, self.session, self.journal, clock, patience, scores, self.passed, knows_logins=logins)

    def session(self) -> Any:
        self.sessions.append(Echo())
        return self.sessions[-1]

    @property
    def said(self) -> list[str]:
        return [type(record).__name__ for record in self.journal.records]


@asynccontextmanager
async def client(more: str = "") -> Any:
    house = House(more)
    server = await asyncio.get_running_loop().create_server(house.door.stranger, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    try:
        yield house, reader, writer
    finally:
        writer.close()
        server.close()


async def line(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readline(), 10)


async def test_a_session_takes_over_after_the_wait() -> None:
    async with client() as (house, reader, writer):
        assert await line(reader) == b"220-mx.example ESMTP Seawall\r\n"
        assert await line(reader) == b"220 session\r\n"
        writer.write(b"hello\r\n")
        assert await line(reader) == b"heard hello\r\n"
        assert house.said == ["Knocked", "Passed"]
        assert len(house.passed) == 1
        assert not house.door.strangers
        assert not house.door.clients


async def test_what_came_too_early_is_not_lost_nor_is_the_end() -> None:
    async with client("postscreen_dnsbl_sites = bl.example\n") as (house, reader, writer):
        assert (await line(reader))[:4] == b"220-"
        writer.write(b"x" * 3000 + b"\r\n")
        await asyncio.sleep(0)
        writer.write(b"more\r\n")
        writer.write_eof()
        assert await line(reader) == b"220 session\r\n"
        assert await line(reader) == b"heard " + b"x" * 3000 + b"\r\n"
        assert await line(reader) == b"more\r\n"
        assert await line(reader) == b"end\r\n"
        assert house.said.count("SpokeEarly") == 1


async def test_much_that_comes_too_early_waits_in_the_kernel() -> None:
    async with client("postscreen_dnsbl_sites = bl.example\n") as (_, reader, writer):
        data = b"".join(b"%05d\r\n" % at for at in range(3000))
        writer.write(data)
        assert (await line(reader))[:4] == b"220-"
        assert await line(reader) == b"220 session\r\n"
        heard = b""
        while len(heard.replace(b"heard ", b"")) < len(data):
            heard += await asyncio.wait_for(reader.read(100_000), 10)
        assert heard.replace(b"heard ", b"") == data


async def test_lists_that_answer_end_the_wait_of_who_has_waited_before() -> None:
    async with client(
        "postscreen_dnsbl_sites = bl.example\npostscreen_dnsbl_threshold = 2\npostscreen_greet_banner =\n"
    ) as (
        house,
        reader,
        _,
    ):
        while not house.dns.coming:
            await asyncio.sleep(0)
        house.dns.answer()
        assert await line(reader) == b"220 session\r\n"
        assert house.said == ["Knocked", "InDnsList", "Passed"]


@pytest.mark.parametrize("abort", [False, True])
async def test_who_leaves_while_he_waits_is_forgotten(abort: bool) -> None:
    async with client() as (house, reader, writer):
        assert (await line(reader))[:4] == b"220-"
        if abort:
            writer.transport.abort()
        else:
            writer.close()
        while house.door.strangers:
            await asyncio.sleep(0)
        assert house.said == ["Knocked", "HungUp", "LeftDoor"]
        assert not house.door.clients


async def test_a_dialogue_ends_where_lists_say_so() -> None:
    more = "postscreen_dnsbl_sites = bl.example\npostscreen_dnsbl_action = enforce\npostscreen_greet_banner =\n"
    async with client(more) as (house, reader, writer):
        while not house.dns.coming:
            await asyncio.sleep(0)
        house.dns.answer()
        assert await line(reader) == b"220 mx.example ESMTP Seawall\r\n"
        writer.write(b"MAIL FROM:<a@b>\r\n")
        assert await line(reader) == b"250 2.1.0 Ok\r\n"
        writer.write(b"RCPT TO:<c@d>\r\n")
        assert await line(reader) == b"550 5.7.1 Service unavailable; client [127.0.0.1] blocked using bl.example\r\n"
        writer.write(b"QUIT\r\n")
        assert await line(reader) == b"221 2.0.0 Bye\r\n"
        assert await line(reader) == b""
        assert house.said[-3:] == ["Ranked", "RecipientRefused", "LeftDoor"]
        assert not house.sessions
        assert not len(house.passed)


async def test_who_may_log_in_gets_his_session_and_what_is_against_him() -> None:
    more = (
        "postscreen_dnsbl_sites = bl.example\npostscreen_dnsbl_action = drop\npostscreen_greet_banner =\n"
        "process_name = smtpd\n# logins = yes\npostscreen_upstream_proxy_protocol = haproxy\n"
    )
    async with client(more) as (house, reader, writer):
        writer.write(b"PROXY TCP4 198.51.100.7 192.0.2.9 1234 25\r\n")
        while not house.dns.coming:
            await asyncio.sleep(0)
        house.dns.answer()
        assert await line(reader) == b"220 session\r\n"
        (session,) = house.sessions
        assert session.screened is not None
        reply = session.screened(Attempt("198.51.100.7", sender="a@b", recipient="c@d"))
        assert reply == Reply(521, "5.7.1", "Service unavailable; client [198.51.100.7] blocked using bl.example")


async def test_nobody_is_a_stranger_on_this_host() -> None:
    async with client("process_name = smtpd\n") as (house, reader, _):
        assert await line(reader) == b"220 session\r\n"
        assert not house.said


async def test_a_farewell_is_said_to_who_waits() -> None:
    async with client() as (house, reader, _):
        assert (await line(reader))[:4] == b"220-"
        house.door.drain()
        assert await line(reader) == b"421 4.3.2 mx.example Service shutting down\r\n"
        assert await line(reader) == b""


PROXIED = "postscreen_upstream_proxy_protocol = haproxy\npostscreen_upstream_proxy_timeout = 1s\n"


async def test_a_proxy_names_the_client() -> None:
    async with client(PROXIED) as (house, reader, writer):
        writer.write(b"PROXY TCP4 198.51.100.7 192.0.2.9 ")
        await asyncio.sleep(0)
        writer.write(b"1234 25\r\n")
        assert (await line(reader))[:4] == b"220-"
        assert await line(reader) == b"220 session\r\n"
        texts = [record.text() for record in house.journal.records]
        assert texts == ["CONNECT from [198.51.100.7]:1234 to [192.0.2.9]:25", "PASS NEW [198.51.100.7]:1234"]
        assert house.sessions[0].ends == (("198.51.100.7", "1234"), ("192.0.2.9", "25"))


async def test_what_follows_the_proxys_header_is_the_client_talking_early() -> None:
    async with client(PROXIED) as (house, reader, writer):
        writer.write(b"PROXY TCP4 198.51.100.7 192.0.2.9 1234 25\r\nEHLO x\r\n")
        assert (await line(reader))[:4] == b"220-"
        assert await line(reader) == b"220 session\r\n"
        assert await line(reader) == b"heard EHLO x\r\n"
        assert house.said == ["Knocked", "SpokeEarly"]


@pytest.mark.parametrize(
    ("data", "trouble"), [(b"HELLO\r\n", "short protocol header: HELLO\\r\\n"), (b"PRO", "time limit exceeded")]
)
async def test_a_proxy_that_does_not_name_the_client_is_not_served(data: bytes, trouble: str) -> None:
    async with client(PROXIED) as (house, reader, writer):
        writer.write(data)
        assert await line(reader) == b"421 4.3.2 No system resources\r\n"
        assert await line(reader) == b""
        assert [record.text() for record in house.journal.records] == [f"warning: haproxy read: {trouble}"]
