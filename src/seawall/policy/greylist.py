"""Greylisting: whom we have seen before, and for how long.  Pure; time is an argument everywhere, in seconds since the epoch.

A triplet is a client's network, a sender and a recipient.  Its first attempt is put off; one that comes again after
`delay` and within `window` passes, and so does all that follows, until nothing was heard for `keep` (D-55).  A network that
has retried properly for several triplets passes without a wait.

Triplets are keyed hashes in fixed records of 18 bytes, because a flood brings millions of them.  Where there is a store,
memory holds the recent ones, and others are read from it as they are asked for (`Kept`, docs/decisions/0010).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import NamedTuple, Protocol

from seawall.mail.network import format_address, parse_address

APART = 3600
"""Seconds between two retries that speak for a network, and between two notes of when something was last seen.

A message to many recipients is one retry.  postgrey has the same number."""
DEEPEST = 64
"""Records of one bucket; looking through them is one search for eight bytes."""
MOST_PASSES = 65535
MOST_CHANGES = 100_000
"""Changes that wait to be written; more are dropped, so that a store that is gone costs no memory."""
RECENT = 131_072
"""Triplets in memory where a store has them all: at most some 5 MB.  Ours."""
MOST_ASKED = 1000
MOST_ELDERS = 3
"""Earlier attempts for the same sender and recipient that a new one is compared with.  Ours."""
SECRET = 16
"""Bytes of the key of the hashes: nobody outside can aim at a record."""

_RECORD = struct.Struct("<qIIH")
_SIZE = _RECORD.size
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Rules:
    """postconf(5)-like: seawall_greylist_*.  Times in seconds; `retried` 0 lets no network pass as a whole."""

    delay: float = 300.0
    window: float = 2 * 86400.0
    keep: float = 35 * 86400.0
    retried: int = 5
    ipv4_bits: int = 24
    ipv6_bits: int = 64
    most: int = 2_000_000


class Entry(NamedTuple):
    """A record: whole seconds, and how often it passed (at most `MOST_PASSES`), 0 while it waits.

    For a network `passed` counts the retries that speak for it.
    """

    first: int
    last: int
    passed: int


class Records:
    """Entries by 64-bit key, in bounded memory: never more than `most` (rounded up to whole buckets).

    Up to two thirds of that nothing is dropped before its time; beyond, the one of a bucket that was not seen for
    longest, what waits before what has passed.
    """

    def __init__(self, most: int, is_over: Callable[[Entry, int], bool]) -> None:
        """`is_over(entry, now)` tells what is of no use any more."""
        self._count = max(1, -(-most // DEEPEST))
        self._buckets: list[bytearray | None] = [None] * self._count
        self._is_over = is_over
        self._swept = 0
        self._held = 0

    def __len__(self) -> int:
        return self._held

    def get(self, key: int) -> Entry | None:
        """The entry of a key."""
        bucket = self._buckets[key % self._count]
        if bucket is None:
            return None
        at = _find(bucket, key)
        return None if at < 0 else Entry(*_RECORD.unpack_from(bucket, at)[1:])

    def put(self, key: int, entry: Entry, now: int) -> None:
        """Keep an entry, in the place of another one where the bucket is full."""
        place = key % self._count
        bucket = self._buckets[place]
        if bucket is None:
            bucket = self._buckets[place] = bytearray()
        at = _find(bucket, key)
        if at < 0:
            if len(bucket) >= DEEPEST * _SIZE:
                at = self._least(bucket, now)
            else:
                at = len(bucket)
                bucket += bytes(_SIZE)
                self._held += 1
        _RECORD.pack_into(bucket, at, key, *entry)

    def _least(self, bucket: bytearray, now: int) -> int:
        """Where the entry is that is missed least."""
        worth: list[tuple[bool, int, int]] = []
        for at, (_, *fields) in enumerate(_RECORD.iter_unpack(bucket)):
            entry = Entry(*fields)
            worth.append((entry.passed > 0 and not self._is_over(entry, now), entry.last, at))
        return min(worth)[2] * _SIZE

    def sweep(self, buckets: int, now: int) -> None:
        """Drop what is over in the next so many buckets."""
        for _ in range(min(buckets, self._count)):
            bucket = self._buckets[self._swept]
            if bucket is not None:
                kept = b"".join(
                    _RECORD.pack(key, *fields)
                    for key, *fields in _RECORD.iter_unpack(bucket)
                    if not self._is_over(Entry(*fields), now)
                )
                if len(kept) != len(bucket):
                    self._held -= (len(bucket) - len(kept)) // _SIZE
                    self._buckets[self._swept] = bytearray(kept) if kept else None
            self._swept = (self._swept + 1) % self._count


def _find(bucket: bytearray, key: int) -> int:
    """Where the record of a key begins; -1 where there is none."""
    octets = key.to_bytes(8, "little", signed=True)
    at = bucket.find(octets)
    while at >= 0 and at % _SIZE:  # the end of one record and the beginning of the next looked like it
        at = bucket.find(octets, at + 1)
    return at


class Sought(NamedTuple):
    """An attempt as greylisting sees it; `name` is empty where no confirmed one is known."""

    address: str
    name: str
    sender: str
    recipient: str
    helo: str


class Elder(NamedTuple):
    """An earlier attempt for the same sender and recipient, from some network."""

    triplet: int
    first: int
    address: str
    name: str


class Keys(NamedTuple):
    """What a recipient's attempt is known by; `pair` is sender and recipient, whatever the network."""

    network: int
    triplet: int
    pair: int


