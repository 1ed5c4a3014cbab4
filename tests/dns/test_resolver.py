"""The resolver before a name server of the test's own, on loopback: good answers, no answers, hostile answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from seawall.dns.answers import Answer, Found, NoData, NoSuchName, TryAgain
from seawall.dns.resolv_conf import ResolverSettings, parse_resolv_conf, read_resolv_conf
from seawall.dns.resolver import Resolver
from seawall.dns.wire import format_name
from seawall.testing.dns import FakeServer, Replies, message, record


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


A = socket.inet_aton("192.0.2.7")


def resolver_for(*servers: FakeServer, timeout: float = 0.2, attempts: int = 2, clock: Clock | None = None) -> Resolver:
    addresses = tuple(("127.0.0.1", server.port) for server in servers)
    MADE.append(Resolver(ResolverSettings(addresses, timeout, attempts), clock or Clock()))
    return MADE[-1]


MADE: list[Resolver] = []


@pytest.fixture(autouse=True)
async def _every_resolver_is_closed() -> AsyncIterator[None]:
    yield
    while MADE:
        MADE.pop().close()


async def heard(resolver: Resolver, name: str = "a.example", kind: str = "A") -> Answer:
    answer = resolver.ask(name, kind)
    return answer if isinstance(answer, Found | NoSuchName | NoData | TryAgain) else await answer


async def ask_once(replies: Replies, name: str = "a.example", kind: str = "A") -> Answer:
    async with FakeServer(replies) as server:
        resolver = resolver_for(server)
        try:
            return await heard(resolver, name, kind)
        finally:
            resolver.close()


def address(query: bytes, by_tcp: bool) -> list[bytes]:
    return [message(query, [record("a.example", "A", A)])]


async def test_an_address_is_found() -> None:
    answer = await ask_once(address)

    assert isinstance(answer, Found)
    assert [(r.kind, r.name, r.data, r.ttl) for r in answer.records] == [("A", "a.example", "192.0.2.7", 300)]


async def test_a_known_answer_comes_without_waiting_until_its_time_is_up() -> None:
    clock = Clock()
    async with FakeServer(address) as server:
        resolver = resolver_for(server, clock=clock)
        first = await heard(resolver)
        assert resolver.ask("A.Example.", "A") == first
        clock.time += 301
        again = resolver.ask("a.example", "A")
        assert not isinstance(again, Found | NoSuchName | NoData | TryAgain)
        assert await again == first
        assert len(server.queries) == 2


async def test_equal_questions_in_flight_are_asked_once() -> None:
    async with FakeServer(address) as server:
        resolver = resolver_for(server)
        answers = await asyncio.gather(*(heard(resolver) for _ in range(50)))

        assert all(isinstance(answer, Found) for answer in answers)
        assert len(server.queries) == 1


async def test_a_waiter_that_is_cancelled_does_not_take_the_others_with_it() -> None:
    async with FakeServer(address) as server:
        resolver = resolver_for(server)
        tasks = [asyncio.create_task(heard(resolver)) for _ in range(2)]
        await asyncio.sleep(0)
        tasks[0].cancel()

        assert isinstance(await tasks[1], Found)


SOA = format_name("ns.example") + format_name("h.example") + b"".join(n.to_bytes(4, "big") for n in (1, 2, 3, 4, 77))


async def test_negative_answers_are_told_apart_and_kept_as_long_as_the_soa_says() -> None:
    def replies(query: bytes, by_tcp: bool) -> list[bytes]:
        rcode = 3 if b"nosuch" in query else 0
        return [message(query, [], authority=[record("example", "SOA", SOA, 900)], rcode=rcode)]

    assert await ask_once(replies, "nosuch.example") == NoSuchName(77)
    assert await ask_once(replies, "a.example") == NoData(77)


async def test_an_alias_is_followed_inside_the_answer() -> None:
    def replies(query: bytes, by_tcp: bool) -> list[bytes]:
        alias = record("a.example", "CNAME", format_name("b.example"), 60)
        return [message(query, [alias, record("b.example", "A", A)])]

    answer = await ask_once(replies)

    assert isinstance(answer, Found)
    assert [(r.name, r.ttl) for r in answer.records] == [("b.example", 60)]


async def test_an_answer_that_was_cut_is_asked_for_by_tcp() -> None:
    def replies(query: bytes, by_tcp: bool) -> list[bytes]:
        return address(query, by_tcp) if by_tcp else [message(query, [], flags=0x8380)]

    assert isinstance(await ask_once(replies), Found)


async def test_silence_and_failure_are_temporary_and_the_next_server_is_asked() -> None:
    async with FakeServer(lambda query, by_tcp: []) as silent, FakeServer(_failure) as failing:
        resolver = resolver_for(silent, failing, timeout=0.05, attempts=1)
        assert isinstance(await heard(resolver), TryAgain)
        assert (len(silent.queries), len(failing.queries)) == (1, 1)
    async with FakeServer(_failure) as failing, FakeServer(address) as good:
        assert isinstance(await heard(resolver_for(failing, good)), Found)


def _failure(query: bytes, by_tcp: bool) -> list[bytes]:
    return [message(query, [], rcode=2)]


async def test_trouble_is_not_asked_again_at_once() -> None:
    async with FakeServer(_failure) as server:
        resolver = resolver_for(server, attempts=1)
        first = await heard(resolver)

        assert resolver.ask("a.example", "A") == first
        assert len(server.queries) == 1


async def test_a_server_that_knows_no_edns_is_asked_without() -> None:
    def replies(query: bytes, by_tcp: bool) -> list[bytes]:
        has_edns = query[11] == 1
        return [message(query, [], rcode=1)] if has_edns else address(query, by_tcp)

    assert isinstance(await ask_once(replies), Found)


def _forged_id(query: bytes) -> bytes:
    number = int.from_bytes(query[:2], "big") ^ 1
    return message(query, [record("a.example", "A", b"\x06\x06\x06\x06")], number=number)


def _forged_question(query: bytes) -> bytes:
    return message(query.replace(b"\x01a", b"\x01b"), [record("b.example", "A", b"\x06\x06\x06\x06")])


def _loop(query: bytes) -> bytes:
    return message(query, [b"\xc0\x1b" + b"\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04" + A])


def _short_data(query: bytes) -> bytes:
    return message(query, [record("a.example", "A", b"\x01")])


def _long_length(query: bytes) -> bytes:
    return message(query, [record("a.example", "A", A)])[:-2]


def _alias_ring(query: bytes) -> bytes:
    ring = [("a.example", "b.example"), ("b.example", "a.example")]
    return message(query, [record(here, "CNAME", format_name(there)) for here, there in ring])


@pytest.mark.parametrize(
    "hostile", [_forged_id, _forged_question, _loop, _short_data, _long_length, lambda query: b"\x00"]
)
async def test_a_hostile_answer_before_the_true_one_changes_nothing(hostile: Callable[[bytes], bytes]) -> None:
    answer = await ask_once(lambda query, by_tcp: [hostile(query), *address(query, by_tcp)])

    assert isinstance(answer, Found)
    assert [r.data for r in answer.records] == ["192.0.2.7"]


async def test_an_alias_ring_is_temporary_at_once() -> None:
    async with FakeServer(lambda query, by_tcp: [_alias_ring(query)]) as server:
        answer = await asyncio.wait_for(heard(resolver_for(server, timeout=30)), 10)

        assert isinstance(answer, TryAgain)
        assert len(server.queries) == 1


async def test_a_text_of_64_kib_comes_by_tcp_and_is_cut() -> None:
    strings = b"".join(b"\xff" + b"x" * 255 for _ in range(250))

    def replies(query: bytes, by_tcp: bool) -> list[bytes]:
        return [message(query, [record("a.example", "TXT", strings)])] if by_tcp else [message(query, [], flags=0x8380)]

    answer = await ask_once(replies, kind="TXT")

    assert isinstance(answer, Found)
    assert len(answer.records[0].data) == 8192


async def test_a_host_name_that_is_none_does_not_count() -> None:
    def replies(query: bytes, by_tcp: bool) -> list[bytes]:
        return [message(query, [record("a.example", "MX", b"\x00\x0a" + format_name("-bad-.example"))])]

    assert await ask_once(replies, kind="MX") == NoData(60, malformed=True)


async def test_a_null_mx_is_an_answer() -> None:
    answer = await ask_once(lambda q, t: [message(q, [record("a.example", "MX", b"\x00\x00\x00")])], kind="MX")

    assert isinstance(answer, Found)
    assert (answer.records[0].preference, answer.records[0].data) == (0, "")


async def test_closing_answers_everybody() -> None:
    async with FakeServer(lambda query, by_tcp: []) as server:
        resolver = resolver_for(server, timeout=30)
        task = asyncio.create_task(heard(resolver))
        await asyncio.sleep(0)
        resolver.close()

        assert isinstance(await task, TryAgain)


async def test_nobody_listening_is_temporary() -> None:
    async with FakeServer(address) as server:
        resolver = resolver_for(server, timeout=0.05, attempts=1)
    assert isinstance(await heard(resolver), TryAgain)


def test_resolv_conf_is_read_as_the_c_library_reads_it() -> None:
    text = """\
; a comment
# another
nameserver 192.0.2.1
nameserver nonsense
nameserver 2001:db8::1
nameserver 192.0.2.3
nameserver 192.0.2.4
search one.example two.example
options timeout:3 attempts:99 rotate trust-ad edns0
"""
    settings = parse_resolv_conf(text)

    assert settings.servers == (("192.0.2.1", 53), ("2001:db8::1", 53), ("192.0.2.3", 53))
    assert (settings.timeout, settings.attempts, settings.rotate, settings.trusts_ad) == (3.0, 5, True, True)
    assert settings.search == ("one.example", "two.example")


def test_without_resolv_conf_this_host_is_asked() -> None:
    assert read_resolv_conf("/nonexistent").servers == (("127.0.0.1", 53),)
    assert parse_resolv_conf("", "box.here.example").search == ("here.example",)
