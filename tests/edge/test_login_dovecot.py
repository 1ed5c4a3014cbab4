"""Dovecot's authentication protocol from our side: many exchanges on one connection, and its loss."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.login import Challenge, Failure, Step, Success
from seawall.edge.login_dovecot import LOST, DovecotLogin, is_allowed, read_place
from seawall.policy.attempt import Attempt

CLIENT = Attempt("198.18.3.4", server_address="192.0.2.1")
HELLO = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tCRAM-MD5\tdictionary\tactive\nMECH\tANONYMOUS\tanonymous\nSPID\t7\nCUID\t1\nDONE\n"

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def dovecot(tmp_path: Path, speak: Speak, more: str = "") -> AsyncIterator[DovecotLogin]:
    """A login over a server that greets and then speaks so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO.encode())
        assert (await reader.readline()) == b"VERSION\t1\t1\n"
        assert (await reader.readline()).startswith(b"CPID\t")
        try:
            await speak(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_unix_server(serve, tmp_path / "auth"):
        made = DovecotLogin(Settings.from_text(f"smtpd_sasl_path = {tmp_path}/auth\n{more}"), lambda name: True)
        task = asyncio.ensure_future(made.run())
        await made.known(10)
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def settled(step: Step | Awaitable[Step]) -> Step:
    return step if isinstance(step, Challenge | Success | Failure) else await asyncio.wait_for(step, 10)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_what_is_offered_is_what_the_options_allow(tmp_path: Path) -> None:
    async with dovecot(tmp_path, silent) as made:
        assert made.mechanisms(False) == ("PLAIN", "CRAM-MD5")
    more = "smtpd_sasl_security_options = noplaintext\nsmtpd_sasl_tls_security_options =\n"
    async with dovecot(tmp_path, silent, more) as made:
        assert made.mechanisms(False) == ("CRAM-MD5", "ANONYMOUS")
        assert made.mechanisms(True) == ("PLAIN", "CRAM-MD5", "ANONYMOUS")
        assert isinstance(made.start("PLAIN", None, CLIENT).first(), Failure)


async def test_answers_find_their_exchange_in_any_order(tmp_path: Path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [(await reader.readline()).decode().split("\t") for _ in range(3)]
        assert [line[2:4] for line in lines] == [["PLAIN", "service=smtp"]] * 3
        assert "rip=198.18.3.4" in lines[0]
        assert "lip=192.0.2.1" in lines[0]
        assert lines[0][-1] == "resp=AHVzZXIwAHg=\n"
        one, two, three = (line[1] for line in lines)
        writer.write(f"FAIL\t{three}\tuser=user2\treason=so it is\n".encode())
        writer.write(f"OK\t{two}\tuser=user1\n".encode())
        writer.write(f"FAIL\t{one}\tuser=user0\ttemp\n".encode())
        await reader.read()

    async with dovecot(tmp_path, speak) as made:
        exchanges = [made.start("plain", f"\0user{n}\0x".encode(), CLIENT) for n in range(3)]
        steps = await asyncio.gather(*(settled(each.first()) for each in exchanges))
    assert steps == [
        Failure("Temporary authentication failure", is_temporary=True, username="user0"),
        Success("user1"),
        Failure("so it is", username="user2"),
    ]


async def test_challenges_are_passed_on_and_answered(tmp_path: Path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = (await reader.readline()).decode().split("\t")[1]
        writer.write(f"CONT\t{number}\tPG5vbmNlPg==\n".encode())
        assert (await reader.readline()) == f"CONT\t{number}\tYW5uIGRpZ2VzdA==\n".encode()
        writer.write(f"OK\t{number}\tuser=ann\n".encode())
        await reader.read()

    async with dovecot(tmp_path, speak) as made:
        exchange = made.start("CRAM-MD5", None, CLIENT)
        assert await settled(exchange.first()) == Challenge(b"<nonce>")
        assert await settled(exchange.step(b"ann digest")) == Success("ann")


@pytest.mark.parametrize("answer", ["CONT\t{}\tno base64!\n", "OK\t{}\n", "nonsense\nFAIL\tx\nOK\n", "x" * 70_000])
async def test_nonsense_from_dovecot_is_temporary(tmp_path: Path, answer: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = (await reader.readline()).decode().split("\t")[1]
        writer.write(answer.format(number).encode())

    async with dovecot(tmp_path, speak) as made:
        step = await settled(made.start("PLAIN", b"\0ann\0x", CLIENT).first())
    assert isinstance(step, Failure)
    assert step.is_temporary


async def test_a_lost_connection_is_temporary_and_mechanisms_stay_offered(tmp_path: Path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()

    async with dovecot(tmp_path, speak) as made:
        assert await settled(made.start("PLAIN", b"\0ann\0x", CLIENT).first()) == LOST
        assert await settled(made.start("PLAIN", b"\0ann\0x", CLIENT).first()) == LOST
        assert made.mechanisms(False) == ("PLAIN", "CRAM-MD5")


def test_a_mechanism_must_have_what_is_asked_for() -> None:
    assert is_allowed(frozenset({"plaintext"}), frozenset({"noanonymous"}))
    assert not is_allowed(frozenset({"plaintext"}), frozenset({"noplaintext"}))
    assert not is_allowed(frozenset({"dictionary"}), frozenset({"mutual_auth"}))
    assert is_allowed(frozenset({"mutual-auth", "forward-secrecy"}), frozenset({"mutual_auth", "forward_secrecy"}))


def test_the_place_is_a_path_below_the_queue_or_a_port() -> None:
    def place(text: str) -> str | tuple[str, int]:
        return read_place(Settings.from_text(f"queue_directory = /q\nsmtpd_sasl_path = {text}\n", root="/r"))

    assert place("private/auth") == "/r/q/private/auth"
    assert place("unix:/run/auth") == "/r/run/auth"
    assert place("inet:[::1]:12345") == ("::1", 12345)
    with pytest.raises(ConfigTrouble, match="expected inet:host:port"):
        place("inet:localhost")
