"""One session with one server: greeting, EHLO, TLS, and a message handed over.  smtp_proto(3)

A session ends in a `Why` for everybody who is left, or in an answer for each recipient.  The texts are smtp(8)'s.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seawall.delivery.connections import ConnectionEnded, TooSlow, Wire
from seawall.delivery.content import pieces
from seawall.delivery.smtp_rules import ClientRules, TlsLevel
from seawall.delivery.trouble import StoreTrouble
from seawall.mail.envelope import Recipient
from seawall.mail.job import Job
from seawall.mail.outcome import Bounced, Deferred, Delivered, Outcome
from seawall.smtp import client
from seawall.smtp.client import ClientEngine, Features, ServerConfusion, ServerReply, Step, WireContent


@dataclass(frozen=True, slots=True)
class Why:
    """Why a server did not take mail.  `remote` and `diagnostic` are set where the server said so itself.

    `site_down` holds back the whole next hop; `retry_plain` asks for the same address again without TLS.
    """

    status: str
    text: str
    remote: str = ""
    diagnostic: str = ""
    site_down: bool = True
    retry_plain: bool = False

    @property
    def is_temporary(self) -> bool:
        """True where another server, or a later attempt, may take the mail."""
        return self.status.startswith("4")

    def outcome(self, relay: str) -> Outcome:
        """Deferred for 4.x.x, Bounced for 5.x.x."""
        if self.is_temporary:
            return Deferred(
                status=self.status,
                text=self.text,
                relay=relay,
                remote_mta=self.remote,
                diagnostic=self.diagnostic,
                site_down=self.site_down,
            )
        return Bounced(
            status=self.status, text=self.text, relay=relay, remote_mta=self.remote, diagnostic=self.diagnostic
        )


class SessionFailed(Exception):
    """The session is over for every recipient that has no answer yet."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.text)
        self.why = why


@dataclass(frozen=True, slots=True)
class Peer:
    """The server as the log names it; `port` is 0 for a UNIX-domain socket."""

    host: str
    address: str
    port: int

    @property
    def name(self) -> str:
        """``mx.example[192.0.2.1]``"""
        return f"{self.host}[{self.address}]"

    @property
    def relay(self) -> str:
        """``mx.example[192.0.2.1]:25``"""
        return f"{self.name}:{self.port}" if self.port else self.name


Answer = Delivered | Why


