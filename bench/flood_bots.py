"""Who attacks, as a table: each kind of bot is the script that it plays.  `tests/attacks` and `bench.flood` share it.

A script is a row of steps; when the last is done the client closes.  Nothing here touches a socket.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HEAR, SAY, DRIP, REST, TLS = "hear", "say", "drip", "rest", "tls"
FOREVER = math.inf


@dataclass(frozen=True, slots=True)
class Step:
    """What a client does next.

    HEAR: wait for a whole reply, of SMTP or (`data` is its tag) of IMAP.  SAY: send `data`.  DRIP: send it a byte at a time,
    `seconds` apart.  REST: read, say nothing, for `seconds`.  TLS: a handshake.
    """

    does: str
    data: bytes = b""
    seconds: float = 0.0


Script = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of client; its scripts are played in turn.

    `stays`: it goes only when the server sends it away.  `is_good`: a reply of 4xx or 5xx ends it, as refused.
    """

    name: str
    what: str
    scripts: tuple[Script, ...]
    stays: bool = False
    is_good: bool = False


def hear(tag: bytes = b"") -> Step:
    """A whole reply."""
    return Step(HEAR, tag)


def say(*lines: str) -> Step:
    """Lines, in one packet."""
    return Step(SAY, "".join(f"{line}\r\n" for line in lines).encode("latin-1"))


def rest(seconds: float = FOREVER) -> Step:
    """Silence."""
    return Step(REST, seconds=seconds)


def dialogue(*lines: str) -> Script:
    """The greeting, then each line and its reply."""
    return (hear(), *(step for line in lines for step in (say(line), hear())))


def _wrong(number: int) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0alice\0guess{number}".encode()).decode()


DOMAIN = "cape.com"
USERS = ("alice", "bob", "carol", "dave")
HELLO, MAIL = "EHLO bot.good.example", "MAIL FROM:<someone@good.example>"
SPRAYED = 20
GUESSES = 3
READS_ON = 10.0
"""Seconds that a bot which has said its piece goes on reading."""
BETWEEN_BYTES = 5.0


def _spray(number: int) -> Script:
    """Recipients that nobody has; what is guessed differs from bot to bot."""
    names = (f"{first}{number * SPRAYED + at}" for at, first in zip(range(SPRAYED), USERS * SPRAYED, strict=False))
    return dialogue(HELLO, MAIL, *(f"RCPT TO:<{name}@{DOMAIN}>" for name in names), "QUIT")


def _early(number: int) -> Script:
    """The whole session in the first packet."""
    text = say(HELLO, MAIL, f"RCPT TO:<nobody{number}@{DOMAIN}>", "DATA")
    return (text, rest(READS_ON))


NOISE = (
    b"GET / HTTP/1.1\r\nHost: pop.cape.com\r\nUser-Agent: x\r\n\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(160)),
    b"\x00" * 64 + b"\r\n" + bytes(range(255, 0, -1)) + b"\r\n",
    b"CONNECT 192.0.2.99:80 HTTP/1.0\r\n\r\n",
)

