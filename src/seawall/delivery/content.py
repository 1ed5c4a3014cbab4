"""Copying a message: the headers that a delivery puts before it, and its bytes into a file.  mail_copy(3)"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator

from seawall.delivery.trouble import StoreTrouble
from seawall.mail.address import quote_local
from seawall.mail.message import Content

CHUNK = 256 * 1024
"""Bytes that are read at a time; our choice."""

_FROM_LINE = re.compile(rb"^From ", re.MULTILINE)


def header_bytes(text: str) -> bytes:
    """Text as it goes into a file or a pipe."""
    return text.encode("utf-8", "surrogateescape")


def from_line(sender: str, now: float) -> bytes:
    """The line that opens a message in an mbox; `now` is seconds since the epoch."""
    name = quote_local(sender) if sender else "MAILER-DAEMON"
    return header_bytes(f"From {name}  {time.asctime(time.localtime(now))}\n")


def delivery_headers(sender: str, original: str, delivered_to: str) -> bytes:
    """Return-Path:, X-Original-To: and Delivered-To: in Postfix's order; the last two only where they have a value."""
    lines = [f"Return-Path: <{quote_local(sender) if sender else ''}>\n"]
    if original:
        lines.append(f"X-Original-To: {quote_local(original)}\n")
    if delivered_to:
        lines.append(f"Delivered-To: {quote_local(delivered_to)}\n")
    return header_bytes("".join(lines))


def pieces(content: Content) -> Iterator[bytes]:
    """The bytes of a message in order, with a line end after the last line.  Raises StoreTrouble on a read error."""
    last = b""
    if content.memory:
        yield content.memory
        last = content.memory[-1:]
    if content.spilled is not None:
        at, end = content.spilled.offset, content.spilled.offset + content.spilled.length
        while at < end:
            try:
                piece = os.pread(content.spilled.descriptor, min(CHUNK, end - at), at)
            except OSError as trouble:
                raise StoreTrouble.from_errno(trouble, "4.3.0", "error reading message") from trouble
            if not piece:
                raise StoreTrouble("4.3.0", "error reading message: it is shorter than it was", errno.EIO)
            yield piece
            at += len(piece)
            last = piece[-1:]
    if last not in (b"\n", b""):
        yield b"\n"


def quoted_pieces(content: Content) -> Iterator[bytes]:
    """The bytes of a message for an mbox: ``From `` at the start of a line gets a ``>``, a blank line ends it."""
    carry = b""
    for piece in pieces(content):
        joined = carry + piece if carry else piece
        end = joined.rfind(b"\n") + 1
        if end:
            yield _FROM_LINE.sub(b">From ", joined[:end])
        carry = joined[end:]
        if len(carry) > CHUNK:  # one endless line: only its start can be a From line
            yield _FROM_LINE.sub(b">From ", carry[:CHUNK]) if carry.startswith(b"From ") else carry[:CHUNK]
            carry = carry[CHUNK:]
    yield carry + b"\n"


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def header_lines(content: Content, limit: int = 256 * 1024) -> list[str]:
    """The header lines of a message without their line ends, at most `limit` bytes of them."""
    head = content.memory[:limit]
    if content.spilled is not None and len(head) < limit and b"\n\n" not in head:
        room = min(limit - len(head), content.spilled.length)
        try:
            head += os.pread(content.spilled.descriptor, room, content.spilled.offset)
        except OSError as trouble:
            raise StoreTrouble.from_errno(trouble, "4.3.0", "error reading message") from trouble
    end = head.find(b"\n\n")
    text = head if end < 0 else head[:end]
    return text.decode("utf-8", "surrogateescape").split("\n")
