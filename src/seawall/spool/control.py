"""The queue manager's socket ``public/control``: how postqueue and postsuper ask it.  showq(8), flush(8)

One request a connection, a line of JSON; the answer is lines of JSON, of which the last has ``end``.  Who asks is
told by the kernel (SO_PEERCRED), not by him.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import TypeAlias

import msgspec

from seawall.journal.records.spool import OperatorAct
from seawall.spool.listing import list_message, queue_names
from seawall.spool.manager import QueueManager
from seawall.spool.places import QUEUE
from seawall.spool.upkeep import DONE, SOURCES, Upkeep
from seawall.spool.visits import KEEPS_SOCKET, Visits, part

LINE = 1 << 20
"""The longest request, bytes: some ten thousand queue ids; ours."""
PATIENCE = 30.0
"""Seconds for a request to arrive, and for a listing's reader to take a batch; ours."""
BATCH = 100
"""Messages that are read for a listing before they are sent; ours."""


class Request(msgspec.Struct, frozen=True):
    """What is asked: ``list``, ``flush``, or a key of upkeep.DONE.  Empty fields stand for all."""

    do: str
    ids: list[str] = []
    queues: list[str] = []
    site: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The last line: how many messages were acted on, and their ids; or why not."""

    end: bool = True
    count: int = 0
    done: list[str] = []
    error: str = ""

    @property
    def is_good(self) -> bool:
        """True where it was done."""
        return not self.error


Allowed: TypeAlias = Callable[[str, str], Awaitable[bool]]
"""(parameter such as ``authorized_flush_users``, user name): may he?"""


async def everybody(parameter: str, user: str) -> bool:
    """static:anyone, the default of each of these parameters."""
    del parameter, user
    return True


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """The user at the other end of a unix socket; -1 where the kernel does not tell."""
    connection = writer.get_extra_info("socket")
    if connection is None:
        return -1
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", packed)[1]
    return uid


def user_name(uid: int) -> str:
    """The name of a user, or ``unknown``."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "unknown"


class Control:
    """Answers requests about one queue manager's mail."""

    def __init__(self, manager: QueueManager, allowed: Allowed = everybody) -> None:
        self.visits = Visits()
        self._manager = manager
        self._allowed = allowed
        self._files = manager.ledger.files
        self._upkeep = Upkeep(self._files, manager.active)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for asyncio.start_unix_server(limit=LINE)."""
        self.visits.enter()
        try:
            line = await asyncio.wait_for(reader.readline(), PATIENCE)
            answer = await self._answer(msgspec.json.decode(line, type=Request), writer)
        except (msgspec.MsgspecError, ValueError, UnicodeDecodeError):
            answer = Answer(error="the request does not read")
        except (TimeoutError, ConnectionError):
            await part(writer)
            return
        except OSError as trouble:
            answer = Answer(error=f"queue file access: {trouble}")
        try:
            writer.write(msgspec.json.encode(answer) + b"\n")
            await asyncio.wait_for(writer.drain(), PATIENCE)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            await part(writer)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> Answer:
        uid = peer_uid(writer)
        name = await self._manager.hands.do(user_name, uid)
        if request.do == "list":
            if uid != 0 and not await self._allowed("authorized_mailq_users", name):
                return Answer(error=f"User {name}({uid}) is not allowed to view the mail queue")
            return await self._list(writer)
        if request.do == "flush":
            if uid != 0 and not await self._allowed("authorized_flush_users", name):
                return Answer(error=f"User {name}({uid}) is not allowed to flush the mail queue")
            return self.flush(request)
        if request.do in DONE:
            if uid not in (0, os.geteuid()):
                return Answer(error="use of this command is reserved for the superuser")
            return await self._act(request)
        return Answer(error="no such request")

    async def _list(self, writer: asyncio.StreamWriter) -> Answer:
        manager = self._manager
        names = iter(await manager.hands.do(lambda: list(queue_names(manager.ledger.disk, manager.places))))
        while batch := list(islice(names, BATCH)):
            rows = await manager.hands.do(
                lambda some: [list_message(self._files, *which, manager.active) for which in some], batch
            )
            writer.write(b"".join(msgspec.json.encode(row) + b"\n" for row in rows if row is not None))
            await asyncio.wait_for(writer.drain(), PATIENCE)
        return Answer()

    def flush(self, request: Request) -> Answer:
        """All mail, one site's, or single messages: dead sites are forgiven, alarms ring now.  postqueue(1) -f -s -i"""
        manager = self._manager
        manager.deliveries.scheduler.forgive()
        if request.ids:
            chosen = list(request.ids)
        else:
            site = request.site.lower()
            chosen = [
                queue_id for queue_id in manager.alarms.ids() if not site or site in manager.domains.get(queue_id, ())
            ]
        count = 0
        for queue_id in chosen:
            if queue_id in manager.alarms:
                manager.announce(queue_id)
                count += 1
        return Answer(count=count)

    async def _act(self, request: Request) -> Answer:
        manager = self._manager
        queues = tuple(request.queues) or SOURCES[request.do]
        chosen = await manager.hands.do(self._upkeep.chosen, request.ids, queues)
        done = []
        for folder, queue_id in chosen:
            if await self._act_on(request.do, folder, queue_id):
                done.append(queue_id)
                manager.write(OperatorAct(at=manager.ports.clock.now(), queue_id=queue_id, act=DONE[request.do]))
        return Answer(count=len(done), done=done)

    async def _act_on(self, what: str, folder: str, queue_id: str) -> bool:
        manager = self._manager
        if folder == QUEUE and what in ("delete", "hold") and manager.take_out(queue_id, what):
            return True
        there = await manager.hands.do(self._upkeep.act, what, folder, queue_id, manager.ports.clock.now())
        if not there:
            return False
        if folder == QUEUE and what in ("delete", "hold"):
            manager.forget(queue_id)
        elif what != "delete" and not (what == "expire" and folder != QUEUE):
            manager.announce(queue_id)
        return True


async def serve_control(control: Control, where: str | socket.socket) -> asyncio.Server:
    """Listen at a path, or on a socket that the supervisor opened; everybody may connect."""
    if isinstance(where, socket.socket):
        return await asyncio.start_unix_server(control.handle, sock=where, limit=LINE, **KEEPS_SOCKET)
    if os.path.exists(where):
        os.unlink(where)
    server = await asyncio.start_unix_server(control.handle, where, limit=LINE, **KEEPS_SOCKET)
    os.chmod(where, 0o666)
    return server
