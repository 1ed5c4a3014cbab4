"""Name servers that stop to answer, are slow, and come back: the first questions pay for it, later ones do not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
import uvloop

from seawall.dns.answers import Answer, Found, NoData, NoSuchName, TryAgain
from seawall.dns.resolv_conf import ResolverSettings
from seawall.dns.resolver import Resolver
from seawall.testing.dns import FakeServer, message, question_of, record

A = socket.inet_aton("192.0.2.7")
MADE: list[Resolver] = []


class Moody:
    """Answers every question with an address, or keeps silent."""

    def __init__(self) -> None:
        self.is_silent = False
        self.silent_about = b""

    def __call__(self, query: bytes, by_tcp: bool) -> list[bytes]:
        if self.is_silent or (self.silent_about and self.silent_about in query):
            return []
        return [message(query, [record("a.example", "A", A)] if b"\x01a\x07example" in query else [])]


@pytest.fixture(autouse=True)
async def _every_resolver_is_closed() -> AsyncIterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def resolver_for(
    *servers: FakeServer, timeout: float = 0.05, attempts: int = 2, warn: Callable[[str], None] | None = None
) -> Resolver:
    addresses = tuple(("127.0.0.1", server.port) for server in servers)
    MADE.append(Resolver(ResolverSettings(addresses, timeout, attempts), warn=warn))
    return MADE[-1]


async def heard(resolver: Resolver, name: str) -> Answer:
    answer = resolver.ask(name, "A")
    return answer if isinstance(answer, Found | NoSuchName | NoData | TryAgain) else await answer


async def asked_until(resolver: Resolver, kind: type[Answer], start: str, patience: float = 5.0) -> int:
    """Ask for new names until one is answered so; how many were asked."""
    async with asyncio.timeout(patience):
        for number in range(100_000):
            answer = await heard(resolver, f"{start}{number}.example")
            if isinstance(answer, kind):
                return number + 1
            await asyncio.sleep(0)
    raise AssertionError


async def dead(resolver: Resolver, patience: float = 5.0) -> None:
    """Return once a question is turned away without being asked."""
    async with asyncio.timeout(patience):
        for number in range(1000):
            sent = resolver.questions_sent
            answer = resolver.ask(f"gone{number}.example", "A")
            if isinstance(answer, TryAgain) and resolver.questions_sent == sent:
                return
            if not isinstance(answer, Found | NoSuchName | NoData | TryAgain):
                await answer
    raise AssertionError


async def test_nobody_waits_for_a_server_that_hangs_and_its_return_is_found() -> None:
    mood, warnings = Moody(), list[str]()
    async with FakeServer(mood) as server:
        resolver = resolver_for(server, warn=warnings.append)
        mood.is_silent = True
        await dead(resolver)
        assert resolver.ask("new.example", "A") == TryAgain("no name server answers")

        mood.is_silent = False
        await asked_until(resolver, NoData, "back")
    assert [text.partition(": ")[2][:9] for text in warnings] == ["no answer", "answers a"]


async def test_who_waits_when_a_server_is_given_up_waits_no_longer() -> None:
    mood = Moody()
    async with FakeServer(mood) as server:
        resolver = resolver_for(server, timeout=1.0, attempts=1)
        mood.is_silent = True
        first = [asyncio.create_task(heard(resolver, f"n{number}.example")) for number in range(3)]
        await asyncio.gather(*first)  # and a second later it is known
        began = asyncio.get_running_loop().time()
        late = []
        for number in range(9):
            late.append(asyncio.create_task(heard(resolver, f"late{number}.example")))
            await asyncio.wait(late, timeout=0.1)
        answers = await asyncio.gather(*late)
        took = asyncio.get_running_loop().time() - began

    assert all(isinstance(answer, TryAgain) for answer in answers)
    assert took < 1.5


async def test_silence_about_some_names_is_not_taken_for_death() -> None:
    """As of a resolver that asks servers which are away, in a quiet hour: nothing else is asked meanwhile."""
    mood = Moody()
    async with FakeServer(mood) as server:
        resolver = resolver_for(server)
        mood.silent_about = b"lost"
        for number in range(6):
            assert isinstance(await heard(resolver, f"lost{number}.example"), TryAgain)
            assert isinstance(await heard(resolver, "a.example"), Found)
            resolver.flush()
        answers = await asyncio.gather(*(heard(resolver, f"lost-again{number}.example") for number in range(5)))
        assert all(isinstance(answer, TryAgain) for answer in answers)
        assert isinstance(await heard(resolver, "a.example"), Found)


async def test_a_dead_server_is_passed_over_for_the_next() -> None:
    mood = Moody()
    async with FakeServer(mood) as first, FakeServer(Moody()) as second:
        resolver = resolver_for(first, second, timeout=0.2)
        mood.is_silent = True
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            for number in range(1000):
                began = loop.time()
                assert isinstance(await heard(resolver, f"n{number}.example"), NoData)
                if loop.time() - began < 0.1:
                    break
        asked = len(second.queries)
        assert isinstance(await heard(resolver, "a.example"), Found)
        assert len(second.queries) == asked + 1


async def test_an_answer_that_comes_after_the_question_was_sent_again_is_an_answer() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        MADE.append(Resolver(ResolverSettings((server.getsockname(),), 0.2, 2)))
        asking = asyncio.create_task(heard(MADE[-1], "a.example"))
        query, client = await loop.sock_recvfrom(server, 512)
        again, _ = await loop.sock_recvfrom(server, 512)
        server.sendto(message(query, [record("a.example", "A", A)]), client)
        answer = await asking

    assert isinstance(answer, Found)
    assert question_of(again) == question_of(query)


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_server_that_answers_a_moment_too_late_comes_to_life_again(attempts: int) -> None:
    """Its first questions were lost; from then on each answer takes a little longer than a try."""
    loop = asyncio.get_running_loop()
    timeout, warnings = 0.3, list[str]()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        MADE.append(Resolver(ResolverSettings((server.getsockname(),), timeout, attempts), warn=warnings.append))
        resolver, is_lost = MADE[-1], True

        async def answer_late() -> None:
            while True:
                query, client = await loop.sock_recvfrom(server, 512)
                if not is_lost:
                    loop.call_later(timeout * 1.05, server.sendto, message(query, []), client)

        answering = asyncio.create_task(answer_late())
        await dead(resolver)
        is_lost = False
        async with asyncio.timeout(10):
            while len(warnings) < 2:
                await asyncio.sleep(0)
        answering.cancel()

    assert [text.partition(": ")[2][:9] for text in warnings] == ["no answer", "answers a"]


async def test_ten_thousand_who_wait_for_a_turn_hear_of_a_death() -> None:
    mood = Moody()
    async with FakeServer(mood) as server:
        resolver = resolver_for(server)
        mood.is_silent = True
        waits = [asyncio.create_task(heard(resolver, f"n{number}.example")) for number in range(11_000)]
        answers = await asyncio.wait_for(asyncio.gather(*waits), 20)

    assert all(isinstance(answer, TryAgain) for answer in answers)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_server_that_was_not_there_is_heard_when_it_is(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A refusal by the kernel must not be the last that is heard of a socket, nor be taken from another question."""

    async def journey() -> None:
        server = FakeServer(Moody())
        async with server:
            address = ("127.0.0.1", server.port)
        resolver = Resolver(ResolverSettings((address,), timeout=30))
        loop = asyncio.get_running_loop()
        for number in range(3):
            waits = [asyncio.create_task(heard(resolver, f"n{number}-{each}.example")) for each in range(20)]
            answers = await asyncio.wait_for(asyncio.gather(*waits), 10)
            assert all(isinstance(answer, TryAgain) for answer in answers)
        again, _ = await loop.create_datagram_endpoint(lambda: Answering(), local_addr=address)
        try:
            assert isinstance(await asyncio.wait_for(heard(resolver, "a.example"), 10), Found)
        finally:
            again.close()
            resolver.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(journey())


class Answering(asyncio.DatagramProtocol):
    """The server on its return."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in Moody()(data, False):
            self._transport.sendto(reply, addr)
