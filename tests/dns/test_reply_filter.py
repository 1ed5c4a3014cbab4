"""DNS reply filters: what a record looks like to them, and what they leave.  (Beside Postfix: tests/policy/recorded.py)"""

from __future__ import annotations

from collections.abc import Awaitable

import pytest

from seawall.dns.answers import Answer, Asks, Found, NoData, NoSuchName, Resource, TryAgain
from seawall.dns.reply_filter import BAD_FILTER, DROPS_ALL, Dropped, Filtered, format_record
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.tables.registry import Tables

ZONE = Zone(
    """\
$TTL 300
a.example.    A    192.0.2.1
a.example.    A    192.0.2.2
a.example.    MX   10 mx.a.example.
a.example.    MX   20 mx.b.example.
b.example.    CNAME a.example.
null.example. MX   0 .
t.example.    TXT  "one \\195\\188" "two"
;!servfail broken.example ANY
"""
)


class Slow:
    """Answers as the zone, but later."""

    async def _later(self, name: str, kind: str) -> Answer:
        return ZONE.ask(name, kind)

    def ask(self, name: str, kind: str) -> Answer | Awaitable[Answer]:
        return self._later(name, kind)


def asked(spec: str, name: str, kind: str, dns: Asks = ZONE) -> tuple[Answer, list[tuple[str, str]]]:
    told: list[tuple[str, str]] = []
    maps = Tables().maps(spec)
    answer = Filtered(dns, maps.lookup, "smtpd_dns_reply_filter", lambda *line: told.append(line)).ask(name, kind)
    return (result_now(answer) if isinstance(answer, Awaitable) else answer), told


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (Resource("A", "a.example", "192.0.2.1", 300), "a.example. 300 IN A 192.0.2.1"),
        (Resource("AAAA", "a.example", "2001:db8::1", 0), "a.example. 0 IN AAAA 2001:db8::1"),
        (Resource("MX", "a.example", "mx.example", 5, 10), "a.example. 5 IN MX 10 mx.example."),
        (Resource("NS", "a.example", "ns.example", 5), "a.example. 5 IN NS ns.example."),
        (Resource("PTR", "1.2.in-addr.arpa", "h.example", 5), "1.2.in-addr.arpa. 5 IN PTR h.example."),
        (Resource("TXT", "t.example", "one ü\ttwo", 5), "t.example. 5 IN TXT one    two"),
        (Resource("TLSA", "t.example", "3 1 1 00ff", 5), "t.example. 5 IN TLSA 3 1 1 00ff"),
    ],
)
def test_a_record_has_the_form_that_postconf_gives(record: Resource, text: str) -> None:
    assert format_record(record) == text


@pytest.mark.parametrize("dns", [ZONE, Slow()])
@pytest.mark.parametrize("action", ["IGNORE", "ignore", "Ignore for now", "IGNORE\tx"])
def test_what_is_to_be_ignored_is_left_out_and_told(action: str, dns: Asks) -> None:
    answer, told = asked(f"regexp:{{{{/ 192\\.0\\.2\\.1$/ {action}}}}}", "a.example", "A", dns)

    assert isinstance(answer, Found)
    assert [record.data for record in answer.records] == ["192.0.2.2"]
    assert told == [("", "ignoring DNS RR: a.example. 300 IN A 192.0.2.1")]


def test_where_nothing_is_left_nothing_is_known() -> None:
    answer, told = asked("static:IGNORE", "b.example", "MX")

    assert answer == Dropped(DROPS_ALL)
    assert isinstance(answer, TryAgain)
    assert len(told) == 2


def test_the_owner_is_the_end_of_an_alias() -> None:
    _, told = asked("regexp:{{/^a\\.example\\. .*192.0.2.2/ IGNORE}}", "b.example", "A")

    assert told == [("", "ignoring DNS RR: a.example. 300 IN A 192.0.2.2")]


@pytest.mark.parametrize("action", ["REJECT", "IGNORED", "OK"])
def test_any_other_action_is_a_mistake_and_nothing_is_known(action: str) -> None:
    answer, told = asked(f"static:{action}", "a.example", "A")

    assert answer == TryAgain(BAD_FILTER)
    assert told == [("warning", f'smtpd_dns_reply_filter: unknown DNS filter action: "{action}"')]


def test_a_filter_in_trouble_leaves_nothing_known() -> None:
    answer, told = asked("fail:gone", "a.example", "A")

    assert answer == TryAgain(BAD_FILTER)
    assert told == [("warning", 'fail:gone lookup error for "a.example. 300 IN A 192.0.2.1"')]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [("nosuch.example", "A", NoSuchName()), ("a.example", "AAAA", NoData()), ("null.example", "MX", None)],
)
def test_what_holds_no_record_is_not_filtered(name: str, kind: str, expected: Answer | None) -> None:
    answer, told = asked("static:IGNORE", name, kind)

    assert answer == (expected or ZONE.ask(name, kind))
    assert told == []
