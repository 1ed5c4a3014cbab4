"""The content: DATA, BDAT, and what becomes of a message at its end."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seawall.edge.commands_plain import goes_on
from seawall.mail.reply import Reply
from seawall.policy.reasons import Reason
from seawall.policy.verdict import Act
from seawall.smtp.events import Bdat, ChunkRead, Data, EndOfData, Fault

if TYPE_CHECKING:
    from seawall.edge.session import Session

GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
TOO_BIG = Reply(552, "5.3.4", "Error: message file too big")
QUEUED = "Ok: queued as "

Work = Coroutine[Any, Any, Reply | None]


def data(session: Session, event: Data) -> Reply | Work | None:
    """May the content come?"""
    attempt = session.attempt
    _for_all(session, "DATA")
    answer = session.edge.judge.data(attempt)
    if session.traits is session.edge.no_traits or not goes_on(session, answer):
        return _data_judged(session, answer)
    session.enter_content(by_chunks=False)
    return GO_AHEAD


async def _data_judged(session: Session, answer: Any) -> Reply | None:
    await session.edge.learn_traits(session)
    verdict = await session.ask(answer)
    if verdict.act is Act.REJECT:
        return session.refusal(verdict)
    session.enter_content(by_chunks=False)
    return GO_AHEAD


def bdat(session: Session, event: Bdat) -> Work | None:
    """The first chunk is judged as DATA is.  RFC 3030 §2"""
    if not event.is_first:
        session.enter_content(by_chunks=True)
        session.engine.take_chunk()
        return None
    _for_all(session, "DATA")
    answer = session.edge.judge.data(session.attempt)
    if session.traits is session.edge.no_traits or not goes_on(session, answer):
        return _bdat_judged(session, answer)
    session.enter_content(by_chunks=True)
    session.engine.take_chunk()
    return None


async def _bdat_judged(session: Session, answer: Any) -> Reply | None:
    await session.edge.learn_traits(session)
    verdict = await session.ask(answer)
    if verdict.act is Act.REJECT:
        reply = session.refusal(verdict)
        if reply is not None:
            session.engine.refuse_chunk(reply)
        return None
    session.enter_content(by_chunks=True)
    session.engine.take_chunk()
    return None


def _for_all(session: Session, where: str) -> None:
    """What is judged now is judged for all recipients: where there are several, none is named."""
    transaction = session.transaction
    attempt = session.attempt
    attempt.where = where
    if transaction is not None:
        attempt.recipient = transaction.first_recipient if attempt.recipient_count == 1 else None


def chunk_read(session: Session, event: ChunkRead) -> Reply:
    """A chunk is here, the next may come."""
    return Reply(250, "2.0.0", f"Ok: {event.size} bytes")


async def end_of_data(session: Session, event: EndOfData) -> Reply | None:
    """Judge the whole message and hand it over; from then on it is intake's, whatever the client does."""
    attempt = session.attempt
    session.where = "END-OF-MESSAGE" if event.is_last else session.where
    transaction = session.transaction
    if event.fault is not Fault.NONE or transaction is None or transaction.reception is None:
        return _faulty(session, event.fault)
    _for_all(session, "END-OF-MESSAGE")
    attempt.size = event.size
    verdict = await session.ask(session.edge.judge.end_of_data(attempt))
    if verdict.act is Act.REJECT:
        reply = session.refusal(verdict)
        session.forget()
        return reply
    transaction.apply(attempt)
    transaction.is_finishing = True
    reply = await transaction.reception.finish()
    if reply.code == 250:
        session.forgive()
        if event.by_chunks and reply.text.startswith(QUEUED):
            reply = replace(reply, text=f"Ok: {event.size} bytes queued as {reply.text[len(QUEUED) :]}")
    session.forget()
    return reply


def _faulty(session: Session, fault: Fault) -> Reply:
    attempt = session.attempt
    if fault is Fault.BARE_NEWLINE:
        rules = session.edge.profile.rules
        session.remark(attempt, "reject", session.where, fault.value, reason=Reason.BARE_NEWLINE)
        reply = Reply(rules.bare_newline_code, "5.5.2", f"{rules.hostname} Error: {fault.value}")
    else:
        session.complain(f"{attempt.queue_id or 'NOQUEUE'}: queue file size limit exceeded")
        reply = TOO_BIG
    session.forget()
    return reply
