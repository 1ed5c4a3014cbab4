"""A server behind that says nonsense, too much, too early, or nothing: the client hears 421 and never somebody else's reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from seawall.clock import SystemClock
from seawall.config.settings import Settings
from seawall.journal.record import MemoryJournal
from seawall.journey import Caller, Joined
from seawall.mail.reply import Reply
from seawall.upstream.rules import read_rules
from seawall.upstream.upstream import Upstream

CALLER = Caller("198.18.3.4", "4660", "192.0.2.1", "25", hello=("EHLO", "client.example"))
NAMED = b"PROXY TCP4 198.18.3.4 192.0.2.1 4660 25\r\n"
READY = {NAMED: b"220 behind ESMTP\r\n", b"EHLO client.example\r\n": b"250-behind\r\n250 SIZE 10\r\n"}


class Somebody:
    worth = 1

    def spare(self, now: float) -> float | None:
        return None

    def give_up(self) -> None:
        raise AssertionError("nobody waits")


@asynccontextmanager
async def behind(answers: dict[bytes, bytes]) -> AsyncIterator[Callable[[], asyncio.Task[Joined | Reply]]]:
    """A server that has these answers to these lines; gives what joins a client with it."""

    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()) in answers and answers[line]:
            writer.write(answers[line])
        if line in answers:  # silence
            await reader.read()
        writer.close()

    def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(come, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings.from_text(
        f"compatibility_level = 3.6\nmyhostname = mx.example\nseawall_upstream = [127.0.0.1]:{port}\n"
    )
    rules = replace(read_rules(settings, workers=1), connect=5.0, patience=0.6)
    upstream = Upstream(rules, MemoryJournal(), SystemClock())
    async with server:
        yield lambda: asyncio.ensure_future(upstream.join(CALLER, Somebody()))
        assert len(upstream.places) == 0
        await asyncio.wait(served)


async def test_a_reply_is_passed_on_as_it_stands() -> None:
    said = b"550-5.1.1 one\r\n550-two\r\n550 5.1.1 three\r\n"
    async with behind({**READY, b"MAIL\r\n": said}) as join:
        joined = await join()
        assert not isinstance(joined, Reply)
        assert joined.offers == ("PIPELINING", "SIZE 10")
        reply = await joined.ask(b"MAIL\r\n")
        assert (reply.code, getattr(reply, "wire", b"")) == (550, said)
        joined.close(politely=True)


@pytest.mark.parametrize(
    "said",
    [b"x" * 100_000, b"250-on\r\n" * 1000, b"", b"250", b"\0\xff\r\n", b"25 what\r\n", b"ok\r\n"],
    ids=["no end", "too many lines", "nothing", "half", "binary", "no code", "no reply"],
)
async def test_what_is_no_reply_is_421(said: bytes) -> None:
    async with behind({**READY, b"MAIL\r\n": said}) as join:
        joined = await join()
        assert not isinstance(joined, Reply)
        reply = await joined.ask(b"MAIL\r\n")
        assert (reply.code, reply.status) == (421, "4.3.2")
        assert joined.is_gone
        assert (await joined.ask(b"RSET\r\n")).code == 421


async def test_a_reply_too_many_is_not_the_answer_to_the_next_command() -> None:
    async with behind({**READY, b"MAIL\r\n": b"250 ok\r\n250 and another\r\n", b"RCPT\r\n": b"550 no\r\n"}) as join:
        joined = await join()
        assert not isinstance(joined, Reply)
        assert (await joined.ask(b"MAIL\r\n")).code == 250
        assert (await joined.ask(b"RCPT\r\n")).code == 421


@pytest.mark.parametrize(
    ("answers", "code", "text"),
    [
        ({NAMED: b"554 go away\r\n", b"QUIT\r\n": b"221 bye\r\n"}, 554, "go away"),
        ({NAMED: b"421 4.7.0 too many\r\n"}, 421, "4.7.0 too many"),
        ({NAMED: b"220 behind\r\n", b"EHLO client.example\r\n": b"450 not you\r\n"}, 450, "not you"),
        ({}, 421, "mx.example Error: the mail server does not answer, try again later"),
        ({NAMED: b""}, 421, "mx.example Error: the mail server does not answer, try again later"),
        ({NAMED: b"SSH-2.0\r\n"}, 421, "mx.example Error: the mail server does not answer, try again later"),
    ],
)
async def test_a_server_that_does_not_want_the_client_says_so_itself(
    answers: dict[bytes, bytes], code: int, text: str
) -> None:
    async with behind(answers) as join:
        reply = await join()
        assert isinstance(reply, Reply)
        assert (reply.code, reply.text) == (code, text)
