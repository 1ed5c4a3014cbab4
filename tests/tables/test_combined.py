"""Tables made of tables, and tables that have to wait."""

import asyncio
from dataclasses import dataclass

import pytest

from seawall.tables.combined import may_wait
from seawall.tables.registry import TYPES, Tables
from seawall.tables.simple import MemoryTable
from seawall.tables.table import Answer, Opening, Table, TableTrouble, Use


@dataclass(frozen=True, slots=True)
class Remote:
    """A table that answers ``KEY!`` after a wait, and knows no key that starts with ``n``."""

    name: str
    fixed: bool = True

    def lookup(self, key: str) -> Answer:
        return self._wait(key)

    async def _wait(self, key: str) -> str | None:
        await asyncio.sleep(0)
        return None if key.startswith("n") else key + "!"


def open_remote(opening: Opening) -> Table:
    return Remote(opening.name)


def tables() -> Tables:
    return Tables(types={**TYPES, "remote": open_remote})


async def ask(spec: str, key: str) -> str | None:
    answer = tables().open(spec).lookup(key)
    return answer if answer is None or isinstance(answer, str) else await answer


@pytest.mark.parametrize(
    ("spec", "key", "expected"),
    [
        ("pipemap:{inline:{a=b},inline:{b=c}}", "a", "c"),
        ("pipemap:{inline:{a=b},inline:{x=c}}", "a", None),
        ("pipemap:{inline:{a=b},remote:x,inline:{b!=d}}", "a", "d"),
        ("pipemap:{remote:x,remote:y}", "a", "a!!"),
        ("pipemap:{remote:x,remote:y}", "no", None),
        ("unionmap:{static:a,static:b}", "x", "a,b"),
        ("unionmap:{inline:{x=},static:b,inline:{x=}}", "x", "b,"),
        ("unionmap:{inline:{a=1},inline:{b=2}}", "c", None),
        ("unionmap:{static:a,remote:x,static:b}", "k", "a,k!,b"),
        ("unionmap:{remote:x,remote:y}", "n", None),
        ("proxy:inline:{a=b}", "A", "b"),
        ("proxy:remote:x", "a", "a!"),
        ("randmap:{one}", "x", "one"),
    ],
)
async def test_tables_of_tables(spec: str, key: str, expected: str | None) -> None:
    assert await ask(spec, key) == expected


async def test_maps_go_on_behind_a_table_that_waits() -> None:
    maps = tables().maps("remote:x inline:{no=1} remote:y")
    assert await maps.find("yes") == "yes!"
    assert await maps.find("no") == "1"
    assert await maps.find("nothing") is None


async def test_lists_wait_for_remote_tables() -> None:
    assert await tables().string_list("!remote:x").matches("a") is False
    assert await tables().string_list("remote:x n").matches("n") is True
    assert await tables().domain_list("remote:x").matches("n.example") is True
    assert await tables().address_list("remote:x").matches("n", "192.0.2.1") is True
    assert await tables().address_list("remote:x 192.0.2.1").matches("n", "bogus") is False


async def test_randmap_gives_each_of_its_values_in_the_end() -> None:
    table = Tables().open("randmap:{a,b,{c d}}")
    assert {table.lookup("x") for _ in range(200)} == {"a", "b", "{c d}"}


async def test_trouble_inside_is_trouble_outside() -> None:
    for spec in ("pipemap:{fail:x}", "unionmap:{static:a,fail:x}", "proxy:fail:x"):
        with pytest.raises(TableTrouble):
            await ask(spec, "a")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("pipemap:x", 'bad syntax: "pipemap:x"; need "pipemap:{type:name...}"'),
        ("unionmap:{x}", 'bad syntax: "unionmap:{x}"; need "unionmap:{type:name...}"'),
        ("randmap:{}", 'bad syntax: "randmap:{}"; need "randmap:{value...}"'),
        ("inline:{}", 'bad syntax: "inline:{}"; need "inline:{name=value...}"'),
        ("inline:{a}", 'missing \'=\' after attribute name: "inline:{a}"; need "inline:{name=value...}"'),
        ("static:{a", "bad static:name syntax: missing '}' in \"{a\""),
        ("unix:x", "unknown table: unix:x"),
        ("regexp:{/c/ d}", "regexp map: no '{' at start of text in \"/c/\""),
    ],
)
async def test_what_cannot_be_opened_is_trouble_and_a_warning(spec: str, words: str) -> None:
    opened = Tables()
    with pytest.raises(TableTrouble):
        opened.open(spec).lookup("a")
    assert opened.warnings == [f"{spec} is unavailable. {words}"]


async def test_the_first_member_says_whether_keys_are_strings() -> None:
    assert Tables().open("unionmap:{inline:{a=b},static:x}").fixed
    assert not Tables().open("pipemap:{static:x,inline:{x=b}}").fixed
    assert not Tables().open("proxy:static:x").fixed


def test_a_table_is_opened_once() -> None:
    opened = Tables()
    assert opened.open("inline:{a=b}") is opened.open("inline:{a=b}")
    assert isinstance(opened.open("inline:{a=b}"), MemoryTable)


APPROVED = "hash:/a, proxy:inline:{a=b} { check_client_access proxy:proxy:inline:{c=d} }, proxy:"


def test_only_approved_tables_stand_behind_a_proxy() -> None:
    opened = Tables(main_cf={"proxy_read_maps": APPROVED}.get)
    assert opened.open("proxy:inline:{a=b}").lookup("a") == "b"
    assert opened.open("proxy:proxy:inline:{c=d}").lookup("c") == "d"
    assert opened.warnings == []
    with pytest.raises(TableTrouble, match="proxymap service is not configured for table"):
        opened.open("proxy:inline:{e=f}").lookup("e")
    assert opened.warnings[:2] == [
        'request for unapproved table: "inline:{e=f}"',
        "to approve this table for read-only access, list proxy:inline:{e=f} in main.cf:proxy_read_maps",
    ]


def test_users_that_want_no_proxy_open_the_table_itself() -> None:
    opened = Tables(main_cf={"proxy_read_maps": ""}.get)
    assert opened.open("proxy:inline:{e=f}", Use(trusted=True)).lookup("e") == "f"


@pytest.mark.parametrize("spec", ["tcp:127.0.0.1:1", "socketmap:inet:127.0.0.1:1:x", "memcache:x"])
def test_what_anybody_may_answer_is_not_trusted(spec: str) -> None:
    with pytest.raises(TableTrouble, match="not allowed for security"):
        Tables().open(spec, Use(trusted=True)).lookup("x")


def test_what_asks_another_server_is_known_in_tables_of_tables() -> None:
    opened = Tables()
    assert may_wait(opened.open("tcp:127.0.0.1:1"))
    assert may_wait(opened.open("pipemap:{inline:{a=b},unionmap:{static:x,proxy:tcp:127.0.0.1:1}}"))
    assert not may_wait(opened.open("unionmap:{inline:{a=b},static:x}"))
