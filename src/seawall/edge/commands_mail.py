"""The envelope: MAIL and RCPT, and the commands that ask about addresses, VRFY and ETRN."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from seawall.edge.commands_plain import goes_on
from seawall.edge.transaction import Transaction
from seawall.journal.records.edge import Opened
from seawall.mail.reply import Reply
from seawall.policy.reasons import Reason
from seawall.policy.verdict import DUNNO, Act, Verdict
from seawall.smtp.events import Etrn, Mail, Rcpt, Vrfy
from seawall.smtp.grammar import BAD_RECIPIENT, BAD_SENDER, is_malformed, is_plain, printable
from seawall.smtp.replies import ready

if TYPE_CHECKING:
    from seawall.edge.session import Session
    from seawall.policy.attempt import Attempt

_REJECT = Act.REJECT
"""Looking a member up in its class costs ten times as much, and these are asked at every command."""
SENDER_OK = ready(250, "2.1.0", "Ok")
RECIPIENT_OK = ready(250, "2.1.5", "Ok")
NO_ROOM = Reply(452, "4.3.1", "Insufficient system storage")
TOO_MANY = Reply(452, "4.5.3", "Error: too many recipients")
FLUSHING = Reply(250, "", "Queuing started")
CANNOT_QUEUE = Reply(458, "", "Unable to queue messages")
DECLARE_UTF8 = Reply(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")

_SIMPLE = re.compile(r"[^\x00-\x20\x7f-\U0010ffff!%@:\\\"]+@[^\x00-\x20\x7f-\U0010ffff!%@:\\\"]+\Z")

Work = Coroutine[Any, Any, Reply | None]


def mail(session: Session, event: Mail) -> Reply | Work | None:
    """A transaction begins; most senders are judged with their first recipient (smtpd_delay_reject)."""
    sender = event.sender
    if not sender or is_plain(sender):
        return _mail(session, event)
    if not _SIMPLE.match(sender):
        return _mail_looked_at(session, event)
    if is_malformed(sender, may_begin_with_minus=session.edge.profile.allow_min_user):
        return _illegal(session, event.argument, "MAIL", BAD_SENDER)
    return _mail(session, event)


async def _mail_looked_at(session: Session, event: Mail) -> Reply | None:
    """An address that routing has to look at: quoted, with ``%`` or ``!``, without a domain, beyond ASCII."""
    if await session.edge.judge.is_malformed(event.sender, "", smtputf8=event.smtputf8):
        return _illegal(session, event.argument, "MAIL", BAD_SENDER)
    answer = _mail(session, event)
    return answer if answer is None or isinstance(answer, Reply) else await answer


def _mail(session: Session, event: Mail) -> Reply | Work | None:
    attempt = session.attempt
    attempt.where = "MAIL"
    attempt.sender = event.sender
    attempt.recipient = None
    attempt.size = event.size
    attempt.smtputf8 = event.smtputf8
    attempt.sasl_sender = event.auth or ""
    answer = session.edge.judge.mail(attempt)
    if not goes_on(session, answer):
        return _mail_judged(session, event, answer)
    return _begin(session, event)


async def _mail_judged(session: Session, event: Mail, answer: Any) -> Reply | None:
    verdict = await session.ask(answer)
    if verdict.act is _REJECT:
        session.forget()
        return session.refusal(verdict)
    return _begin(session, event)


def _begin(session: Session, event: Mail) -> Reply:
    edge = session.edge
    attempt = session.attempt
    if not edge.intake.room_for(event.size):
        session.remark(attempt, "reject", "MAIL", NO_ROOM.line(), reason=Reason.NO_ROOM)
        session.forget()
        return NO_ROOM
    attempt.instance = session.new_instance()
    attempt.recipient_count = 0
    session.transaction = Transaction(event)
    return SENDER_OK


def _illegal(session: Session, argument: str, command: str, reply: Reply) -> Reply:
    session.complain(f"Illegal address syntax from {{client}} in {command} command: {printable(argument)}")
    return reply


def rcpt(session: Session, event: Rcpt) -> Reply | Work | None:
    """One recipient: everything that was put off is judged now."""
    transaction = session.transaction
    if transaction is None:
        return BAD_RECIPIENT
    attempt = session.attempt
    edge = session.edge
    limits = edge.profile.limits
    if limits.recipients and attempt.recipient_count >= limits.recipients:
        session.forgives = transaction.overshoot < limits.overshoot
        transaction.overshoot += 1
        return TOO_MANY
    rules = edge.profile.rules
    recipient = event.recipient
    if rules.strict_smtputf8 and not attempt.smtputf8 and not recipient.isascii():
        return DECLARE_UTF8
    if session.screened is not None and not attempt.sasl_username:
        return _refused_at_the_door(session, session.screened, event, transaction)
    if session.is_naming or not is_plain(recipient):
        return _rcpt_looked_at(session, event, transaction)
    if edge.profile.probe_sender.may_be(recipient):
        return _rcpt_of_probe(session, event, transaction)
    attempt.where = "RCPT"
    attempt.recipient = recipient
    answer = edge.judge.rcpt(attempt)
    if isinstance(answer, Verdict) and answer.act is _REJECT:
        return _rejected(session, transaction, answer)
    return _rcpt_judged(session, event, transaction, answer)


def _refused_at_the_door(
    session: Session, refuse: Callable[[Attempt], Reply], event: Rcpt, transaction: Transaction
) -> Reply:
    attempt = session.attempt
    attempt.recipient = event.recipient
    reply = refuse(attempt)
    attempt.recipient = transaction.first_recipient
    return reply


async def _rcpt_looked_at(session: Session, event: Rcpt, transaction: Transaction) -> Reply | None:
    """A recipient of a client whose name is not known yet, or one that routing may have to look at."""
    await session.know()
    recipient = event.recipient
    if not is_plain(recipient) and await _is_malformed(session, recipient):
        return _illegal(session, event.argument, "RCPT", BAD_RECIPIENT)
    return await _rcpt_of_probe(session, event, transaction)


async def _rcpt_of_probe(session: Session, event: Rcpt, transaction: Transaction) -> Reply | None:
    """A recipient that may be the sender of our own probes: he is taken unjudged, and without his time.

    Otherwise two servers that verify each other's senders would both wait in vain.  postconf(5) address_verify_sender
    """
    edge, attempt = session.edge, session.attempt
    attempt.where = "RCPT"
    sender = edge.profile.probe_sender
    if sender.matches(event.recipient, edge.clock.now()):
        attempt.recipient = sender.address
        event = msgspec.structs.replace(event, recipient=sender.address)
        return await _rcpt_judged(session, event, transaction, DUNNO)
    attempt.recipient = event.recipient
    return await _rcpt_judged(session, event, transaction, edge.judge.rcpt(attempt))


def _rejected(session: Session, transaction: Transaction, verdict: Verdict) -> Reply | None:
    attempt = session.attempt
    if attempt.remarks:
        session.pass_on_remarks(attempt, verdict)
    attempt.recipient = transaction.first_recipient
    return session.refusal(verdict)


async def _rcpt_judged(session: Session, event: Rcpt, transaction: Transaction, answer: Any) -> Reply | None:
    verdict = answer if isinstance(answer, Verdict) else await answer
    if verdict.act is _REJECT:
        return _rejected(session, transaction, verdict)
    attempt = session.attempt
    if attempt.remarks:
        session.pass_on_remarks(attempt, verdict)
    if transaction.reception is None:
        trouble = await _open(session, transaction)
        if trouble is not None:
            attempt.recipient = None
            return trouble
    transaction.add(event, attempt)
    attempt.recipient = transaction.first_recipient
    return RECIPIENT_OK


async def _is_malformed(session: Session, address: str) -> bool:
    if _SIMPLE.match(address):
        return is_malformed(address, may_begin_with_minus=session.edge.profile.allow_min_user)
    attempt = session.attempt
    return await session.edge.judge.is_malformed(address, attempt.sender or "", smtputf8=attempt.smtputf8)


async def _open(session: Session, transaction: Transaction) -> Reply | None:
    """The message gets its queue id; a Reply where a table could not say whose mail this is."""
    edge = session.edge
    attempt = session.attempt
    context = await session.ask(edge.judge.rewrite_context(attempt))
    if context.act is _REJECT:
        return context.reply
    is_local = context.act is Act.PERMIT
    domain = session.forwarded.get("DOMAIN")
    if domain is not None:
        is_local = domain == "LOCAL"
    reception = transaction.open(edge.intake, attempt, session.received_protocol(), is_local=is_local)
    attempt.queue_id = reception.queue_id
    session.write(
        Opened,
        queue_id=reception.queue_id,
        sasl_method=attempt.sasl_method,
        sasl_username=attempt.sasl_username,
        sasl_sender=attempt.sasl_sender,
        original_queue_id=session.forwarded.get("IDENT", ""),
        original_client=session.forwarded_client(),
    )
    return None


async def vrfy(session: Session, event: Vrfy) -> Reply | None:
    """What RCPT would say of the address, but nothing definite.  RFC 5321 §3.5.3"""
    attempt = session.attempt
    edge = session.edge
    await session.know()
    if await _is_malformed(session, event.address):
        return _illegal(session, event.argument, "VRFY", BAD_RECIPIENT)
    before = attempt.recipient, attempt.smtputf8
    attempt.where = "VRFY"
    attempt.recipient = event.address
    attempt.smtputf8 = attempt.smtputf8 or event.smtputf8
    verdict = await session.ask(edge.judge.vrfy(attempt))
    attempt.recipient, attempt.smtputf8 = before
    if verdict.act is _REJECT:
        return session.refusal(verdict)
    return Reply(252, "2.0.0", event.argument)


async def etrn(session: Session, event: Etrn) -> Reply | None:
    """Deliver what waits for a domain of fast_flush_domains, where there is a queue that can.  RFC 1985"""
    attempt = session.attempt
    await session.know()
    attempt.where = "ETRN"
    attempt.etrn_domain = event.domain
    verdict = await session.ask(session.edge.judge.etrn(attempt))
    if verdict.act is _REJECT:
        return session.refusal(verdict)
    edge = session.edge
    served = edge.profile.lists.flushed.test(event.domain)
    if edge.flush is None or not (served if isinstance(served, bool) else await served):
        session.complain(f"reject: ETRN {event.domain[:100]}... from {{client}}")
        return Reply(459, "", f"<{event.domain}>: service unavailable")
    if await edge.flush(event.domain):
        return FLUSHING
    session.complain("unable to talk to fast flush service")
    return CANNOT_QUEUE
