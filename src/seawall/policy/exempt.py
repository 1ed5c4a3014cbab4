"""Exemptions: misconfigured but honest senders, each with the checks that have no say about it, a reason and an end.  Pure.

An exemption never says OK: it makes the checks that it names say DUNNO.  It is keyed by what a client cannot choose for
itself: its network, or its forward-confirmed name.  What guards relaying or identity cannot be exempted from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from seawall.config.source import ConfigTrouble, Location, is_skipped
from seawall.mail.address import is_hostname
from seawall.mail.network import Network, format_address, parse_address, parse_network
from seawall.policy.proof.stranger import is_everybodys, is_wide

ALL = "all"
"""Every check that one may be exempted from."""
GREYLIST = "greylist"
RESTRICTIONS = (
    "reject_unknown_client_hostname",
    "reject_unknown_reverse_client_hostname",
    "reject_rbl_client",
    "reject_rhsbl_client",
    "reject_rhsbl_reverse_client",
    "reject_rhsbl_helo",
    "reject_rhsbl_sender",
    "reject_invalid_helo_hostname",
    "reject_non_fqdn_helo_hostname",
    "reject_unknown_helo_hostname",
    "reject_non_fqdn_sender",
    "reject_unknown_sender_domain",
    "reject_unverified_sender",
    "reject_unauth_pipelining",
    "reject_multi_recipient_bounce",
)
"""Restrictions that find fault with how a client or its domain is set up."""
WITH_ZONE = frozenset(name for name in RESTRICTIONS if "bl_" in name)
"""Those that ask a DNS list, which may be named: ``reject_rbl_client=zen.spamhaus.org``."""
DOOR = ("pregreet", "dnsbl", "pipelining", "non_smtp_command", "bare_newline")
"""The door's tests, in the order of `seawall.door.screening.Test`.  There only the address is known."""
LIMITS = ("connection_count", "connection_rate", "message_rate", "recipient_rate", "new_tls_session_rate")
"""Limits on what one client may do in a time unit: smtpd_client_*_limit."""
WITHOUT_NAME = frozenset({"reject_unknown_client_hostname", "reject_unknown_reverse_client_hostname"})
"""What refuses only clients that have no confirmed name."""
CHECKS = frozenset((*RESTRICTIONS, GREYLIST, *DOOR, *LIMITS))
ALIASES: Mapping[str, str] = {
    "reject_rbl": "reject_rbl_client",
    "reject_unknown_client": "reject_unknown_client_hostname",
    "reject_invalid_hostname": "reject_invalid_helo_hostname",
    "reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname",
    "reject_unknown_hostname": "reject_unknown_helo_hostname",
    "reject_unknown_address": "reject_unknown_sender_domain",
    "greet": "pregreet",
}
"""Older spellings, and postscreen's own."""

_RELAY = "it guards relaying"
_IDENTITY = "it guards the identity of our own senders"
_RECIPIENT = "it is about the recipient, and no fault of a sender's calls for that"
_YOURS = "its table is your own: write DUNNO for the client there"
NEVER: Mapping[str, str] = {
    "reject_unauth_destination": _RELAY,
    "defer_unauth_destination": _RELAY,
    "reject": "a list that ends in it may rest on it alone",
    "defer": "a list that ends in it may rest on it alone",
    "defer_if_permit": "a list may rest on it alone",
    "defer_if_reject": "it only softens a refusal",
    "reject_sender_login_mismatch": _IDENTITY,
    "reject_authenticated_sender_login_mismatch": _IDENTITY,
    "reject_unauthenticated_sender_login_mismatch": _IDENTITY,
    "reject_known_sender_login_mismatch": _IDENTITY,
    "reject_unlisted_sender": _IDENTITY,
    "reject_unlisted_recipient": _RECIPIENT,
    "check_recipient_maps": _RECIPIENT,
    "reject_unverified_recipient": _RECIPIENT,
    "reject_unknown_recipient_domain": _RECIPIENT,
    "reject_non_fqdn_recipient": _RECIPIENT,
    "reject_rhsbl_recipient": _RECIPIENT,
    "reject_plaintext_session": "it keeps what is said from being overheard",
    "check_policy_service": "nobody here knows what the service guards: exempt the client there",
    "sleep": "it refuses nothing",
    "auth_rate": "it guards passwords from being guessed",
    "denylist": _YOURS,
}
"""Checks that nobody is exempted from, and why."""

DAYS = 180
"""Days until an exemption ends where nobody says otherwise.  Ours: long enough for the other side to act."""
MOST_DAYS = 3660
LONGEST_REASON = 300

