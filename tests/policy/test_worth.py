"""Who is let go where not everybody can be served: never a known client, the loudest networks first, with bounded work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seawall.policy.worth import LOOK, PROTECTED, Crowd, KnownNetworks, Place, network_of


@dataclass(eq=False)
class Talk:
    """A session, as far as it matters here."""

    has_spoken: bool = False
    is_busy: bool = False
    is_gone: bool = False
    asked: list[Talk] = field(default_factory=list)
    """All that were asked to go."""

    def shed(self) -> bool:
        self.asked.append(self)
        self.is_gone = not self.is_busy
        return self.is_gone


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def crowd_of(
    most: int, clock: Clock | None = None, vouch: Callable[[str], bool] | None = None, grace: float = 2.0
) -> Crowd:
    return Crowd(most, clock or Clock(), vouch=vouch, grace=grace)


def fill(crowd: Crowd, *addresses: str) -> list[Talk]:
    """A silent client from each."""
    talks = [Talk() for _ in addresses]
    for address, talk in zip(addresses, talks, strict=True):
        assert crowd.enter(address, talk) is not None
    return talks


def test_a_newcomer_of_the_loudest_network_is_turned_away() -> None:
    crowd = crowd_of(4)
    fill(crowd, "192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1")
    assert crowd.enter("192.0.2.4", Talk()) is None
    assert (crowd.turned_away, crowd.let_go, crowd.held) == (1, 0, 4)


def test_for_a_quieter_newcomer_somebody_of_the_loudest_network_goes() -> None:
    crowd = crowd_of(4)
    loud = fill(crowd, "192.0.2.1", "192.0.2.2", "192.0.2.3")
    fill(crowd, "198.51.100.1")
    assert crowd.enter("203.0.113.1", Talk()) is not None
    assert [talk.is_gone for talk in loud] == [True, False, False]
    assert crowd.held == 4


def test_the_silent_go_before_those_who_speak() -> None:
    crowd = crowd_of(4)
    loud = fill(crowd, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
    loud[0].has_spoken = loud[1].has_spoken = True
    assert crowd.enter("203.0.113.1", Talk()) is not None
    assert [talk.is_gone for talk in loud] == [False, False, True, False]


def test_who_has_a_message_under_way_stays_and_another_goes() -> None:
    crowd = crowd_of(4)
    busy = fill(crowd, "192.0.2.1", "192.0.2.2")
    other = fill(crowd, "198.51.100.1", "198.51.100.2")
    for talk in busy:
        talk.is_busy = True
    assert crowd.enter("203.0.113.1", Talk()) is not None
    assert not any(talk.is_gone for talk in busy)
    assert other[0].is_gone


def test_where_all_are_as_loud_long_silence_makes_room_and_short_silence_does_not() -> None:
    clock = Clock()
    crowd = crowd_of(3, clock, grace=2.0)
    talks = fill(crowd, "192.0.2.1", "198.51.100.1", "203.0.113.1")
    clock.now += 1.9
    assert crowd.enter("203.0.112.1", Talk()) is None
    clock.now += 0.2
    talks[0].has_spoken = True
    assert crowd.enter("203.0.112.1", Talk()) is not None
    assert [talk.is_gone for talk in talks] == [False, True, False]


def test_an_eighth_of_the_places_is_for_the_known() -> None:
    crowd = crowd_of(16)
    crowd.known.add("192.0.2.0/24")
    strangers = fill(crowd, *(f"198.51.{n}.1" for n in range(14)))
    assert crowd.enter("203.0.113.1", Talk()) is None
    fill(crowd, "192.0.2.1", "192.0.2.2")
    assert (crowd.strangers, crowd.friends) == (14, 2)
    assert crowd.enter("192.0.2.3", Talk()) is not None  # for a known client a stranger goes, however quiet
    assert sum(talk.is_gone for talk in strangers) == 1


def test_nobody_who_is_known_goes_for_another() -> None:
    crowd = crowd_of(4)
    crowd.known.add("192.0.2.0/24")
    known = fill(crowd, *(f"192.0.2.{n}" for n in range(4)))
    assert crowd.enter("192.0.2.9", Talk()) is None
    assert crowd.enter("203.0.113.1", Talk()) is None
    assert not any(talk.is_gone for talk in known)


def test_who_was_good_is_known_from_then_on() -> None:
    crowd = crowd_of(4)
    talk = Talk()
    place = crowd.enter("192.0.2.1", talk)
    assert place is not None
    place.prove()
    assert (crowd.strangers, crowd.friends, "192.0.2.0/24" in crowd.known) == (0, 1, True)
    place.leave()
    place.leave()
    assert crowd.held == 0


def test_one_known_network_cannot_take_all() -> None:
    crowd = crowd_of(2 * PROTECTED)
    crowd.known.add("192.0.2.0/24")
    fill(crowd, *(["192.0.2.1"] * (PROTECTED + 5)))
    assert (crowd.friends, crowd.strangers) == (PROTECTED, 5)


def test_somebody_is_vouched_for_only_where_it_matters() -> None:
    asked: list[str] = []

    def vouch(address: str) -> bool:
        asked.append(address)
        return address == "192.0.2.1"

    crowd = crowd_of(8, vouch=vouch)
    trusted = fill(crowd, "192.0.2.1")
    fill(crowd, *(f"198.51.{n}.1" for n in range(6)))
    assert asked == []
    crowd.grace = 0.0
    assert crowd.enter("203.0.113.1", Talk()) is not None
    assert asked == ["203.0.113.1", "192.0.2.1", "198.51.0.1"]
    assert not trusted[0].is_gone


def test_fewer_places_let_strangers_go_a_few_at_a_time() -> None:
    crowd = crowd_of(100)
    crowd.known.add("192.0.2.0/24")
    known = fill(crowd, *(f"192.0.2.{n}" for n in range(10)))
    fill(crowd, *(f"198.51.{n}.1" for n in range(80)))
    crowd.most = 40
    assert crowd.shed(16) == 16
    while crowd.shed(16):
        pass
    assert (crowd.strangers, crowd.friends) == (30, 10)
    assert not any(talk.is_gone for talk in known)


def test_the_loudest_networks_are_told() -> None:
    crowd = crowd_of(100)
    fill(crowd, "192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "198.51.100.2", "203.0.113.9")
    assert list(crowd.loudest_networks(2)) == [("192.0.2.0/24", 3), ("198.51.100.0/24", 2)]


def test_networks_are_those_by_which_the_kernel_sorts() -> None:
    assert network_of("192.0.2.77") == "192.0.2.0/24"
    assert network_of("::ffff:192.0.2.77") == "192.0.2.0/24"
    assert network_of("2001:db8:1:23ff::1") == network_of("2001:db8:1:2300:5::9") == "2001:db8:1:2300::/56"
    assert network_of("") == ""
    assert network_of("fe80::1%eth0") == "fe80::1%eth0"


def test_known_networks_are_bounded_and_the_last_ones_stay() -> None:
    known = KnownNetworks(2)
    for key in ("a", "b", "a", "c"):
        known.add(key)
    assert ("a" in known, "b" in known, "c" in known, len(known)) == (True, False, True, 2)
    fresh = KnownNetworks(2)
    fresh.add("192.0.2.0/24")
    fresh.learn(["198.51.100.1", "203.0.113.1"])
    assert ("192.0.2.0/24" in fresh, "198.51.100.0/24" in fresh, len(fresh)) == (True, True, 2)


NETWORKS = st.integers(0, 5)
HOSTS = st.integers(1, 9)


class AnyCrowd(RuleBasedStateMachine):
    """Whatever happens, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.crowd = Crowd(
            12, self.clock, vouch=lambda address: address.startswith("10.0.5."), grace=2.0, known=KnownNetworks(3)
        )
        self.asked: list[Talk] = []
        self.places: dict[Place, Talk] = {}

    def tidy(self, before: dict[Place, bool]) -> None:
        """Who was let go has left; none of them was known."""
        for place, talk in list(self.places.items()):
            if talk.is_gone:
                assert not before.get(place, False), "a known client was let go"
                assert place.network is None
                del self.places[place]

    @property
    def known_now(self) -> dict[Place, bool]:
        return {place: place.is_known for place in self.places}

    @rule(network=NETWORKS, host=HOSTS)
    def somebody_comes(self, network: int, host: int) -> None:
        talk = Talk(asked=self.asked)
        before, strangers, held = self.known_now, self.crowd.strangers, self.crowd.held
        self.asked.clear()
        place = self.crowd.enter(f"10.0.{network}.{host}", talk)
        assert len(self.asked) <= 2 * LOOK
        assert place is not None or strangers >= self.crowd.room or held >= self.crowd.most
        assert self.crowd.held <= max(held, self.crowd.most)
        self.tidy(before)
        if place is not None:
            self.places[place] = talk

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def somebody_speaks(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(list(self.places.values()))).has_spoken = True

    @precondition(lambda self: self.places)
    @rule(data=st.data(), is_busy=st.booleans())
    def somebody_is_busy(self, data: st.DataObject, is_busy: bool) -> None:
        data.draw(st.sampled_from(list(self.places.values()))).is_busy = is_busy

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def somebody_is_good(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(list(self.places))).prove()

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def somebody_leaves(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(list(self.places)))
        del self.places[place]
        place.leave()

    @rule(seconds=st.floats(0.1, 3))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(most=st.integers(1, 14))
    def there_is_more_or_less(self, most: int) -> None:
        self.crowd.most = most
        before = self.known_now
        self.asked.clear()
        gone = self.crowd.shed(3)
        assert gone <= 3
        assert len(self.asked) <= 4 * LOOK
        self.tidy(before)

    @invariant()
    def the_books_are_right(self) -> None:
        crowd = self.crowd
        assert crowd.strangers == sum(not place.is_known for place in self.places)
        assert crowd.friends == sum(place.is_known for place in self.places)
        counts: dict[str, int] = {}
        for place in self.places:
            if not place.is_known:
                assert place.network is not None
                counts[place.network.key] = counts.get(place.network.key, 0) + 1
        assert dict(crowd.loudest_networks(100)) == counts
        assert crowd.loudest == max(counts.values(), default=0)


TestAnyCrowd = AnyCrowd.TestCase
TestAnyCrowd.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
