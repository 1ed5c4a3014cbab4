"""A delivery status notification as Postfix writes it, pure.  RFC 3464, RFC 6522, RFC 3461, RFC 6533; bounce(8)

A report has three parts: words for people, a delivery status for programs, and the message or its headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seawall.bounce.templates import Kind, Template
from seawall.mail.address import quote_local
from seawall.mail.envelope import Recipient
from seawall.mail.outcome import Outcome

WIDTH = 79
INDENT = 4
"""Lines of reasons are folded at WIDTH columns, what follows is indented.  bounce(8)"""

_NOT_ATOM = re.compile(r'[\s()<>@,;:\\".\[\]]')
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_NO_HEADER = re.compile(rb"^(?![!-9;-~]+[ \t]*:|[ \t])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fate:
    """One recipient of the report: what became of him, and the word for it (``failed``, ``delayed``, ``delivered`` …)."""

    recipient: Recipient
    outcome: Outcome
    action: str


@dataclass(frozen=True, slots=True)
class Subject:
    """The message that the report is about, and who reports.  Dates are ready for a header."""

    queue_id: str
    sender: str
    """Complete: where the message has the null sender, MAILER-DAEMON of this host."""
    arrived: str
    now: str
    envid: str
    host: str
    mail_name: str
    boundary: str
    encoding: str
    """``8bit``, ``7bit`` or empty: how the message is encoded."""
    smtputf8: bool = False
    message_id: str = ""
    """Its Message-ID:, where the report shall refer to it.  postconf(5) enable_threaded_bounces"""


@dataclass(frozen=True, slots=True)
class Order:
    """What kind of report, to whom, and how much of the message comes back."""

    kind: Kind
    recipient: str
    for_postmaster: bool
    headers_only: bool
    retry_until: str = ""
    """Will-Retry-Until: of a delay warning."""


def fold(text: str) -> list[str]:
    """`text` in lines of at most WIDTH columns where blanks allow it; all but the first are indented.  line_wrap(3)"""
    lines: list[str] = []
    rest, width, indent = _UNPRINTABLE.sub("?", text).rstrip(), WIDTH, ""
    while len(rest) > width:
        at = rest.rfind(" ", 0, width + 1)
        if at <= 0:
            at = rest.find(" ", width)
            if at < 0:
                break
        lines.append(indent + rest[:at])
        rest = rest[at:].lstrip()
        width, indent = WIDTH - INDENT, " " * INDENT
    if rest:
        lines.append(indent + rest)
    return lines


def headers_of(content: bytes) -> bytes:
    """The header part of a message: up to the first line that is none."""
    end = _NO_HEADER.search(content)
    return content[: end.start()] if end else content


def format_report(
    order: Order, subject: Subject, template: Template, text: str, fates: Sequence[Fate], original: bytes
) -> bytes:
    """The whole report as message content, LF line ends; intake adds Received: and Message-ID:.

    `text` is the template's, expanded; `original` the message, or its headers where `order.headers_only`.
    """
    lines = [
        *_headers(order, subject, template),
        "",
        "This is a MIME-encapsulated message.",
        "",
        *_notification(order, subject, template, text, fates),
        "",
        *_delivery_status(order, subject, fates),
        "",
        *_original_part(order, subject),
        "",
        f"Return-Path: <{quote_local(subject.sender)}>" if subject.sender else "Return-Path: <>",
    ]
    head = "\n".join(lines).encode("utf-8", "surrogateescape") + b"\n"
    end = b"" if not original or original.endswith(b"\n") else b"\n"
    return head + original + end + f"\n--{subject.boundary}--\n".encode()


def _headers(order: Order, subject: Subject, template: Template) -> list[str]:
    titled = order.for_postmaster and template.postmaster_subject
    lines = [
        f"Date: {subject.now}",
        f"From: {template.sender}",
        f"Subject: {template.postmaster_subject if titled else template.subject}",
        f"To: {quote_local(order.recipient)}",
    ]
    if subject.message_id:
        lines += [f"References: {subject.message_id}", f"In-Reply-To: {subject.message_id}"]
    lines += [
        # RFC 3834 §5: a report to the sender replies to something, a notice to the postmaster does not
        f"Auto-Submitted: {'auto-generated' if order.for_postmaster else 'auto-replied'}",
        "MIME-Version: 1.0",
        f"Content-Type: multipart/report; report-type={_status_type(subject)};",
        f'\tboundary="{subject.boundary}"',
    ]
    if subject.encoding:
        lines.append(f"Content-Transfer-Encoding: {subject.encoding}")
    return lines


def _status_type(subject: Subject) -> str:
    return "global-delivery-status" if subject.smtputf8 else "delivery-status"


def _encoding(subject: Subject) -> list[str]:
    return ["Content-Transfer-Encoding: 8bit"] if subject.encoding == "8bit" else []


def _notification(order: Order, subject: Subject, template: Template, text: str, fates: Sequence[Fate]) -> list[str]:
    charset = template.charset
    if charset.lower() == "us-ascii" and subject.encoding == "8bit":
        charset = "utf-8"  # reasons may be in any language
    lines = [
        f"--{subject.boundary}",
        "Content-Description: Notification",
        f"Content-Type: text/plain; charset={charset}",
        *_encoding(subject),
        "",
    ]
    if not order.for_postmaster:
        lines += text.removesuffix("\n").split("\n")
    for fate in fates:
        lines += ["", *fold(f"{_named(fate.recipient)}: {_reason(fate)}")]
    return lines


def _reason(fate: Fate) -> str:
    """The words for one recipient; where there is a way, a success and a question tell it as well.  trace(8)"""
    if fate.action in ("delivered", "relayed", "expanded", "deliverable") or (
        fate.action == "undeliverable" and fate.outcome.relay != "none"
    ):
        return f"delivery via {fate.outcome.relay}: {fate.outcome.text}"
    return fate.outcome.text


def _named(recipient: Recipient) -> str:
    """The recipient, and from which address he came of where an alias led to him."""
    original = recipient.original
    if not original or original.lower() == recipient.address.lower():
        return f"<{quote_local(recipient.address)}>"
    return f"<{quote_local(recipient.address)}> (expanded from <{quote_local(original)}>)"


def _typed(address: str) -> str:
    """``rfc822; a@b``, or ``utf-8; …`` where the address needs it.  RFC 6533 §3"""
    return f"{'rfc822' if address.isascii() else 'utf-8'}; {quote_local(address)}"


def _delivery_status(order: Order, subject: Subject, fates: Sequence[Fate]) -> list[str]:
    name = _NOT_ATOM.sub("-", subject.mail_name)
    lines = [
        f"--{subject.boundary}",
        "Content-Description: Delivery report",
        f"Content-Type: message/{_status_type(subject)}",
        *(_encoding(subject) if subject.smtputf8 else []),
        "",
        f"Reporting-MTA: dns; {subject.host}",
    ]
    if subject.envid:
        lines.append(f"Original-Envelope-Id: {_UNPRINTABLE.sub('?', subject.envid)}")
    lines.append(f"X-{name}-Queue-ID: {subject.queue_id}")
    if subject.sender:
        lines.append(f"X-{name}-Sender: {_typed(subject.sender)}")
    lines.append(f"Arrival-Date: {subject.arrived}")
    for fate in fates:
        lines += ["", *_recipient_status(order, fate, name)]
    return lines


def _recipient_status(order: Order, fate: Fate, name: str) -> list[str]:
    recipient, outcome = fate.recipient, fate.outcome
    original = recipient.orcpt or (f"rfc822;{quote_local(recipient.original)}" if recipient.original else "")
    lines = [f"Final-Recipient: {_typed(recipient.address)}"]
    if original:
        lines.append(f"Original-Recipient: {_UNPRINTABLE.sub('?', original)}")
    lines += [f"Action: {fate.action}", f"Status: {outcome.status}"]
    if outcome.remote_mta:
        lines.append(f"Remote-MTA: dns; {outcome.remote_mta}")
    if outcome.diagnostic:
        lines += fold(f"Diagnostic-Code: {'smtp' if outcome.remote_mta else 'x-unix'}; {outcome.diagnostic}")
    else:
        lines += fold(f"Diagnostic-Code: X-{name}; {_reason(fate)}")
    if order.retry_until:
        lines.append(f"Will-Retry-Until: {order.retry_until}")
    return lines


def _original_part(order: Order, subject: Subject) -> list[str]:
    undelivered = "" if order.kind in (Kind.SUCCESS, Kind.VERIFY) else "Undelivered "
    if order.headers_only:
        what, content_type = "Message Headers", "message/global-headers" if subject.smtputf8 else "text/rfc822-headers"
    else:
        what, content_type = "Message", "message/global" if subject.smtputf8 else "message/rfc822"
    return [
        f"--{subject.boundary}",
        f"Content-Description: {undelivered}{what}",
        f"Content-Type: {content_type}",
        *_encoding(subject),
    ]