_LINE = re.compile(r"(\S+)\s+(\S+)\s+added=(\S+)\s+until=(\S+)\s+by=(\S+)\s+(\S.*)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_ZONE = re.compile(r"[a-z0-9_.-]+\Z")
_NUMBERS = re.compile(r"[0-9.]+(?:/.*)?\Z|.*:.*:.*\Z")


class BadExemption(Exception):
    """What was asked for is no exemption; the text says why, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Key:
    """Who is exempt: a network, or a confirmed name (``mx.example.org``, ``.example.org`` for all names below it)."""

    text: str
    network: Network | None = None

    @property
    def is_wide(self) -> bool:
        """True for more than one site has: wider than /16 (IPv6: /32)."""
        return self.network is not None and is_wide(self.network)

    def matches(self, address: str, name: str) -> bool:
        """`name` is the confirmed one, empty where there is none."""
        if self.network is not None:
            found = parse_address(address)
            return found is not None and self.network.contains(*found)
        return name.endswith(self.text) if self.text.startswith(".") else name == self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One exemption.  It counts until the end of the day `until`, UTC."""

    key: Key
    checks: tuple[str, ...]
    added: date
    until: date
    by: str
    reason: str
    line: int = 0

    def is_expired(self, now: float) -> bool:
        """`now` in seconds since the epoch."""
        return now >= ends(self.until)

    def names(self, check: str, zone: str = "") -> bool:
        """Does it exempt from `check`, as it asks `zone`?"""
        return any(each in (ALL, check) or (zone and each == f"{check}={zone}") for each in self.checks)

    def text(self) -> str:
        """The line of the file."""
        return f"{self.key.text}  {','.join(self.checks)}  added={self.added} until={self.until} by={self.by}  {self.reason}"


def ends(until: date) -> float:
    """The first second, since the epoch, at which an exemption until this day counts no more."""
    return datetime(until.year, until.month, until.day, tzinfo=UTC).timestamp() + 86400


def day_of(now: float) -> date:
    """The day (UTC) of a time in seconds since the epoch."""
    return datetime.fromtimestamp(now, UTC).date()


def parse_key(text: str) -> Key:
    """Who is to be exempt.  Raises BadExemption for a sender, a HELO name, everybody, and what is no key at all."""
    low = text.lower()
    if "@" in text or low.startswith("<") or re.match(r"(sender|from|mail|helo|ehlo)[:=]", low):
        raise BadExemption(
            f"{text}: senders and HELO names are what the client says, anybody can say them: "
            "name the client's network or its forward-confirmed name"
        )
    network = parse_network(text)
    if network is not None:
        return _network_key(text, network)
    if _NUMBERS.match(low) or low.startswith("["):
        raise BadExemption(f"{text}: {_network_trouble(text)}")
    name = low.rstrip(".") if low != "." else low
    bare = name.removeprefix(".")
    if name.startswith("*"):
        raise BadExemption(f"{text}: write {low.lstrip('*')} for all names below a domain")
    if bare == "unknown" or not bare.isascii() or not is_hostname(bare) or "." not in bare:
        raise BadExemption(
            f"{text}: no client network and no full host name; a network is written 192.0.2.0/24 or 2001:db8::/48, "
            "a name mx.example.org, or .example.org for all names below it"
        )
    if is_everybodys(bare):
        raise BadExemption(f"{text}: everybody can have a name below it: name the sender's own domain")
    return Key(name)


def _network_key(text: str, network: Network) -> Key:
    if network.bits == 0:
        raise BadExemption(f"{text}: that is everybody: name the sender's network")
    if network.width == 128 and network.bits >= 96 and network.value >> 32 == 0xFFFF:
        raise BadExemption(f"{text}: write the IPv4 address")
    address = format_address(network.value, network.width)
    return Key(address if network.bits == network.width else f"{address}/{network.bits}", network)


def _network_trouble(text: str) -> str:
    """What is wrong with what looks like a network, and how it is written."""
    body, slash, bits = text.strip("[]").partition("/")
    address = parse_address(body.strip("[]"))
    if address is None:
        return "no whole address; write 192.0.2.0/24 or 2001:db8::/48"
    value, width = address
    if not slash or not (bits.isascii() and bits.isdigit()) or not 0 <= int(bits[:4]) <= width:
        return f"the number behind / must be from 1 to {width}"
    host = width - int(bits)
    return f"it has bits behind its prefix; write {format_address(value >> host << host, width)}/{bits}"


def parse_checks(text: str) -> tuple[str, ...]:
    """``reject_rbl_client=zen.example,greylist``.  Raises BadExemption for names that are unknown or guard something."""
    found: dict[str, None] = {}
    for word in text.split(","):
        name, equals, zone = word.strip().lower().partition("=")
        name = ALIASES.get(name, name)
        if name != ALL and name not in CHECKS:
            raise BadExemption(f"{word.strip()}: {_why_not(name)}")
        if equals and name not in WITH_ZONE:
            raise BadExemption(f"{word.strip()}: {name} takes no = behind it")
        if equals and not _ZONE.match(zone):
            raise BadExemption(f"{word.strip()}: the domain of a DNS list is meant behind =")
        found[f"{name}={zone}" if equals else name] = None
    return (ALL,) if ALL in found else tuple(found)


def _why_not(name: str) -> str:
    why = NEVER.get(name)
    if why is None and name.startswith("check_"):
        why = _YOURS
    if why is None and name.startswith("permit"):
        why = "it permits, and refuses nobody"
    if why is not None:
        return f"nobody can be exempted from it: {why}"
    return f"no such check; there are {', '.join((*RESTRICTIONS, GREYLIST, *DOOR, *LIMITS, ALL))}"


def parse_day(text: str) -> date:
    """``2027-05-22``.  Raises BadExemption."""
    try:
        if _DATE.match(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadExemption(f"{text}: a date is written 2027-05-22")


def parse_reason(text: str) -> str:
    """The reason on one line.  Raises BadExemption where there is none."""
    reason = " ".join(text.split())
    if not reason:
        raise BadExemption("a reason is needed: who reads this in a year must know why")
    if not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise BadExemption(f"the reason must be printable, and at most {LONGEST_REASON} characters")
    return reason


def parse_line(text: str, line: int) -> Entry:
    """One line of the file.  Raises BadExemption."""
    found = _LINE.fullmatch(text.strip())
    if not found:
        raise BadExemption("a line is: key checks added=DATE until=DATE by=WHO reason")
    key, checks, added, until, by, reason = found.groups()
    return Entry(
        key=parse_key(key),
        checks=parse_checks(checks),
        added=parse_day(added),
        until=parse_day(until),
        by=by,
        reason=parse_reason(reason),
        line=line,
    )


def parse_entries(text: str, file: str) -> tuple[tuple[Entry, ...], tuple[ConfigTrouble, ...]]:
    """All lines of a file that read, and what is wrong with the others, each with its place."""
    entries: list[Entry] = []
    troubles: list[ConfigTrouble] = []
    for number, line in enumerate(text.split("\n"), 1):
        if is_skipped(line):
            continue
        try:
            entries.append(parse_line(line, number))
        except BadExemption as trouble:
            troubles.append(ConfigTrouble(str(trouble), Location(file, number)))
    return tuple(entries), tuple(troubles)


def make_entry(
    key: Key, checks: tuple[str, ...], days: int, by: str, reason: str, today: date, *, force: bool
) -> Entry:
    """A new exemption.  Raises BadExemption for a wide network without `force`, and for what could not work."""
    if key.is_wide and not force:
        widest = "/16" if key.network is not None and key.network.width == 32 else "/32"
        raise BadExemption(f"{key.text}: wider than {widest}: name the sender's own network, or say --force")
    if not 0 < days <= MOST_DAYS:
        raise BadExemption(f"{days} days: from 1 to {MOST_DAYS} are meant")
    blind = [check for check in checks if check in DOOR]
    if key.network is None and blind:
        raise BadExemption(
            f"{', '.join(blind)}: the door does not know a client's name yet: name its network for these checks"
        )
    nameless = [check for check in checks if check in WITHOUT_NAME]
    if key.network is None and nameless:
        raise BadExemption(
            f"{', '.join(nameless)}: who fails it has no confirmed name: name its network for these checks"
        )
    if not by or len(by.split()) != 1 or not by.isprintable():
        raise BadExemption("who adds it must be one word: say --by NAME")
    until = today + timedelta(days=days)
    return Entry(key=key, checks=checks, added=today, until=until, by=by, reason=parse_reason(reason))


class Exemptions:
    """All entries of a file, to be asked of one client."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = tuple(entries)
        networks: dict[tuple[int, int], dict[int, list[Entry]]] = {}
        self._names: dict[str, list[Entry]] = {}
        for entry in self.entries:
            network = entry.key.network
            if network is None:
                self._names.setdefault(entry.key.text, []).append(entry)
            else:
                shift = network.width - network.bits
                of_size = networks.setdefault((network.width, shift), {})
                of_size.setdefault(network.value >> shift, []).append(entry)
        self._networks = sorted(networks.items(), key=lambda item: item[0][1])  # the narrowest first

    def __bool__(self) -> bool:
        return bool(self.entries)

    def of_client(self, address: str, name: str, now: float) -> Iterator[Entry]:
        """What counts for a client, the closest key first.  `name` is the confirmed one, empty where there is none."""
        found = parse_address(address)
        if found is not None:
            value, width = found
            for (of, shift), entries in self._networks:
                if of == width:
                    yield from (each for each in entries.get(value >> shift, ()) if not each.is_expired(now))
        if name and self._names:
            key = name.lower()
            yield from (each for each in self._names.get(key, ()) if not each.is_expired(now))
            at = key.find(".", 1)
            while at >= 0:
                yield from (each for each in self._names.get(key[at:], ()) if not each.is_expired(now))
                at = key.find(".", at + 1)

    def find(self, address: str, name: str, check: str, zone: str, now: float) -> Entry | None:
        """What exempts a client from a check."""
        if not self.entries:
            return None
        return next((entry for entry in self.of_client(address, name, now) if entry.names(check, zone)), None)


class Exempts(Protocol):
    """Whoever knows the exemptions as they are now."""

    def find(self, address: str, name: str, check: str, zone: str = "") -> Entry | None:
        """What exempts a client (its confirmed name, or empty) from a check now."""
        ...
