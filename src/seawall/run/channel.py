"""Messages over SOCK_SEQPACKET pairs, with descriptors beside them: the one way in which processes talk."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

import msgspec

from seawall.mail.packing import pack, unpack

LARGEST = 1 << 18
"""Bytes of one message; larger contents go as descriptors."""
MOST_DESCRIPTORS = 250  # SCM_MAX_FD is 253, unix(7)

M = TypeVar("M")


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, large enough for bursts."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, 2 * LARGEST)
        end.setblocking(False)
    return ends


class Codec(Generic[M]):
    """Frozen structs to bytes and back; `kind` is the union of message types that `M` stands for."""

    def __init__(self, kind: object) -> None:
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(cast(Any, kind))

    def encode(self, message: M) -> bytes:
        """Raises ValueError where the message is too large for one packet."""
        data = pack(message)
        if len(data) > LARGEST:
            raise ValueError(f"a message of {len(data)} bytes is too large for a channel")
        return data

    def decode(self, data: bytes) -> M:
        """Raises msgspec.MsgspecError for what is no message of ours."""
        return unpack(data, self._decoder)


def send_now(end: socket.socket, data: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send one packet; BlockingIOError where the other side does not read."""
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    end.sendmsg([data], beside)


def receive_now(end: socket.socket) -> tuple[bytes, list[int]]:
    """The next packet and its descriptors (ours to close); empty bytes at the end; BlockingIOError where none waits."""
    data, beside, _, _ = end.recvmsg(LARGEST + 1, socket.CMSG_SPACE(4 * MOST_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, payload in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
    return data, list(descriptors)


class Channel(Generic[M]):
    """One end on an event loop: messages in through a callback, messages out in order, waiting where the pipe is full.

    `heard(message, descriptors)` owns the descriptors; `lost()` is called once, at the other side's end.
    Descriptors given to `send` are duplicated, so the caller keeps its own.
    """

    def __init__(
        self, end: socket.socket, kind: object, heard: Callable[[M, list[int]], None], lost: Callable[[], None]
    ) -> None:
        self._end = end
        self._codec: Codec[M] = Codec(kind)
        self._heard = heard
        self._lost = lost
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        end.setblocking(False)
        self._loop.add_reader(end.fileno(), self._readable)

    @property
    def is_open(self) -> bool:
        """False once either side has ended."""
        return not self._closed

    @property
    def backlog(self) -> int:
        """Messages that wait for the other side to read."""
        return len(self._waiting)

    def send(self, message: M, descriptors: Sequence[int] = ()) -> bool:
        """Send, or keep until the other side reads; False where it has ended."""
        if self._closed:
            return False
        data = self._codec.encode(message)
        if not self._waiting:
            try:
                send_now(self._end, data, descriptors)
                return True
            except BlockingIOError:
                self._loop.add_writer(self._end.fileno(), self._writable)
            except OSError:
                self._end_of_channel()
                return False
        self._waiting.append((data, tuple(os.dup(descriptor) for descriptor in descriptors)))
        return True

    def close(self) -> None:
        """End without calling `lost`."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._end.fileno())
            self._loop.remove_writer(self._end.fileno())
            self._end.close()
            while self._waiting:
                self._drop(self._waiting.popleft()[1])

    def _readable(self) -> None:
        for _ in range(64):  # a bounded batch: others on the loop have their turn
            if self._closed:
                return
            try:
                data, descriptors = receive_now(self._end)
            except BlockingIOError:
                return
            except OSError:
                self._end_of_channel()
                return
            if not data:
                self._end_of_channel()
                return
            try:
                message = self._codec.decode(data)
            except msgspec.MsgspecError:
                self._drop(descriptors)
                continue
            self._heard(message, descriptors)

    def _writable(self) -> None:
        while self._waiting:
            data, descriptors = self._waiting[0]
            try:
                send_now(self._end, data, descriptors)
            except BlockingIOError:
                return
            except OSError:
                self._end_of_channel()
                return
            self._waiting.popleft()
            self._drop(descriptors)
        self._loop.remove_writer(self._end.fileno())

    def _end_of_channel(self) -> None:
        if not self._closed:
            self.close()
            self._lost()

    @staticmethod
    def _drop(descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
