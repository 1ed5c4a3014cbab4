"""A session that somebody could lead, in its parts, and how it goes before the judge.  smtpd(8)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.mail.action import What
from seawall.mail.envelope import TlsFacts
from seawall.policy.attempt import Attempt, NameStatus
from seawall.policy.bench import Place
from seawall.policy.evaluate import Answer, evaluate
from seawall.policy.proof.world import Event, World, now
from seawall.policy.verdict import Act


@dataclass(frozen=True, slots=True)
class Client:
    """Who he is, as the server takes him.  `via` says how he makes it believe so (``XCLIENT``, ``PROXY``), else empty."""

    address: str
    name: str
    name_status: NameStatus = NameStatus.OK
    reverse_name: str = ""
    via: str = ""
    login: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom he writes to.  `free` where nobody named the domain: he may take any other in its place."""

    address: str
    free: bool = True


@dataclass(frozen=True, slots=True)
class Session:
    """All that he says.  `helo` None where he says none; `count` recipients before DATA."""

    client: Client
    helo: str | None
    sender: str
    recipient: Recipient
    tls: TlsFacts | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Course:
    """How it went: `accepted` to its end, or refused at `step` by `place` (None: by no restriction of a list)."""

    accepted: bool
    step: str
    place: Place | None
    permitted: tuple[Place, ...] = ()


def attempt_of(session: Session) -> Attempt:
    """The session's facts before its first command."""
    client = session.client
    return Attempt(
        address=client.address,
        name=client.name,
        name_status=client.name_status,
        reverse_name=client.reverse_name or client.name,
        reverse_name_status=NameStatus.OK if client.reverse_name else client.name_status,
        protocol="ESMTP",
        sasl_method="PLAIN" if client.login else "",
        sasl_username=client.login,
        tls=session.tls,
    )


def play(world: World, session: Session) -> Course:
    """Lead the session until it is refused, or to the end of the message."""
    judge, attempt = world.judge, attempt_of(session)
    world.events.clear()
    world.exempted.clear()

    def goes_on(answer: Answer) -> bool:
        return now(answer).act is not Act.REJECT

    if not goes_on(judge.connect(attempt)):
        return _refused(world.events, "CONNECT")
    if session.helo is not None:
        attempt.helo, attempt.where = session.helo, "EHLO"
        if not goes_on(judge.helo(attempt)):
            return _refused(world.events, "EHLO")
    attempt.sender, attempt.where = session.sender, "MAIL"
    if not goes_on(judge.mail(attempt)):
        return _refused(world.events, "MAIL")
    permitted: tuple[Place, ...] = ()
    for _ in range(session.count):
        attempt.recipient, attempt.where = session.recipient.address, "RCPT"
        world.events.clear()
        if not goes_on(judge.rcpt(attempt)):
            return _refused(world.events, "RCPT")
        permitted = tuple(event.place for event in world.events if event.act is Act.PERMIT)
        attempt.recipient_count += 1
    for step, ask in (("DATA", judge.data), ("END-OF-MESSAGE", judge.end_of_data)):
        attempt.where = step
        if not goes_on(ask(attempt)):
            return _refused(world.events, step)
    if any(action.what in (What.DISCARD, What.REDIRECT) for action in attempt.actions):
        return Course(False, "the message is discarded or redirected", None)
    return Course(True, "", None, permitted)


def ask_list(world: World, name: str, session: Session) -> Course:
    """What one list that is asked at RCPT says by itself.  Where it refuses, no other list can change that."""
    attempt = attempt_of(session)
    attempt.helo, attempt.sender = session.helo, session.sender
    attempt.recipient, attempt.where = session.recipient.address, "RCPT"
    world.events.clear()
    verdict = now(evaluate(world.judge.lists[name], attempt, world.judge.manner))
    return _refused(world.events, "RCPT") if verdict.act is Act.REJECT else Course(True, "", None)


def _refused(events: Sequence[Event], step: str) -> Course:
    """Who refused: the last one asked that can have; a deferral is told at the list's end, by whoever asked for it."""
    for wanted in ((Act.REJECT, None), (Act.DEFER_IF_PERMIT, Act.DEFER_IF_REJECT)):
        for event in reversed(events):
            if event.act in wanted:
                return Course(False, step, event.place)
    return Course(False, step, None)
