"""The table of bots: who they are, where they come from, and how a reply is read."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import pytest
from bench.flood_bots import ALL, HEAR, KINDS, KNOWN, MIX, SOURCES, source
from bench.flood_show import NEVER, picture, served
from bench.flood_site import mixed
from bench.flood_swarm import reply


def test_every_kind_has_its_share_of_the_mix() -> None:
    assert MIX.keys() == KINDS.keys()
    assert math.isclose(sum(MIX.values()), 1.0)
    assert sum(group.count for group in mixed(1_000)) == 1_000


def test_nobody_has_the_address_of_another() -> None:
    clients = {name: {source(name, number) for number in range(20_000)} for name in ("bots", "known", "new")}
    assert [len(clients[name]) for name in clients] == [20_000, KNOWN, 16_000]
    assert not clients["bots"] & clients["known"]
    assert not clients["bots"] & clients["new"]
    assert not clients["known"] & clients["new"]
    assert source("here", 3) == ""


def test_bots_come_from_networks_of_their_own() -> None:
    networks, _ = SOURCES["bots"]
    first = {source("bots", number).rpartition(".")[0] for number in range(len(networks))}
    assert first == set(networks)


def test_the_good_hear_a_reply_to_all_that_they_say() -> None:
    for kind in ALL.values():
        if kind.is_good:
            for script in kind.scripts:
                assert [step.does == HEAR for step in script[::2]] == [True] * len(script[::2])


@pytest.mark.parametrize(
    ("data", "tag", "code"),
    [
        (b"220 hello\r\n", b"", b"220"),
        (b"220-wait\r\n", b"", None),
        (b"220-wait\r\n220 hello\r\n", b"", b"220"),
        (b"220 hel", b"", None),
        (b"250-a\r\n250 b\r\n550 c\r\n", b"", b"550"),
        (b"* OK hello\r\n", b"* ", b"OK"),
        (b"* 0 EXISTS\r\n", b"b ", None),
        (b"* 0 EXISTS\r\nb NO not here\r\n", b"b ", b"NO"),
    ],
)
def test_a_reply_is_read_when_it_is_whole(data: bytes, tag: bytes, code: bytes | None) -> None:
    assert reply(data, tag) == code


def test_who_was_never_greeted_is_in_the_p99() -> None:
    ended = {"done": 97, "refused: 421": 1, "never greeted": 2}
    one = served({"started": 100, "ended": ended, "greetings": [0.01] * 98, "sessions": [0.1] * 97})
    assert (one.accepted, one.refused, one.lost) == (97, 1, 2)
    assert (one.greeting_p50, one.greeting_p99, one.session_p99) == (0.01, NEVER, NEVER)


def test_the_picture_is_an_svg_also_where_nobody_was_served() -> None:
    text = picture(
        {"ours": [(1_000, 0.002), (15_000, 0.004)], "theirs": [(1_000, NEVER)]}, {"ours": [(1_000, 9_000.0)]}
    )
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "inf" not in text
