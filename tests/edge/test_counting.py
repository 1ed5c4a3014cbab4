"""Limits on what one client may do, in the words of smtpd(8); the commands' limits are golden cases (rates/)."""

import pytest

from tests.edge.world import HOST, World, settle

WHO = "client.example.org[192.0.2.7]"


async def test_a_client_may_hold_only_so_many_connections() -> None:
    world = World("smtpd_client_connection_count_limit = 1\n")
    first, second = world.dialogue(), world.dialogue()
    assert second.heard() == [f"421 4.7.0 {HOST} Error: too many connections from 192.0.2.7"]
    assert second.transport.closed
    assert f"warning: Connection concurrency limit exceeded: 2 from {WHO} for service smtp" in world.log
    assert first.say("QUIT")[-1] == "221 2.0.0 Bye"
    assert world.dialogue().heard()[0].startswith("220 ")


async def test_a_client_may_come_only_so_often() -> None:
    world = World("smtpd_client_connection_rate_limit = 2\n")
    for _ in range(2):
        assert world.dialogue().say("QUIT")[-1] == "221 2.0.0 Bye"
    third = world.dialogue()
    assert third.heard() == [f"421 4.7.0 {HOST} Error: too many connections from 192.0.2.7"]
    assert f"warning: Connection rate limit exceeded: 3 from {WHO} for service smtp" in world.log
    assert world.dialogue(("192.0.2.8", 4711)).heard()[0].startswith("220 ")
    world.clock.time += 61
    assert world.dialogue().heard()[0].startswith("220 ")


@pytest.mark.parametrize("exempt", ["192.0.2.7", ".example.org", "client.example.org"])
async def test_who_is_exempt_may_hold_any_number_of_connections(exempt: str) -> None:
    world = World(f"smtpd_client_connection_count_limit = 1\nsmtpd_client_event_limit_exceptions = {exempt}\n")
    world.dialogue()
    assert world.dialogue().heard()[0].startswith("220 ")
    await settle()


async def test_networks_are_counted_where_the_site_wants_it() -> None:
    world = World("smtpd_client_connection_count_limit = 1\nsmtpd_client_ipv4_prefix_length = 24\n")
    world.dialogue()
    assert world.dialogue(("192.0.2.8", 4711)).heard()[0].startswith("421 ")
    assert world.dialogue(("198.51.100.8", 4711)).heard()[0].startswith("220 ")


async def test_the_busiest_client_is_noted_but_not_one_that_is_exempt() -> None:
    world = World("smtpd_client_event_limit_exceptions = 192.0.2.8\n")
    world.dialogue()
    world.dialogue(("192.0.2.8", 1)), world.dialogue(("192.0.2.8", 2))
    greatest, _ = world.rates.take_greatest()
    assert {(each.what, each.number, each.ident) for each in greatest} == {
        ("connection rate", 1, "smtp:192.0.2.7"),
        ("connection count", 1, "smtp:192.0.2.7"),
    }
