"""What became of one recipient: delivered, deferred (come back), bounced (give up) or passed on under a new address."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from seawall.mail.envelope import Recipient


class _Told(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Common to every outcome.

    `status` is the RFC 3463 code, `text` the reason as the log's ``(…)`` shows it, `relay` the log's ``relay=``
    (``local``, ``virtual``, ``mx.example[192.0.2.1]:25`` or ``none``).  `remote_mta` and `diagnostic` are set when
    another server said so (RFC 3464 Remote-MTA, Diagnostic-Code), `diagnostic` alone where a command did.  Delays are seconds: queueing is added by the
    queue manager, `connecting` and `sending` are the agent's (the last two of the log's ``delays=a/b/c/d``).

    An alias or .forward may lead to several ends.  Then the outcome of one of them stands for the recipient, and
    `also` has the others (they have none themselves); `final` is whom an outcome is about where that is not the
    recipient, `transport` who said so where the job's did not, `tell` the address that hears of a failure in the
    sender's place (``owner-list``).
    """

    status: str
    text: str
    relay: str = "none"
    remote_mta: str = ""
    diagnostic: str = ""
    connecting: float = 0.0
    sending: float = 0.0
    final: Recipient | None = None
    transport: str = ""
    tell: str = ""
    also: tuple[Outcome, ...] = ()


class Delivered(_Told, frozen=True, tag=True):
    """Durable in the next store's hands, or answered 250 by the next server.

    `text` is empty where the recipient became a `Forward` and nothing else: then its queue id is the text.
    """


class Deferred(_Told, frozen=True, tag=True):
    """A temporary failure: the recipient stays in the queue.  `site_down` holds back the whole next hop."""

    site_down: bool = False


class Bounced(_Told, frozen=True, tag=True):
    """A permanent failure: the sender is told."""


Outcome: TypeAlias = Delivered | Deferred | Bounced


class Forward(msgspec.Struct, frozen=True):
    """Mail that local(8) sends on under new addresses (an alias, a .forward): a new message to be queued.

    `sender` is the envelope sender of the new message (``owner-list`` for lists), `delivered_to` the address
    that goes into the Delivered-To: header put before the content; `place` tells which of the job's recipients
    it is for.
    """

    sender: str
    recipients: tuple[Recipient, ...]
    delivered_to: str = ""
    place: int = 0


class Delivery(msgspec.Struct, frozen=True):
    """The answer to a delivery job: one outcome a recipient, in the job's order, and what must be queued anew first."""

    outcomes: tuple[Outcome, ...]
    forwards: tuple[Forward, ...] = ()
