"""Senders that look honest though checks refuse them: what the journal shows of a network, weighed.  Pure.

Honest software that was put off comes again: the same sender and recipient from the same network, with pauses that do
not get shorter, over days; or people try again, day after day.  One sign of spam outweighs all of it.  docs/exemptions.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

from seawall.mail.network import Network, format_address, parse_address
from seawall.policy.attempt import UNKNOWN
from seawall.policy.exempt import Key
from seawall.policy.greylist import looks_dynamic
from seawall.policy.reasons import Reason

BITS = {32: 24, 128: 64}
"""One sender's network, by family: as greylisting has it by default."""
MOST_NETWORKS = 100_000
"""Networks that are looked at one beside the other.  Ours: some 250 MB of small objects."""
FORGET = 2 * 86400.0
"""Seconds after which a network that came once and never again makes room for others."""
MOST_PAIRS, MOST_TIMES, MOST_NAMES = 200, 60, 20
AT_ONCE = 20.0
"""Seconds within which several refusals are one attempt."""
LEAST_PAUSE = 60.0
"""Seconds; whoever comes again sooner does not wait, he hammers."""
SHORTER = 0.8
"""A pause may be so much of the one before it: queues run on a clock."""
LEAST_ATTEMPTS = 3
DAYS = 2
"""Days on which a sender must have come again.  Bots' runs end sooner."""
DAY = 86400.0
MOST_HELOS = 2
MOST_UNKNOWN_USERS = 3
MOST_DOMAINS = 5
MOST_LISTS = 1
"""DNS lists that may be wrong about a sender at the same time."""

