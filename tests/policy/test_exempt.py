"""The file of exemptions: its keys, checks and lines, who is found in it, and how a server sees it change."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.host import LOOPBACK
from seawall.config.settings import Settings
from seawall.door.screening import Test
from seawall.edge.counting import PARAMETERS
from seawall.policy.exempt import (
    ALIASES,
    ALL,
    CHECKS,
    DOOR,
    LIMITS,
    NEVER,
    RESTRICTIONS,
    BadExemption,
    Entry,
    Exemptions,
    Key,
    day_of,
    ends,
    make_entry,
    parse_checks,
    parse_entries,
    parse_key,
    parse_line,
)
from seawall.policy.exempt_file import ExemptFile, open_exemptions
from seawall.policy.rates import Event
from seawall.policy.registry import RESTRICTIONS as EVERY
from seawall.tables.registry import Tables

TODAY = date(2026, 11, 23)
NOW = ends(TODAY) - 1
LINE = (
    "192.0.2.0/24  greylist,reject_rbl_client=zen.example  added=2026-11-01 until=2026-12-01 by=ann  no PTR; they know"
)


def entry(key: str, checks: str = ALL, until: date = TODAY) -> Entry:
    return Entry(key=parse_key(key), checks=parse_checks(checks), added=TODAY, until=until, by="ann", reason="why")


# keys


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("[2001:DB8::]/48", "2001:db8::/48"),
        ("MX.Example.ORG.", "mx.example.org"),
        (".example.org", ".example.org"),
    ],
)
def test_a_key_is_a_network_or_a_full_name(text: str, key: str) -> None:
    assert parse_key(text).text == key


@pytest.mark.parametrize(
    "text",
    ["a@b.example", "@b.example", "<a@b.example>", "helo:mx.example.org", "sender=b.example", "from:b.example"],
)
def test_senders_and_helo_names_are_no_keys(text: str) -> None:
    with pytest.raises(BadExemption, match="anybody can say them: name the client's network"):
        parse_key(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0.0.0.0/0", "that is everybody"),
        ("::/0", "that is everybody"),
        ("192.0.2.7/24", "write 192.0.2.0/24"),
        ("2001:db8::1/48", "write 2001:db8::/48"),
        ("192.0.2", "no whole address"),
        ("192.0.2.0/33", "from 1 to 32"),
        ("192.0.2.0/", "from 1 to 32"),
        ("::ffff:192.0.2.1", "write the IPv4 address"),
        ("*.example.org", "write .example.org"),
        (".co.uk", "everybody can have a name below it"),
        (".com", "no full host name"),
        ("unknown", "no full host name"),
        ("mx", "no full host name"),
        (".", "no whole address"),
        ("", "no full host name"),
        ("ex ample.org", "no full host name"),
    ],
)
def test_a_key_that_is_none_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadExemption, match=why):
        parse_key(text)


@given(st.text(max_size=40))
def test_whatever_is_given_for_a_key_is_a_key_or_refused(text: str) -> None:
    try:
        key = parse_key(text)
    except BadExemption:
        return
    assert parse_key(key.text) == key


# checks


def test_every_restriction_is_exemptable_or_somebody_says_why_not() -> None:
    for name in EVERY:
        if name in RESTRICTIONS or name in ALIASES:
            continue
        with pytest.raises(BadExemption, match="nobody can be exempted from it"):
            parse_checks(name)


def test_what_guards_relaying_or_identity_is_not_among_the_checks() -> None:
    guards = [name for name in EVERY if "unauth_destination" in name or "login_mismatch" in name or "permit" in name]
    assert guards
    assert not CHECKS & {*guards, *NEVER, "reject_unlisted_sender", "check_policy_service"}
    assert "auth_rate" not in LIMITS


def test_the_doors_tests_and_the_limits_are_all_there() -> None:
    assert len(DOOR) == len(Test)
    named = {PARAMETERS[event].removeprefix("smtpd_client_").removesuffix("_limit") for event in Event}
    assert {*LIMITS, "auth_rate"} == {*named, "connection_count"}


def test_checks_are_read_with_old_names_and_zones() -> None:
    assert parse_checks("reject_unknown_client, Reject_RBL=Zen.Example,greylist") == (
        "reject_unknown_client_hostname",
        "reject_rbl_client=zen.example",
        "greylist",
    )
    assert parse_checks("greylist,all") == (ALL,)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "greylist=x", "reject_rbl_client=", "reject_rbl_client=a b", "auth_rate"]
)
def test_checks_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadExemption):
        parse_checks(text)


def test_a_zone_narrows_a_check() -> None:
    narrow, broad = entry("192.0.2.1", "reject_rbl_client=zen.example"), entry("192.0.2.1", "reject_rbl_client")
    assert narrow.names("reject_rbl_client", "zen.example")
    assert not narrow.names("reject_rbl_client", "other.example")
    assert broad.names("reject_rbl_client", "other.example")


# new entries


def test_wide_networks_need_force() -> None:
    for text in ("10.0.0.0/15", "2001::/31"):
        key = parse_key(text.replace("2001::/31", "2000::/31"))
        with pytest.raises(BadExemption, match="say --force"):
            make_entry(key, (ALL,), 1, "ann", "why", TODAY, force=False)
        assert make_entry(key, (ALL,), 1, "ann", "why", TODAY, force=True).key == key
    assert make_entry(parse_key("10.0.0.0/16"), (ALL,), 1, "ann", "why", TODAY, force=False)


@pytest.mark.parametrize(
    ("key", "checks", "days", "by", "reason"),
    [
        ("192.0.2.1", ALL, 0, "ann", "why"),
        ("192.0.2.1", ALL, 10_000, "ann", "why"),
        ("192.0.2.1", ALL, 1, "an n", "why"),
        ("192.0.2.1", ALL, 1, "", "why"),
        ("192.0.2.1", ALL, 1, "ann", " "),
        ("192.0.2.1", ALL, 1, "ann", "why\x1b[31m"),
        ("mx.example.org", "pregreet", 1, "ann", "why"),
        ("mx.example.org", "reject_unknown_client_hostname", 1, "ann", "why"),
    ],
)
def test_an_entry_that_could_not_work_is_refused(key: str, checks: str, days: int, by: str, reason: str) -> None:
    with pytest.raises(BadExemption):
        make_entry(parse_key(key), parse_checks(checks), days, by, reason, TODAY, force=True)


REASONS = st.text(st.characters(codec="utf-8"), max_size=60)


@given(st.integers(0, 2**32 - 1), st.integers(1, 32), st.sets(st.sampled_from(sorted(CHECKS)), min_size=1), REASONS)
def test_what_is_made_is_read_again_as_it_was(value: int, bits: int, checks: set[str], reason: str) -> None:
    number = value >> (32 - bits) << (32 - bits)
    key = parse_key(f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/{bits}")
    try:
        made = make_entry(key, parse_checks(",".join(checks)), 180, "ann", reason, TODAY, force=True)
    except BadExemption:
        return
    assert parse_line(made.text(), 0) == made


# the file


def test_a_line_is_read() -> None:
    read = parse_line(LINE, 7)
    assert (read.key.text, read.checks) == ("192.0.2.0/24", ("greylist", "reject_rbl_client=zen.example"))
    assert (read.added, read.until, read.by) == (date(2026, 11, 1), date(2026, 12, 1), "ann")
    assert (read.reason, read.line) == ("no PTR; they know", 7)


def test_lines_that_do_not_read_are_named_and_the_others_kept() -> None:
    entries, troubles = parse_entries(f"# remark\n\n{LINE}\nnonsense\n{LINE}", "/etc/x")
    assert [each.line for each in entries] == [3, 5]
    assert [str(each) for each in troubles] == [
        "/etc/x, line 4: a line is: key checks added=DATE until=DATE by=WHO reason"
    ]


# who is found


def test_an_entry_counts_until_the_end_of_its_last_day() -> None:
    exemptions = Exemptions([entry("192.0.2.1")])
    assert exemptions.find("192.0.2.1", "", "greylist", "", NOW) is not None
    assert exemptions.find("192.0.2.1", "", "greylist", "", NOW + 1) is None
    assert day_of(NOW) == TODAY
    assert day_of(NOW + 1) == TODAY + timedelta(days=1)


def test_the_closest_key_is_found_first() -> None:
    keys = (".example.org", "mx.example.org", "192.0.2.0/24", "192.0.2.1", ".x.example.org", "2001:db8::/32")
    exemptions = Exemptions(entry(key) for key in keys)

    def found(address: str, name: str) -> list[str]:
        return [each.key.text for each in exemptions.of_client(address, name, NOW)]

    assert found("192.0.2.1", "MX.example.org") == ["192.0.2.1", "192.0.2.0/24", "mx.example.org", ".example.org"]
    assert found("192.0.2.2", "") == ["192.0.2.0/24"]
    assert found("198.51.100.1", "a.x.example.org") == [".x.example.org", ".example.org"]
    assert found("198.51.100.1", "example.org") == []
    assert found("2001:db8::1", "") == ["2001:db8::/32"]
    assert found("", "") == found("no address", "other.example") == []


NAMES = st.sampled_from(["", "a.example.org", "b.a.example.org", "example.org", "mx.other.example"])
KEYS = st.sampled_from(
    [".example.org", "a.example.org", ".a.example.org", "198.18.0.0/15", "198.18.4.0/22", "198.18.5.6"]
)
ADDRESSES = st.sampled_from(["198.18.5.6", "198.18.5.7", "198.19.1.1", "203.0.113.1", "2001:db8::1"])


@given(st.lists(st.tuples(KEYS, st.sampled_from(["all", "greylist", "pregreet"])), max_size=6), ADDRESSES, NAMES)
def test_the_index_finds_what_looking_at_each_entry_finds(
    lines: list[tuple[str, str]], address: str, name: str
) -> None:
    entries = [entry(key, check) for key, check in lines]
    exemptions = Exemptions(entries)
    matching = [each for each in entries if each.key.matches(address, name)]
    assert sorted(map(Entry.text, exemptions.of_client(address, name, NOW))) == sorted(map(Entry.text, matching))
    wanted = any(each.names("greylist") for each in matching)
    assert (exemptions.find(address, name, "greylist", "", NOW) is not None) is wanted


# as a server sees it


class Watched:
    """A file, and a server that looks at it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "seawall.exempt"
        self.said: list[str] = []
        self.time = NOW
        settings = Settings.from_text("compatibility_level = 3.6\n", host=LOOPBACK, directory=str(directory))
        self.tables = Tables("", str(directory), warn=self.said.append)
        found = open_exemptions(settings, self.tables, lambda: self.time)
        assert found is not None
        self.file: ExemptFile = found
        assert open_exemptions(settings, self.tables, lambda: 0.0) is found
        self._looks = 0.0

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self._looks += 1
        os.utime(self.path, (self._looks, self._looks))
        self.look()

    def look(self) -> None:
        self._looks += 1
        self.tables.refresh(self._looks)

    def has(self, address: str = "192.0.2.1") -> bool:
        return self.file.find(address, "", "greylist") is not None


