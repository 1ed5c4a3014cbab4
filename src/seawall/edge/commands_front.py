"""What commands mean where another server stands behind: judged here first, then passed on, and answered in its words."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from seawall.edge import commands_auth, commands_mail, commands_plain, commands_proxy, data
from seawall.edge.dispatch import HANDLERS as OF_SMTPD
from seawall.edge.dispatch import Handler
from seawall.edge.passing import Passing
from seawall.journal.records.edge import Informed
from seawall.mail.reply import Reply
from seawall.policy.rates import Event as Counted
from seawall.policy.verdict import Act
from seawall.smtp import events
from seawall.smtp.commands import DATA
from seawall.smtp.extensions import format_ehlo
from seawall.smtp.replies import ReadyReply

if TYPE_CHECKING:
    from seawall.edge.front import FrontSession

Work = Coroutine[Any, Any, Reply | None]
NO_TLS_FOR_YOU = Reply(454, "4.7.0", "TLS not available to this client")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Error: command not implemented")
LOGGED_IN = "(behind)"
"""Stands for the name of who has logged in: the server behind knows it."""


async def _settled(answer: Any) -> Reply | None:
    """What a handler of smtpd's says, now or later."""
    return answer if answer is None or isinstance(answer, Reply) else await answer


# HELO and EHLO


async def helo(session: FrontSession, event: events.Helo) -> Reply | None:
    """Answered here, with what is known of the server behind; who is joined already hears that server itself."""
    reply = await _settled(commands_plain.helo(session, event))
    if reply is None or reply.code != 250:
        return reply
    hello = event.verb, event.raw
    if session.link is not None and not session.link.is_gone:
        said = await session.pass_on(f"{event.verb} {event.raw}")
        if said.code != 250:
            return said
    session.hello = hello
    return _offer(session, reply) if event.verb == "EHLO" else reply


def _offer(session: FrontSession, reply: Reply) -> Reply:
    """What the server behind offers, as far as the dialogue in front understands it."""
    discarded = session.engine.discarded
    hostname = session.profile.rules.hostname
    kept = [offer for offer in session.offers() if offer.replace("=", " ").split(" ", 1)[0] not in discarded]
    return ReadyReply(250, "", hostname, format_ehlo((hostname, *kept)))


# The envelope


async def mail(session: FrontSession, event: events.Mail) -> Reply | None:
    """Judged here, then the client is joined; who may be refused at RCPT is not, before a recipient was let in."""
    line = session.engine.line
    reply = await _settled(commands_mail.mail(session, event))
    transaction = session.transaction
    if reply is None or reply.code >= 400 or transaction is None:
        return reply
    passing = Passing(session, line)
    transaction.reception = passing
    if session.is_refused or session.front.refuses_recipients:
        return reply
    said = await passing.begin()
    if said.code >= 400:
        session.forget()
    return said


async def rcpt(session: FrontSession, event: events.Rcpt) -> Reply | None:
    """Greylisting, verdicts of the door and limits come first; then it is for the server behind to say."""
    line = session.engine.line
    reply = await _settled(commands_mail.rcpt(session, event))
    passing = _passing(session)
    if reply is None or reply.code >= 400 or passing is None:
        return reply
    said = await passing.begin()
    if said.code < 400:
        said = await session.pass_on(line)
    if said.code >= 400:
        _not_let_in(session, event)
    return said


def _passing(session: FrontSession) -> Passing | None:
    transaction = session.transaction
    reception = None if transaction is None else transaction.reception
    return reception if isinstance(reception, Passing) else None


def _not_let_in(session: FrontSession, event: events.Rcpt) -> None:
    """It was counted already."""
    transaction, attempt = session.transaction, session.attempt
    attempt.recipient_count = max(0, attempt.recipient_count - 1)
    if transaction is not None:
        if not attempt.recipient_count:
            transaction.first_recipient = None
        attempt.recipient = transaction.first_recipient


async def vrfy(session: FrontSession, event: events.Vrfy) -> Reply | None:
    """As RCPT; who is refused there learns nothing."""
    reply = await commands_mail.vrfy(session, event)
    if reply is None or reply.code >= 400 or session.is_refused:
        return reply
    return await session.pass_on()


async def etrn(session: FrontSession, event: events.Etrn) -> Reply | None:
    """Judged here; the queue is behind."""
    attempt = session.attempt
    await session.know()
    attempt.where, attempt.etrn_domain = "ETRN", event.domain
    verdict = await session.ask(session.edge.judge.etrn(attempt))
    if verdict.act is Act.REJECT:
        return session.refusal(verdict)
    return Reply(458, "", "Unable to queue messages") if session.is_refused else await session.pass_on()


