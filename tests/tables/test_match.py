"""Lists of patterns."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.eager import result_now
from seawall.tables.match import network_trouble
from seawall.tables.registry import Tables
from seawall.tables.table import TableTrouble, TableUnsupported


def in_addresses(value: str, name: str, address: str) -> bool:
    return result_now(Tables().address_list(value, title="mynetworks").matches(name, address))


def in_domains(value: str, name: str, *, parents: bool = False) -> bool:
    return result_now(Tables().domain_list(value, parent_matches=parents).matches(name))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("10.2.0.1", True),
        ("10.1.0.1", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::1", True),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("unknown", False),
    ],
)
def test_networks_match_in_order(address: str, expected: bool) -> None:
    value = "127.0.0.0/8 !10.1.0.0/16, 10.0.0.0/8 192.0.2.7 [::1] [2001:db8::]/32"
    assert in_addresses(value, "unknown", address) is expected


def test_ipv6_is_compared_as_a_number() -> None:
    assert in_addresses("[0:0:0:0:0:0:0:1]", "x", "::1")


def test_a_client_is_known_by_its_name_too() -> None:
    assert in_addresses("mail.example", "MAIL.example", "192.0.2.1")
    assert in_addresses(".example", "mail.example", "192.0.2.1")
    assert not in_addresses("example", "mail.example", "192.0.2.1")


def test_a_table_of_networks_is_asked_for_name_and_address() -> None:
    assert in_addresses("inline:{192.0.2.1=x}", "unknown", "192.0.2.1")
    assert in_addresses("inline:{.example=x}", "a.example", "192.0.2.9")
    assert not in_addresses("inline:{192.0.2=x}", "unknown", "192.0.2.1")
    assert in_addresses("cidr:{{192.0.2.0/24 x}}", "unknown", "192.0.2.1")


def test_a_bad_network_is_trouble_once_it_is_reached() -> None:
    tables = Tables()
    listed = tables.address_list("127.0.0.1 10.0.0.1/8", title="mynetworks")
    assert result_now(listed.matches("x", "127.0.0.1"))
    with pytest.raises(TableTrouble, match=r'non-null host address bits in "10.0.0.1/8"'):
        result_now(listed.matches("x", "10.0.0.1"))
    assert tables.warnings == [
        'mynetworks: non-null host address bits in "10.0.0.1/8", perhaps you should use "10.0.0.0/8" instead'
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1.2.3.4/x", 'bad mask value in "1.2.3.4/x"'),
        ("1.2.3.4/33", 'bad mask length in "1.2.3.4/33"'),
        ("1.2.3/24", 'bad network value in "1.2.3/24"'),
        ("300.1.1.1", 'bad address pattern: "300.1.1.1"'),
        ("[::1", "missing ']' character after \"[::1\""),
        ("[::1]x", 'garbage after "[::1]"'),
        ("1::/8", 'non-null host address bits in "1::/8", perhaps you should use "::/8" instead'),
    ],
)
def test_what_is_wrong_with_a_network_is_said_in_postfixs_words(text: str, words: str) -> None:
    assert network_trouble(text) == words


@given(st.text("0123456789abcdef.:/[]!#{}, x\n\udcff", max_size=30), st.text("0123456789abcdef.:", max_size=20))
def test_no_list_and_no_address_gives_more_than_trouble(value: str, address: str) -> None:
    try:
        listed = Tables(root="/nonexistent").address_list(value)
    except TableUnsupported:
        return
    try:
        result_now(listed.matches(address, address))
    except TableTrouble:
        return


def test_domains_match_their_parents_by_the_style_of_the_list() -> None:
    assert in_domains("example.com", "example.com")
    assert in_domains("EXAMPLE.com", "Example.Com")
    assert not in_domains("example.com", "a.example.com")
    assert in_domains(".example.com", "a.example.com")
    assert not in_domains(".example.com", "example.com")
    assert in_domains("example.com", "a.b.example.com", parents=True)
    assert not in_domains("example.com", "aexample.com", parents=True)
    assert not in_domains(".example.com", "a.example.com", parents=True)


def test_a_table_of_domains_is_asked_for_parents() -> None:
    assert in_domains("inline:{.example.com=x}", "a.example.com")
    assert in_domains("inline:{example.com=x}", "a.example.com", parents=True)
    assert not in_domains("inline:{example.com=x}", "a.example.com")
    assert not in_domains("regexp:{{/^example.com$/ x}}", "a.example.com", parents=True)


def test_strings_match_whole_in_any_case() -> None:
    listed = Tables().string_list("a, !b inline:{b=1,c=2}")
    assert result_now(listed.matches("A"))
    assert not result_now(listed.matches("b"))
    assert result_now(listed.matches("C"))
    assert not result_now(listed.matches("d"))


def test_a_file_stands_for_its_lines(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# no\na.example, b.example\n!c.example\n")
    tables = Tables(root=str(tmp_path))
    listed = tables.domain_list("/list d.example")
    assert [result_now(listed.matches(name)) for name in ("a.example", "b.example", "c.example", "d.example")] == [
        True,
        True,
        False,
        True,
    ]
    negated = tables.domain_list("!/list c.example")
    assert not result_now(negated.matches("a.example"))
    assert result_now(negated.matches("c.example"))


def test_a_missing_file_is_trouble_and_a_warning() -> None:
    tables = Tables()
    listed = tables.string_list("a /nonexistent/list", title="debug_peer_list")
    assert result_now(listed.matches("a"))
    with pytest.raises(TableTrouble, match="No such file"):
        result_now(listed.matches("b"))
    assert tables.warnings == ["debug_peer_list: open file /nonexistent/list: No such file or directory"]


def test_a_file_that_names_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "loop").write_text("/loop\n")
    with pytest.raises(TableTrouble, match="too many files"):
        result_now(Tables(root=str(tmp_path)).string_list("/loop").matches("x"))


def test_a_comment_at_the_end_of_a_line_is_warned_of() -> None:
    tables = Tables()
    listed = tables.string_list("a # b c", title="mydestination")
    assert not result_now(listed.matches("c"))
    assert tables.warnings == ["mydestination: comment at end of line is not supported: # b c"]


def test_a_failing_table_is_trouble() -> None:
    with pytest.raises(TableTrouble):
        result_now(Tables().domain_list("fail:x").matches("example"))


def test_an_unknown_type_is_told_when_the_list_is_made() -> None:
    with pytest.raises(TableUnsupported, match="mongodb"):
        Tables().string_list("mongodb:/etc/x")


def test_neighbours_that_decide_alike_are_one_and_their_order_with_others_stays() -> None:
    value = "a.example, 10.0.0.0/8, !10.1.0.0/16, b.example, !x.example, inline:{x.example=y, 10.1=z}, 0.0.0.0/0"
    found = {
        key: in_addresses(value, *key)
        for key in (("a.example", "192.0.2.1"), ("x.example", "10.1.0.1"), ("x.example", "11.0.0.1"))
    }
    assert found == {
        ("a.example", "192.0.2.1"): True,
        ("x.example", "10.1.0.1"): True,
        ("x.example", "11.0.0.1"): False,
    }
    assert in_addresses("!10.1.0.0/16, 10.0.0.0/8", "", "10.1.0.1") is False


def test_dots_side_by_side_hide_no_parent() -> None:
    assert in_domains("b", "a..b", parents=True)
    assert in_domains(".b", "a..b")
    assert not in_domains("b", ".b", parents=True)
