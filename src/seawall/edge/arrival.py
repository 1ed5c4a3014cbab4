"""The beginning of a session: addresses, the client's name, TLS, and the greeting.

The greeting waits for the name only where something before RCPT depends on it (`Profile.needs_name_early`).
What only a client needs who speaks (`LATE`) is made when it is asked for first, mostly by the client's first byte:
a silent one holds this one object (docs/decisions/0009).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from seawall.dns.names import NAMELESS_NOW, NOT_ASKED, ClientNames
from seawall.edge.telling import Telling
from seawall.journal.records import edge as records
from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt
from seawall.policy.rates import Client, Event
from seawall.policy.verdict import Act, Verdict
from seawall.smtp.events import Command
from seawall.smtp.replies import format_reply
from seawall.smtp.server import OUT_OF_STEP, Server
from seawall.tls import TlsServer

if TYPE_CHECKING:
    from seawall.edge.counting import Counting
    from seawall.edge.edge import Edge
    from seawall.policy.worth import Crowd, Place

CONNECT = "CONNECT"
LOST = "lost connection"
LATE = frozenset({"attempt", "counts", "engine", "forwarded", "good"})
"""What a silent client has not."""


class Arrival(Telling):
    """A connection that becomes a session."""

    __slots__ = (
        "_greeted",
        "_names",
        "_starttls",
        "_until_named",
        "attempt",
        "bucket",
        "cause",
        "counted",
        "counts",
        "deadline",
        "edge",
        "ends",
        "engine",
        "errors",
        "forwarded",
        "good",
        "is_busy",
        "is_put_off",
        "is_silent",
        "last_code",
        "limits",
        "place",
        "profile",
        "started",
        "traits",
        "where",
        "withheld",
    )

    attempt: Attempt
    counts: dict[str, int]
    """Commands seen, by name."""
    engine: Server
    forwarded: dict[str, str]
    """What XFORWARD told."""
    good: dict[str, int]
    """Commands that succeeded, by name."""

    def __init__(self, edge: Edge) -> None:
        super().__init__(edge.journal, edge.clock, edge.next_number(), edge.profile.service)
        self.edge = edge
        self.profile = edge.profile
        self.limits = edge.profile.limits
        self.traits = edge.no_traits
        self.where = CONNECT
        """The last command, or the phase, as the log names it."""
        self.cause = ""
        """Why the session ended out of turn."""
        self.errors = 0
        self.last_code = 0
        self.deadline = 0.0
        self.bucket = 0
        self.started = edge.clock.now()
        self.is_busy = True
        """Something is waited for that is not the client."""
        self.is_silent = True
        """What is late is not made yet."""
        self.is_put_off = False
        """The question for the name is: silent strangers may not use up what others need.  docs/differences.md D-63"""
        self._names: ClientNames | None = None
        self._greeted = False
        self._starttls: Command | None = None
        self._until_named: asyncio.Future[None] | None = None
        self.ends: tuple[tuple[str, str], tuple[str, str]] | None = None
        """(address, port) of the client and of ours, as the socket or a proxy named them."""
        self.withheld: frozenset[str] = frozenset()
        """EHLO keywords that this client is not told of yet."""
        self.counted: Client | None = None
        """Where this client is counted."""
        self.place: Place | None = None
        """What it holds of this worker."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What is late is asked for first."""
            if name in LATE and self.is_silent:
                self.is_silent = False
                self.awake()
                return getattr(self, name)
            raise AttributeError(name)

    def awake(self) -> None:
        """The client speaks, or is spoken of."""
        self.engine = Server(self.profile.rules)
        self.engine.discarded |= self.withheld
        attempt = self.attempt = Attempt(address=self.client_address, stress=self.profile.stress)
        if self.ends is not None:
            (attempt.address, attempt.port), (attempt.server_address, attempt.server_port) = self.ends
        if self._names is not None:
            self._know_name(self._names)
        elif self.is_put_off:
            self._learn_name(self.client_address)
        self.good = {}
        self.counts = {}
        self.forwarded = {}

    def withhold(self, keyword: str) -> None:
        """Do not announce an extension yet; with an empty word announce all again."""
        if self.is_silent:  # `awake` does it
            self.withheld = frozenset({keyword}) - self.profile.rules.discarded if keyword else frozenset()
            return
        discarded = self.engine.discarded
        self.engine.discarded = discarded | {keyword} if keyword else discarded - self.withheld
        self.withheld = frozenset({keyword}) - discarded if keyword else frozenset()

    # What the session adds

    def wait_for(self, event: Command | None, work: Coroutine[Any, Any, Reply | None]) -> None:
        """Do `work`; the session is busy until it is done."""
        raise RuntimeError("a session has this")

    def forget(self) -> None:
        """No transaction any more."""

    @property
    def has_spoken(self) -> bool:
        """The client has said a whole command."""
        return not self.is_silent and bool(self.counts)

    def shed(self) -> bool:
        """The client's place is needed for others."""
        return False

    def depart(self) -> None:
        """The connection is gone: give back everything."""

    def run_out(self) -> None:
        """The client's time is over."""

    def farewell(self) -> None:
        """We are going down."""

    def opened(self, refusal: Reply | None = None) -> None:
        """A client is here: its name is asked for, and it is greeted, in most cases without waiting for the answer.

        With a `refusal` it hears only that.
        """
        edge = self.edge
        self._learn_addresses()
        if edge.crowd is not None and self.place is None and not self._takes_place(edge.crowd):
            return
        self.be_patient()
        edge.patience.watch(self)
        edge.sessions.add(self)
        is_one_too_many = edge.counting is not None and edge.counting.connect(self)
        if not edge.profile.asks_names or not self.client_address:
            self._named(NOT_ASKED)
        elif edge.lacks_answers() and (self.place is None or not self.place.is_known):
            self.is_naming = self.is_put_off = True
        else:
            self._learn_name(self.client_address)
        if refusal is not None:
            self.wait_for(None, self._refuse(refusal))
            self.flush()
        elif is_one_too_many:
            self.wait_for(None, self._turn_away())
            self.flush()
        elif edge.profile.tls_is_wrapped:
            self._start_wrapped()
        else:
            self._greet()

    async def _refuse(self, refusal: Reply) -> None:
        await self.know()
        self.tell(refusal)
        self.hang_up()

    def _takes_place(self, crowd: Crowd) -> bool:
        """False where there is none for this client: it is told so, and the log hears of all of them together."""
        self.place = crowd.enter(self.client_address, self)
        if self.place is not None:
            return True
        if not self.profile.tls_is_wrapped:
            self.say(format_reply(self.too_many()))
        self.hang_up()
        return False

    def too_many(self) -> Reply:
        """smtpd(8)'s words for a client that has too many connections."""
        hostname = self.profile.rules.hostname
        return Reply(421, "4.7.0", f"{hostname} Error: too many connections from {self.client_address}")

    async def _turn_away(self) -> None:
        """The client has too many connections, unless it is exempt from counting."""
        counting = self.edge.counting
        reply = None if counting is None else await counting.refuse_connection(self)
        if reply is not None:
            if not self.profile.tls_is_wrapped:
                self.tell(reply)
            self.hang_up()
        elif self.profile.tls_is_wrapped:
            self._start_wrapped()
        else:
            await self._greet_within()

    def _learn_addresses(self) -> None:
        transport = self.transport
        if self.ends is None and transport is not None:
            self.ends = _end(transport.get_extra_info("peername")), _end(transport.get_extra_info("sockname"))
        (address, port), _ = self.ends or (("", ""), ("", ""))
        self.client_address = address
        self.client_port = port if self.profile.port_logging else ""

    def _named(self, names: ClientNames) -> None:
        """The name is known: what the client may because of it, and the first line of the log."""
        self._names = names
        if not self.is_silent:
            self._know_name(names)
        self.is_naming = False
        if self._until_named is not None and not self._until_named.done():
            self._until_named.set_result(None)
        self.client_name = names.name
        if names.warning:
            self.complain(names.warning)
        _, (server_address, server_port) = self.ends or (("", ""), ("", ""))
        self.introduce(
            self.started,
            reverse_name=names.reverse_name,
            server_address=server_address,
            server_port=server_port,
        )

    def _know_name(self, names: ClientNames) -> None:
        attempt = self.attempt
        attempt.name, attempt.name_status = names.name, names.status
        attempt.reverse_name, attempt.reverse_name_status = names.reverse_name, names.reverse_status

    def _learn_name(self, address: str) -> None:
        """Ask, and take the answer in the same turn of the loop that brings it."""
        self.is_naming = True
        self.is_put_off = False
        try:
            self.edge.names.tell_names(address, self._named)
        except Exception as trouble:  # without a name the session goes on
            self.complain(f"{{client}}: {type(trouble).__name__} in the look-up of its name: {trouble}")
            if self.is_naming:
                self._named(NAMELESS_NOW)

    def remain_nameless(self) -> None:
        """The client has gone before anybody needed its name."""
        self.is_put_off = False
        self._named(NAMELESS_NOW)

    def _start_wrapped(self) -> None:
        profile = self.profile
        if profile.tls is None:
            self.complain(
                f"Wrapper-mode request dropped from {{client}} for service {self.edge.service}. "
                "TLS context initialization failed. For details see earlier warnings in your logs."
            )
            self.hang_up()
            return
        self.deadline = self.edge.monotonic() + profile.limits.starttls_timeout
        self.start_tls(profile.tls)

    def _greet(self) -> None:
        """The greeting, at once where nothing before RCPT depends on the name."""
        self._greeted = True
        if self.profile.needs_name_early:
            self.wait_for(None, self.welcome())
        else:
            self.is_busy = False
            self.say(self.profile.banner)
        self.flush()

    async def _greet_within(self) -> None:
        """The same inside of work that the session waits for."""
        self._greeted = True
        if self.profile.needs_name_early:
            await self.welcome()
        else:
            self.say(self.profile.banner)

    async def welcome(self, where: str = CONNECT) -> None:
        """Wait for the name, learn what the client may, judge it where that is not put off, greet it.

        `where` is the step that brought the client, as log lines and policy services are told.
        """
        await self.know()
        await self.edge.learn_traits(self)
        profile = self.profile
        if not profile.delays_reject:
            self.attempt.where = where
            verdict = await self.ask(self.edge.judge.connect(self.attempt))
            if verdict.act is Act.REJECT:
                self.deny(verdict)
                return
        if self.engine.waiting and not self.engine.pipelined and self._spoke_first():
            return
        self.say(profile.banner)

    def _spoke_first(self) -> bool:
        """True where the session ends because the client did not wait for the greeting.  RFC 5321 §4.3.1"""
        self.engine.pipelined = self.attempt.pipelined = True
        self.write(records.Pipelined, after=self.where, sample=self.engine.peek())
        if not self.profile.rules.forbid_unauth_pipelining:
            return False
        self.tell(OUT_OF_STEP)
        self.hang_up()
        return True

    def deny(self, verdict: Verdict) -> None:
        """The client hears the refusal instead of the greeting, and 503 from then on.  RFC 5321 §3.1"""
        reply = verdict.reply
        if reply is None or verdict.hangs_up or reply.hangs_up:
            if reply is not None:
                self.tell(reply)
            self.hang_up()
            return
        self.tell(reply)
        self.errors += 1
        self.engine.denied = Reply(503, "5.7.0", f"Error: access denied for {self.client}")

    async def know(self) -> None:
        """Until the client's name is known.  The session is busy meanwhile, so that only one waits."""
        if self.is_put_off:
            self._learn_name(self.client_address)
        while self.is_naming:
            self._until_named = asyncio.get_running_loop().create_future()
            await self._until_named

    async def ask(self, answer: Any) -> Verdict:
        """A verdict that may have to be waited for; what the checks said goes to the log."""
        verdict: Verdict = answer if answer.__class__ is Verdict else await answer
        if self.attempt.remarks:
            self.pass_on_remarks(self.attempt, verdict)
        return verdict

    def tell(self, reply: Reply) -> None:
        """Say something that answers no command."""
        if reply.code >= 400:
            reply = self.edge.dress(reply, self.attempt)
        self.last_code = reply.code
        self.say(format_reply(reply))

    def be_patient(self) -> None:
        """The client has its full time again."""
        self.deadline = self.edge.monotonic() + self.limits.timeout

    # TLS

    def secured(self, tls: TlsServer) -> None:
        """The handshake is done."""
        facts = self.attempt.tls = tls.facts()
        self.engine.is_encrypted = True
        profile = self.profile
        if profile.tls_log_level > 0:
            self.write(
                records.TlsEstablished,
                protocol=facts.protocol,
                cipher=facts.cipher,
                bits=facts.bits,
                algorithm_bits=facts.algorithm_bits,
                trust="Trusted" if facts.peer_trusted else "Anonymous",
            )
        self.be_patient()
        if profile.requires_certificate and not facts.peer_trusted:
            self._refuse_certificate()
        counting = self.edge.counting
        if counting is not None and counting.limits_event(Event.NEW_TLS):
            self.wait_for(None, self._go_on_counted(counting))
            self.flush()
        elif not self._greeted:
            self._greet()
        else:
            self._go_on_secured()

    def _go_on_secured(self) -> None:
        """The client said STARTTLS: everything begins anew, but the greeting."""
        self.good["STARTTLS"] = self.good.get("STARTTLS", 0) + 1
        self.attempt.helo = None
        self.is_busy = False

    async def _go_on_counted(self, counting: Counting) -> None:
        """The same, where a client may begin only so many TLS sessions."""
        reply = await counting.refuse_tls(self)
        if reply is not None:
            self.tell(reply)
            self.hang_up()
        elif self._greeted:
            self._go_on_secured()
        else:
            await self._greet_within()

    def _refuse_certificate(self) -> None:
        """smtpd_tls_req_ccert: the next command hears why it is the last one."""
        why = "No client certificate presented"
        self.write(records.Informed, message=f"NOQUEUE: abort: TLS from {{client}}: {why}")
        self.engine.denied = Reply(421, "4.7.1", f"{self.profile.rules.hostname} Error: {why}")

    def not_secured(self, reason: str) -> None:
        """The handshake failed: nothing can be said to this client any more."""
        self.write(records.Informed, message=f"SSL_accept error from {{client}}: {reason}")
        self.cause = LOST
        self.abort()

    def answer_starttls(self, event: Command, reply: Reply) -> None:
        """Agree to TLS: what follows is the handshake, and nothing that came before counts."""
        context = self.profile.tls
        if context is None:
            return
        self.say(self.engine.send(reply))
        self.flush()
        self.engine.drop_input()
        self.forget()
        self.attempt.sasl_method = self.attempt.sasl_username = ""
        self.engine.is_authenticated = False
        self.is_busy = True
        self.deadline = self.edge.monotonic() + self.limits.starttls_timeout
        self.start_tls(context)

    def begin_anew(self) -> None:
        """As if the client had just come: XCLIENT told that it is another one."""
        attempt = self.attempt
        self.client_name = attempt.name
        self.client_address = attempt.address
        self.client_port = attempt.port if self.profile.port_logging else ""
        self.traits = self.edge.no_traits
        self.engine.denied = None
        self.engine.is_authenticated = bool(attempt.sasl_username)
        self.engine.restart(helo=attempt.helo, protocol=attempt.protocol)


def _end(socket_name: object) -> tuple[str, str]:
    """(address, port) of what getpeername(2) told; empty where that is no address, or the client is gone."""
    return (_plain_address(socket_name[0]), str(socket_name[1])) if isinstance(socket_name, tuple) else ("", "")


def _plain_address(address: str) -> str:
    """An IPv4 address that came by an IPv6 socket as IPv4, and no scope.  smtpd_peer(3)"""
    if ":" not in address:
        return address
    if address.startswith("::ffff:") and "." in address:
        return address[7:]
    return address.partition("%")[0]