class Session:
    """A dialogue over an open connection."""

    def __init__(self, wire: Wire, peer: Peer, rules: ClientRules, nexthop: str, *, detect_loops: bool) -> None:
        self.peer = peer
        self._wire = wire
        self._rules = rules
        self._nexthop = nexthop
        self._detect_loops = detect_loops
        self._engine = ClientEngine()
        self._features = Features()
        self._broken = False
        self.answers: list[Answer | None] = []
        """One for each recipient of `transfer`, as far as there are any: also when the session breaks."""

    # -- opening -----------------------------------------------------------------------------------------------

    async def open(self, level: TlsLevel, context: ssl.SSLContext | None) -> None:
        """Greeting, EHLO, and TLS as `level` asks for it.  Raises SessionFailed."""
        if self._rules.tls_wrapper:
            await self._handshake(level, context)
        greeting = await self._reply(self._rules.timeouts.hello, "receiving the initial server greeting")
        if not greeting.is_success:
            self._refused(greeting, temporary=self._rules.skip_5xx_greeting)
        await self._hello("ESMTP" in greeting.text.upper().split())
        if level > TlsLevel.NONE and not self._rules.tls_wrapper:
            await self._start_tls(level, context)

    async def _hello(self, says_esmtp: bool) -> None:
        rules = self._rules
        verb = "LHLO" if rules.is_lmtp else "EHLO"
        if not rules.never_ehlo and (rules.always_ehlo or says_esmtp):
            doing = f"performing the {verb} handshake"
            await self._send(Step.HELLO, client.hello(verb, rules.helo_name), rules.timeouts.hello, doing)
            reply = await self._reply(rules.timeouts.hello, doing)
            if reply.is_success:
                self._features = client.parse_features(reply, ignored=rules.ignored_keywords)
                self._check_loop()
                return
            if rules.is_lmtp or reply.code == 421:
                self._refused(reply)
        doing = "performing the HELO handshake"
        await self._send(Step.HELLO, client.hello("HELO", rules.helo_name), rules.timeouts.hello, doing)
        reply = await self._reply(rules.timeouts.hello, doing)
        if not reply.is_success:
            self._refused(reply)
        self._features = replace(client.parse_features(reply), keywords={})
        self._check_loop()

    def _check_loop(self) -> None:
        """A server that calls itself what we are called is ourselves."""
        if self._detect_loops and self._features.name.lower() == self._rules.myhostname.lower():
            raise SessionFailed(Why("5.4.6", f"mail for {self._nexthop} loops back to myself", site_down=True))

    async def _start_tls(self, level: TlsLevel, context: ssl.SSLContext | None) -> None:
        name, doing = self.peer.name, "performing the STARTTLS handshake"
        if not self._features.has("STARTTLS"):
            if level >= TlsLevel.ENCRYPT:
                raise SessionFailed(Why("4.7.4", f"TLS is required, but was not offered by host {name}"))
            return
        await self._send(Step.STARTTLS, b"STARTTLS\r\n", self._rules.timeouts.starttls, doing)
        reply = await self._reply(self._rules.timeouts.starttls, doing)
        if not reply.is_success:
            if level >= TlsLevel.ENCRYPT:
                text = f"TLS is required, but host {name} refused to start TLS: {reply.text}"
                raise SessionFailed(Why(reply.status, text, self.peer.host, reply.text))
            return
        await self._handshake(level, context)
        await self._hello(says_esmtp=True)

    async def _handshake(self, level: TlsLevel, context: ssl.SSLContext | None) -> None:
        opportunistic = level < TlsLevel.ENCRYPT and not self._rules.tls_wrapper
        if context is None:
            raise SessionFailed(Why("4.7.5", "TLS is required, but our TLS engine is unavailable"))
        try:
            if not self._rules.tls_wrapper:
                self._engine.start_tls()
            await self._wire.start_tls(context, self.peer.host or None, self._rules.timeouts.starttls)
        except ssl.SSLCertVerificationError:
            self._broken = True
            raise SessionFailed(Why("4.7.5", "Server certificate not verified")) from None
        except (ssl.SSLError, ConnectionEnded, TooSlow, ServerConfusion, ValueError):
            self._broken = True
            why = Why("4.7.5", "Cannot start TLS: handshake failure", retry_plain=opportunistic)
            raise SessionFailed(why) from None

    # -- a message ---------------------------------------------------------------------------------------------

    async def transfer(self, job: Job, recipients: Sequence[Recipient]) -> None:
        """Hand the message over; `answers` then has an answer for each recipient.

        Raises SessionFailed where the session breaks before there is one for each.
        """
        refusal = self._cannot_carry(job, recipients)
        self.answers = [refusal] * len(recipients)
        if refusal is not None:
            return
        if job.is_probe:
            await self._probe(job, recipients)
            return
        commands = self._commands(job, recipients)
        answers = self.answers
        if self._features.has("PIPELINING"):
            for step, data, _, _ in commands:
                self._engine.send(step, data)
            await self._write(b"".join(data for _, data, _, _ in commands), commands[0][2], commands[0][3])
        refused: Why | None = None
        ready = False
        at = 0
        for step, data, seconds, doing in commands:
            if not self._features.has("PIPELINING"):
                if refused is not None or (step is Step.DATA and all(answers)):
                    break
                await self._send(step, data, seconds, doing)
            reply = await self._reply(seconds, doing)
            if step is Step.RCPT:
                if not reply.is_success and refused is None:
                    answers[at] = self._said(reply)
                at += 1
            elif step is Step.DATA:
                ready = 300 <= reply.code < 400
                refused = refused or (None if ready else self._said(reply))
            elif not reply.is_success:
                refused = self._said(reply)
        await self._content(job, refused, ready)

    async def _probe(self, job: Job, recipients: Sequence[Recipient]) -> None:
        """MAIL and RCPT, one after the other, and then no more of it.  postconf(5) smtp_address_verify_target

        A server that only says at DATA whom it takes is asked for that; where it waits for the content then, the
        connection must end.
        """
        at = 0
        for step, data, seconds, doing in self._commands(job, recipients):
            if step is Step.DATA and not (self._rules.probes_at_data and self._has_taken()):
                break
            await self._send(step, data, seconds, doing)
            last = await self._reply(seconds, doing)
            if step is Step.RCPT:
                self.answers[at] = self._taken(last) if last.is_success else self._said(last)
                at += 1
            elif step is Step.DATA:
                self._broken = ready = 300 <= last.code < 400
                text = last.text
                answer = Delivered(status="2.0.0", text=text, relay=self.peer.relay) if ready else self._said(last)
                self.answers = [answer if isinstance(each, Delivered) else each for each in self.answers]
            elif not last.is_success:
                self.answers = [self._said(last)] * len(recipients)
                break
        if not self._broken:
            with contextlib.suppress(SessionFailed):  # everything is known by now
                await self._send(Step.RSET, b"RSET\r\n", self._rules.timeouts.reset, "sending final RSET")
                await self._reply(self._rules.timeouts.reset, "sending final RSET")

    def _has_taken(self) -> bool:
        """True where the server takes one of the recipients."""
        return any(isinstance(answer, Delivered) for answer in self.answers)

    def _commands(self, job: Job, recipients: Sequence[Recipient]) -> list[tuple[Step, bytes, float, str]]:
        """The commands before the content, each with its deadline and what is being done."""
        times, quoted = self._rules.timeouts, self._rules.quote_envelope
        size = job.content.size + 2  # SIZE= is an estimate; line ends count double on the wire, RFC 1870 §5
        sender = client.mail_from(job.envelope, size, self._features, quoted=quoted)
        return [
            (Step.MAIL, sender, times.mail, "sending MAIL FROM"),
            *(
                (Step.RCPT, client.rcpt_to(recipient, self._features, quoted=quoted), times.rcpt, "sending RCPT TO")
                for recipient in recipients
            ),
            (Step.DATA, b"DATA\r\n", times.data_init, "sending DATA command"),
        ]

    def _cannot_carry(self, job: Job, recipients: Sequence[Recipient]) -> Why | None:
        limit = self._features.size_limit
        if limit and job.content.size > limit:
            text = f"message size {job.content.size} exceeds size limit {limit} of server {self.peer.name}"
            return Why("5.3.4", text, site_down=False)
        if client.needs_smtputf8(job.envelope, recipients) and not self._features.has("SMTPUTF8"):
            text = f"SMTPUTF8 is required, but was not offered by host {self.peer.name}"
            return Why("5.6.7", text, site_down=False)
        return None

    async def _content(self, job: Job, refused: Why | None, ready: bool) -> None:
        """The content, where anybody wants it, and the answers to its end."""
        answers, times = self.answers, self._rules.timeouts
        wanted = [at for at, answer in enumerate(answers) if answer is None]
        if refused is not None or not wanted:
            for at in wanted:
                answers[at] = refused
            if ready:  # the server waits for content that nobody would get
                await self._send(Step.END, b".\r\n", times.data_done, "sending end of data")
                await self._reply(times.data_done, "sending end of data")
            return
        await self._send_content(job, times.data_transfer, len(wanted) if self._rules.is_lmtp else 1)
        doing = "sending end of data -- message may be sent more than once"
        for at in wanted if self._rules.is_lmtp else wanted[:1]:
            reply = await self._reply(times.data_done, doing)
            for place in (at,) if self._rules.is_lmtp else wanted:
                answers[place] = self._taken(reply) if reply.is_success else self._said(reply)

    async def _send_content(self, job: Job, seconds: float, replies: int) -> None:
        doing = "sending message body"
        wire = WireContent(self._rules.line_limit)
        try:
            for piece in pieces(job.content):
                await self._write(wire.feed(piece), seconds, doing)
        except StoreTrouble as trouble:
            self._broken = True  # without the final dot the server keeps nothing
            text = f"local data error while talking to {self.peer.name}: {trouble.text}"
            raise SessionFailed(Why("4.3.0", text, site_down=False)) from trouble
        self._engine.send(Step.END, b"", replies)
        await self._write(wire.finish(), seconds, doing)

    def _taken(self, reply: ServerReply) -> Delivered:
        """``host`` has it, and its own words for that."""
        return Delivered(
            status=reply.status,
            text=reply.text,
            relay=self.peer.relay,
            remote_mta=self.peer.host,
            diagnostic=reply.text,
        )

    def _said(self, reply: ServerReply) -> Why:
        """``host x[..] said: 550 … (in reply to RCPT TO command)``"""
        text = f"host {self.peer.name} said: {reply.text} (in reply to {reply.step.value})"
        status = reply.status
        if reply.is_success:
            status, text = "5.5.0", f"Protocol error: {text}"
        return Why(status, text, self.peer.host, reply.text, site_down=False)

    def _refused(self, reply: ServerReply, *, temporary: bool = False) -> None:
        status = reply.status if reply.status[0] in "45" else "5.5.0"
        if temporary and status[0] == "5":
            status = "4" + status[1:]
        text = f"host {self.peer.name} refused to talk to me: {reply.text}"
        raise SessionFailed(Why(status, text, self.peer.host, reply.text))

    # -- the wire ----------------------------------------------------------------------------------------------

    async def quit(self) -> None:
        """Say goodbye, and close; nothing that happens here matters."""
        if self._broken or self._engine.is_waiting:
            self._wire.abort()
            return
        try:
            await self._wire.write(self._engine.send(Step.QUIT, b"QUIT\r\n"), self._rules.timeouts.quit)
            if not self._rules.skip_quit:
                await self._reply(self._rules.timeouts.quit, "sending QUIT")
        except (ConnectionEnded, TooSlow, SessionFailed):
            self._wire.abort()
            return
        self._wire.close()

    async def _send(self, step: Step, data: bytes, seconds: float, doing: str) -> None:
        await self._write(self._engine.send(step, data), seconds, doing)

    async def _write(self, data: bytes, seconds: float, doing: str) -> None:
        if not data:
            return
        try:
            await self._wire.write(data, seconds)
        except (ConnectionEnded, TooSlow) as trouble:
            self._lost(trouble, doing)

    async def _reply(self, seconds: float, doing: str) -> ServerReply:
        try:
            while (reply := self._engine.next_reply()) is None:
                self._engine.receive_data(await self._wire.read(seconds))
        except (ConnectionEnded, TooSlow, ServerConfusion) as trouble:
            self._lost(trouble, doing)
            raise
        return reply

    def _lost(self, trouble: Exception, doing: str) -> None:
        self._broken = True
        name = self.peer.name
        if isinstance(trouble, TooSlow):
            text = f"conversation with {name} timed out while {doing}"
        else:
            text = f"lost connection with {name} while {doing}"
        raise SessionFailed(Why("4.4.2", text)) from trouble
