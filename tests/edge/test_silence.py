"""What a silent client costs, what it may not use up, and how it makes room for others."""

import asyncio
from itertools import pairwise

import pytest

from seawall.edge.arrival import LATE
from seawall.edge.edge import AT_ONCE
from seawall.policy.worth import Crowd
from tests.edge.world import Dialogue, MemoryTransport, World, settle

FULL = "421 4.7.0 mail.example.com Error: too many connections from 192.0.2.7"


def crowd_of(most: int) -> Crowd:
    return Crowd(most, asyncio.get_running_loop().time)


def missing(talk: Dialogue) -> set[str]:
    """What the session has not."""
    found = set()
    for name in LATE:
        slot = next(vars(kind)[name] for kind in type(talk.session).__mro__ if name in vars(kind))
        try:
            slot.__get__(talk.session)
        except AttributeError:
            found.add(name)
    return found


async def test_what_only_a_speaking_client_needs_is_made_by_its_first_byte() -> None:
    talk = World().dialogue()
    assert talk.heard()[0].startswith("220 ")
    assert missing(talk) == LATE
    talk.say("NO", b"OP")
    assert missing(talk) == set()
    assert (talk.session.attempt.address, talk.session.attempt.port) == ("192.0.2.7", "4711")
    assert (talk.session.attempt.name, talk.session.attempt.server_address) == ("client.example.org", "192.0.2.1")


async def test_an_attribute_that_is_none_stays_none() -> None:
    talk = World().dialogue()
    with pytest.raises(AttributeError):
        getattr(talk.session, "nothing" + "_of_that_name")
    assert missing(talk) == LATE


async def test_the_log_names_a_silent_client_as_ever() -> None:
    world = World()
    talk = world.dialogue()
    talk.session.connection_lost(None)
    assert world.log == [
        "connect from client.example.org[192.0.2.7]",
        "lost connection after CONNECT from client.example.org[192.0.2.7]",
        "disconnect from client.example.org[192.0.2.7] commands=0/0",
    ]


async def test_a_silent_strangers_name_is_not_asked_for_while_answers_are_scarce() -> None:
    world = World()
    asked = world.names.asked
    world.edge.lacks_answers = lambda: True
    silent, speaking = world.dialogue(), world.dialogue()
    assert asked == []
    assert world.log == []
    speaking.say("EHLO far.example")
    assert asked == ["192.0.2.7"]
    assert world.log == ["connect from client.example.org[192.0.2.7]"]
    silent.session.connection_lost(None)
    assert len(asked) == 1
    assert world.log[1:] == [
        "connect from unknown[192.0.2.7]",
        "lost connection after CONNECT from unknown[192.0.2.7]",
        "disconnect from unknown[192.0.2.7] commands=0/0",
    ]


async def test_a_known_clients_name_is_asked_for_at_once() -> None:
    world = World()
    world.edge.lacks_answers = lambda: True
    world.edge.crowd = crowd_of(8)
    world.edge.crowd.known.add("192.0.2.0/24")
    world.dialogue()
    assert world.log == ["connect from client.example.org[192.0.2.7]"]


async def test_for_whom_there_is_no_place_hears_so_and_the_log_does_not() -> None:
    world = World()
    world.edge.crowd = crowd_of(0)
    talk = world.dialogue()
    assert talk.heard() == [FULL]
    assert talk.transport.closed
    assert world.log == []
    assert not world.edge.sessions
    assert len(world.rates) == 0


async def test_a_client_that_makes_room_hears_why_and_so_does_the_log() -> None:
    world = World()
    world.edge.crowd = crowd_of(1)
    talk = world.dialogue()
    talk.say("EHLO far.example")
    assert talk.session.has_spoken
    assert talk.session.shed()
    assert talk.heard() == [FULL]
    assert talk.transport.closed
    assert world.edge.crowd.held == 0
    assert world.log[1:] == [
        "too many connections after EHLO from client.example.org[192.0.2.7]",
        "disconnect from client.example.org[192.0.2.7] ehlo=1 commands=1",
    ]


async def test_a_client_that_waits_for_us_makes_no_room() -> None:
    world = World("smtpd_delay_reject = no\n")
    world.names.gate = asyncio.Event()
    talk = world.dialogue()
    assert not talk.session.shed()
    assert not talk.transport.closed
    world.names.gate.set()
    await settle()
    assert talk.heard()[0].startswith("220 ")


async def test_mail_that_is_taken_makes_a_network_known() -> None:
    world = World()
    world.edge.crowd = crowd_of(8)
    talk = world.dialogue()
    talk.say("EHLO far.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@example.com>", "DATA")
    assert "192.0.2.0/24" not in world.edge.crowd.known
    await talk.said(b"Subject: x\r\n\r\nx\r\n.\r\n")
    assert "192.0.2.0/24" in world.edge.crowd.known
    assert (world.edge.crowd.friends, world.edge.crowd.strangers) == (1, 0)


async def test_where_many_leave_at_once_the_loop_has_turns_in_between() -> None:
    world = World()
    world.edge.crowd = crowd_of(1000)
    talks = [world.dialogue() for _ in range(5 * AT_ONCE)]
    for talk in talks:
        talk.session.connection_lost(None)
    held = [world.edge.crowd.held]
    while held[-1]:
        await asyncio.sleep(0)
        held.append(world.edge.crowd.held)
    assert held[0] == 4 * AT_ONCE
    assert all(before - after <= AT_ONCE for before, after in pairwise(held))
    assert sum(line.startswith("disconnect from") for line in world.log) == len(talks)
    assert not world.edge.sessions


async def test_what_is_withheld_before_the_first_byte_is_not_announced() -> None:
    world = World()
    talk = Dialogue.__new__(Dialogue)
    talk.session = world.edge.session()
    talk.session.withhold("PIPELINING")
    talk.transport = MemoryTransport(talk.session)
    talk.session.connection_made(talk.transport)
    assert missing(talk) == LATE
    assert "250-PIPELINING" not in talk.say("EHLO far.example")
    talk.session.withhold("")
    assert "250-PIPELINING" in talk.say("EHLO far.example")
