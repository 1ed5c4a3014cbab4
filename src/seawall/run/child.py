"""What every child process does: take its start message, open, drop privileges, wait, serve, beat, drain, end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from seawall.run import messages as m
from seawall.run.channel import Channel, Codec, receive_now, send_now
from seawall.run.configuration import settings_of
from seawall.run.privileges import Powers, PrivilegeTrouble, become, find_account

BEAT = 0.5
"""Seconds between two signs of life (docs/design.md: silent for 2 s, a neighbour helps)."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the supervisor gave this child: the message, the texts, and the descriptors as sockets."""

    start: m.Start
    configuration: m.Configuration
    log: int | None
    listeners: tuple[tuple[m.ListenerInfo, socket.socket], ...]


class Part(Protocol):
    """What `run/build.py` makes for a child: everything privileged is open when it is built."""

    @property
    def powers(self) -> Powers:
        """What it keeps of root's power."""
        ...

    async def begin(self) -> None:
        """Serve; returns once ready."""
        ...

    def link(self, peer: str, index: int, end: socket.socket, *, asks: bool) -> None:
        """A fresh pair to another child, on which we ask or are asked; an older one of its kind is at its end."""
        ...

    def adopt(self, index: int, listeners: tuple[tuple[m.ListenerInfo, socket.socket], ...]) -> None:
        """Accept for a silent neighbour as well; an empty tuple ends that."""
        ...

    @property
    def sessions(self) -> int:
        """What is under way, for status and draining."""
        ...

    async def drain(self, seconds: float, farewell: bool) -> None:
        """Take nothing new, let what is under way end, at most so long; then flush.  `farewell` as in `m.Drain`."""
        ...


class ChildTrouble(Exception):
    """The child cannot start: said to the supervisor, and on standard error."""


def receive_start(end: socket.socket) -> Given:
    """Wait for the start message.  Raises ChildTrouble where it is not ours."""
    end.setblocking(True)
    data, descriptors = receive_now(end)
    codec: Codec[m.ChannelMessage] = Codec(m.ChannelMessage)
    try:
        start = codec.decode(data)
    except msgspec.MsgspecError as trouble:
        raise ChildTrouble(f"no start message: {trouble}") from trouble
    if not isinstance(start, m.Start) or start.version != m.VERSION:
        raise ChildTrouble("the supervisor speaks another version: restart Seawall as a whole")
    while len(descriptors) < 1 + start.has_log + len(start.listeners):
        data, more = receive_now(end)
        if not more:
            raise ChildTrouble("the supervisor ended before it had handed over every port")
        descriptors += more
    with os.fdopen(descriptors.pop(0), "rb") as file:
        file.seek(0)
        configuration = msgspec.msgpack.decode(file.read(), type=m.Configuration)
    log = descriptors.pop(0) if start.has_log else None
    return Given(start, configuration, log, sockets_of(start.listeners, descriptors))


def sockets_of(
    listeners: tuple[m.ListenerInfo, ...], descriptors: list[int]
) -> tuple[tuple[m.ListenerInfo, socket.socket], ...]:
    """The listening sockets that came beside a message."""
    return tuple((info, socket.socket(fileno=fd)) for info, fd in zip(listeners, descriptors, strict=True))


class Life:
    """A child on its event loop, from ready to end."""

    def __init__(self, given: Given, part: Part, end: socket.socket) -> None:
        self._given = given
        self._part = part
        self._may_begin = asyncio.Event()
        self._over = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._has_said_farewell = False
        self._channel: Channel[m.ChannelMessage] = Channel(end, m.ChannelMessage, self._heard, self._orphaned)
        self._loop = asyncio.get_running_loop()
        self._beat_due = 0.0

    async def live(self) -> None:
        """Serve until drained."""
        self._loop.add_signal_handler(signal.SIGTERM, self._drain, 5.0, True)
        for ignored in (signal.SIGINT, signal.SIGHUP):  # the terminal's signals are for the supervisor
            self._loop.add_signal_handler(ignored, lambda: None)
        self._channel.send(m.Built())
        await self._may_begin.wait()
        if self._draining is None:
            await self._part.begin()
            leave_the_configuration_alone()
            self._channel.send(m.Ready(self._given.start.generation, os.getpid()))
            self._beat_due = self._loop.time()
            self._beat()
        await self._over.wait()

    def _beat(self) -> None:
        now = self._loop.time()
        self._channel.send(m.Beat(self._part.sessions, max(0.0, now - self._beat_due)))
        self._beat_due = now + BEAT
        self._loop.call_later(BEAT, self._beat)

    def _heard(self, message: m.ChannelMessage, descriptors: list[int]) -> None:
        match message:
            case m.Begin():
                self._may_begin.set()
            case m.Link():
                end = socket.socket(fileno=descriptors.pop(0))
                self._part.link(message.peer, message.index, end, asks=message.asks)
            case m.Drain():
                self._drain(message.seconds, message.farewell)
            case m.Adopt():
                self._part.adopt(message.index, sockets_of(message.listeners, descriptors))
                descriptors = []
            case m.Release():
                self._part.adopt(message.index, ())
            case _:
                pass
        for descriptor in descriptors:
            os.close(descriptor)

    def _orphaned(self) -> None:
        """The supervisor is gone: accept no more, finish, end.  Nobody would replace or stop us."""
        self._drain(30.0, True)

    def _drain(self, seconds: float, farewell: bool) -> None:
        self._may_begin.set()
        if self._draining is not None and farewell and not self._has_said_farewell:
            self._draining.cancel()  # a reload's long drain gives way to a stop
            self._draining = None
        if self._draining is None:
            self._has_said_farewell = farewell
            self._draining = self._loop.create_task(self._drain_and_end(seconds, farewell))

    async def _drain_and_end(self, seconds: float, farewell: bool) -> None:
        try:
            await self._part.drain(seconds, farewell)
        except asyncio.CancelledError:
            return
        self._over.set()


def run_child(build: Callable[[Given], Part]) -> int:
    """The main function of every child: `python -m seawall.run.ROLE CHANNEL`.  Its exit code."""
    end = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        given = receive_start(end)
        new_loop = loop_factory(given)
        part = build(given)
        if given.start.user:
            become(find_account(given.start.user), part.powers)
    except (ChildTrouble, PrivilegeTrouble) as trouble:
        return _cannot(end, str(trouble))
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_live(given, part, end))
    return 0


def _cannot(end: socket.socket, reason: str) -> int:
    """Tell the supervisor why we cannot serve, for the log and whoever started it; sysexits(3) EX_CONFIG."""
    try:
        send_now(end, Codec[m.ChannelMessage](m.ChannelMessage).encode(m.Failed(reason)))
    except OSError:
        sys.stderr.write(f"seawall: {reason}\n")
    return 78


async def _live(given: Given, part: Part, end: socket.socket) -> None:
    await Life(given, part, end).live()


def leave_the_configuration_alone() -> None:
    """Keep the garbage collector away from what lives as long as the process.

    Tables and compiled lists are some hundred thousand objects; looking through them takes tens of milliseconds, during
    which no session is served.  What comes after them is looked at less often than by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def loop_factory(given: Given) -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop, or the standard loop where `seawall_event_loop = asyncio` asks for it."""
    start = given.start
    if settings_of(given.configuration, start.root, start.directory).text("seawall_event_loop") == "asyncio":
        return asyncio.new_event_loop
    import uvloop  # a child that asks for the standard loop need not have it

    return uvloop.new_event_loop