CHECKS: Mapping[str, tuple[str, ...]] = {
    Reason.CLIENT_NAME_UNKNOWN: ("reject_unknown_client_hostname",),
    Reason.REVERSE_NAME_UNKNOWN: ("reject_unknown_reverse_client_hostname",),
    Reason.HELO_INVALID: ("reject_invalid_helo_hostname",),
    Reason.HELO_NOT_FQDN: ("reject_non_fqdn_helo_hostname",),
    Reason.HELO_UNKNOWN: ("reject_unknown_helo_hostname",),
    Reason.HELO_UNCLEAR: ("reject_unknown_helo_hostname",),
    Reason.GREYLISTED: ("greylist",),
    Reason.PIPELINING: ("reject_unauth_pipelining",),
    Reason.BOUNCE_TO_MANY: ("reject_multi_recipient_bounce",),
}
"""The check that a refusal's reason stands for."""
LITERAL = ("reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "reject_unknown_helo_hostname")
"""All of them refuse an address in brackets that is none."""
OF_SENDERS: Mapping[str, str] = {
    Reason.DOMAIN_UNKNOWN: "reject_unknown_sender_domain",
    Reason.DOMAIN_UNCLEAR: "reject_unknown_sender_domain",
    Reason.DOMAIN_TAKES_NO_MAIL: "reject_unknown_sender_domain",
    Reason.MX_UNCLEAR: "reject_unknown_sender_domain",
    Reason.NOT_FQDN: "reject_non_fqdn_sender",
    Reason.UNVERIFIED: "reject_unverified_sender",
    Reason.UNDELIVERABLE: "reject_unverified_sender",
    Reason.VERIFY_FAILED: "reject_unverified_sender",
}
"""The same for reasons that a recipient's check may have as well: the refusal says whose address it is."""
DAMNING = frozenset({str(Reason.RELAY_DENIED), str(Reason.NOT_OWNER)})
"""Refusals that an honest sender does not earn."""
_BLOCKED = re.compile(r"[Ss]ervice unavailable; client \[[^]]*\] blocked using (\S+)")


class What(Enum):
    """What the journal tells."""

    REFUSED = "refused"
    SPARED = "exempt"
    ACCEPTED = "accepted"
    MISBEHAVED = "misbehaved"
    """At the door, before anything was asked of DNS: no mail server does it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One fact about a client.  `name` is its confirmed name or empty; `reason` and `evidence` are the judge's."""

    what: What
    at: float
    address: str
    name: str = ""
    sender: str | None = None
    recipient: str | None = None
    helo: str | None = None
    said: str = ""
    reason: str = ""
    evidence: tuple[str, ...] = ()

    def checks(self) -> tuple[str, ...]:
        """The checks that refused; empty for one that nobody is exempt from."""
        if self.what is What.SPARED:
            return self.evidence[1:2]
        if self.reason == Reason.HELO_INVALID and "invalid ip address" in self.said:
            return LITERAL
        if self.reason == Reason.DNS_LISTED:
            return self._listed()
        if self.reason in OF_SENDERS:
            return (OF_SENDERS[self.reason],) if "Sender address" in self.said else ()
        if not self.reason and _BLOCKED.search(self.said):
            return ("dnsbl",)
        return CHECKS.get(self.reason, ())

    def _listed(self) -> tuple[str, ...]:
        zone, what = (*self.evidence, "", "")[:2]
        domain = zone.partition("=")[0].lower()
        if what == self.address:
            return (f"reject_rbl_client={domain}",)
        kinds = (
            ("sender", self.sender),
            ("helo", self.helo),
            ("client", self.name or None),
        )
        kind = next((kind for kind, value in kinds if value is not None and what == value), "")
        return (f"reject_rhsbl_{kind}={domain}",) if kind else ()

    @property
    def list_name(self) -> str:
        """The DNS list that refused."""
        if self.reason == Reason.DNS_LISTED and self.evidence:
            return self.evidence[0]
        found = _BLOCKED.search(self.said)
        return found.group(1) if found and not self.reason else ""


@dataclass(slots=True)
class Seen:
    """What was seen of one network."""

    addresses: dict[str, None] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    helos: dict[str, None] = field(default_factory=dict)
    pairs: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    domains: set[str] = field(default_factory=set)
    unknown_users: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    checks: dict[str, int] = field(default_factory=dict)
    refusals: int = 0
    accepted: int = 0
    nameless: int = 0
    misbehaved: int = 0
    others: dict[str, int] = field(default_factory=dict)
    """Refusals of checks that nobody is exempt from, by reason."""
    first: float = 0.0
    last: float = 0.0
    is_crowded: bool = False
    """More than is kept of one network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A sender that looks honest: whom to exempt, from what, and the evidence, a sentence each."""

    key: Key
    checks: tuple[str, ...]
    name: str
    helo: str
    refusals: int
    accepted: int
    retried: int
    days: int
    first: float
    last: float
    evidence: tuple[str, ...]


class Witness:
    """Hears what the journal tells, and says whom it would propose.  `ours` are names that no stranger may say in HELO."""

    def __init__(self, ours: frozenset[str] = frozenset(), most: int = MOST_NETWORKS) -> None:
        self._ours = ours
        self._most = most
        self._networks: dict[tuple[int, int], Seen] = {}
        self._damned: set[tuple[int, int]] = set()
        """Networks that nothing can speak for any more."""
        self._missed = 0
        self.was_cut = False
        """There were more than could be looked at."""

    def hear(self, sighting: Sighting) -> None:
        """One fact."""
        parsed = parse_address(sighting.address)
        if parsed is None or sighting.what is What.SPARED:
            return
        value, width = parsed
        key = (width, value >> (width - BITS[width]))
        seen = self._networks.get(key)
        if seen is None:
            if key in self._damned or not self._has_room(sighting.at):
                return
            seen = self._networks[key] = Seen(first=sighting.at)
        _note(seen, sighting)

    def _has_room(self, now: float) -> bool:
        """Is there room for one more?  Whoever cannot be proposed any more makes some."""
        if len(self._networks) < self._most:
            return True
        if self._missed % max(1, self._most // 10) == 0:
            self._make_room(now)
        self._missed += 1
        if len(self._networks) < self._most:
            self._missed = 0
            return True
        self.was_cut = True
        return False

    def _make_room(self, now: float) -> None:
        kept: dict[tuple[int, int], Seen] = {}
        for key, seen in self._networks.items():
            if seen.misbehaved or seen.is_crowded or seen.others.keys() & DAMNING:
                self._damned.add(key)
            elif seen.accepted or now - seen.last < FORGET or any(len(times) > 1 for times in seen.pairs.values()):
                kept[key] = seen
        self._networks = kept

    def proposals(self) -> Iterator[Proposal]:
        """Whoever looks honest, those first whose mail was refused most."""
        found = [made for seen in self._networks.values() if (made := self._propose(seen)) is not None]
        yield from sorted(found, key=lambda each: (-each.refusals, each.key.text))

    def _propose(self, seen: Seen) -> Proposal | None:
        if not seen.checks or any(traits(seen, self._ours)):
            return None
        retried = {pair: days_of(times) for pair, times in seen.pairs.items() if is_retry(times)}
        days = {day for each in retried.values() for day in each}
        if len(days) < DAYS:
            return None
        confirmed = "" if seen.nameless else next(iter(seen.names), "")
        if not confirmed and not seen.accepted:
            return None
        evidence = [
            f"{len(retried)} of {len(seen.pairs)} pairs of sender and recipient came again as mail servers do, on {len(days)} days"
        ]
        if confirmed:
            evidence.append(f"its name {confirmed} leads to its address and back")
        if seen.accepted:
            evidence.append(f"{seen.accepted} of its messages were accepted at other times")
        evidence.append("no sign of spam: it waits for answers, says one name, and writes to people who exist")
        return Proposal(
            key=covering(tuple(seen.addresses)),
            checks=tuple(sorted(seen.checks)),
            name=confirmed,
            helo=next(iter(seen.helos), ""),
            refusals=seen.refusals,
            accepted=seen.accepted,
            retried=len(retried),
            days=len(days),
            first=seen.first,
            last=seen.last,
            evidence=tuple(evidence),
        )


def _note(seen: Seen, sighting: Sighting) -> None:
    seen.first, seen.last = min(seen.first, sighting.at), max(seen.last, sighting.at)
    _keep(seen, seen.addresses, sighting.address, 256)
    if sighting.what is What.MISBEHAVED:
        seen.misbehaved += 1
        return
    if sighting.name:
        _keep(seen, seen.names, sighting.name.lower(), MOST_NAMES)
    if sighting.helo:
        _keep(seen, seen.helos, sighting.helo.lower(), MOST_NAMES)
    if sighting.what is What.ACCEPTED:
        seen.accepted += 1
        return
    seen.nameless += not sighting.name and bool(sighting.reason)
    seen.refusals += 1
    checks = sighting.checks()
    if not checks:
        seen.others[sighting.reason] = seen.others.get(sighting.reason, 0) + 1
        if sighting.reason == Reason.USER_UNKNOWN and len(seen.unknown_users) <= MOST_UNKNOWN_USERS:
            seen.unknown_users.add(sighting.recipient or "")
        return
    for check in checks:
        seen.checks[check] = seen.checks.get(check, 0) + 1
    if sighting.list_name:
        seen.lists.add(sighting.list_name.partition("=")[0])
    if sighting.sender and len(seen.domains) <= MOST_DOMAINS:
        seen.domains.add(sighting.sender.rpartition("@")[2].lower())
    if sighting.sender is not None and sighting.recipient is not None:
        _note_pair(seen, (sighting.sender.lower(), sighting.recipient.lower()), sighting.at)


def _note_pair(seen: Seen, pair: tuple[str, str], at: float) -> None:
    times = seen.pairs.get(pair)
    if times is None:
        if len(seen.pairs) >= MOST_PAIRS:
            seen.is_crowded = True
            return
        times = seen.pairs[pair] = []
    if len(times) < MOST_TIMES and (not times or at - times[-1] > AT_ONCE):
        times.append(at)


def _keep(seen: Seen, into: dict[str, None], text: str, most: int) -> None:
    if text in into:
        return
    if len(into) >= most:
        seen.is_crowded = True
    else:
        into[text] = None


def is_retry(times: list[float]) -> bool:
    """Did somebody come again as a queue does (pauses that do not get shorter), or day after day as people do?"""
    if len(times) < LEAST_ATTEMPTS:
        return False
    ordered = sorted(times)
    pauses = [later - earlier for earlier, later in pairwise(ordered)]
    if min(pauses) < LEAST_PAUSE:
        return False
    if all(later >= SHORTER * earlier for earlier, later in pairwise(pauses)):
        return True
    return len(days_of(ordered)) >= LEAST_ATTEMPTS


def days_of(times: list[float]) -> frozenset[int]:
    """The days (UTC, counted since the epoch) of these times."""
    return frozenset(int(at // DAY) for at in times)


def traits(seen: Seen, ours: frozenset[str]) -> Iterator[str]:
    """What speaks of spam, in words."""
    if seen.misbehaved:
        yield "it spoke out of turn, or sent what is no SMTP"
    if seen.is_crowded:
        yield "too many pairs, names or addresses for one sender"
    for reason in DAMNING:
        if reason in seen.others:
            yield f"it was refused for {reason}"
    if len(seen.unknown_users) >= MOST_UNKNOWN_USERS:
        yield "it writes to people who do not exist"
    if len(seen.helos) > MOST_HELOS * max(1, len(seen.addresses)):
        yield "it calls itself by many names"
    if any(helo.strip("[]") in ours for helo in seen.helos):
        yield "it calls itself by our name"
    address = next(iter(seen.addresses), "")
    if any(name != UNKNOWN and looks_dynamic(name, address) for name in seen.names):
        yield "its name is of the kind that access providers give to their customers"
    if len(seen.lists) > MOST_LISTS:
        yield "several DNS lists name it"
    once = sum(len(times) == 1 for times in seen.pairs.values())
    if once > len(seen.pairs) / 2:
        yield "most of what was refused never came again"
    if len(seen.domains) > MOST_DOMAINS and not seen.accepted:
        yield "it sends for many domains, and nothing of it was ever accepted"


def covering(addresses: tuple[str, ...]) -> Key:
    """The smallest network that has all of them, of one family."""
    parsed = [found for each in addresses if (found := parse_address(each)) is not None]
    width = parsed[0][1]
    low, high = min(value for value, _ in parsed), max(value for value, _ in parsed)
    bits = width - (low ^ high).bit_length()
    value = low >> (width - bits) << (width - bits)
    text = format_address(value, width)
    return Key(text if bits == width else f"{text}/{bits}", Network(value, bits, width))
