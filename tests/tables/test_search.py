"""The orders in which tables are asked."""

import pytest

from seawall.tables.registry import Tables
from seawall.tables.search import (
    ACCESS_MAP,
    ADDRESS_MAP,
    Form,
    Way,
    address_keys,
    domain_keys,
    network_keys,
    split_address_extension,
)
from seawall.tables.table import TableTrouble


def texts(address: str, ways: Way, form: Form = Form.INTERNAL, delimiters: str = "+") -> list[str]:
    return [key.text for key in address_keys(address, delimiters, ways, form)]


def test_an_address_map_is_asked_whole_then_without_extension_then_by_parts() -> None:
    assert texts("u+e@d.example", ADDRESS_MAP) == ["u+e@d.example", "u@d.example", "u+e", "u", "@d.example"]


def test_an_access_map_is_asked_for_the_domain_before_the_user() -> None:
    assert texts("u+e@a.b.c", ACCESS_MAP | Way.PARENTS) == [
        "u+e@a.b.c",
        "u@a.b.c",
        "a.b.c",
        "b.c",
        "c",
        "u+e@",
        "u@",
    ]
    assert texts("u@a.b.c", ACCESS_MAP | Way.DOT_PARENTS) == ["u@a.b.c", "a.b.c", ".b.c", ".c", "u@"]
    assert texts("u@a.b.c", ACCESS_MAP) == ["u@a.b.c", "a.b.c", "u@"]


def test_an_address_without_domain_is_asked_as_it_is() -> None:
    assert texts("u+e", ADDRESS_MAP) == ["u+e", "u"]


def test_only_the_whole_address_is_for_patterns() -> None:
    assert [key.whole for key in address_keys("u+e@d", "+", ADDRESS_MAP)] == [True, False, False, False, False]


def test_a_quoted_form_is_asked_first_where_it_differs() -> None:
    assert texts("a b@d", Way.FULL, Form.EXTERNAL_FIRST) == ['"a b"@d', "a b@d"]
    assert texts("a b@d", Way.FULL, Form.EXTERNAL) == ['"a b"@d']
    assert texts("ab@d", Way.FULL, Form.EXTERNAL_FIRST) == ["ab@d"]


def test_special_names_keep_what_looks_like_an_extension() -> None:
    assert split_address_extension("u+e@d", "+") == ("u@d", "+e")
    assert split_address_extension("mailer-daemon@d", "-") == ("mailer-daemon@d", "")
    assert split_address_extension("owner-list@d", "-") == ("owner-list@d", "")
    assert split_address_extension("u+e@d", "") == ("u+e@d", "")


def test_a_domain_is_asked_with_its_parents() -> None:
    assert [k.text for k in domain_keys("a.b.c", True)] == ["a.b.c", "b.c", "c"]
    assert [k.text for k in domain_keys("a.b.c", False)] == ["a.b.c", ".b.c", ".c"]
    assert [k.whole for k in domain_keys("a.b", True)] == [True, False]
    assert list(domain_keys("", True)) == []
    assert [k.text for k in domain_keys("helo.", True)] == ["helo."]
    assert [k.text for k in domain_keys(".b.c", False)] == [".b.c", ".c"]


def test_an_address_is_asked_with_its_networks() -> None:
    assert [k.text for k in network_keys("192.0.2.1")] == ["192.0.2.1", "192.0.2", "192.0", "192"]
    assert [k.text for k in network_keys("2001:db8::1")] == ["2001:db8::1", "2001:db8:", "2001:db8", "2001"]
    assert [k.text for k in network_keys("::1")] == ["::1", ":"]


async def test_the_first_table_that_knows_answers() -> None:
    maps = Tables().maps("inline:{a=1}, inline:{a=2,b=3}")
    assert await maps.find("a") == "1"
    assert await maps.find("B") == "3"
    assert await maps.find("c") is None
    assert bool(maps)
    assert not Tables().maps("")


async def test_patterns_are_not_asked_for_parts() -> None:
    maps = Tables().maps("regexp:{{/^u@$/ wrong}} inline:{d.example=right}")
    assert await maps.find_address("u@d.example", ways=ACCESS_MAP) == ("right", "")


async def test_the_extension_comes_back_with_the_user_and_not_with_the_domain() -> None:
    maps = Tables().maps("inline:{u@x=1, v=2, @y=3}")
    assert await maps.find_address("u+e@x", delimiters="+") == ("1", "+e")
    assert await maps.find_address("v+e@l", delimiters="+", is_local=lambda domain: domain == "l") == ("2", "+e")
    assert await maps.find_address("v+e@other", delimiters="+", is_local=lambda domain: False) is None
    assert await maps.find_address("w+e@y", delimiters="+") == ("3", "")


async def test_whether_a_domain_is_local_is_asked_only_where_it_matters() -> None:
    asked: list[str] = []

    async def is_local(domain: str) -> bool:
        asked.append(domain)
        return True

    maps = Tables().maps("inline:{u@x=1}")
    assert await maps.find_address("u@x", is_local=is_local) == ("1", "")
    assert asked == []
    assert await maps.find_address("v@x", is_local=is_local) is None
    assert asked == ["x"]


async def test_an_empty_value_is_trouble_and_no_answer() -> None:
    maps = Tables().maps("static:{}", title="virtual_alias_maps")
    with pytest.raises(TableTrouble, match="virtual_alias_maps lookup of a returns an empty string result"):
        await maps.find("a")


async def test_trouble_in_an_early_table_hides_the_later_ones() -> None:
    with pytest.raises(TableTrouble):
        await Tables().maps("fail:x inline:{a=1}").find("a")
    assert await Tables().maps("inline:{a=1} fail:x").find("a") == "1"


async def test_nothing_is_asked_for_an_empty_key() -> None:
    assert await Tables().maps("fail:x").find("") is None
