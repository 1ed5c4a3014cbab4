"""Where an SMTP transaction stands, which commands may come there, and what is said to those that may not.

The tables below are the order of RFC 5321 §4.1.4 and RFC 3030 as smtpd(8) keeps it.  HELO or EHLO is no state of
its own: whether one is needed first is a setting (postconf(5) smtpd_helo_required).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType

from seawall.mail.reply import Reply


class State(Enum):
    """The states of one session, between its greeting and its end."""

    __hash__ = object.__hash__  # members are singletons; Enum's own would hash the name at every look-up

    IDLE = auto()
    """No transaction."""
    MAIL = auto()
    """A sender is accepted, no recipient yet."""
    RCPT = auto()
    """At least one recipient is accepted."""
    DATA = auto()
    """Content until the dot line."""
    CHUNKS = auto()
    """At least one BDAT was accepted, the last is still to come."""
    CHUNKS_REFUSED = auto()
    """A BDAT was refused, sender and recipients still stand; further chunks are dropped until LAST or RSET."""
    CHUNKS_LOST = auto()
    """As before, but the transaction is gone as well."""
    AUTH = auto()
    """A challenge was sent, the next line answers it."""
    CLOSED = auto()


_ANYWHERE: Mapping[str, State] = {
    "HELO": State.IDLE,
    "EHLO": State.IDLE,
    "RSET": State.IDLE,
    "STARTTLS": State.IDLE,
    "QUIT": State.CLOSED,
}
_ALONE: Mapping[str, State] = {"AUTH": State.IDLE, "XCLIENT": State.IDLE, "XFORWARD": State.IDLE, "ETRN": State.IDLE}

TRANSITIONS: Mapping[State, Mapping[str, State]] = MappingProxyType(
    {
        State.IDLE: {**_ANYWHERE, **_ALONE, "MAIL": State.MAIL},
        State.MAIL: {**_ANYWHERE, "RCPT": State.RCPT},
        State.RCPT: {**_ANYWHERE, "RCPT": State.RCPT, "DATA": State.DATA, "BDAT": State.CHUNKS},
        State.DATA: {"end of data": State.IDLE},
        State.CHUNKS: {**_ANYWHERE, "BDAT": State.CHUNKS, "end of data": State.IDLE},
        State.CHUNKS_REFUSED: {**_ANYWHERE},
        State.CHUNKS_LOST: {**_ANYWHERE, **_ALONE},
        State.AUTH: {},
        State.CLOSED: {},
    }
)
"""The state after a command that was answered with success.  What is missing is not in order; NOOP, VRFY and HELP change nothing."""

_NEED_MAIL = Reply(503, "5.5.1", "Error: need MAIL command")
_NEED_RCPT = Reply(503, "5.5.1", "Error: need RCPT command")
_NESTED_MAIL = Reply(503, "5.5.1", "Error: nested MAIL command")
_NO_RECIPIENTS = Reply(554, "5.5.1", "Error: no valid recipients")
_IN_PROGRESS = Reply(503, "5.5.1", "Error: MAIL transaction in progress")
_AFTER_BDAT = {verb: Reply(503, "5.5.1", f"Error: {verb} after BDAT") for verb in ("MAIL", "RCPT", "DATA")}
_BUSY: Mapping[str, Reply] = {
    "AUTH": _IN_PROGRESS,
    "XCLIENT": _IN_PROGRESS,
    "XFORWARD": _IN_PROGRESS,
    "ETRN": Reply(503, "", "Error: MAIL transaction in progress"),
}

OUT_OF_ORDER: Mapping[State, Mapping[str, Reply]] = MappingProxyType(
    {
        State.IDLE: {"RCPT": _NEED_MAIL, "DATA": _NEED_RCPT, "BDAT": _NEED_RCPT},
        State.MAIL: {"MAIL": _NESTED_MAIL, "DATA": _NO_RECIPIENTS, "BDAT": _NO_RECIPIENTS, **_BUSY},
        State.RCPT: {"MAIL": _NESTED_MAIL, **_BUSY},
        State.CHUNKS: {**_AFTER_BDAT, "MAIL": _NESTED_MAIL, **_BUSY},
        State.CHUNKS_REFUSED: {**_AFTER_BDAT, "MAIL": _NESTED_MAIL, **_BUSY},
        State.CHUNKS_LOST: {**_AFTER_BDAT, "RCPT": _NEED_MAIL},
    }
)
"""What a command that is not in order hears."""
