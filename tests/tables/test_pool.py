"""Remote tables over real sockets: equal questions asked once, connections kept, lost, and servers that come and go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from seawall.tables.pool import MOST, Garbled, Host, Patience, Pool, Refusal, Unreachable
from seawall.tables.registry import Tables
from seawall.tables.streams import Speaker, Stream
from seawall.tables.table import TableTrouble

WITHIN = 15.0


class Server:
    """Answers ``get KEY`` of tcp_table(5): 200 with the key, unless told otherwise."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[bytes] = []
        self.connections = 0
        self.open_now: set[asyncio.StreamWriter] = set()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answer: Callable[[bytes], bytes] = lambda key: b"200 " + key + b"\n"
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        for writer in tuple(self.open_now):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_now.add(writer)
        try:
            while line := await reader.readline():
                key = line.split()[1]
                self.asked.append(key)
                await self.may_answer.wait()
                writer.write(self.answer(key))
        except ConnectionError:
            pass
        finally:
            self.open_now.discard(writer)
            writer.close()


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, Tables]]:
    server = Server()
    await server.start()
    tables = Tables()
    try:
        yield server, tables
    finally:
        tables.close()
        server.may_answer.set()
        await server.stop()


async def ask(tables: Tables, server: Server, key: str) -> str | None:
    answer = tables.open(f"tcp:127.0.0.1:{server.port}").lookup(key)
    return answer if answer is None or isinstance(answer, str) else await answer


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN):
        while not condition():
            await asyncio.sleep(0)


async def test_equal_questions_under_way_are_asked_once() -> None:
    async with served() as (server, tables):
        server.may_answer.clear()
        tasks = [asyncio.create_task(ask(tables, server, "key")) for _ in range(10)]
        await until(lambda: server.asked)
        server.may_answer.set()
        assert await asyncio.gather(*tasks) == ["key"] * 10
        assert server.asked == [b"key"]
        assert await ask(tables, server, "key") == "key"
        assert server.asked == [b"key", b"key"]  # an answer is not kept


async def test_who_waits_is_served_where_the_first_asker_goes_away() -> None:
    async with served() as (server, tables):
        server.may_answer.clear()
        first = asyncio.create_task(ask(tables, server, "key"))
        await until(lambda: server.asked)
        second = asyncio.create_task(ask(tables, server, "key"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        server.may_answer.set()
        assert await second == "key"


async def test_connections_are_few_and_used_again() -> None:
    async with served() as (server, tables):
        answers = await asyncio.gather(*(ask(tables, server, f"key{n}") for n in range(50)))
        assert answers == [f"key{n}" for n in range(50)]
        assert server.connections <= MOST


async def test_a_connection_that_the_server_closed_is_replaced_unnoticed() -> None:
    async with served() as (server, tables):
        assert await ask(tables, server, "a") == "a"
        server.hang_up()
        await until(lambda: not server.open_now)
        assert await ask(tables, server, "b") == "b"
        assert tables.warnings == []


async def test_a_dead_server_is_trouble_at_once_and_found_when_it_is_back() -> None:
    async with served() as (server, tables):
        assert await ask(tables, server, "a") == "a"
        await server.stop()
        loop = asyncio.get_running_loop()
        with pytest.raises(TableTrouble, match="Connection refused"):
            await ask(tables, server, "b")
        began = loop.time()
        for number in range(100):
            with pytest.raises(TableTrouble):
                await ask(tables, server, f"c{number}")
        assert loop.time() - began < 1.0
        assert len(tables.warnings) == 1
        await server.start()
        began = loop.time()
        found = None
        while found is None and loop.time() < began + WITHIN:
            try:
                found = await ask(tables, server, "d")
            except TableTrouble:
                await asyncio.sleep(0)
        assert found == "d"
        assert loop.time() - began < 5.0
        assert "answers again" in tables.warnings[-1]


async def test_a_server_that_refuses_a_key_is_still_a_server() -> None:
    async with served() as (server, tables):
        server.answer = lambda key: b"400 not now\n" if key == b"bad" else b"200 good\n"
        for _ in range(5):
            with pytest.raises(TableTrouble, match="not now"):
                await ask(tables, server, "bad")
        assert await ask(tables, server, "x") == "good"
        assert server.connections == 1


async def test_an_endless_reply_ends_the_connection_and_not_the_service() -> None:
    async with served() as (server, tables):
        server.answer = lambda key: b"x" * 10000 if key == b"bad" else b"200 good\n"
        for _ in range(5):
            with pytest.raises(TableTrouble, match="longer than"):
                await ask(tables, server, "bad")
        assert await ask(tables, server, "x") == "good"
        assert server.connections == 6


async def test_every_loop_has_connections_of_its_own() -> None:
    tables = Tables()
    for _ in range(2):
        server = Server()

        async def once(server: Server = server) -> None:
            await server.start()
            assert await ask(tables, server, "key") == "key"
            tables.close()
            await server.stop()

        await asyncio.to_thread(asyncio.run, once())


def silent(port: int, patience: Patience, warn: list[str], hosts: int = 1) -> Pool[bytes, bytes | None]:
    async def speak(stream: Stream, question: bytes) -> bytes | None:
        await stream.send(question)
        return await stream.line(100)

    async def connect(host: Host) -> Speaker:
        try:
            return Speaker(Stream(*await asyncio.open_connection(host.name, host.port)), speak)
        except OSError as error:
            raise Unreachable(str(error), refused=True) from None

    places = [Host(f"host{n}", "127.0.0.1", port + n) for n in range(hosts)]
    return Pool("test", places, connect, warn=warn.append, patience=patience, in_order=True)


async def test_silence_is_trouble_when_time_is_up_and_then_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        warnings: list[str] = []
        pool = silent(server.getsockname()[1], Patience(answer=0.3), warnings)
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(*(pool.ask(b"q\n") for _ in range(MOST)), return_exceptions=True)
        assert all("no answer within" in str(each) for each in found)
        began = loop.time()
        with pytest.raises(Unreachable):
            await pool.ask(b"q\n")
        assert loop.time() - began < 0.2
        assert pool.connections == 0
        pool.close()


async def test_another_server_answers_while_one_is_dead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        port = dead.getsockname()[1]
    server = Server()
    server.port = port + 1
    await server.start()
    warnings: list[str] = []
    pool = silent(port, Patience(), warnings, hosts=2)
    for number in range(20):
        assert await pool.ask(b"get k%d\n" % number) == b"200 k%d" % number
    assert sum("host0" in warning for warning in warnings) == 1
    pool.close()
    await server.stop()


async def test_idle_connections_are_closed() -> None:
    server = Server()
    await server.start()
    pool = silent(server.port, Patience(idle=0.05), [])
    assert await pool.ask(b"get k\n") == b"200 k"
    assert pool.connections == 1
    await until(lambda: not server.open_now)
    assert pool.connections == 0
    pool.close()
    await server.stop()


def test_garbage_is_an_answer_of_its_kind() -> None:
    assert issubclass(Garbled, Refusal)
