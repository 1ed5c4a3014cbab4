"""A session in front of another server: it greets, reads and judges as every session does, and is joined with the server
behind only when there is something for it: MAIL, AUTH, STARTTLS, VRFY, ETRN.  docs/in-front.md, docs/differences.md D-70

Commands go on one by one, in their order, each after the reply to the one before.  After STARTTLS the bytes are the
client's and the server's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from seawall.dns.answers import NameStatus
from seawall.edge import commands_front
from seawall.edge.edge import Edge
from seawall.edge.passing import NoIntake
from seawall.edge.ports import Judging
from seawall.edge.profile import Profile
from seawall.edge.session import CROWDED, TIMEOUT, Session
from seawall.journey import Caller, Intake, Joined, Joining
from seawall.mail.reply import Reply
from seawall.policy.attempt import UNKNOWN, Attempt
from seawall.smtp.events import Command
from seawall.smtp.replies import ReadyReply, ready

SILENCE = 10.0
"""Seconds after which a client that is silent in the middle of something keeps its place only while nobody wants it; ours."""
SPEAKING = 100.0
"""The same where it spoke last in a part of the dialogue that cannot be read: then the server behind may be at work."""
NO_ANSWER = "the mail server does not answer, try again later"
_CLEAN: Mapping[int, str] = MappingProxyType(dict.fromkeys((*range(32), 127), "?") | {9: " "})
"""Control characters have no place in a command: some server might take one for the end of a line."""


class FrontEdge(Edge):
    """smtpd(8) as the door alone.  `joining` is the server behind.

    `refuses_recipients`: a check of ours may, so nobody is joined before a recipient was let in.
    """

    def __init__(
        self,
        joining: Joining,
        profile: Profile,
        judge: Judging,
        intake: Intake,
        *parts: Any,
        refuses_recipients: bool = False,
        **more: Any,
    ) -> None:
        # what a client may use the server behind decides, so all of it is read here
        rules = replace(profile.rules, offers_tls=True, requires_tls=False, sasl=True, auth_needs_tls=False)
        super().__init__(replace(profile, rules=rules), judge, NoIntake(), *parts, **more)  # nothing becomes ours
        self.joining = joining
        self.refuses_recipients = refuses_recipients
        self.gone = ready(421, "4.3.2", f"{rules.hostname} Error: {NO_ANSWER}")
        """What a client hears whose server behind is not there any more."""

    def session(self) -> FrontSession:
        """A protocol for one connection."""
        return FrontSession(self)

    def dress(self, reply: Reply, attempt: Attempt) -> Reply:
        """Ours as this site wants it; the words of the server behind as they are."""
        return reply if reply.__class__ is ReadyReply else super().dress(reply, attempt)


class FrontSession(Session):
    """State of one client beside that of every session."""

    __slots__ = ("_is_spliced", "_spoke_last", "_turn", "front", "hello", "link")

    handlers = commands_front.HANDLERS

    def __init__(self, edge: FrontEdge) -> None:
        super().__init__(edge)
        self.front = edge
        self.link: Joined | None = None
        self.hello: tuple[str, str] | None = None
        """EHLO or HELO, and what was said with it."""
        self._is_spliced = False
        self._turn: float | None = None
        """Since when it is the client's turn, moved on by what it sends; None while we wait for the server behind."""
        self._spoke_last = False
        """The client did, in the part that cannot be read."""

    # Joining

    @property
    def is_refused(self) -> bool:
        """The door has something against the client that only a login outweighs."""
        return self.screened is not None and not self.attempt.sasl_username

    def offers(self) -> tuple[str, ...]:
        """What the server behind offers this client, or strangers while it is not joined."""
        link = self.link
        return link.offers if link is not None and not link.is_gone and link.offers else self.front.joining.offers

    def has_offer(self, keyword: str) -> bool:
        """True where an extension is offered, and not taken away here."""
        if keyword in self.engine.discarded:
            return False
        return any(offer.replace("=", " ").split(" ", 1)[0] == keyword for offer in self.offers())

    async def join(self) -> Reply | None:
        """Be joined; a Reply where that cannot be, or the server behind does not want this client."""
        link, front = self.link, self.front
        if link is not None and not link.is_gone:
            return None
        if link is not None:
            self.part(politely=True)
            if self.attempt.sasl_username:
                return front.gone  # it has forgotten who the client is
        if front.joining.wants_names:
            await self.know()
        joined = await front.joining.join(self._caller(), self)
        if isinstance(joined, Reply):
            return joined
        if self.is_closed or self.is_ending:
            joined.close(politely=True)
            return front.gone
        self.link = joined
        self._turn = front.monotonic()
        return None

    def _caller(self) -> Caller:
        attempt = self.attempt
        return Caller(
            attempt.address,
            attempt.port,
            attempt.server_address,
            attempt.server_port,
            name=_name(attempt.name, attempt.name_status),
            reverse_name=_name(attempt.reverse_name, attempt.reverse_name_status),
            hello=self.hello,
        )

    def part(self, *, politely: bool) -> None:
        """Not joined any more."""
        link, self.link = self.link, None
        if link is not None:
            link.close(politely=politely)

    async def pass_on(self, line: str | None = None) -> Reply:
        """The command that was read, or `line`, and what the server behind says to it."""
        said = self.engine.line if line is None else line
        refusal = await self.join()
        if refusal is not None:
            return refusal
        return await self._ask(f"{clean(said)}\r\n".encode("utf-8", "surrogateescape"))

    async def end_content(self, rest: bytes) -> Reply:
        """The last bytes of a content.  A 250 is that of the server behind, or there is none."""
        return await self._ask(rest)

    async def _ask(self, data: bytes) -> Reply:
        link, front = self.link, self.front
        if link is None:
            return front.gone
        self._turn = None
        reply = await link.ask(data)
        self._turn = front.monotonic()
        return reply

    def stream(self, data: bytes) -> None:
        """Content; the client is held while the server behind does not keep up."""
        link = self.link
        if link is None:
            return
        self._earn(len(data))
        link.write(data)
        if link.is_full and not link.is_gone:
            self.wait_for(None, self._until_drained(link))

    async def _until_drained(self, link: Joined) -> None:
        turn, self._turn = self._turn, None
        await link.drained()
        self._turn = turn

    # The place at the server behind

    @property
    def worth(self) -> int:
        """Known clients before strangers, those before who may do nothing but log in."""
        if self.is_refused:
            return 0
        return 2 if self.place is not None and self.place.is_known else 1

    def spare(self, now: float) -> float | None:
        """How long the client has kept its place for nothing."""
        turn = self._turn
        if turn is None or self.is_busy:
            return None
        silent = now - turn
        if self._is_spliced:
            fair = SPEAKING if self._spoke_last else SILENCE
        else:
            fair = SILENCE if self.transaction is not None or self.attempt.sasl_username else 0.0
        return silent if silent >= fair else None

    def give_up(self) -> None:
        """Others wait.  Who has nothing under way does not notice."""
        if self._is_spliced:
            self.cause = self.cause or TIMEOUT
            self.abort()
        elif self.transaction is not None or self.attempt.sasl_username:
            self.tell(Reply(421, "4.4.2", f"{self.profile.rules.hostname} Error: timeout exceeded"))
            self.lose(TIMEOUT)
        self.part(politely=True)

    def _earn(self, size: int) -> None:
        """Content earns time, as everywhere."""
        if self._turn is not None:
            self._turn = min(self.front.monotonic(), self._turn + size / self.limits.min_data_rate)

    # After STARTTLS

    def splice(self, event: Command, reply: Reply) -> None:
        """The server behind ends the TLS: from here on nothing is read, in neither direction.

        What the client sent behind the command, in the clear, is forgotten.  RFC 3207 §4.2
        """
        link = self.link
        if link is None:
            self.hang_up()
            return
        self.say(self.engine.send(reply))
        self.flush()
        self.engine.drop_input()
        self.forget()
        self.good[event.verb] = self.good.get(event.verb, 0) + 1
        self.watch = None
        self._is_spliced = True
        self._was_heard()
        link.splice(self._pass_back, self._take_more, self._left_alone)

    def received(self, data: bytes) -> None:
        """Commands and content, or what is for the server behind only."""
        if not self._is_spliced:
            super().received(data)
            return
        link = self.link
        if link is None:
            return
        self._spoke_last = True
        self._earn(len(data))
        self._be_long_patient()
        link.write(data)
        if link.is_full:
            self.hold(True)

    def _pass_back(self, data: bytes) -> None:
        self._was_heard()
        if self.transport is not None and not self.is_closed:
            self.transport.write(data)

    def _was_heard(self) -> None:
        self._spoke_last = False
        self._turn = self.front.monotonic()
        self._be_long_patient()

    def _be_long_patient(self) -> None:
        self.deadline = self.front.monotonic() + max(self.limits.timeout, self.front.joining.patience)

    def _take_more(self) -> None:
        self.hold(False)

    def _left_alone(self) -> None:
        self.hang_up()

    def pause_writing(self) -> None:
        """The client does not take it."""
        super().pause_writing()
        if self._is_spliced and self.link is not None:
            self.link.hold(True)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._is_spliced and self.link is not None:
            self.link.hold(False)
        super().resume_writing()

    # What is otherwise where there is a server behind

    def work(self) -> None:
        """Nothing is read any more where bytes are passed on as they come."""
        if not self._is_spliced:
            super().work()

    def ended(self) -> None:
        """The client sends no more."""
        if self._is_spliced:
            self.lose("lost connection")
        else:
            super().ended()

    def unblocked(self) -> None:
        """Our replies are gone."""
        if not self._is_spliced:
            super().unblocked()

    def run_out(self) -> None:
        """The client's time is over."""
        if self._is_spliced and not self.is_closed:
            self.cause = self.cause or TIMEOUT
            self.abort()
        else:
            super().run_out()

    def farewell(self) -> None:
        """We are going down; what cannot be read may have a message under way."""
        if not self._is_spliced:
            super().farewell()

    def shed(self) -> bool:
        """Another is worth more."""
        if not self._is_spliced:
            return super().shed()
        self.cause = self.cause or CROWDED
        self.abort()
        return True

    def closed(self, was_ending: bool) -> None:
        """The connection is gone: its place is free, and so is who waits for one."""
        super().closed(was_ending)
        self.part(politely=True)
        self.front.joining.leave(self)


def clean(text: str) -> str:
    """A command as it goes on."""
    return text if text.isprintable() else text.translate(_CLEAN)


def _name(name: str, status: NameStatus) -> str | None:
    if status is NameStatus.TEMPORARY:
        return None
    return "" if name == UNKNOWN else name