def rset(session: FrontSession, event: events.Rset) -> Reply | Work:
    """No transaction any more, on both sides."""
    passing = _passing(session)
    session.forget()
    if passing is None or not passing.is_known or session.link is None:
        return commands_plain.OK
    return session.pass_on()


# The content


async def data_(session: FrontSession, event: events.Data) -> Reply | None:
    """May the content come?  Nobody says so but the server behind."""
    reply = await _settled(data.data(session, event))
    if reply is None or reply.code >= 400:
        return reply
    return await _go_ahead(session)


async def _go_ahead(session: FrontSession) -> Reply:
    said, passing = await session.pass_on("DATA"), _passing(session)
    if said.code == 354 and passing is not None:
        passing.open()
        return said
    return said if said.code >= 400 else session.front.gone  # what else could it mean


def bdat(session: FrontSession, event: events.Bdat) -> Work | None:
    """Chunks are read here and go on as the content of one DATA: two counts that could differ are one too many."""
    return _first_chunk(session, event) if event.is_first else data.bdat(session, event)


async def _first_chunk(session: FrontSession, event: events.Bdat) -> Reply | None:
    reply = await _settled(data.data(session, DATA))
    if reply is None:
        return None
    if reply.code == 354:
        reply = await _go_ahead(session)
    if reply.code == 354:
        session.enter_content(by_chunks=True)
        session.engine.take_chunk()
    else:
        session.engine.refuse_chunk(reply)
    return None


async def end_of_data(session: FrontSession, event: events.EndOfData) -> Reply | None:
    """Judged here; then its end goes on, and the answer is the server's own."""
    attempt = session.attempt
    sender, recipients, helo_name = attempt.sender, attempt.recipient_count, attempt.helo
    reply = await data.end_of_data(session, event)
    if reply is not None and reply.code == 250:
        said = reply.line()
        told = (
            f"passed on: from=<{sender or ''}>, size={event.size}, nrcpt={recipients}, helo=<{helo_name or ''}>: {said}"
        )
        session.write(Informed, message=f"{{client}}: {told}")
    return reply


# AUTH and STARTTLS


async def auth(session: FrontSession, event: events.Auth) -> Reply | None:
    """The server behind knows the passwords."""
    if not session.has_offer("AUTH"):
        return commands_auth.NOT_ENABLED
    session.mechanism = event.mechanism
    return _logged_in(session, await session.pass_on())


async def auth_line(session: FrontSession, event: events.AuthLine) -> Reply | None:
    """One more step."""
    return _logged_in(session, await session.pass_on(event.text))


def _logged_in(session: FrontSession, reply: Reply) -> Reply:
    if reply.code == 235:
        session.attempt.sasl_method = session.mechanism
        session.attempt.sasl_username = LOGGED_IN
        session.engine.is_authenticated = True
    return reply


async def starttls(session: FrontSession, event: events.StartTls) -> Reply | None:
    """From here on nothing is seen, so who would be refused at RCPT cannot have it."""
    if not session.has_offer("STARTTLS"):
        return NOT_IMPLEMENTED
    if session.is_refused:
        return NO_TLS_FOR_YOU
    counting = session.edge.counting
    if counting is not None:
        refusal = await counting.refuse_starttls(session)
        if refusal is not None:
            return refusal
        if counting.limits_event(Counted.NEW_TLS):
            await counting.count(session, Counted.NEW_TLS)
    reply = await session.pass_on()
    if reply.code != 220:
        return reply
    session.splice(event, reply)
    return None


# Others


def xclient(session: FrontSession, event: events.XClient) -> Any:
    """It is another client: as such it is joined anew."""
    session.part(politely=True)
    return commands_proxy.xclient(session, event)


HANDLERS: Mapping[type[events.Command], Handler] = MappingProxyType(
    {
        **OF_SMTPD,
        events.Helo: helo,
        events.Ehlo: helo,
        events.Mail: mail,
        events.Rcpt: rcpt,
        events.Data: data_,
        events.Bdat: bdat,
        events.EndOfData: end_of_data,
        events.Rset: rset,
        events.Vrfy: vrfy,
        events.Etrn: etrn,
        events.StartTls: starttls,
        events.Auth: auth,
        events.AuthLine: auth_line,
        events.XClient: xclient,
    }
)
