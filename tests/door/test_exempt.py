"""The door and who is exempt from its tests: nothing comes of a failure, and the log says what would have."""

from __future__ import annotations

from typing import Any

import pytest

from seawall.door.screening import BARE_NEWLINE, DNSBL, NON_SMTP, PIPELINING, PREGREET, Action, Client, Fact
from seawall.journal.records.door import Spared
from seawall.policy.exempt import DOOR
from tests.door.world import DROP, ENFORCE, IGNORE, NOW, Door, rules


class Sparing(Door):
    """A door whose client is exempt from some checks."""

    def __init__(self, *checks: str, **more: Any) -> None:
        self.checks = checks
        self.said: list[tuple[str, str]] = []
        super().__init__(more.pop("screen"), **more)

    def arrive(self, *words: Any, **more: Any) -> Sparing:
        super().arrive(*words, **more)
        return self

    def is_exempt(self, check: str, said: str) -> bool:
        if check not in self.checks:
            return False
        self.said.append((check, said))
        return True


@pytest.mark.parametrize(
    ("action", "said"), [(ENFORCE, "550 5.5.1 Protocol error"), (DROP, "521 5.5.1 Protocol error")]
)
def test_an_early_talker_that_is_exempt_gets_its_session_and_is_tested_again(action: Action, said: str) -> None:
    door = Sparing("pregreet", screen=rules(PREGREET, action)).arrive()
    door.spoke(6, "EHLO a", NOW, 0.1)
    assert (door.said, door.handed_on, door.left) == ([("pregreet", said)], 1, 0)
    assert not door.remembered


def test_one_that_is_exempt_from_something_else_is_refused() -> None:
    door = Sparing("dnsbl", screen=rules(PREGREET, DROP)).arrive()
    door.spoke(6, "EHLO a", NOW, 0.1)
    assert (door.handed_on, door.left) == (0, 1)


@pytest.mark.parametrize("action", [ENFORCE, DROP])
def test_a_client_that_lists_name_and_that_is_exempt_goes_on(action: Action) -> None:
    door = Sparing("dnsbl", screen=rules(DNSBL, IGNORE, action)).arrive()
    door.scored(3, "bl.example", 60, NOW, 0.1)
    code = "550" if action is ENFORCE else "521"
    text = f"{code} 5.7.1 Service unavailable; client [192.0.2.1] blocked using bl.example"
    assert door.said == [("dnsbl", text)]
    assert door.facts == [Fact.KNOCKED, Fact.RANKED]
    assert door.handed_on == 1


@pytest.mark.parametrize(
    ("test", "check", "data"),
    [
        (PIPELINING, "pipelining", "EHLO a\r\nMAIL FROM:<a@b>\r\n"),
        (NON_SMTP, "non_smtp_command", "GET / HTTP/1.1\r\n"),
        (BARE_NEWLINE, "bare_newline", "EHLO a\n"),
    ],
)
def test_deep_tests_know_who_is_exempt(test: int, check: str, data: str) -> None:
    refused = Sparing(screen=rules(test, DROP)).arrive()
    refused.hear(data)
    spared = Sparing(check, screen=rules(test, DROP)).arrive()
    spared.hear(data)
    assert (refused.left, spared.left) == (1, 0)
    assert [name for name, _ in spared.said] == [check]


def test_an_ignored_failure_needs_no_exemption() -> None:
    door = Sparing(*DOOR, screen=rules(PREGREET, IGNORE)).arrive()
    door.spoke(6, "EHLO a", NOW, 0.1)
    assert door.said == []


def test_one_client_may_hold_more_connections_where_it_is_exempt() -> None:
    client = Client()
    for checks, left in (((), 0), ((), 1), (("connection_count",), 0)):
        door = Sparing(*checks, screen=rules(PREGREET, connections=1), client=client).arrive()
        assert door.left == left
        client.connections += left  # who left had gone


def test_the_log_line_has_postfixs_shape() -> None:
    record = Spared(
        at=0, address="192.0.2.1", port="99", check="dnsbl", said="550 5.7.1 no", key="192.0.2.1", reason="old"
    )
    assert record.text() == "NOQUEUE: exempt: CONNECT from [192.0.2.1]:99: 550 5.7.1 no; old"
