"""Answers made to hurt.  Invariant: whatever a name server sends, each question has an answer in time, and none is believed
that was not asked for; what cannot be read is temporary, never "no such name"."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from seawall.dns.answers import Answer, Found, NoData, NoSuchName, TryAgain
from seawall.dns.resolv_conf import ResolverSettings
from seawall.dns.resolver import Resolver
from seawall.dns.wire import format_name
from seawall.testing.dns import FakeServer, Replies, message, question_of, record

A = socket.inet_aton("192.0.2.7")
EVIL = b"\x06\x06\x06\x06"
MADE: list[Resolver] = []


@pytest.fixture(autouse=True)
async def _every_resolver_is_closed() -> AsyncIterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def resolver_at(port: int, timeout: float = 0.05, attempts: int = 1) -> Resolver:
    MADE.append(Resolver(ResolverSettings((("127.0.0.1", port),), timeout, attempts)))
    return MADE[-1]


async def heard(resolver: Resolver, name: str = "a.example", kind: str = "A") -> Answer:
    answer = resolver.ask(name, kind)
    return answer if isinstance(answer, Found | NoSuchName | NoData | TryAgain) else await answer


async def ask(replies: Replies, kind: str = "A", timeout: float = 0.05) -> Answer:
    async with FakeServer(replies) as server:
        return await heard(resolver_at(server.port, timeout), kind=kind)


def by_udp(reply: Callable[[bytes], bytes]) -> Replies:
    return lambda query, by_tcp: [reply(query)]


def true(query: bytes) -> bytes:
    return message(query, [record("a.example", "A", A)])


def _with_counts(query: bytes, answers: int, body: bytes) -> bytes:
    number, question = question_of(query)
    return struct.pack(">HHHHHH", number, 0x8180, 1, answers, 0, 0) + question + body


def _pointer_to_itself(query: bytes) -> bytes:
    at = 12 + len(question_of(query)[1])
    return _with_counts(query, 1, struct.pack(">H", 0xC000 | at) + struct.pack(">HHIH", 1, 1, 60, 4) + A)


def _pointers_in_a_row(query: bytes) -> bytes:
    at = 12 + len(question_of(query)[1])
    row = b"".join(struct.pack(">H", 0xC000 | (at + 2 * n + 2)) for n in range(500))
    return _with_counts(query, 1, row + struct.pack(">HHIH", 1, 1, 60, 4) + A)


def _more_records_than_bytes(query: bytes) -> bytes:
    return _with_counts(query, 65535, record("a.example", "A", A))


def _no_data_in_the_record(query: bytes) -> bytes:
    return message(query, [record("a.example", "A", b"")])


def _sixteen_bytes_for_four(query: bytes) -> bytes:
    return message(query, [record("a.example", "A", A * 4)])


def _endless_aliases(query: bytes) -> bytes:
    names = ["a.example", *(f"n{n}.example" for n in range(40))]
    return message(query, [record(here, "CNAME", format_name(there)) for here, there in itertools.pairwise(names)])


UNREADABLE = (
    _pointer_to_itself, _pointers_in_a_row, _more_records_than_bytes, _no_data_in_the_record, _sixteen_bytes_for_four,
    lambda query: true(query)[:11], lambda query: query, lambda query: b"", lambda query: b"\xff" * 512,
)  # fmt: skip


@pytest.mark.parametrize("reply", UNREADABLE)
async def test_what_cannot_be_read_is_temporary(reply: Callable[[bytes], bytes]) -> None:
    assert isinstance(await ask(by_udp(reply)), TryAgain)


@pytest.mark.parametrize("reply", UNREADABLE)
async def test_what_cannot_be_read_does_not_hide_the_true_answer(reply: Callable[[bytes], bytes]) -> None:
    assert isinstance(await ask(lambda query, by_tcp: [reply(query), true(query)], timeout=1), Found)


async def test_aliases_without_an_end_are_temporary_at_once() -> None:
    assert isinstance(await ask(by_udp(_endless_aliases), timeout=30), TryAgain)


async def test_a_thousand_forged_ids_are_passed_over() -> None:
    def replies(query: bytes, by_tcp: bool) -> list[bytes]:
        number = question_of(query)[0]
        forged = [(number + n) & 0xFFFF for n in range(1, 300)]
        evil = [record("a.example", "A", EVIL)]
        return [*(message(query, evil, number=other) for other in forged), true(query)]

    answer = await ask(replies, timeout=1)

    assert isinstance(answer, Found)
    assert answer.records[0].data == "192.0.2.7"


async def test_an_answer_from_another_port_is_not_heard() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        loop = asyncio.get_running_loop()
        asking = asyncio.create_task(heard(resolver_at(server.getsockname()[1], timeout=1)))
        query, client = await loop.sock_recvfrom(server, 512)
        for number in (question_of(query)[0], None):
            stranger.sendto(message(query, [record("a.example", "A", EVIL)], number=number), client)
        server.sendto(true(query), client)
        answer = await asking

    assert isinstance(answer, Found)
    assert answer.records[0].data == "192.0.2.7"


async def test_nxdomain_means_it_whatever_records_come_with_it() -> None:
    answer = await ask(by_udp(lambda query: message(query, [record("a.example", "A", A)], rcode=3)))

    assert isinstance(answer, NoSuchName)


async def test_records_of_other_names_do_not_answer() -> None:
    evil = [record("b.example", "A", EVIL), record("example", "A", EVIL), record("x.a.example", "A", EVIL)]

    assert isinstance(await ask(by_udp(lambda query: message(query, evil))), NoData)


async def test_a_referral_is_no_answer() -> None:
    """Lame delegation: neither authoritative nor willing to ask; the next server is asked, then it is temporary."""
    servers = [record("example", "NS", format_name("ns.elsewhere.example"))]
    answer = await ask(by_udp(lambda query: message(query, [], authority=servers, flags=0x8000)))

    assert isinstance(answer, TryAgain)


@pytest.mark.parametrize("flags", [0x8080, 0x8400])
async def test_no_data_of_who_knows_is_no_data(flags: int) -> None:
    assert isinstance(await ask(by_udp(lambda query: message(query, [], flags=flags))), NoData)


async def test_an_answer_that_is_cut_by_tcp_too_is_temporary() -> None:
    assert isinstance(await ask(by_udp(lambda query: message(query, [], flags=0x8380))), TryAgain)


async def test_a_full_message_by_tcp_is_read() -> None:
    many = [record("a.example", "A", n.to_bytes(4, "big")) for n in range(2400)]

    def replies(query: bytes, by_tcp: bool) -> list[bytes]:
        return [message(query, many)] if by_tcp else [message(query, [], flags=0x8380)]

    answer = await ask(replies, timeout=2)

    assert isinstance(answer, Found)
    assert len(answer.records) == 2400


TRICKLES = (b"", b"\x00", b"\xff\xff", b"\x00\x40\x00\x00\x81", b"\x00\x00")


@pytest.mark.parametrize("sent", TRICKLES)
@pytest.mark.parametrize("closes", [True, False])
async def test_a_server_that_trickles_by_tcp_is_not_waited_for(sent: bytes, closes: bool) -> None:
    done = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        if not closes:
            await done.wait()
        writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    MADE.append(Resolver(ResolverSettings((("127.0.0.1", port),), 0.05, 2, use_tcp=True)))
    try:
        assert isinstance(await heard(MADE[-1]), TryAgain)
    finally:
        done.set()
        server.close()
        await server.wait_closed()


def _damaged(chance: random.Random, query: bytes) -> bytes:
    """A true answer with some bytes changed, cut or added; its id often left as it is, so that it is read on."""
    kinds = (
        [record("a.example", "A", A)],
        [record("a.example", "CNAME", format_name("b.example")), record("b.example", "A", A)],
        [record("a.example", "MX", b"\x00\x0a" + format_name("mx.example"))],
        [record("a.example", "TXT", b"\x04text")],
    )
    data = bytearray(message(query, chance.choice(kinds)))
    for _ in range(chance.randint(0, 6)):
        data[chance.randint(2, len(data) - 1)] = chance.randint(0, 255)
    end = len(data) - chance.randint(0, 20) if chance.random() < 0.5 else len(data)
    return bytes(data[:end]) + chance.randbytes(chance.choice((0, 0, 3, 600)))


@pytest.mark.parametrize("seed", range(5))
async def test_no_damage_leaves_a_question_without_an_answer(seed: int) -> None:
    chance = random.Random(seed)
    async with FakeServer(lambda query, by_tcp: [_damaged(chance, query)]) as server:
        resolver = resolver_at(server.port)
        questions = [(f"n{n}.example", kind) for n in range(50) for kind in ("A", "MX", "TXT", "AAAA")]
        answers = await asyncio.gather(*(heard(resolver, *question) for question in questions))

    assert len(answers) == 200
    assert not any(isinstance(answer, Found) for answer in answers)  # nothing was said of these names
