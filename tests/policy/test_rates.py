"""anvil(8)'s counting: connections that are open, and events in a time unit."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.policy.rates import Client, Event, Rates, aggregate


def test_open_connections_and_those_of_the_time_unit_are_counted_apart() -> None:
    rates = Rates(60)
    client = rates.connect("smtp:192.0.2.7", 0.0)
    assert rates.connect("smtp:192.0.2.7", 1.0) is client
    rates.disconnect(client)
    rates.connect("smtp:192.0.2.7", 2.0)
    assert (client.connections, rates.rate(client, Event.CONNECTION)) == (2, 3)
    assert rates.connect("smtp:192.0.2.8", 2.0) is not client


def test_a_new_time_unit_begins_with_the_first_event_after_the_old() -> None:
    rates = Rates(60)
    client = rates.connect("smtp:192.0.2.7", 0.0)
    assert [rates.count(client, Event.MESSAGE, at) for at in (10.0, 59.0, 60.0, 60.1, 61.0)] == [1, 2, 3, 1, 2]
    assert rates.rate(client, Event.CONNECTION) == 0


def test_who_is_gone_for_a_time_unit_is_forgotten_and_who_stays_is_not() -> None:
    rates = Rates(60)
    rates.connect("smtp:192.0.2.7", 0.0)
    gone = rates.connect("smtp:192.0.2.8", 0.0)
    rates.disconnect(gone)
    rates.connect("smtp:192.0.2.9", 61.0)
    assert len(rates) == 2


def test_the_greatest_numbers_are_told_once() -> None:
    rates = Rates(60)
    rates.connect("smtp:192.0.2.7", 0.0, at=1000.0)
    rates.note("message rate", 3, "smtp:192.0.2.7", 1001.0)
    assert rates.is_greatest("message rate", 4)
    assert not rates.is_greatest("message rate", 3)
    greatest, most = rates.take_greatest()
    assert [(each.what, each.number, each.ident, each.at) for each in greatest] == [
        ("message rate", 3, "smtp:192.0.2.7", 1001.0)
    ]
    assert (most.number, most.at) == (1, 1000.0)
    assert rates.take_greatest()[0] == ()


def test_addresses_are_counted_by_as_many_bits_as_the_site_wants() -> None:
    assert aggregate("192.0.2.7", 32, 84) == "192.0.2.7"
    assert aggregate("192.0.2.7", 24, 84) == "192.0.2.0/24"
    assert aggregate("2001:db8:1:2:3:4:5:6", 32, 64) == "2001:db8:1:2::/64"
    assert aggregate("2001:db8::1", 32, 128) == "2001:db8::1"
    assert aggregate("unknown", 24, 64) == "unknown"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 30)), max_size=60))
def test_what_is_open_is_never_less_than_what_was_opened_and_not_closed(
    steps: list[tuple[str, bool, float]],
) -> None:
    rates, now = Rates(20), 0.0
    held: dict[str, list[Client]] = {name: [] for name in "abc"}
    for name, opens, pause in steps:
        now += pause
        if opens:
            client = rates.connect(name, now)
            held[name].append(client)
            assert client.connections == len(held[name])
            assert 1 <= rates.rate(client, Event.CONNECTION) <= sum(1 for _ in steps)
        elif held[name]:
            client = held[name].pop()
            rates.disconnect(client)
            assert client.connections == len(held[name])
