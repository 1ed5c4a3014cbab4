"""Who is worth what when not everybody can be served: pure.

Every connection of a worker holds a `Place`.  Clients of networks from which wanted mail came, or that passed the door, are
known: an eighth of the places is theirs alone, and none of them is ever let go for another.  All others are strangers.
When their places are full, who came last is turned away, or somebody is let go for him: of the loudest network (the one
that holds the most places) first, there first who never said a word, there first who came first.  A newcomer of the
loudest network itself is turned away; where all are as loud as he is, only who was silent for `grace` seconds makes room.

Whatever comes, `enter` looks at no more than `LOOK` networks and asks no more than `LOOK` holders to go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

from seawall.mail.network import format_address, parse_address

RESERVED = 8
"""One place in so many is for known clients only.  Ours."""
PROTECTED = 50
"""Places that one known network may hold as such; beyond them it is as loud as any.  smtpd_client_connection_count_limit"""
LOOK = 8
"""Networks, and places of one network, that are looked at to find whom to let go."""
MOST_KNOWN = 50_000
"""Known networks in memory; ours: some 8 MB.  The one that was good longest ago goes first."""


class Holder(Protocol):
    """Whoever talks to the client at a place."""

    @property
    def has_spoken(self) -> bool:
        """The client has said something."""
        ...

    def shed(self) -> bool:
        """Take leave of the client; False where that must not be, because a message is just becoming ours."""
        ...


class Network:
    """The places that one network (/24, /56) holds."""

    __slots__ = ("key", "known", "strangers")

    def __init__(self, key: str) -> None:
        self.key = key
        self.known = 0
        self.strangers: dict[Place, None] = {}
        """The oldest first."""


class Place:
    """One connection.  `holder` is set anew where another takes it over."""

    __slots__ = ("_crowd", "address", "holder", "is_known", "network", "since")

    def __init__(
        self, crowd: Crowd, address: str, network: Network, holder: Holder | None, since: float, *, is_known: bool
    ) -> None:
        self._crowd = crowd
        self.address = address
        self.network: Network | None = network
        """None: given up."""
        self.since = since
        self.is_known = is_known
        self.holder = holder

    def leave(self) -> None:
        """The connection is gone; may be called twice."""
        self._crowd.leave(self)

    def prove(self) -> None:
        """The client was good: its network is known from now on."""
        self._crowd.prove(self)


class KnownNetworks:
    """Networks that were good, the last ones best remembered."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._known: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, key: str) -> None:
        """It was good just now."""
        self._known.pop(key, None)
        self._known[key] = None
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]

    def learn(self, addresses: Iterable[str]) -> None:
        """Clients that were good, the last one first."""
        fresh = dict.fromkeys(islice(map(network_of, addresses), self._most))
        for key in reversed([*self._known, *fresh][: self._most]):
            self.add(key)


