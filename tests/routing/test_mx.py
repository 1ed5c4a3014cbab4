from itertools import count

import pytest

from seawall.dns.answers import Answer, Found, NoData, NoSuchName, Resource, TryAgain
from seawall.dns.hosts import Hosts
from seawall.dns.names import Names
from seawall.dns.reply_filter import Filtered
from seawall.dns.zone import Zone as ZoneFile
from seawall.eager import result_now
from seawall.routing.mx import (
    BadDestination,
    Destination,
    Exchanges,
    NoTarget,
    Target,
    before_us,
    in_order,
    parse_destination,
    parse_nexthop,
)
from seawall.tables.registry import Tables

OWN = "192.0.2.1"


class Zone:
    """DNS as a dictionary: name -> MX list, name -> addresses."""

    def __init__(
        self, mx: dict[str, list[tuple[int, str]]], addresses: dict[str, list[str]], *, broken: str = ""
    ) -> None:
        self.mx = mx
        self.hosts = addresses
        self.broken = broken

    def ask(self, name: str, kind: str) -> Answer:
        if name == self.broken:
            return TryAgain("SERVFAIL")
        if name not in self.mx:
            return NoData() if name in self.hosts else NoSuchName()
        return Found(tuple(Resource(kind, name, host, 60, preference) for preference, host in self.mx[name]))

    def addresses(self, host: str) -> Answer:
        if host == self.broken:
            return TryAgain("SERVFAIL")
        if host not in self.hosts:
            return NoSuchName()
        return Found(tuple(Resource("A", host, address, 60) for address in self.hosts[host]))


def find(zone: Zone, text: str) -> list[Target] | NoTarget:
    destination = parse_destination(text)
    assert isinstance(destination, Destination)
    exchanges = Exchanges(zone, zone, OWN.__eq__, lambda: 0.5)
    return result_now(exchanges.find(destination))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.org", Destination("example.org")),
        ("example.org:2525", Destination("example.org", "2525")),
        ("example.org:submission", Destination("example.org", "submission")),
        ("[mx.example.org]", Destination("mx.example.org", ask_mx=False)),
        ("[mx.example.org]:587", Destination("mx.example.org", "587", ask_mx=False)),
        ("[192.0.2.9]:25", Destination("192.0.2.9", "25", ask_mx=False)),
        ("[IPv6:2001:db8::1]", Destination("2001:db8::1", ask_mx=False)),
        ("192.0.2.9", Destination("192.0.2.9", ask_mx=False)),
        ("2001:db8::1", Destination("2001:db8::1", ask_mx=False)),
    ],
)
def test_a_next_hop_has_postfix_s_syntax(text: str, expected: Destination) -> None:
    assert parse_destination(text) == expected


@pytest.mark.parametrize("text", ["", "[]", ":25", "[a", "a]b"])
def test_a_next_hop_without_host_is_bad(text: str) -> None:
    assert isinstance(parse_destination(text), BadDestination)


def test_several_next_hops_are_tried_in_their_order() -> None:
    assert parse_nexthop("[a], b:25") == [Destination("a", ask_mx=False), Destination("b", "25")]


def test_lower_preference_comes_first_and_chance_decides_among_equals() -> None:
    draw = count(9, -1)
    targets = [Target("c", "3", 20), Target("a", "1", 10), Target("b", "2", 10)]
    assert [t.host for t in in_order(targets, lambda: next(draw) / 10)] == ["b", "a", "c"]
    assert [t.host for t in in_order(targets, lambda: 0.0, shuffled=False)] == ["a", "b", "c"]


def test_a_backup_hands_on_only_to_better_ones() -> None:
    targets = [Target("a", "1", 10), Target("us", OWN, 20), Target("c", "3", 20), Target("d", "4", 30)]
    assert before_us(targets, OWN.__eq__) == ([targets[0]], True)


def test_mx_records_are_followed() -> None:
    zone = Zone(
        {"d.example": [(20, "b.example"), (10, "a.example")]}, {"a.example": ["1.1.1.1"], "b.example": ["2.2.2.2"]}
    )
    assert find(zone, "d.example") == [Target("a.example", "1.1.1.1", 10), Target("b.example", "2.2.2.2", 20)]


def test_a_domain_without_mx_is_its_own_host() -> None:
    assert find(Zone({}, {"d.example": ["1.1.1.1"]}), "d.example") == [Target("d.example", "1.1.1.1")]


def test_brackets_ask_for_no_mx() -> None:
    zone = Zone({"d.example": [(10, "a.example")]}, {"d.example": ["1.1.1.1"], "a.example": ["2.2.2.2"]})
    assert find(zone, "[d.example]") == [Target("d.example", "1.1.1.1")]


@pytest.mark.parametrize(
    ("zone", "status", "text"),
    [
        (Zone({"d": [(0, ".")]}, {}), "5.1.0", "Domain d does not accept mail (nullMX)"),
        (Zone({"d": [(0, "us")]}, {"us": [OWN]}), "5.4.6", "mail for d loops back to myself"),
        (Zone({"d": [(0, "gone"), (9, "us")]}, {"us": [OWN]}), "4.4.4", "unable to find primary relay for d"),
        (Zone({}, {"d": [OWN]}), "5.4.6", "mail for d loops back to myself"),
        (
            Zone({}, {}),
            "5.4.4",
            "Host or domain name not found. Name service error for name=d type=A: Host not found",
        ),
        (
            Zone({}, {}, broken="d"),
            "4.4.3",
            "Host or domain name not found. Name service error for name=d type=MX: Host not found, try again",
        ),
        (
            Zone({"d": [(0, "gone"), (0, "slow")]}, {}, broken="slow"),
            "4.4.3",
            "Host or domain name not found. Name service error for name=slow type=A: Host not found, try again",
        ),
    ],
)
def test_where_nobody_takes_the_mail_the_reason_is_smtp_8_s(zone: Zone, status: str, text: str) -> None:
    assert find(zone, "d") == NoTarget(status, text)


@pytest.mark.parametrize(
    ("action", "kind", "name"),
    [("/ MX / IGNORE", "MX", "d"), ("/ A / IGNORE", "A", "a")],
    ids=["exchanges", "addresses"],
)
def test_what_a_reply_filter_drops_is_put_off_in_its_own_words(action: str, kind: str, name: str) -> None:
    told: list[str] = []
    zone = ZoneFile("$TTL 60\nd. MX 10 a.\na. A 192.0.2.1\n")
    filtered = Filtered(zone, Tables().maps(f"regexp:{{{{{action}}}}}").lookup, "f", lambda *line: told.append(line[1]))
    exchanges = Exchanges(filtered, Names(filtered, Hosts(), ("A",)), OWN.__eq__, lambda: 0.0)

    found = result_now(exchanges.find(Destination("d")))
    assert found == NoTarget("4.7.0", f"Error looking up name={name} type={kind}: DNS reply filter drops all results")
    assert len(told) == 1


def test_our_own_address_is_refused_as_a_next_hop() -> None:
    assert find(Zone({}, {}), f"[{OWN}]") == NoTarget("5.4.6", f"mail for {OWN} loops back to myself")
