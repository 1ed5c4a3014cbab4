"""The same sessions over real sockets, on asyncio's own loop and on uvloop."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from tests.edge.world import HOST, World, refuse

GREETING = f"220 {HOST} ESMTP Seawall\r\n".encode()


async def with_server(play: Callable[[World, int], Awaitable[None]], main_cf: str = "") -> World:
    world = World(main_cf)
    server = await asyncio.get_running_loop().create_server(world.edge.session, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await asyncio.wait_for(play(world, port), 20)
    finally:
        server.close()
        await server.wait_closed()
    for _ in range(50):
        if not world.edge.sessions:
            break
        await asyncio.sleep(0.01)
    return world


def run_on(loops: str, coroutine: Any) -> Any:
    factory = uvloop.new_event_loop if loops == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coroutine)


async def read_reply(reader: asyncio.StreamReader) -> bytes:
    reply = b""
    while True:
        line = await reader.readline()
        reply += line
        if not line or line[3:4] == b" ":
            return reply


async def deliver(world: World, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await read_reply(reader) == GREETING
    for line in (b"EHLO x", b"MAIL FROM:<a@b.c>", b"RCPT TO:<u@example.com>"):
        writer.write(line + b"\r\n")
        assert (await read_reply(reader)).startswith(b"250")
    writer.write(b"DATA\r\n")
    assert (await read_reply(reader)).startswith(b"354")
    writer.write(b"x" * 70 + b"\r\n")
    for _ in range(2000):
        writer.write(b"..some line of text that is stuffed\r\n" * 20)
    writer.write(b".\r\n")
    assert await read_reply(reader) == b"250 2.0.0 Ok: queued as Q1\r\n"
    writer.write(b"QUIT\r\n")
    assert await read_reply(reader) == b"221 2.0.0 Bye\r\n"
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_a_message_arrives(loops: str) -> None:
    world = run_on(loops, with_server(deliver))
    assert world.intake.opened[0].content == b"x" * 70 + b"\n" + b".some line of text that is stuffed\n" * 40_000
    assert world.log[-1].endswith("ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")


async def close_half(world: World, port: int) -> None:
    world.judge.waits = True
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await read_reply(reader) == GREETING
    writer.write(b"EHLO x\r\n")
    await read_reply(reader)
    writer.write(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<u@example.com>\r\nRSET\r\n")
    writer.write_eof()
    assert await reader.read() == b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.0.0 Ok\r\n"
    writer.close()


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_a_half_closed_connection_is_answered_to_its_end(loops: str) -> None:
    world = run_on(loops, with_server(close_half))
    assert world.log[-2].startswith("lost connection after RSET from")


async def many_at_once(world: World, port: int) -> None:
    world.judge.refusals["rcpt"] = refuse("<u@example.com>: User unknown")

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await read_reply(reader)
        writer.write(b"EHLO x\r\n")
        await read_reply(reader)
        writer.write(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<u@example.com>\r\nQUIT\r\n")
        assert (await reader.read()).endswith(b"550 5.7.1 <u@example.com>: User unknown\r\n221 2.0.0 Bye\r\n")
        writer.close()

    await asyncio.gather(*(one() for _ in range(100)))


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_a_hundred_clients_at_once_are_all_answered(loops: str) -> None:
    world = run_on(loops, with_server(many_at_once, "smtpd_client_connection_count_limit = 0\n"))
    assert sum(line.startswith("disconnect") for line in world.log) == 100
    numbers = [record.number for record in world.journal.records]
    assert len(set(numbers)) == 100


async def never_reads(world: World, port: int) -> None:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=client, limit=1024)
    await read_reply(reader)
    writer.write(b"EHLO x\r\n")
    await read_reply(reader)
    session = next(iter(world.edge.sessions))
    assert session.transport is not None
    session.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    while not session.is_blocked:
        if writer.transport.get_write_buffer_size() < 1 << 16:
            writer.write(b"RSET\r\n" * 1000)
        await asyncio.sleep(0)
    assert session.engine.waiting < 1 << 19
    writer.transport.abort()


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_a_client_that_does_not_read_its_replies_is_not_read_either(loops: str) -> None:
    run_on(loops, with_server(never_reads, "smtpd_junk_command_limit = 100000000\n"))
