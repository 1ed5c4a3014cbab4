"""Footers of refusals.  (Beside Postfix: tests/golden/settings/reject-footer*.case)"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from seawall.mail.reply import Reply
from seawall.policy.footer import Footers, compile_footer
from seawall.tables.registry import TYPES, Tables
from seawall.tables.table import Answer, Opening, Table

REFUSAL = Reply(554, "5.7.1", "no")
SAFE = frozenset("abcdefghijklmnopqrstuvwxyz.$ ")
NAMES: Mapping[str, str] = {"client_name": "c.example", "helo_name": "<b>", "sender": "$client_name"}


class Later:
    """A table that has to ask somebody else."""

    fixed = True

    def __init__(self, opening: Opening) -> None:
        self.name = opening.name

    async def _answer(self) -> str | None:
        return "late"

    def lookup(self, key: str, /) -> Answer:
        return self._answer()


def open_later(opening: Opening) -> Table:
    return Later(opening)


def told(usual: str, maps: str = "") -> str:
    tables = Tables(types={**TYPES, "later": open_later})
    footers = Footers(compile_footer(usual), tables.maps(maps), SAFE)
    return footers.add(REFUSAL, NAMES.get).text if footers else REFUSAL.text


@pytest.mark.parametrize(
    ("usual", "maps", "text"),
    [
        ("", "", "no"),
        ("help", "", "no\nhelp"),
        ("\\c, help", "", "no, help"),
        ("one\\ntwo", "", "no\none\ntwo"),
        ("help", "regexp:{ {/^554 5.7.1 no$/ other $$client_name} }", "no\nother $client_name"),
        ("help", "inline:{x=y}", "no\nhelp"),
        ("", "inline:{x=y}", "no"),
        ("help", "fail:gone", "no\nhelp"),
        ("help", "later:x", "no\nhelp"),
        ("for $helo_name at ${client_name}", "", "no\nfor _b_ at c.example"),
        ("${sender?{from $sender}}${nothing?x}", "", "no\nfrom $client_name"),
        ("${broken", "", "no"),
    ],
)
def test_a_refusal_gets_the_footer_that_is_its_own(usual: str, maps: str, text: str) -> None:
    assert told(usual, maps) == text.replace("other $client_name", "other c.example")
