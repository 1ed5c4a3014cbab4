"""The envelope: who sent a message, from where, and whom it is for.  RFC 5321 §2.3.1, RFC 3461."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, Flag

import msgspec


class Notify(Flag):
    """When the sender wants to hear of a recipient.  RFC 3461 §4.1.  `DEFAULT` (no bit) is "as the server likes"."""

    DEFAULT = 0
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8


class Ret(Enum):
    """How much of the message a failure report returns.  RFC 3461 §4.3."""

    DEFAULT = ""
    FULL = "FULL"
    HDRS = "HDRS"


class Body(Enum):
    """The BODY= of MAIL FROM.  RFC 6152."""

    UNSTATED = ""
    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"


class Recipient(msgspec.Struct, frozen=True):
    """One recipient.

    `address` is what delivery is for, in internal (unquoted) form; `original` is what the client or a
    forwarder named before any rewriting (it becomes X-Original-To); `orcpt` is the RFC 3461 original
    recipient, ``type;xtext-decoded`` or empty; `notify` is the integer of a `Notify`.
    """

    address: str
    original: str = ""
    orcpt: str = ""
    notify: int = 0


class TlsFacts(msgspec.Struct, frozen=True):
    """What the TLS layer knows of a session: names as OpenSSL gives them, certificate facts where one was asked for."""

    protocol: str
    cipher: str
    bits: int
    algorithm_bits: int
    sni: str = ""
    peer_subject: str = ""
    peer_issuer: str = ""
    peer_fingerprint: str = ""
    peer_key_fingerprint: str = ""
    peer_trusted: bool = False


class Origin(msgspec.Struct, frozen=True):
    """Where a message came from: all that Received: and the log tell about it.

    Names are Postfix's: `client_name` is the forward-confirmed name or ``unknown``, `reverse_name` the
    unverified one.  `protocol` is the RFC 3848 word (SMTP, ESMTP, ESMTPS, ESMTPSA …).  For mail that was not
    received by SMTP `client_address` is empty and `submitted_by` names who handed it in
    (``userid 1000`` for pickup, empty for our own reports).
    """

    client_name: str = ""
    client_address: str = ""
    client_port: str = ""
    reverse_name: str = ""
    helo: str = ""
    protocol: str = ""
    server_address: str = ""
    server_port: str = ""
    tls: TlsFacts | None = None
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str = ""
    submitted_by: str = ""
    is_local: bool = False
    """True where the client matches local_header_rewrite_clients, or the mail was submitted on this host."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What is known of a message when its transaction opens (MAIL FROM, or a local submission)."""

    origin: Origin
    sender: str
    """Internal form, empty for the null sender."""
    size: int = 0
    """The SIZE= the client announced, 0 when it did not."""
    body: Body = Body.UNSTATED
    smtputf8: bool = False
    ret: Ret = Ret.DEFAULT
    envid: str = ""
    """RFC 3461 envelope id, xtext-decoded."""
    extra: tuple[str, ...] = field(default=())


class Envelope(msgspec.Struct, frozen=True):
    """The finished envelope, as intake leaves it and the queue file keeps it."""

    sender: str
    recipients: tuple[Recipient, ...]
    origin: Origin
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    filter: str = ""
    """transport:nexthop of a content filter (FILTER action, content_filter), or empty."""
    redirect: str = ""
    hold: bool = False
    verp: str = ""
    is_report: bool = False
    """True for our own bounces and notices: they are never bounced again to their sender."""
    asks: bool = False
    """True for a question of sendmail -bv: every recipient is tried, nobody gets it, and its sender hears how it went."""
