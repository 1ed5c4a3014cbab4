"""Replies as bytes, made once where the reply is always the same."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.mail.reply import Reply


@dataclass(frozen=True, slots=True)
class ReadyReply(Reply):
    """A reply whose bytes are there already.  EHLO's are more than `text` says."""

    wire: bytes


def format_reply(reply: Reply) -> bytes:
    """The bytes of a reply."""
    if reply.__class__ is ReadyReply:
        return reply.wire
    if "\n" in reply.text:
        return reply.format()
    if reply.status:
        return f"{reply.code} {reply.status} {reply.text}\r\n".encode("utf-8", "surrogateescape")
    return f"{reply.code} {reply.text}\r\n".encode("utf-8", "surrogateescape")


def ready(code: int, status: str, text: str) -> ReadyReply:
    """A reply that is said often."""
    return ReadyReply(code, status, text, format_reply(Reply(code, status, text)))
