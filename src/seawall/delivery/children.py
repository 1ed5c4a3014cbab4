"""Asking the spawner: run this, read that, and tell me how it ended.  The delivery process's side."""

from __future__ import annotations

import array
import asyncio
import itertools
import os
import socket
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from seawall.delivery.content import write_all
from seawall.delivery.spawner import LIST_LIMIT, REQUEST_LIMIT, Ended, ListContent, ReadList, Request, RunCommand
from seawall.linux.identity import Identity

OUTPUT_LIMIT = 4096
"""Bytes of a command's output that are kept for the bounce.  VSTREAM_BUFSIZE"""
_IN_MEMORY = 1024 * 1024
"""A message up to so many bytes reaches a command through memory, a larger one through a file without a name."""


class ChildTrouble(Exception):
    """The spawner could not do what it was asked for: temporary, ours."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended: what it wrote (`OUTPUT_LIMIT` bytes of it), its exit code or the signal that killed it."""

    output: bytes
    code: int
    signal: int
    timed_out: bool


class Children:
    """The delivery process's end of the spawner.  `link` is what `start_spawner` gave."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Ended]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_lost: Callable[[], None] | None = None

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Call `on_lost` when the spawner is gone: a process that has threads cannot start another."""
        self._on_lost = on_lost
        self._listen()

    def _listen(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._link.setblocking(False)
            loop.add_reader(self._link.fileno(), self._heard)
        return loop

    async def run(self, command: RunCommand, message: Iterable[bytes]) -> Ending:
        """Run a command with `message` as its input.  `command.number` is set here.  Raises ChildTrouble, OSError."""
        source = await asyncio.to_thread(_as_file, message)
        try:
            ended, output = await self._ask(msgspec.structs.replace(command, number=next(self._numbers)), source)
        finally:
            os.close(source)
        killed = os.WTERMSIG(ended.status) if os.WIFSIGNALED(ended.status) else 0
        code = os.WEXITSTATUS(ended.status) if os.WIFEXITED(ended.status) else 0
        return Ending(output[:OUTPUT_LIMIT], code, killed, ended.timed_out)

    async def read_list(self, identity: Identity, path: str, seconds: float = 60.0) -> ListContent:
        """The destinations in a .forward or :include: file, read as `identity`.  Raises ChildTrouble."""
        source = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        request = ReadList(next(self._numbers), identity.uid, identity.gid, os.fsencode(path), seconds)
        try:
            ended, output = await self._ask(request, source, keep=2 * LIST_LIMIT)
        finally:
            os.close(source)
        if ended.status != 0:
            raise ChildTrouble(output[:200].decode("utf-8", "replace").strip() or "the reader ended early")
        try:
            return msgspec.msgpack.decode(output, type=ListContent)
        except msgspec.DecodeError as trouble:
            raise ChildTrouble("the reader's answer cannot be read") from trouble

    async def _ask(self, request: Request, source: int, keep: int = OUTPUT_LIMIT) -> tuple[Ended, bytes]:
        data = msgspec.msgpack.encode(request)
        if len(data) > REQUEST_LIMIT:
            raise ChildTrouble("command and environment are too long")
        loop = self._listen()
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        answer: asyncio.Future[Ended] = loop.create_future()
        self._waiting[request.number] = answer
        collector = _Collector(loop, read_end, keep)
        try:
            try:
                await self._send(data, source, write_end)
            finally:
                os.close(write_end)
            return await answer, collector.finish()
        finally:
            self._waiting.pop(request.number, None)
            collector.close()

    async def _send(self, data: bytes, source: int, target: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [source, target]))]
        while True:
            try:
                self._link.sendmsg([data], rights)
                return
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except OSError as trouble:
                raise ChildTrouble(f"the spawner is gone: {trouble.strerror}") from trouble

    def _heard(self) -> None:
        try:
            data = self._link.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        ended = msgspec.msgpack.decode(data, type=Ended)
        answer = self._waiting.get(ended.number)
        if answer is not None and not answer.done():
            answer.set_result(ended)

    def _lost(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._link.fileno())
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ChildTrouble("the spawner is gone"))
        if self._on_lost is not None:
            self._on_lost()

    def close(self) -> None:
        """Let the spawner go; it ends."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._link.fileno())
        self._link.close()


class _Collector:
    """Reads a pipe as it fills, keeps the first bytes and drops the rest, so that a talkative child never blocks."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, keep: int) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._keep = keep
        self._kept = bytearray()
        self._open = True
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self._more)

    def _more(self) -> None:
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._stop()
            return
        self._kept += data[: self._keep - len(self._kept)]

    def _stop(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)

    def finish(self) -> bytes:
        """What was written before the child ended; a grandchild that holds the pipe open is not waited for."""
        while self._open:
            before = len(self._kept)
            self._more()
            if len(self._kept) == before:
                break
        return bytes(self._kept)

    def close(self) -> None:
        self._stop()
        os.close(self._descriptor)


def _as_file(message: Iterable[bytes]) -> int:
    """An open file without a name that holds the message, at its start: in memory if it is small."""
    descriptor = os.memfd_create("message", os.MFD_CLOEXEC)
    size, on_disk = 0, False
    try:
        for piece in message:
            size += len(piece)
            if not on_disk and size > _IN_MEMORY:
                descriptor, on_disk = _moved_to_disk(descriptor), True
            write_all(descriptor, piece)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _moved_to_disk(memory: int) -> int:
    """A file on disk with what the file in memory holds, which is closed."""
    with tempfile.TemporaryFile(buffering=0) as file:
        descriptor = os.dup(file.fileno())
    left = os.lseek(memory, 0, os.SEEK_CUR)
    os.lseek(memory, 0, os.SEEK_SET)
    while left > 0:
        left -= os.sendfile(descriptor, memory, None, left)
    os.close(memory)
    return descriptor