class Crowd:
    """All connections of a worker.  `most` is how many there may be; `now` gives monotonic seconds.

    `vouch` tells of an address what is too dear to ask for everybody: is it known otherwise (mynetworks, passed before)?
    It is asked where somebody would be turned away or let go.
    """

    def __init__(
        self,
        most: int,
        now: Callable[[], float],
        *,
        vouch: Callable[[str], bool] | None = None,
        grace: float = 2.0,
        known: KnownNetworks | None = None,
    ) -> None:
        self.most = most
        self.grace = grace
        self.known = KnownNetworks() if known is None else known
        self.strangers = 0
        self.friends = 0
        """Places of known clients."""
        self.turned_away = 0
        self.let_go = 0
        """So many since the start."""
        self._now = now
        self._vouch = vouch
        self._networks: dict[str, Network] = {}
        self._by_loudness: list[dict[Network, None]] = [{}]
        """Networks by the number of strangers that they hold; in each the one first that has waited there longest."""

    @property
    def held(self) -> int:
        """All places."""
        return self.strangers + self.friends

    @property
    def room(self) -> int:
        """Places that strangers may hold."""
        return self.most - self.most // RESERVED

    @property
    def loudest(self) -> int:
        """The number of strangers that the loudest network holds."""
        return len(self._by_loudness) - 1

    def loudest_networks(self, most: int) -> Iterator[tuple[str, int]]:
        """(network, strangers) of the loudest ones, the loudest first."""
        found = ((network.key, count) for count in range(self.loudest, 0, -1) for network in self._by_loudness[count])
        return islice(found, most)

    # Coming and going

    def enter(self, address: str, holder: Holder) -> Place | None:
        """A place for a new connection; None where there is none for it."""
        key = network_of(address)
        network = self._networks.get(key)
        is_known = key in self.known and (network is None or network.known < PROTECTED)
        if not is_known and (self.strangers >= self.room or self.held >= self.most):
            if self._is_vouched(address, network):
                is_known = True
            elif not self._make_room(network):
                self.turned_away += 1
                return None
        if is_known and self.held >= self.most and not self._let_go():
            self.turned_away += 1
            return None
        network = self._networks.get(key)  # who was let go may have been its last
        if network is None:
            network = self._networks[key] = Network(key)
        place = Place(self, address, network, holder, self._now(), is_known=is_known)
        if is_known:
            network.known += 1
            self.friends += 1
        else:
            self._add(network, place)
        return place

    def leave(self, place: Place) -> None:
        """A place is free."""
        network = place.network
        if network is None:
            return
        place.network = place.holder = None
        if place.is_known:
            network.known -= 1
            self.friends -= 1
        else:
            self._take(network, place)
        if not network.known and not network.strangers:
            self._networks.pop(network.key, None)

    def prove(self, place: Place) -> None:
        """Who holds it was good."""
        network = place.network
        if network is not None:
            self.known.add(network.key)
            if not place.is_known and network.known < PROTECTED:
                self._befriend(place, network)

    def shed(self, most: int) -> int:
        """Let go up to `most` strangers, because there are more than `most` says; how many went."""
        gone = 0
        while gone < most and (self.strangers > self.room or self.held > self.most) and self._let_go():
            gone += 1
        return gone

    # Loudness

    def _add(self, network: Network, place: Place) -> None:
        count = len(network.strangers)
        if count:
            del self._by_loudness[count][network]
        network.strangers[place] = None
        self.strangers += 1
        if count + 1 == len(self._by_loudness):
            self._by_loudness.append({})
        self._by_loudness[count + 1][network] = None

    def _take(self, network: Network, place: Place) -> None:
        count = len(network.strangers)
        del self._by_loudness[count][network]
        del network.strangers[place]
        self.strangers -= 1
        if count > 1:
            self._by_loudness[count - 1][network] = None
        if len(self._by_loudness) == count + 1 and not self._by_loudness[count]:
            self._by_loudness.pop()

    def _befriend(self, place: Place, network: Network) -> None:
        self._take(network, place)
        place.is_known = True
        network.known += 1
        self.friends += 1

    def _is_vouched(self, address: str, network: Network | None) -> bool:
        if self._vouch is None or (network is not None and network.known >= PROTECTED):
            return False
        return self._vouch(address)

    def _make_room(self, network: Network | None) -> bool:
        """For one more stranger of a network."""
        own = 1 if network is None else len(network.strangers) + 1
        return own <= self.loudest and self._let_go(only_silent=own == self.loudest)

    def _let_go(self, *, only_silent: bool = False) -> bool:
        """Somebody goes: of the loudest network, and there who is worth the least."""
        now = self._now()
        for _ in range(LOOK):
            loudest = self._by_loudness[-1]
            network = next(iter(loudest), None)
            if network is None:
                return False
            place = self._worth_least(network)
            if self._is_vouched(place.address, network):
                self._befriend(place, network)
                continue
            holder = place.holder
            has_spoken = holder is not None and holder.has_spoken
            if only_silent and not has_spoken and now - place.since < self.grace:
                return False
            if holder is None or (only_silent and has_spoken) or not holder.shed():
                loudest[network] = loudest.pop(network)  # the next one is looked at
                continue
            self.let_go += 1
            self.leave(place)
            return True
        return False

    def _worth_least(self, network: Network) -> Place:
        """The silent one that came first, else the one that came first."""
        for place in islice(network.strangers, LOOK):
            if place.holder is not None and not place.holder.has_spoken:
                return place
        first = next(iter(network.strangers))
        if len(network.strangers) > LOOK:
            network.strangers[first] = network.strangers.pop(first)  # so that a silent one behind them is seen in time
        return first


def network_of(address: str) -> str:
    """The /24 or /56 in which an address lies, as the kernel sorts clients to workers; what is no address stands alone."""
    if ":" not in address:
        return f"{address[: address.rfind('.')]}.0/24" if "." in address else address
    parsed = parse_address(address)
    if parsed is None:
        return address
    value = parsed[0]
    if value >> 32 == 0xFFFF:  # IPv4 that came by an IPv6 socket
        return network_of(format_address(value & 0xFFFFFFFF, 32))
    return f"{format_address(value >> 72 << 72, 128)}/56"
