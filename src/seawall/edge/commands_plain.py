"""Commands about the session itself: HELO EHLO NOOP RSET QUIT HELP STARTTLS, and those that the protocol refuses."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from seawall.edge.profile import without_silence
from seawall.journal.records.edge import Informed
from seawall.mail.reply import Reply
from seawall.policy.reasons import Reason
from seawall.policy.verdict import Act, Verdict
from seawall.smtp.commands import COMMAND_LIST
from seawall.smtp.events import Ehlo, Helo, Help, Noop, Note, Quit, Refused, Rset, StartTls
from seawall.smtp.replies import ready

if TYPE_CHECKING:
    from seawall.edge.counting import Counting
    from seawall.edge.session import Session

_REJECT = Act.REJECT
"""Looking a member up in its class costs ten times as much, and these are asked at every command."""
OK = ready(250, "2.0.0", "Ok")
BYE = ready(221, "2.0.0", "Bye")
HELP = Reply(214, "2.0.0", f"Commands: {COMMAND_LIST}")
READY_FOR_TLS = Reply(220, "2.0.0", "Ready to start TLS")
NO_TLS = Reply(454, "4.7.0", "TLS not available due to local problem")

Work = Coroutine[Any, Any, Reply | None]


def helo(session: Session, event: Helo) -> Reply | Work | None:
    """HELO or EHLO: a new name, and no transaction."""
    attempt = session.attempt
    attempt.where = event.verb
    before = attempt.helo
    attempt.helo = event.name
    answer = session.edge.judge.helo(attempt)
    if goes_on(session, answer):
        return _accept(session, event)
    return _judged(session, event, before, answer)


def goes_on(session: Session, answer: object) -> bool:
    """True for a verdict that is here, lets the client go on, and has nothing for the log."""
    return isinstance(answer, Verdict) and answer.act is not _REJECT and not session.attempt.remarks


async def _judged(session: Session, event: Helo, before: str | None, answer: Any) -> Reply | None:
    verdict = await session.ask(answer)
    if verdict.act is _REJECT:
        session.attempt.helo = before
        return session.refusal(verdict)
    return _accept(session, event)


def _accept(session: Session, event: Helo) -> Reply:
    edge = session.edge
    session.forget()
    if event.__class__ is not Ehlo:
        return edge.profile.helo_reply
    session.attempt.protocol = "ESMTP"
    engine = session.engine
    discarded = engine.discarded
    if discarded and (words := without_silence(discarded)):
        session.write(Informed, message=f"discarding EHLO keywords: {' '.join(words)}")
    mechanisms = edge.mechanisms(session)
    return edge.profile.ehlo(discarded, mechanisms, engine.is_encrypted, session.traits)


def noop(session: Session, event: Noop) -> Reply:
    """Nothing but an answer; smtpd_noop_commands end here as well."""
    return OK


def rset(session: Session, event: Rset) -> Reply:
    """No transaction any more."""
    session.forget()
    return OK


def quit_session(session: Session, event: Quit) -> Reply:
    """Goodbye."""
    return BYE


def help_text(session: Session, event: Help) -> Reply:
    """The commands there are."""
    return HELP


def starttls(session: Session, event: StartTls) -> Reply | Work | None:
    """TLS from here on; whatever the client sent behind the command is forgotten.  RFC 3207 §4.2"""
    if session.edge.profile.tls is None:
        return NO_TLS
    counting = session.edge.counting
    if counting is not None and counting.has_too_many_tls(session):
        return _starttls_counted(session, event, counting)
    session.answer_starttls(event, READY_FOR_TLS)
    return None


async def _starttls_counted(session: Session, event: StartTls, counting: Counting) -> Reply | None:
    reply = await counting.refuse_starttls(session)
    if reply is None:
        session.answer_starttls(event, READY_FOR_TLS)
    return reply


def refused(session: Session, event: Refused) -> Reply:
    """The protocol alone refused it; some refusals have a line in the log."""
    write_note(session, event)
    return event.reply


def write_note(session: Session, event: Refused) -> None:
    """The log line of a refusal, where Postfix has one."""
    if event.note is Note.NONE:
        return
    attempt = session.attempt
    queue_id = attempt.queue_id or "NOQUEUE"
    sample = event.sample
    if event.note is Note.REJECT:
        before, attempt.sender = attempt.sender, sample
        session.remark(attempt, "reject", event.command, event.reply.line(), reason=Reason.TOO_LARGE)
        attempt.sender = before
        return
    if event.note is Note.BARE_NEWLINE:
        session.remark(attempt, "reject", session.where, "bare <LF> received", reason=Reason.BARE_NEWLINE)
        return
    limit = session.edge.profile.rules.line_length_limit
    session.complain(
        {
            Note.NON_SMTP: f"non-SMTP command from {{client}}: {sample}",
            Note.TOO_LONG: f"{{client}}: request longer than {limit}: {sample}...",
            Note.BAD_ADDRESS: f"Illegal address syntax from {{client}} in {event.command} command: {sample}",
            Note.BDAT_SYNTAX: f"{queue_id}: malformed BDAT command syntax from {{client}}: {sample}",
            Note.BDAT_NULL: f"{queue_id}: null BDAT request from {{client}}",
            Note.BDAT_SIZE: f"{queue_id}: BDAT request from {{client}} exceeds message size limit",
        }[event.note]
    )