_KINDS = (
    Kind("silent", "says nothing, ever", ((rest(),),), stays=True),
    Kind("stalled", "hears the greeting, says EHLO, then nothing", ((*dialogue(HELLO), rest()),), stays=True),
    Kind("early", "says all before the greeting", tuple(map(_early, range(8)))),
    Kind(
        "slow",
        f"says a line, one byte each {BETWEEN_BYTES:.0f} seconds",
        ((hear(), Step(DRIP, (HELLO + "\r\n").encode() * 20, BETWEEN_BYTES)),),
        stays=True,
    ),
    Kind("spray", f"names {SPRAYED} recipients that nobody has", tuple(map(_spray, range(8)))),
    Kind(
        "noise",
        "speaks HTTP, or nothing that is known",
        tuple((hear(), Step(SAY, text), rest(READS_ON)) for text in NOISE),
    ),
    Kind(
        "guess",
        f"tries {GUESSES} wrong passwords",
        tuple(
            dialogue(HELLO, *(_wrong(number * GUESSES + at) for at in range(GUESSES)), "QUIT") for number in range(4)
        ),
    ),
    Kind(
        "tls",
        "makes a TLS handshake and says nothing in it",
        ((*dialogue(HELLO, "STARTTLS"), Step(TLS), rest()),),
        stays=True,
    ),
)
KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""All attackers."""

MIX: Mapping[str, float] = MappingProxyType(
    {
        "silent": 0.30,
        "stalled": 0.20,
        "early": 0.10,
        "slow": 0.10,
        "spray": 0.10,
        "noise": 0.05,
        "guess": 0.05,
        "tls": 0.10,
    }
)
"""Shares of each kind in the mixed flood."""

BODY = b"All work and no play makes a mail server a dull host.\r\n" * 76
HEAD = "From: <someone@good.example>\r\nTo: <{0}>\r\nSubject: flood\r\n\r\n"


def _delivery(recipient: str) -> Script:
    """One message of 4 KiB."""
    *envelope, last = (
        *dialogue("EHLO mail.good.example", MAIL, f"RCPT TO:<{recipient}>", "DATA"),
        Step(SAY, HEAD.format(recipient).encode() + BODY + b".\r\n"),
    )
    return (*envelope, last, hear(), say("QUIT"), hear())


GOOD = Kind("good", "sends a message", tuple(_delivery(f"{user}@{DOMAIN}") for user in USERS), is_good=True)
IMAP = Kind(
    "imap",
    "logs in and selects INBOX",
    (
        (
            hear(b"* "),
            say('a LOGIN "alice" "secret"'),
            hear(b"a "),
            say("b SELECT INBOX"),
            hear(b"b "),
            say("c LOGOUT"),
            hear(b"c "),
        ),
    ),
    is_good=True,
)
ALL: Mapping[str, Kind] = MappingProxyType({**KINDS, GOOD.name: GOOD, IMAP.name: IMAP})

# ---- where they come from ---------------------------------------------------------------------------------------------

SPARED = frozenset((3, 77, 88, 89, 90, 91))
"""Third octets of 198.18 of which the two configurations of the thread, or their zones, say something."""
BOT_NETWORKS = tuple(f"198.18.{number}" for number in range(256) if number not in SPARED) + tuple(
    f"198.19.{number}" for number in range(128)
)
KNOWN_NETWORKS = tuple(f"198.19.{number}" for number in range(128, 192))
NEW_NETWORKS = tuple(f"198.19.{number}" for number in range(192, 256))
HOSTS = 250
KNOWN = 64
"""Good clients that come again and again: one a network."""


def address(networks: tuple[str, ...], number: int) -> str:
    """The n-th client: the networks in turn, then the next host of each."""
    return f"{networks[number % len(networks)]}.{1 + number // len(networks) % HOSTS}"


SOURCES: Mapping[str, tuple[tuple[str, ...], int]] = MappingProxyType(
    {
        "bots": (BOT_NETWORKS, len(BOT_NETWORKS) * HOSTS),
        "known": (KNOWN_NETWORKS, KNOWN),
        "new": (NEW_NETWORKS, len(NEW_NETWORKS) * HOSTS),
        "here": ((), 1),
    }
)
"""By name: networks, and how many clients there are before the first comes again.  `here` is this host itself."""


def source(name: str, number: int) -> str:
    """The address of the n-th client of that name; empty for this host."""
    networks, clients = SOURCES[name]
    return address(networks, number % clients) if networks else ""


def zone() -> str:
    """What DNS knows of them: every good client has a name; every second network of bots has one that leads nowhere."""
    lines = []
    for at, network in enumerate(BOT_NETWORKS):
        if at % 2:
            lines.append(f"*.{_reverse(network)}.in-addr.arpa. PTR dynamic.bots.example.\n")
    good = [(name, number) for name, count in (("known", KNOWN), ("new", 4000)) for number in range(count)]
    for name, number in good:
        where = source(name, number)
        lines.append(f"{_reverse(where)}.in-addr.arpa. PTR {name}{number}.good.example.\n")
        lines.append(f"{name}{number}.good.example. A {where}\n")
    return "".join(lines)


def _reverse(where: str) -> str:
    return ".".join(reversed(where.split(".")))
