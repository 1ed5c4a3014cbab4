"""cidr: tables: first match, not longest prefix."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.tables.registry import Tables

RULES = """\
192.0.2.1/32    one
192.0.2.0/24    net
192.0.2.2       never reached
[2001:db8::]/32 six
2001:db9::1     bare
!10.0.0.0/8     not ten
if 10.0.0.0/8
10.1.0.0/16     ten one
if !10.2.0.0/16
10.3.0.0/16     ten three
endif
10.0.0.0/8      other ten
endif
0.0.0.0/0       default
"""


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("192.0.2.1", "one"),
        ("192.0.2.2", "net"),
        ("2001:db8:5::1", "six"),
        ("2001:db9::1", "bare"),
        ("2001:DB9:0::1", "bare"),
        ("11.0.0.1", "not ten"),
        ("10.1.2.3", "ten one"),
        ("10.3.2.3", "ten three"),
        ("10.2.2.3", "other ten"),
        ("2001:dba::1", None),
        ("mail.example", None),
        ("192.0.2", None),
        ("", None),
        ("1.2.3.4\0", None),
    ],
)
def test_the_first_network_answers(tmp_path: Path, key: str, expected: str | None) -> None:
    (tmp_path / "rules").write_text(RULES)
    tables = Tables(root=str(tmp_path))
    assert tables.open("cidr:/rules").lookup(key) == expected
    assert tables.warnings == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("1.2.3.4/24 a", 'non-null host address bits in "1.2.3.4/24", perhaps you should use "1.2.3.0/24" instead'),
        ("1.2.3.4", "no lookup result"),
        ("if", "no address pattern"),
        ("!", "no address pattern"),
        ("if 1.2.3.4 x", 'bad address pattern: "1.2.3.4 x"'),
        ("endif", "ENDIF without IF"),
        ("endif x", "garbage after ENDIF"),
        ("foo bar", 'bad address pattern: "foo"'),
        ("! z", 'bad address pattern: "z"'),
        ("[1.2.3.4 x", "missing ']' character after \"[1.2.3.4\""),
        ("1.2.3.0/99999999999999999999 x", 'bad mask length in "1.2.3.0/99999999999999999999"'),
        ("1.2.3.0/²  x", 'bad mask value in "1.2.3.0/²"'),
    ],
)
def test_a_bad_rule_is_left_out_with_postfixs_warning(tmp_path: Path, rule: str, words: str) -> None:
    (tmp_path / "rules").write_text(f"# first\n{rule}\n5.6.7.8 fine\n")
    tables = Tables(root=str(tmp_path))
    assert tables.open("cidr:/rules").lookup("5.6.7.8") == "fine"
    assert tables.warnings == [f"cidr map {tmp_path}/rules, line 2: {words}: skipping this rule"]


def test_an_if_that_is_never_closed_is_told() -> None:
    tables = Tables()
    table = tables.open("cidr:{{if 10.0.0.0/8}, {10.0.0.0/8 x}}")
    assert table.lookup("10.0.0.1") == "x"
    assert table.lookup("11.0.0.1") is None
    assert tables.warnings == ["cidr map {{if 10.0.0.0/8}, {10.0.0.0/8 x}}, line 1: IF has no matching ENDIF"]


@st.composite
def networks(draw: st.DrawFn) -> ipaddress.IPv4Network:
    bits = draw(st.integers(0, 32))
    value = draw(st.integers(0, 2**32 - 1).map(lambda value: value & 0x03000003))
    return ipaddress.IPv4Network((value >> (32 - bits) << (32 - bits), bits))


@given(st.lists(networks(), min_size=1, max_size=20), st.integers(0, 2**32 - 1).map(lambda value: value & 0x03000003))
def test_it_finds_what_a_walk_through_the_rules_finds(rules: list[ipaddress.IPv4Network], value: int) -> None:
    address = ipaddress.IPv4Address(value)
    table = Tables().open("cidr:{" + ",".join(f"{{{rule} r{at}}}" for at, rule in enumerate(rules)) + "}")
    expected = next((f"r{at}" for at, rule in enumerate(rules) if address in rule), None)
    assert table.lookup(str(address)) == expected
