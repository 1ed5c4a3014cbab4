"""What is noted of clients before and beside the dialogue, as anvil(8), postscreen(8) and dnsblog(8) word it."""

from __future__ import annotations

import time
from typing import ClassVar

from seawall.journal.record import Record
from seawall.journal.records.delivery import format_seconds
from seawall.mail.address import quote_local


class MostSeen(Record, frozen=True, tag=True, kw_only=True):
    """The greatest number of something that one client reached since the last such line.

    `what` is ``connection rate``, ``connection count``, ``message rate`` …; `unit` the seconds a rate is counted over,
    0 for a count; `client` is ``service:address``, `seen` when it was.
    """

    program: ClassVar[str] = "anvil"
    what: str
    most: int
    unit: int = 0
    client: str
    seen: float

    def text(self) -> str:
        """``statistics: max connection rate 5/60s for (smtp:192.0.2.7) at Nov 23 16:42:15``."""
        most = f"{self.most}/{self.unit}s" if self.unit else str(self.most)
        return f"statistics: max {self.what} {most} for ({self.client}) at {_stamp(self.seen)}"


class CacheSize(Record, frozen=True, tag=True, kw_only=True):
    """The most clients that were counted at one time since the last such line."""

    program: ClassVar[str] = "anvil"
    most: int
    seen: float

    def text(self) -> str:
        """``statistics: max cache size 1 at Nov 23 16:42:12``."""
        return f"statistics: max cache size {self.most} at {_stamp(self.seen)}"


def _stamp(at: float) -> str:
    """The local time, as ctime(3) has it without the day's name and the year."""
    return time.strftime("%b %e %H:%M:%S", time.localtime(at))


class DoorRecord(Record, frozen=True, tag=True, kw_only=True):
    """What every fact of a client that is being screened knows: whose it is.

    Such clients share the process's number in the log, as under postscreen(8): address and port tell them apart.
    """

    program: ClassVar[str] = "postscreen"
    address: str
    port: str

    @property
    def client(self) -> str:
        """``[address]:port``."""
        return f"[{self.address}]:{self.port}"


