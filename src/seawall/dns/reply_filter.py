"""DNS reply filters: records that a table says to ignore are taken out of an answer.  postconf(5) smtpd_dns_reply_filter

A record is looked up as text, ``name ttl IN type [preference] value``; names end in a dot.  Where nothing is left the
answer is `Dropped`: nothing is known, and that on purpose.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from seawall.dns.answers import Answer, Asks, Found, NoData, NoSuchName, Resource, TryAgain
from seawall.tables.table import Answer as TableAnswer
from seawall.tables.table import TableTrouble

DROPS_ALL = "DNS reply filter drops all results"
BAD_FILTER = "Invalid DNS reply filter syntax"
"""Postfix's words for the two ways in which a filter leaves nothing.  dns_lookup(3)"""

LookUp: TypeAlias = Callable[[str], TableAnswer]
"""Takes a record as text, gives the filter's action.  Raises TableTrouble."""
Tell: TypeAlias = Callable[[str, str], None]
"""Takes a line for the log: what it is (``warning`` or nothing), and its text."""


@dataclass(frozen=True, slots=True)
class Dropped(TryAgain):
    """The filter took every record.  DNS_POLICY"""

    reason: str = DROPS_ALL


HOSTS = frozenset({"CNAME", "MX", "NS", "PTR", "SRV"})


def format_record(record: Resource) -> str:
    """A record as filters are asked for it.  dns_strrecord(3)"""
    data = record.data
    if record.kind in HOSTS:
        data += "."
    elif record.kind == "TXT":
        data = "".join(chr(byte) if 32 <= byte < 127 else " " for byte in data.encode("utf-8", "surrogateescape"))
    preference = f"{record.preference} " if record.kind == "MX" else ""
    return f"{record.name}. {record.ttl} IN {record.kind} {preference}{data}"


def is_ignored(action: str) -> bool:
    """True for IGNORE, which is all that a filter can ask for; text behind it does not matter."""
    return action.replace("\t", " ").partition(" ")[0].upper() == "IGNORE"


class Filtered:
    """Asks `dns`, and filters what it finds.  `title` is the parameter that names the filter."""

    def __init__(self, dns: Asks, look_up: LookUp, title: str, tell: Tell) -> None:
        self._dns = dns
        self._look_up = look_up
        self._title = title
        self._tell = tell

    def ask(self, name: str, kind: str) -> Answer | Awaitable[Answer]:
        """The records that the filter leaves."""
        answer = self._dns.ask(name, kind)
        if isinstance(answer, NoSuchName | NoData | TryAgain):
            return answer
        return self._wait(answer)

    async def _wait(self, coming: Answer | Awaitable[Answer]) -> Answer:
        found = coming if isinstance(coming, Found | NoSuchName | NoData | TryAgain) else await coming
        if not isinstance(found, Found) or any(not record.data and record.kind == "MX" for record in found.records):
            return found  # a null MX is told before filters are asked
        left: list[Resource] = []
        for record in found.records:
            text = format_record(record)
            action = await self._action(text)
            if action is None:
                left.append(record)
            elif is_ignored(action):
                self._tell("", f"ignoring DNS RR: {text}")
            else:
                return TryAgain(BAD_FILTER)
        return Found(tuple(left), found.secure) if left else Dropped()

    async def _action(self, text: str) -> str | None:
        """What the filter says of a record; what it cannot say, or says wrongly, is told."""
        try:
            answer = self._look_up(text)
            action = answer if answer is None or isinstance(answer, str) else await answer
        except TableTrouble as trouble:
            self._tell("warning", f'{trouble.table} lookup error for "{text}"')
            return ""
        if action is not None and not is_ignored(action):
            self._tell("warning", f'{self._title}: unknown DNS filter action: "{action}"')
        return action
