"""A connection that is being screened: the asyncio side of `screening` and `talk`, and how a session takes it over.

One object with slots, without a task, a timer or a buffer of its own: what the client says is read into a buffer that
all share, at most as much as postscreen(8) would look at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from seawall.door.dnsbl_score import Score
from seawall.door.screening import BEFORE, Client, Fact, Listing, Stamps
from seawall.door.talk import CONNECT, Talk, TalkingScreening
from seawall.door.watch import Guest, Refusal, Watch
from seawall.eager import run_eagerly
from seawall.journal.records import door as records
from seawall.mail.reply import Reply
from seawall.patience import NEVER
from seawall.policy.access import split_status
from seawall.smtp.grammar import escape
from seawall.smtp.proxy_header import LONGEST_LINE, BadProxyHeader, End, parse_proxy_header
from seawall.tls import TlsServer, TlsTrouble

if TYPE_CHECKING:
    from seawall.door.door import Door
    from seawall.policy.worth import Crowd, Place

EARLY_SIZE = 1023
"""Bytes of what an early talker said that are looked at.  postscreen.h PSC_READ_BUF_SIZE"""
TALK_SIZE = 4096
"""Bytes that are read in one go; what comes in one go is what counts as pipelined.  vstream.h VSTREAM_BUFSIZE"""
CROWDED = "too many connections"

RECORDS: Mapping[Fact, type[records.DoorRecord]] = MappingProxyType(
    {
        Fact.KNOCKED: records.Knocked,
        Fact.PASSED: records.Passed,
        Fact.IN_LIST: records.InList,
        Fact.SPOKE_EARLY: records.SpokeEarly,
        Fact.RANKED: records.Ranked,
        Fact.BROKE_RULE: records.BrokeRule,
        Fact.HUNG_UP: records.HungUp,
        Fact.TURNED_AWAY: records.TurnedAway,
        Fact.REFUSED: records.RecipientRefused,
        Fact.SAID: records.DoorSaid,
        Fact.SPARED: records.Spared,
        Fact.LEFT: records.LeftDoor,
    }
)


class Stranger(TalkingScreening, asyncio.BufferedProtocol):
    """One connection that is being screened."""

    __slots__ = (
        "_dialogue",
        "_eof",
        "_guest",
        "_held",
        "_is_named",
        "_is_over",
        "_lists",
        "_tls",
        "bucket",
        "deadline",
        "door",
        "place",
        "transport",
    )

    def __init__(self, door: Door) -> None:
        self.door = door
        self.talk_rules = door.rules.talk
        self.transport: asyncio.Transport | None = None
        self.deadline = NEVER
        self.bucket = 0
        self.place: Place | None = None
        """What it holds of this worker."""
        self._lists: Score | None = None
        self._guest: Guest | None = None
        """The session that the client has got, where it is still looked at."""
        self._dialogue: Talk | None = None
        self._tls: TlsServer | None = None
        self._held = b""
        """What the client said before it should."""
        self._eof = False
        self._is_named = False
        """It is known who the client is: a proxy in front must say so first."""
        self._is_over = False

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        self.transport = cast(asyncio.Transport, transport)
        door = self.door
        if door.rules.proxy_timeout:
            self._be_called(door.monotonic() + door.rules.proxy_timeout)
        else:
            self._arrive(endpoint(transport, "peername"), endpoint(transport, "sockname"))

    def _arrive(self, peer: End, here: End) -> None:
        """Who it is is known."""
        door = self.door
        if door.crowd is not None and not self._takes_place(door.crowd, peer[0]):
            return
        is_trusted = door.is_trusted(peer[0])
        super().__init__(door.rules.screen, Client() if is_trusted else door.client(peer[0]), peer, here)
        self._is_named = True
        if is_trusted:
            self.hand_on()
            return
        self._read(False)
        if self.knock():
            listing = door.rules.access.ask(self.address)
            if isinstance(listing, Listing):
                self._judged(listing)
            else:
                self._wait_for(listing)

    def _takes_place(self, crowd: Crowd, address: str) -> bool:
        """False where there is none for this client: it is told so, and the log hears of all of them together."""
        self.place = crowd.enter(address, self)
        if self.place is not None:
            return True
        self._is_over = True
        self._write_raw(f"421 4.7.0 {self.talk_rules.hostname} Error: {CROWDED} from {address}\r\n".encode())
        if self.transport is not None:
            self.transport.close()
        return False

    # A proxy in front

    def _hear_proxy(self, data: bytes) -> None:
        """The header, piece by piece; what follows it is the client's."""
        self._held += data
        try:
            header = parse_proxy_header(self._held)
        except BadProxyHeader as trouble:
            self._blame_proxy(f"{trouble}: {escape(self._held[:LONGEST_LINE])}")
            return
        transport = self.transport
        if header is None or transport is None:
            return
        self._held = self._held[header.length :]
        self.door.patience.forget(self)
        self._arrive(*(header.ends or (endpoint(transport, "peername"), endpoint(transport, "sockname"))))
        if self._held and not self._is_over and self.awaits_silence:
            self._speak(self._held)

    def _blame_proxy(self, text: str) -> None:
        """The proxy does not say who the client is."""
        self.door.warn(f"haproxy read: {text}")
        self._is_over = True
        self.door.patience.forget(self)
        self._write_raw(b"421 4.3.2 No system resources\r\n")
        if self.transport is not None:
            self.transport.close()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self.door.buffers[self._dialogue is not None]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes from the client."""
        if self._is_over:
            return
        door = self.door
        data = bytes(door.buffers[1][:nbytes])
        if not self._is_named:
            self._hear_proxy(data)
            return
        if self._dialogue is not None:
            self._hear(data)
            return
        self._held += data
        if self.awaits_silence:
            self._speak(data)
        if not self._is_over and self._dialogue is None and len(self._held) >= TALK_SIZE:
            self._read(False)

    def _speak(self, data: bytes) -> None:
        """The client did not wait."""
        data = data[:EARLY_SIZE]
        self.spoke(len(data), escape(data), self._now(), self.door.monotonic())

    def eof_received(self) -> bool:
        """The client says no more."""
        if self._is_over:
            return False
        if not self._is_named:
            self._blame_proxy("lost connection")
            return True
        if self._dialogue is not None or self.awaits_silence:
            self.hung_up(self.door.monotonic())
        else:
            self._eof = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if not self._is_over:
            if self._is_named:
                self.hung_up(self.door.monotonic())
            else:
                self._blame_proxy("lost connection")
        self.transport = None
        if self.place is not None:
            self.place.leave()

    def run_out(self) -> None:
        """A wait is over."""
        if self._is_over:
            return
        if not self._is_named:
            self._blame_proxy("time limit exceeded")
        elif self._dialogue is not None:
            self._dialogue.run_out(self)
        elif self.tests == BEFORE:
            self.waited(self._now(), self.door.monotonic())

    def farewell(self) -> None:
        """We are going down."""
        self.drop(f"421 4.3.2 {self.talk_rules.hostname} Service shutting down")

    @property
    def has_spoken(self) -> bool:
        """The client has said something in its turn."""
        return self._dialogue is not None and self._dialogue.where != CONNECT

    def shed(self) -> bool:
        """Another is worth more: the client's place is needed."""
        if not self._is_named:
            self._blame_proxy(CROWDED)
        elif not self._is_over:
            self.drop(f"421 4.7.0 {self.talk_rules.hostname} Error: {CROWDED} from {self.address}")
        elif self.transport is not None:
            self.transport.abort()
        return True

    # The access list

    def _judged(self, listing: Listing) -> None:
        door = self.door
        known = None if door.passed is None else door.passed.find(self.address)
        is_backup = door.is_backup(self.server_address)
        self.judge(listing, known, self._now(), door.monotonic(), is_backup=is_backup)

    def _wait_for(self, listing: Awaitable[Listing]) -> None:
        async def find() -> Listing:
            return await listing

        def done(found: Listing) -> None:
            if not self._is_over:
                self._judged(found)

        def task_done(task: asyncio.Task[Listing]) -> None:
            done(Listing.UNKNOWN if task.cancelled() or task.exception() is not None else task.result())

        task = run_eagerly(find(), done)
        if task is not None:
            task.add_done_callback(task_done)

    def may_be_screened(self) -> bool:
        """False where the worker screens too many."""
        most = self.door.rules.most_screened
        if not most or len(self.door.strangers) < most:
            return True
        self.turn_away("421 4.3.2 All screening ports are busy", is_full=True)
        return False

    # Before the greeting

    def wait(self, *, teases: bool) -> None:
        """Half a greeting, and silence."""
        door = self.door
        if teases:
            self._write(door.rules.teaser)
            self._read(True)
        self._be_called(door.monotonic() + door.patiences.greet_wait)

    def _be_called(self, deadline: float) -> None:
        patience = self.door.patience
        patience.forget(self)
        self.deadline = deadline
        patience.watch(self)

    def ask_score(self) -> None:
        """Ask the lists."""
        door = self.door
        score = door.scores.ask(self.address, door.rules.scores, self._scored)
        if score.open and not self._is_over:
            self._lists = score

    def score_so_far(self) -> tuple[int, str, int]:
        """What the lists said up to now."""
        return super().score_so_far() if self._lists is None else self._lists.so_far()

    def _scored(self, score: Score) -> None:
        if not self._is_over:
            self.scored(*score.so_far(), self._now(), self.door.monotonic())

    def drop_listed(self, reply: str) -> bool:
        """Who may log in is not told before he could."""
        if not self._is_put_off:
            return super().drop_listed(reply)
        self.enforce(reply)
        return True

    @property
    def _is_put_off(self) -> bool:
        """What is against the client falls at RCPT, in its session."""
        return self.door.rules.is_own and self.door.knows_logins

    # The dialogue

    def talk(self, *, greets: bool) -> None:
        """A dialogue with nobody; with seawall_door that is only for those who need no session to log in."""
        if self.door.rules.is_own and (self.door.knows_logins or not self.goes_no_further):
            self.settle()
            self._hand_on_watched()
            return
        self._dialogue = Talk()
        if greets:
            self._write(self.door.greeting)
        self._be_called(self.door.monotonic() + self.door.patiences.command_time)
        held, self._held = self._held, b""
        if held:
            self._hear(held)
        if self._is_over:
            return
        if self._eof:
            self.hung_up(self.door.monotonic())
        else:
            self._read(True)

    def _hear(self, data: bytes) -> None:
        dialogue = self._dialogue
        if dialogue is None:
            return
        if self._tls is not None:
            data = self._decrypted(self._tls, data)
        if data:
            dialogue.feed(self, data, self._now())

    def _decrypted(self, tls: TlsServer, data: bytes) -> bytes:
        was_established = tls.is_established
        try:
            text = tls.receive(data)
        except TlsTrouble:
            self._write_raw(tls.take_output())
            self.hung_up(self.door.monotonic())
            return b""
        self._write_raw(tls.take_output())
        if tls.is_established and not was_established and self._dialogue is not None:
            self._dialogue.secured()
            self.be_patient()
        return text

    def begin_tls(self) -> bool:
        """Agree to STARTTLS."""
        context = self.door.tls
        if context is None:
            return super().begin_tls()
        self.reply("220 2.0.0 Ready to start TLS")
        self._tls = TlsServer(context)
        self._be_called(self.door.monotonic() + self.door.patiences.starttls)
        return True

    def be_patient(self) -> None:
        """The client has its full time again."""
        self.deadline = self.door.monotonic() + self.door.patiences.command_time

    # What screening asks for

    def enter(self) -> None:
        """It is one of those who are screened."""
        self.door.enter(self)
        self.door.patience.watch(self)

    def is_exempt(self, check: str, said: str) -> bool:
        """The file of exemptions, by the address: the name is not known here."""
        return self.door.is_exempt(self, check, said)

    def note(self, fact: Fact, **facts: Any) -> None:
        """A record in the journal."""
        door = self.door
        door.journal.write(RECORDS[fact](at=door.clock.now(), address=self.address, port=self.port, **facts))

    def reply(self, text: str) -> None:
        """A line for the client."""
        if self._guest is not None:
            status, rest = split_status(text[4:], "")
            self._guest.tell(Reply(int(text[:3]), status, rest))
            return
        self._write(self.door.dress(text, self) if text[:1] in "45" else self.door.format(text))

    def remember(self, stamps: Stamps) -> None:
        """Keep what was passed."""
        if self.door.passed is not None:
            self.door.passed.keep(self.address, stamps)

    def hand_on(self) -> None:
        """The client talks to its session from now on, as if nothing had been."""
        self._give(self.door.session())

    def _hand_on_watched(self) -> None:
        """The same, but it is not done with: it hears at RCPT what is against it, or is looked at until then."""
        session = self.door.session()
        self._guest = session
        if self.goes_no_further:
            session.screened = Refusal(self)
        else:
            session.watch = Watch(self, session)
            session.withhold("PIPELINING")
        self._give(session)

    def enforce(self, reply: str) -> None:
        """Recipients hear this."""
        super().enforce(reply)
        if self._guest is not None:
            self._guest.screened = Refusal(self)

    def _give(self, session: Guest) -> None:
        transport = self.transport
        self._over()
        if transport is None or transport.is_closing():
            return
        if self.door.rules.proxy_timeout:
            session.ends = (self.address, self.port), (self.server_address, self.server_port)
        if self.place is not None:
            session.place, self.place.holder = self.place, session
            self.place = None
        transport.set_protocol(cast(asyncio.Protocol, session))
        transport.resume_reading()
        session.connection_made(transport)
        held, self._held = self._held, b""
        if held:
            session.data_received(held)
        if self._eof:
            session.eof_received()

    def leave(self) -> None:
        """Close."""
        if self._guest is not None:
            self._guest.hang_up()
            return
        self._over()
        if self._tls is not None:
            self._tls.say_goodbye()
            self._write_raw(self._tls.take_output())
        if self.transport is not None:
            self.transport.close()

    def _over(self) -> None:
        self._read(False)
        self._is_over = True
        self.door.leave(self)

    # The socket

    def _read(self, wanted: bool) -> None:
        transport = self.transport
        if transport is None or transport.is_closing() or self._is_over:
            return
        if wanted:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def _write(self, data: bytes) -> None:
        tls = self._tls
        if tls is not None:
            try:
                tls.send(data)
            except TlsTrouble:
                return
            data = tls.take_output()
        self._write_raw(data)

    def _write_raw(self, data: bytes) -> None:
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _now(self) -> int:
        return int(self.door.clock.now())


def endpoint(transport: asyncio.BaseTransport, name: str) -> End:
    """(address, port) of one end; an IPv4 address that came by an IPv6 socket as IPv4, and no scope."""
    pair = transport.get_extra_info(name)
    if not isinstance(pair, tuple):
        return "", ""
    address = str(pair[0])
    if address.startswith("::ffff:") and "." in address:
        address = address[7:]
    return address.partition("%")[0], str(pair[1])