def test_a_file_that_is_not_there_exempts_nobody_and_nobody_complains(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    assert not watched.has()
    assert watched.said == []


def test_a_change_counts_at_the_next_look_and_so_does_its_going(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write(LINE)
    assert watched.has()
    watched.write(LINE.replace("192.0.2.0/24", "198.51.100.0/24"))
    assert (watched.has(), watched.has("198.51.100.1")) == (False, True)
    watched.path.unlink()
    watched.look()
    assert not watched.has("198.51.100.1")
    assert watched.said == []


def test_a_file_that_does_not_read_leaves_the_copy_from_before_and_names_the_line(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write(LINE)
    watched.write(f"{LINE}\n0.0.0.0/0  all  added=2026-11-01 until=2026-12-01 by=ann  no\n")
    assert watched.has()
    assert not watched.has("198.51.100.1")
    assert watched.said == [
        f"seawall-exempt:{watched.path}: {watched.path}, line 2: 0.0.0.0/0: that is everybody: name the sender's network; "
        "the copy read before stays in use"
    ]
    watched.path.write_bytes(b"\xff\xfe")
    watched.look()
    assert watched.has()


def test_a_file_that_does_not_read_at_the_start_exempts_nobody(tmp_path: Path) -> None:
    (tmp_path / "seawall.exempt").write_text(f"{LINE}\nnonsense\n")
    watched = Watched(tmp_path)
    assert not watched.has()
    assert "line 2: a line is" in watched.said[0]


def test_the_clock_ends_an_exemption_though_the_file_stays(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write(LINE)
    watched.time = ends(date(2026, 12, 1))
    assert not watched.has()


def test_without_a_file_in_the_configuration_nothing_is_opened() -> None:
    settings = Settings.from_text("seawall_exempt_file =\n", host=LOOPBACK)
    assert open_exemptions(settings, Tables(), lambda: 0.0) is None


def test_a_key_tells_whether_it_is_wide() -> None:
    assert Key("x.example").is_wide is False
    assert parse_key("10.0.0.0/8").is_wide
