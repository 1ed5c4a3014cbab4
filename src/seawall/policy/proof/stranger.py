"""Who is a stranger: any public address, any name below a domain of his own, any mail address.  Pure.

What a configuration names closely is not a stranger's: a network of its own size, a domain that somebody holds.  What it
names by the gross (``0.0.0.0/0``, ``com``, an expression without an end) holds strangers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from seawall.mail.network import Network, parse_address, parse_network
from seawall.policy.proof.samples import FILLER, Sample, literal, wild

WIDEST = {32: 16, 128: 32}
"""Leading bits, by family, of the widest network that is taken for somebody's own: what registries gave to one site.
Ours; a wider one holds strangers."""
MOST_ADDRESSES = 1 << 20
"""Public IPv4 addresses that one list may hold in such networks: sixteen of the widest.  Beyond it is a country."""
FIRST_ADDRESSES = ("203.0.113.66", "198.51.100.66", "192.0.2.166", "8.9.10.11", "45.66.77.88", "2001:db8:66::66")
"""Strangers to begin with: RFC 5737 and RFC 3849 documentation addresses, and others where those are listed."""
DOCUMENTATION = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")))
DOMAIN = "stranger.example"
"""A domain of the stranger's own."""
VICTIMS = ("victim.example", "victim.com", "victim.net", "victim.org", "victim.info", "victim.de", "victim.co.uk")
"""Domains of others that he writes to.  Several, because a list may name a top-level domain."""
TOP_LEVEL = frozenset(
    {"aero", "agency", "app", "art", "arpa", "asia", "audio", "auto", "bank", "bar", "best", "bet", "bid", "bio",
    "biz", "blog", "blue", "business", "buzz", "cam", "cat", "center", "chat", "church", "city", "click", "cloud",
    "club", "coach", "codes", "com", "community", "company", "consulting", "coop", "cyou", "date", "design", "dev",
    "digital", "direct", "earth", "edu", "email", "energy", "estate", "events", "example", "expert", "finance",
    "fit", "foundation", "fun", "fund", "games", "gay", "global", "gold", "gov", "group", "health", "help", "homes",
    "host", "house", "icu", "inc", "info", "ink", "int", "jobs", "land", "law", "legal", "life", "link", "live",
    "loan", "lol", "love", "ltd", "market", "media", "men", "mil", "mobi", "moe", "money", "monster", "museum",
    "name", "net", "network", "news", "ninja", "one", "online", "ooo", "org", "page", "party", "photo", "pics",
    "plus", "post", "press", "pro", "pub", "red", "rest", "review", "rocks", "run", "sale", "school", "science",
    "services", "shop", "site", "social", "software", "solutions", "space", "store", "stream", "studio", "style",
    "support", "systems", "tax", "team", "tech", "tel", "tips", "today", "tools", "top", "tours", "town", "trade",
    "travel", "university", "uno", "video", "vip", "vote", "watch", "web", "website", "wiki", "win", "work", "works",
    "world", "wtf", "xin", "xxx", "xyz", "zone"}
)  # fmt: skip
"""Top-level domains beside the countries' (two letters, or ``xn--``) in which anybody, more or less, gets a domain.  A
single label that is none, as ``localhost`` or a host's short name, is nobody's domain."""
_REGISTRIES = frozenset({"ac", "co", "com", "edu", "gob", "gov", "gv", "mil", "ne", "net", "nom", "or", "org", "sch"})
"""Second-level names below which a country's registry gives out domains."""


def is_public(address: str) -> bool:
    """True for an address that a stranger can have."""
    found = ipaddress.ip_address(address)
    return not found.is_multicast and (found.is_global or any(found in network for network in DOCUMENTATION))


def is_private(word: str) -> bool:
    """True for a network of a list that is nobody's on the Internet, loopback apart."""
    network = parse_network(word)
    if network is None:
        return False
    found = ipaddress.ip_address(printed(network.value, network.width))
    return found.is_private and not found.is_loopback and not any(found in one for one in DOCUMENTATION)


def own_labels(name: str) -> int:
    """How many labels of a name, from its right end, make the domain that somebody holds: two, or three (``x.co.uk``)."""
    labels = name.strip(".").split(".")
    return 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _REGISTRIES else 2


def is_top_level(label: str) -> bool:
    """True for ``com`` or ``de``."""
    return label in TOP_LEVEL or (len(label) == 2 and label.isalpha()) or label.startswith("xn--")


def is_everybodys(domain: str) -> bool:
    """True for what is above any domain that can be held: ``com``, ``.co.uk``."""
    name = domain.strip(".").lower()
    labels = name.split(".")
    if len(labels) == 1:
        return is_top_level(name)
    return len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _REGISTRIES