class Standing(Enum):
    """What greylisting knows of an attempt."""

    NEW = "new"
    """Seen for the first time: put off."""
    EARLY = "early"
    """Came again before its time: put off."""
    RETRIED = "retried"
    """Came again in time, for the first time."""
    PASSED = "passed"
    """Has passed before."""
    TRUSTED = "trusted"
    """Its network has retried properly often enough."""


PUT_OFF = frozenset({Standing.NEW, Standing.EARLY})


class Met(NamedTuple):
    """The answer: `waited` seconds since the first attempt, `left` seconds still to wait."""

    standing: Standing
    waited: float = 0.0
    left: float = 0.0


class TripletRow(NamedTuple):
    """A triplet as the store keeps it; `address` and `name` are of a client in its network."""

    triplet: int
    pair: int
    first: int
    last: int
    passed: int
    address: str
    name: str


class NetworkRow(NamedTuple):
    """A network as the store keeps it."""

    network: int
    first: int
    last: int
    retried: int


class Kept(Protocol):
    """The store, as it is asked for one attempt.  The answer is at once, and None as well where it has none to give now."""

    def find(self, triplet: int, network: int) -> tuple[Entry | None, Entry | None]:
        """What is kept of a triplet and of a network."""
        ...


class Greylist:
    """All that one process knows.  `secret` keys the hashes, and is the same for all who share a store."""

    def __init__(self, rules: Rules, secret: bytes, kept: Kept | None = None) -> None:
        """`kept` has what is not in memory; without it memory is all there is."""
        self.rules = rules
        self._secret = secret
        self._kept = kept
        most = rules.most if kept is None else min(rules.most, RECENT)
        self.triplets = Records(most, self._is_over)
        self.networks = Records(most // 8, self._is_forgotten)
        self._asked: set[tuple[Keys, int]] = set()
        """(keys, second) that the store was asked for: one attempt asks several times."""
        self._changed: dict[int, TripletRow] = {}
        self._changed_networks: dict[int, NetworkRow] = {}

    def keys(self, address: str, sender: str, recipient: str) -> Keys:
        """The keys of an attempt; addresses of mail in internal form."""
        network = self._network(address)
        who = f"{_sender_key(sender)}\0{recipient.lower()}"
        return Keys(self._hash("n", network), self._hash("t", f"{network}\0{who}"), self._hash("p", who))

    def network_key(self, address: str) -> int:
        """The key of a client's network alone."""
        return self._hash("n", self._network(address))

    def _network(self, address: str) -> str:
        return network_of(address, self.rules.ipv4_bits, self.rules.ipv6_bits)

    def _hash(self, kind: str, text: str) -> int:
        octets = f"{kind}{text}".encode("utf-8", "surrogateescape")
        return int.from_bytes(blake2b(octets, digest_size=8, key=self._secret).digest(), "little", signed=True)

    def is_new(self, keys: Keys, now: float) -> bool:
        """True where `meet` would see it for the first time: then somebody else may know more."""
        return not self._trusts(keys, int(now)) and self._entry(keys, int(now)) is None

    def meet(self, keys: Keys, now: float, address: str, name: str = "", since: float | None = None) -> Met:
        """An attempt is made.  `since` is when the same sender began to wait in a network that counts as the same."""
        at = int(now)
        if self._trusts(keys, at):
            self._touch_network(keys, at)
            return Met(Standing.TRUSTED)
        entry = self._entry(keys, at)
        is_new = entry is None
        if entry is None:
            entry = Entry(at if since is None else min(int(since), at), at, 0)
        first = min(entry.first, at)  # a clock that was set back makes nobody wait longer than the delay
        waited = at - first
        if entry.passed:
            if at - entry.last >= APART:
                self._keep(keys, Entry(first, at, min(entry.passed + 1, MOST_PASSES)), at, address, name)
            return Met(Standing.PASSED, waited)
        if waited < self.rules.delay:
            self._keep(keys, Entry(first, at, 0), at, address, name)
            return Met(Standing.NEW if is_new else Standing.EARLY, waited, self.rules.delay - waited)
        self._keep(keys, Entry(first, at, 1), at, address, name)
        self._speak_for_network(keys, at)
        return Met(Standing.RETRIED, waited)

    def take_changes(self) -> tuple[list[TripletRow], list[NetworkRow]]:
        """What has changed since this was asked last."""
        changed, self._changed = self._changed, {}
        networks, self._changed_networks = self._changed_networks, {}
        return list(changed.values()), list(networks.values())

    def sweep(self, buckets: int, now: float) -> None:
        """Drop what is over, a few buckets at a time."""
        self.triplets.sweep(buckets, int(now))
        self.networks.sweep(max(1, buckets // 8), int(now))

    def _entry(self, keys: Keys, now: int) -> Entry | None:
        entry = self.triplets.get(keys.triplet)
        if entry is None and self._recall(keys, now):
            entry = self.triplets.get(keys.triplet)
        return None if entry is None or self._is_over(entry, now) else entry

    def _network_entry(self, keys: Keys, now: int) -> Entry | None:
        entry = self.networks.get(keys.network)
        if entry is None and self._recall(keys, now):
            entry = self.networks.get(keys.network)
        return entry

    def _recall(self, keys: Keys, now: int) -> bool:
        """Take from the store what memory has not got; False where that was tried already, or there is no store."""
        if self._kept is None or (keys, now) in self._asked:
            return False
        if len(self._asked) >= MOST_ASKED:
            self._asked.clear()
        self._asked.add((keys, now))
        triplet, network = self._kept.find(keys.triplet, keys.network)
        if triplet is not None and self.triplets.get(keys.triplet) is None:
            self.triplets.put(keys.triplet, triplet, now)
        if network is not None and self.networks.get(keys.network) is None:
            self.networks.put(keys.network, network, now)
        return True

    def _is_over(self, entry: Entry, now: int) -> bool:
        if entry.passed:
            return now - entry.last > self.rules.keep
        return now - entry.first > self.rules.window

    def _is_forgotten(self, entry: Entry, now: int) -> bool:
        return now - entry.last > self.rules.keep

    def _trusts(self, keys: Keys, now: int) -> bool:
        if not self.rules.retried:
            return False
        entry = self._network_entry(keys, now)
        return entry is not None and entry.passed >= self.rules.retried and not self._is_forgotten(entry, now)

    def _touch_network(self, keys: Keys, now: int) -> None:
        entry = self._network_entry(keys, now)
        if entry is not None and now - entry.last >= APART:
            self._keep_network(keys, Entry(entry.first, now, entry.passed), now)

    def _speak_for_network(self, keys: Keys, now: int) -> None:
        entry = self._network_entry(keys, now)
        if entry is None or self._is_forgotten(entry, now):
            self._keep_network(keys, Entry(now, now, 1), now)
        elif now - entry.last >= APART:
            self._keep_network(keys, Entry(entry.first, now, min(entry.passed + 1, MOST_PASSES)), now)

    def _keep(self, keys: Keys, entry: Entry, now: int, address: str, name: str) -> None:
        self.triplets.put(keys.triplet, entry, now)
        if len(self._changed) < MOST_CHANGES:
            self._changed[keys.triplet] = TripletRow(keys.triplet, keys.pair, *entry, address, name)

    def _keep_network(self, keys: Keys, entry: Entry, now: int) -> None:
        self.networks.put(keys.network, entry, now)
        if len(self._changed_networks) < MOST_CHANGES:
            self._changed_networks[keys.network] = NetworkRow(keys.network, *entry)


def networks_seen(greylist: Greylist, arrivals: Iterable[tuple[float, str]]) -> list[NetworkRow]:
    """What mail that was taken before says for networks: `arrivals` are (when, client's address), in order of time.

    Mail that is an hour apart counts as a proper retry would.
    """
    seen: dict[int, NetworkRow] = {}
    for when, address in arrivals:
        at, network = int(when), greylist.network_key(address)
        known = seen.get(network)
        if known is None:
            seen[network] = NetworkRow(network, at, at, 1)
        elif at - known.last >= APART:
            seen[network] = NetworkRow(network, known.first, at, min(known.retried + 1, MOST_PASSES))
    return list(seen.values())


def network_of(address: str, ipv4_bits: int, ipv6_bits: int) -> str:
    """The network of an address, as text; what is no address is its own."""
    parsed = parse_address(address)
    if parsed is None:
        return address
    value, width = parsed
    if width == 128 and value >> 32 == 0xFFFF:
        value, width = value & 0xFFFFFFFF, 32
    shift = max(0, width - (ipv4_bits if width == 32 else ipv6_bits))
    return f"{format_address(value >> shift << shift, width)}/{width - shift}"


def _sender_key(sender: str) -> str:
    """The sender without what changes from message to message: an extension, and numbers in the local part (VERP)."""
    local, at, domain = sender.lower().rpartition("@")
    return f"{_NUMBERS.sub('#', local.partition('+')[0])}{at}{domain}"


# ---- traits of clients --------------------------------------------------------------------------------------------

_DYNAMIC_WORDS = re.compile(
    r"(?:^|[.\-_\d])(?:a?dsl|cable|cust(?:omer)?s?|dhcp|dial(?:in|up)?|dip|dyn(?:amic)?(?:ip)?|ftth|pool|pppoe?|broadband|"
    r"res(?:idential)?|wifi|wlan|umts|lte|mobile)(?:[.\-_\d]|$)"
)
_STATIC_WORDS = re.compile(r"(?:^|[.\-_])(?:static|mail|mx|smtp|relay|out(?:bound)?|mta)\d*(?:[.\-_]|$)")
_MOST_PARENTS = 3
"""Letters of a second-level label such as ``co`` or ``com`` under a country's: what it holds are strangers to each other."""


def looks_dynamic(name: str, address: str) -> bool:
    """True for a client's name of the kind that access providers give out: its own address, or a word such as ``dsl``.

    A label such as ``mail`` or ``static`` speaks against it.
    """
    low = name.lower()
    if _STATIC_WORDS.search(low):
        return False
    return bool(_DYNAMIC_WORDS.search(low)) or _holds_address(low, address)


def _holds_address(name: str, address: str) -> bool:
    parsed = parse_address(address)
    if parsed is None or parsed[1] != 32:
        return parsed is not None and f"{parsed[0]:032x}"[:12] in name.replace("-", "").replace(".", "")
    octets = [str(octet) for octet in parsed[0].to_bytes(4, "big")]
    numbers = [str(int(found)) for found in _NUMBERS.findall(name)]
    for order in (octets, octets[::-1]):
        if any(numbers[at : at + 4] == order for at in range(len(numbers) - 3)):
            return True
    digits = f"{parsed[0]:08x}"
    return digits in name or "".join(f"{int(octet):03d}" for octet in octets) in name


def have_same_parent(first: str, second: str, first_address: str = "", second_address: str = "") -> bool:
    """True for two confirmed names below one parent domain, none of them of the kind that providers give out."""
    parents = [name.rstrip(".").lower().partition(".")[2] for name in (first, second)]
    if parents[0] != parents[1] or not _is_somebodys(parents[0]):
        return False
    return not (looks_dynamic(first, first_address) or looks_dynamic(second, second_address))


def _is_somebodys(domain: str) -> bool:
    """False for what looks like a registry's own: one label, or a short one under a country's (``co.uk``)."""
    labels = domain.split(".")
    return len(labels) > 2 or (len(labels) == 2 and (len(labels[1]) > 2 or len(labels[0]) > _MOST_PARENTS))
