"""What a session has shown of itself so far: the one thing every check looks at."""

from __future__ import annotations

import msgspec

from seawall.dns.answers import NameStatus as NameStatus
from seawall.mail.action import Action
from seawall.mail.envelope import TlsFacts
from seawall.policy.verdict import Remark, Verdict

UNKNOWN = "unknown"
"""Postfix's word for a name that is not known."""


class Pending(msgspec.Struct):
    """What evaluation remembers of a session between its lists.  Belongs to policy; nobody else reads it.

    The two deferrals hold the first verdict of their kind.  What a permit must wait for is remembered by stage,
    because each stage starts again from what the stages before it left.
    """

    depth: int = 0
    warns: bool = False
    discards: bool = False
    defer_if_permit: Verdict | None = None
    defer_if_reject: Verdict | None = None
    after_client: Verdict | None = None
    after_helo: Verdict | None = None
    after_sender: Verdict | None = None
    sender_listed: bool = False
    recipient_listed: bool = False
    known: dict[object, object] = msgspec.field(default_factory=dict)
    """Answers about this client that hold for the session, by question."""


class Attempt(msgspec.Struct):
    """One session's facts, kept up to date by the edge, only read by checks (but for `actions` and `remarks`).

    `name` is the forward-confirmed client name or ``unknown``; `reverse_name` the unconfirmed one.  `helo`,
    `sender` and `recipient` are None until said; addresses are in internal form, "" is the null sender.
    """

    address: str
    port: str = ""
    name: str = UNKNOWN
    name_status: NameStatus = NameStatus.OK
    reverse_name: str = UNKNOWN
    reverse_name_status: NameStatus = NameStatus.OK
    server_address: str = ""
    server_port: str = ""
    protocol: str = "SMTP"
    helo: str | None = None
    sender: str | None = None
    recipient: str | None = None
    recipient_count: int = 0
    """Recipients accepted so far in this transaction."""
    size: int = 0
    """SIZE= of MAIL, or the counted size at end of data."""
    smtputf8: bool = False
    where: str = "CONNECT"
    """The step now being judged: CONNECT HELO EHLO MAIL RCPT DATA END-OF-MESSAGE VRFY ETRN."""
    etrn_domain: str = ""
    queue_id: str = ""
    """Empty until the first recipient is accepted (the log's NOQUEUE)."""
    instance: str = ""
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str = ""
    tls: TlsFacts | None = None
    pipelined: bool = False
    """True where the client sent more before it could know our answer.  postconf(5) reject_unauth_pipelining"""
    stress: str = ""
    actions: list[Action] = msgspec.field(default_factory=list)
    """What intake must do with the message, in the order asked for; cleared with the transaction."""
    remarks: list[Remark] = msgspec.field(default_factory=list)
    """What the log must say; the edge empties it after each step."""
    pending: Pending = msgspec.field(default_factory=Pending)
    """Evaluation's own memory of the session."""

    @property
    def client(self) -> str:
        """``name[address]``, as replies and the log show a client."""
        return f"{self.name}[{self.address}]"
