"""The control socket: bad requests are answered, and who may do what is decided by the kernel's word."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest

from seawall.spool.control import Control, Request, serve_control
from tests.crash.common import message
from tests.spool.world import World


class Line:
    """A control socket of a world, and one question to it."""

    def __init__(self, path: Path, world: World) -> None:
        self.path = str(path / "control")
        self.control = Control(world.manager or world.start())

    async def ask(self, data: bytes) -> list[dict[str, object]]:
        server = await serve_control(self.control, self.path)
        try:
            reader, writer = await asyncio.open_unix_connection(self.path)
            writer.write(data)
            writer.write_eof()
            lines = (await asyncio.wait_for(reader.read(), 10)).splitlines()
            writer.close()
            await writer.wait_closed()
            await self.control.visits.quiet()
            return [json.loads(line) for line in lines]
        finally:
            server.close()
            await server.wait_closed()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "the request does not read"),
        (b"junk\n", "the request does not read"),
        (b'{"do":"delete","ids":"x"}\n', "the request does not read"),
        (b'{"do":"\xff"}\n', "the request does not read"),
        (b'{"do":"dance"}\n', "no such request"),
    ],
)
async def test_bad_requests_are_answered(tmp_path: Path, data: bytes, error: str) -> None:
    (answer,) = await Line(tmp_path, World()).ask(data)
    assert answer["error"] == error
    assert answer["end"] is True


async def test_a_request_without_end_is_hung_up_on(tmp_path: Path) -> None:
    line = Line(tmp_path, World())
    with contextlib.suppress(ConnectionError):
        (answer,) = await line.ask(b"[" * (2 << 20) + b"\n")
        assert answer["error"] == "the request does not read"
    assert (await line.ask(b'{"do":"list"}\n'))[-1]["end"] is True, "the next one is served"


async def test_a_listing_ends_with_its_end(tmp_path: Path) -> None:
    world = World()
    for number in (1, 2):
        world.files.store(message(number))
    rows = await Line(tmp_path, world).ask(b'{"do":"list"}\n')
    assert [row.get("queue_id") for row in rows] == [message(1).queue_id, message(2).queue_id, None]
    assert rows[-1]["end"] is True


async def test_everybody_may_connect_but_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    item = message(1)
    world.files.store(item)
    line = Line(tmp_path, world)
    monkeypatch.setattr("seawall.spool.control.peer_uid", lambda _: os.geteuid() + 4711)
    (answer,) = await line.ask(b'{"do":"delete","ids":["ALL"]}\n')
    assert answer["error"] == "use of this command is reserved for the superuser"
    assert world.queue() == [item.queue_id]
    assert os.stat(line.path).st_mode & 0o777 == 0o666 if os.path.exists(line.path) else True


async def test_looking_and_flushing_may_be_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(parameter: str, user: str) -> bool:
        return not parameter.startswith("authorized_") and user != ""

    world = World()
    line = Line(tmp_path, world)
    line.control._allowed = nobody
    monkeypatch.setattr("seawall.spool.control.peer_uid", lambda _: 65534)
    (answer,) = await line.ask(b'{"do":"list"}\n')
    assert "is not allowed to view the mail queue" in str(answer["error"])
    (answer,) = await line.ask(b'{"do":"flush"}\n')
    assert "is not allowed to flush the mail queue" in str(answer["error"])


def test_a_request_says_what_it_means() -> None:
    assert Request(do="flush") == Request(do="flush", ids=[], queues=[], site="")
