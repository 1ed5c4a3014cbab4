"""The other end of ``public/control``: how a command asks the queue manager.  Blocking, for short-lived programs."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec

from seawall.spool.control import Answer, Request
from seawall.spool.listing import Listed

PATIENCE = 60.0
"""Seconds without a line after which the manager is taken for dead; ours."""


class NoManager(Exception):
    """Nobody listens at the socket: the mail system is down."""


class _End(msgspec.Struct, frozen=True):
    end: bool = False


def _lines(path: str, request: Request) -> Iterator[bytes]:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE)
    try:
        try:
            connection.connect(path)
            connection.sendall(msgspec.json.encode(request) + b"\n")
        except (FileNotFoundError, ConnectionError, PermissionError) as trouble:
            raise NoManager(str(trouble)) from trouble
        with connection.makefile("rb") as stream:
            yield from stream
    finally:
        connection.close()


def ask(path: str, request: Request) -> Answer:
    """Have something done.  Raises NoManager, OSError."""
    for line in _lines(path, request):
        if msgspec.json.decode(line, type=_End).end:
            return msgspec.json.decode(line, type=Answer)
    return Answer(error="the queue manager broke off")


def listing(path: str) -> Iterator[Listed | Answer]:
    """Every message in the queue, then the Answer that ends it.  Raises NoManager, OSError."""
    for line in _lines(path, Request(do="list")):
        if msgspec.json.decode(line, type=_End).end:
            yield msgspec.json.decode(line, type=Answer)
            return
        yield msgspec.json.decode(line, type=Listed)
    yield Answer(error="the queue manager broke off")
