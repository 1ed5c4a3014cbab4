"""Joins clients with the server behind, and learns what it offers by asking it at the start and now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from seawall.clock import Clock
from seawall.journal.record import Journal, Record, Warned
from seawall.journal.records.upstream import Learnt
from seawall.journey import Caller, Holder, Joined
from seawall.mail.reply import Reply
from seawall.patience import Patience
from seawall.smtp.client import hello
from seawall.smtp.replies import ready
from seawall.upstream.link import Link
from seawall.upstream.naming import Manner, format_header, format_xclient
from seawall.upstream.offers import UNKNOWN
from seawall.upstream.places import Places
from seawall.upstream.rules import Rules

STRANGER = Caller("192.0.2.1", "0", "192.0.2.2", "25")
"""Whom we name when we only ask what it offers: addresses that nobody has (RFC 5737), so that it answers as to strangers."""
GRAIN = 0.5
"""Seconds: as precise as the patience with it is; ours."""
AGAIN = 10.0
"""Seconds until a server that did not answer is asked again what it offers; ours."""
NOT_EVERY_TIME = 60.0
"""Seconds between two lines that say that all places are taken; ours."""
SOURCE = "smtpd"


class UpstreamTrouble(Exception):
    """The server behind cannot be joined; the text says why, for the log."""


class Upstream:
    """The server behind one service.  It is the `Joining` of its sessions."""

    def __init__(self, rules: Rules, journal: Journal, clock: Clock) -> None:
        self.rules = rules
        self._journal = journal
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._watch = Patience(self._loop.time, self._loop.call_later, GRAIN)
        self._is_trusted = True
        """It answered when it was joined last, as far as the log was told."""
        self._full_again = 0.0
        """When the log may say again that all places are taken."""
        self.places = Places(rules.connections, rules.wait)
        self.offers: tuple[str, ...] = UNKNOWN
        self.was_asked = asyncio.Event()
        """It has been asked once what it offers, whatever came of it."""
        self.wants_names = rules.manner is Manner.XCLIENT
        self.patience = rules.patience
        self._gone = ready(421, "4.3.2", f"{rules.hostname} Error: the mail server does not answer, try again later")
        self._busy = ready(421, "4.3.2", f"{rules.hostname} Error: all server ports are busy, try again later")

    # Joining

    async def join(self, caller: Caller, holder: Holder) -> Joined | Reply:
        """A connection for this client; its place is free again when the connection is."""
        if not await self.places.take(holder):
            self._tell_full()
            return self._busy
        joined: Link | Reply = self._gone
        try:
            joined = await self._within(caller)
        finally:
            if not isinstance(joined, Link) or joined.is_gone:
                self.places.free(holder)
        if isinstance(joined, Link):
            joined.attend(lambda: self.places.free(holder))
        return joined

    def leave(self, holder: Holder) -> None:
        """The holder is gone."""
        self.places.free(holder)

    async def _within(self, caller: Caller) -> Link | Reply:
        """The connection in time, or what the client hears."""
        link = Link(self._gone, self._watch, self.patience)
        task = self._loop.create_task(self._open(link, caller))
        await asyncio.wait({task}, timeout=self.rules.connect)
        trouble = f"no connection within {self.rules.connect:g} s"
        if task.done():
            try:
                refusal = task.result()
            except (OSError, UpstreamTrouble) as failure:
                trouble = str(failure) or type(failure).__name__
            else:
                self._tell("")
                return link if refusal is None else refusal
        task.cancel()
        link.close(politely=False)
        self._tell(trouble)
        return self._gone

    async def _open(self, link: Link, caller: Caller) -> Reply | None:
        """Connect, say who the client is, and say its EHLO; the server's own words where it does not want this client."""
        await self._connect(link)
        link.write(format_header(self.rules.manner, caller))
        reply = await self._heard(link, link.greeting())
        if reply.code == 220 and self.rules.manner is Manner.XCLIENT:
            reply = await self._name(link, caller)
        if reply.code == 220 and caller.hello is not None:
            reply = await self._heard(link, link.ask(hello(*caller.hello)))
        if reply.code in (220, 250):
            return None
        link.close(politely=True)
        return reply

    async def _connect(self, link: Link) -> None:
        rules = self.rules
        if rules.path:
            await self._loop.create_unix_connection(lambda: link, rules.path)
        else:
            await self._loop.create_connection(lambda: link, rules.host, rules.port)

    async def _name(self, link: Link, caller: Caller) -> Reply:
        """XCLIENT; it puts the dialogue back to its greeting."""
        reply = await self._heard(link, link.ask(hello("EHLO", self.rules.hostname)))
        command = format_xclient(caller, reply.text.split("\n")[1:])
        if command is None:
            raise UpstreamTrouble("it takes no XCLIENT from us (smtpd_authorized_xclient_hosts)")
        return await self._heard(link, link.ask(command))

    async def _heard(self, link: Link, coming: Awaitable[Reply]) -> Reply:
        """A reply of the server's own.  Raises UpstreamTrouble where there is none."""
        reply = await coming
        if link.is_gone:
            raise UpstreamTrouble(link.trouble)
        return reply

    # Learning

    async def learn_always(self) -> None:
        """Ask what it offers, now and then, for ever."""
        while True:
            await self.learn()
            self.was_asked.set()
            await asyncio.sleep(AGAIN if self.offers is UNKNOWN else self.rules.refresh)

    async def learn(self) -> None:
        """Ask what it offers a stranger; where it does not answer, what was known stays."""
        caller = Caller(
            STRANGER.address,
            STRANGER.port,
            STRANGER.server_address,
            STRANGER.server_port,
            hello=("EHLO", self.rules.hostname),
        )
        joined = await self._within(caller)
        if not isinstance(joined, Link):
            return
        joined.close(politely=True)
        if joined.offers != self.offers:
            self.offers = joined.offers
            self._write(Learnt(at=self._clock.now(), place=self.rules.place, offers=self.offers))

    # The log

    def _tell(self, trouble: str) -> None:
        """Say once that it is gone, and once that it is back."""
        was_trusted, self._is_trusted = self._is_trusted, not trouble
        if trouble and was_trusted:
            self._write(
                Warned(
                    at=self._clock.now(),
                    source=SOURCE,
                    message=f"{self.rules.place} does not answer: {trouble}; clients hear 421",
                )
            )
        elif not trouble and not was_trusted:
            self._write(Learnt(at=self._clock.now(), place=self.rules.place))

    def _tell_full(self) -> None:
        """Say now and then that there are too many."""
        now = self._loop.time()
        if now >= self._full_again:
            self._full_again = now + NOT_EVERY_TIME
            text = f"{self.rules.place}: all {self.places.most} places are taken; clients that wait in vain hear 421"
            self._write(Warned(at=self._clock.now(), source=SOURCE, message=text))

    def _write(self, record: Record) -> None:
        self._journal.write(record)