def is_free(sample: Sample) -> bool:
    """True where the domain that somebody must hold to have this name is not spelled out: a stranger can hold it."""
    name = sample.text
    if not name or "." not in name.strip("."):
        return False
    at = len(name)
    for _ in range(own_labels(name)):
        at = name.rfind(".", 0, at)
        if at < 0:
            break
    last = name.rfind(".") + 1
    if not is_top_level(name[last:].lower()):
        return False
    return "*" in sample.free[at + 1 :]


def affixed(sample: Sample, *, domain: bool) -> Iterator[Sample]:
    """A sample, and what it may be a part of: a longer word before it, a domain of the stranger's behind it.

    With `domain` for names of hosts, else for mail addresses.
    """
    ends: tuple[Sample, ...] = (Sample("", ""), wild("." + DOMAIN), wild(DOMAIN), wild(".com"), wild(FILLER))
    starts: tuple[Sample, ...] = (Sample("", ""), wild(FILLER), wild(FILLER + "."))
    if not domain and "@" not in sample.text:
        starts = (*starts, wild(FILLER + "@"), wild(FILLER + "@" + FILLER), wild(FILLER + "@" + FILLER + "."))
        ends = (*ends, wild("@" + DOMAIN), wild(FILLER + "@" + DOMAIN))
    for start in starts:
        for end in ends:
            yield start + sample + end


def names_of_key(key: str) -> Iterator[Sample]:
    """Host names that a key of a table means: itself, and one below it."""
    name = key.strip(".")
    if not name:
        return
    if not key.startswith("."):
        yield literal(name)
    yield wild(FILLER + ".") + literal(name)


def network_of_key(key: str) -> Network | None:
    """``192.0.2`` and ``192`` as access(5) means them: the networks of those octets."""
    parts = key.split(".")
    if 1 <= len(parts) <= 4 and all(part.isascii() and part.isdigit() and int(part) < 256 for part in parts):
        value = 0
        for part in (*parts, *"0" * (4 - len(parts))):
            value = value << 8 | int(part)
        return Network(value, 8 * len(parts), 32)
    address = parse_address(key)
    return Network(address[0], address[1], address[1]) if address is not None else None


def printed(value: int, width: int) -> str:
    """An address as text."""
    return str(ipaddress.IPv4Address(value) if width == 32 else ipaddress.IPv6Address(value))


def is_wide(network: Network) -> bool:
    """True for a network that nobody has for himself."""
    return network.bits < WIDEST[network.width]


def some_addresses(network: Network, count: int = 4) -> Iterator[str]:
    """Public addresses inside a network, far from each other, the first of ours first."""
    found = 0
    for text in FIRST_ADDRESSES:
        address = parse_address(text)
        if address is not None and network.contains(*address):
            found += 1
            yield text
    size = 1 << (network.width - network.bits)
    for step in range(1, 64):
        if found >= count:
            return
        text = printed(network.value + (size * step * 29 // 64 + 9) % size, network.width)
        if is_public(text):
            found += 1
            yield text


def strangers_in(listed: Iterable[Iterable[Network]], *, ipv6: bool) -> tuple[str, ...]:
    """Addresses of strangers, as far as the lists of networks of a configuration tell them apart.

    Each list is one source (mynetworks, one table).  None lies in a network that is listed closely, unless its list
    names so many that they are everybody.
    """
    narrow: list[Network] = []
    wide: list[Network] = []
    for source in listed:
        networks = list(source)
        close = [network for network in networks if not is_wide(network)]
        wide.extend(network for network in networks if is_wide(network))
        public = [n for n in close if n.width == 32 and is_public(printed(n.value + (n.bits < 32), 32))]
        if sum(1 << (32 - n.bits) for n in set(public)) > MOST_ADDRESSES:
            wide.extend(sorted(public, key=lambda n: n.bits)[:4])
        else:
            narrow.extend(close)
    everywhere = (Network(0, 0, 32), *([Network(0, 0, 128)] if ipv6 else []))
    found: dict[str, None] = {}
    index = _Index(narrow)
    for network in (*everywhere, *dict.fromkeys(wide)):
        for text in some_addresses(network):
            if (ipv6 or ":" not in text) and not index.has(text):
                found[text] = None
    return tuple(found)


class _Index:
    """Is an address in any of many networks?"""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._starts: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            shift = network.width - network.bits
            self._starts.setdefault((network.width, shift), set()).add(network.value >> shift)

    def has(self, text: str) -> bool:
        address = parse_address(text)
        if address is None:
            return False
        value, width = address
        return any(width == of and value >> shift in starts for (of, shift), starts in self._starts.items())


def grid() -> Iterator[str]:
    """Addresses all over the public space, sixteen in each /8: for expressions, whose networks cannot be listed."""
    for step in range(4096):
        text = printed(step << 20 | (step * 40503 & 0xFFFFF), 32)
        if is_public(text):
            yield text