class Knocked(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A client is here."""

    server_address: str
    server_port: str

    def text(self) -> str:
        """``CONNECT from [198.51.100.1]:1234 to [192.0.2.1]:25``."""
        return f"CONNECT from {self.client} to [{self.server_address}]:{self.server_port}"


class Passed(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A client has passed every test that was due: `is_new` where it never had before."""

    is_new: bool

    def text(self) -> str:
        """``PASS NEW [address]:port``, ``PASS OLD …``."""
        return f"PASS {'NEW' if self.is_new else 'OLD'} {self.client}"


class InList(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A client is in the permanent list, or came to an address where nobody is let past (`word` ``ALLOWLIST VETO``)."""

    word: str

    def text(self) -> str:
        """``ALLOWLISTED [address]:port``; before level 3.6 the words of old.  postconf(5) respectful_logging"""
        return f"{self.word} {self.client}"


class SpokeEarly(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A client did not wait for the greeting.  `sample` is what it said, escaped."""

    size: int
    seconds: float
    sample: str

    def text(self) -> str:
        r"""``PREGREET 14 after 0.02 from [address]:port: EHLO spam\r\n``."""
        return f"PREGREET {self.size} after {format_seconds(self.seconds)} from {self.client}: {self.sample}"


class Ranked(DoorRecord, frozen=True, tag=True, kw_only=True):
    """DNS lists weigh too much against a client."""

    score: int

    def text(self) -> str:
        """``DNSBL rank 3 for [address]:port``."""
        return f"DNSBL rank {self.score} for {self.client}"


class BrokeRule(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A client did what no mail client does, or too much of it.

    `what` is ``COMMAND PIPELINING``, ``NON-SMTP COMMAND``, ``BARE NEWLINE``, ``COMMAND TIME LIMIT``, ``COMMAND COUNT
    LIMIT`` or ``COMMAND LENGTH LIMIT``; `after` the command before it, `sample` what it sent, escaped.
    """

    what: str
    after: str
    sample: str = ""

    def text(self) -> str:
        """``COMMAND PIPELINING from [address]:port after EHLO: MAIL FROM:<a@b>…``."""
        sample = f": {self.sample}" if self.sample else ""
        return f"{self.what} from {self.client} after {self.after}{sample}"


class HungUp(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A client left while it was being tested; `seconds` since those tests began."""

    seconds: float
    tests: str

    def text(self) -> str:
        """``HANGUP after 0.5 from [address]:port in tests before SMTP handshake``."""
        return f"HANGUP after {format_seconds(self.seconds)} from {self.client} in {self.tests}"


class TurnedAway(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A client is not even screened: it has too many connections, or (`is_full`) there are too many clients."""

    is_full: bool

    def text(self) -> str:
        """``NOQUEUE: reject: CONNECT from [address]:port: too many connections``.  postscreen(8) words the other so."""
        if self.is_full:
            return f"reject: connect from {self.client}: all screening ports busy"
        return f"NOQUEUE: reject: CONNECT from {self.client}: too many connections"


class RecipientRefused(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A recipient of a client that did not pass.  Addresses are in internal form."""

    reply: str
    sender: str
    recipient: str
    protocol: str
    helo: str

    def text(self) -> str:
        """``NOQUEUE: reject: RCPT from [address]:port: 550 5.7.1 …; from=<a>, to=<b>, proto=ESMTP, helo=<h>``."""
        sender, recipient = (each and quote_local(each) for each in (self.sender, self.recipient))
        return (
            f"NOQUEUE: reject: RCPT from {self.client}: {self.reply}; "
            f"from=<{sender}>, to=<{recipient}>, proto={self.protocol}, helo=<{self.helo}>"
        )


class DoorSaid(DoorRecord, frozen=True, tag=True, kw_only=True):
    """Something else about a client; ``{client}`` in `message` stands for it."""

    message: str

    def text(self) -> str:
        """The message."""
        return self.message.replace("{client}", self.client)


class Spared(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A client is exempt from a check (`key`, `reason`: seawall_exempt_file), and did not hear what that would have said."""

    check: str
    said: str
    key: str
    reason: str

    def text(self) -> str:
        """``NOQUEUE: exempt: CONNECT from [address]:port: 550 5.5.1 Protocol error; their server is old``."""
        return f"NOQUEUE: exempt: CONNECT from {self.client}: {self.said}; {self.reason}"


class LeftDoor(DoorRecord, frozen=True, tag=True, kw_only=True):
    """A client is gone that was not handed to a server."""

    def text(self) -> str:
        """``DISCONNECT [address]:port``."""
        return f"DISCONNECT {self.client}"


class StressChanged(Record, frozen=True, tag=True, kw_only=True):
    """There are so many clients to screen that each gets less time, or that is over."""

    program: ClassVar[str] = "postscreen"
    is_stress: bool
    connections: int

    def text(self) -> str:
        """``entering STRESS mode with 90 connections``."""
        return f"{'entering' if self.is_stress else 'leaving'} STRESS mode with {self.connections} connections"


class CacheCleaned(Record, frozen=True, tag=True, kw_only=True):
    """What is known of clients was looked through."""

    program: ClassVar[str] = "postscreen"
    name: str
    retained: int
    dropped: int

    def text(self) -> str:
        """``cache btree:/… full cleanup: retained=3 dropped=1 entries``."""
        return f"cache {self.name} full cleanup: retained={self.retained} dropped={self.dropped} entries"


class InDnsList(Record, frozen=True, tag=True, kw_only=True):
    """A DNS list knows a client."""

    program: ClassVar[str] = "dnsblog"
    address: str
    domain: str
    answer: str

    def text(self) -> str:
        """``addr 192.0.2.9 listed by domain dnsbl.example as 127.0.0.2``."""
        return f"addr {self.address} listed by domain {self.domain} as {self.answer}"
