"""`seawall route ADDRESS…`: where mail for an address goes, and which table said so."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field

from seawall.cli import exits
from seawall.config.settings import ConfigTrouble, Settings, load
from seawall.intake.mapping import AddressMaps, Place
from seawall.intake.status import Errors
from seawall.mail.rfc822 import addresses, parse
from seawall.routing.resolve import Routing
from seawall.routing.route import ANY_CLASS, Classes, Route
from seawall.tables.match import DomainList, StringList
from seawall.tables.parameters import main_cf_of
from seawall.tables.registry import Tables
from seawall.tables.search import Maps
from seawall.tables.table import USUAL, Answer, Table, TableTrouble, TableUnsupported, Use

CLASS_NAMES: tuple[tuple[Classes, str], ...] = (
    (Classes.LOCAL, "local"),
    (Classes.ALIAS, "virtual alias"),
    (Classes.VMAILBOX, "virtual mailbox"),
    (Classes.RELAY, "relay"),
    (Classes.DEFAULT, "default"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to a table: `answer` is None where the key is not there, `trouble` says why nothing is known."""

    parameter: str
    table: str
    key: str
    answer: str | None
    trouble: str = ""


class HeardTable:
    """A table whose every question and answer is noted."""

    def __init__(self, table: Table, parameter: str, note: Callable[[Asked], None]) -> None:
        self._table = table
        self._parameter = parameter
        self._note = note

    @property
    def name(self) -> str:
        """``type:name``."""
        return self._table.name

    @property
    def fixed(self) -> bool:
        """True where keys are strings."""
        return self._table.fixed

    def lookup(self, key: str) -> Answer:
        """As the table, and noted."""
        try:
            answer = self._table.lookup(key)
        except TableTrouble as trouble:
            self._note(Asked(self._parameter, self.name, key, None, trouble.reason))
            raise
        if answer is None or isinstance(answer, str):
            self._note(Asked(self._parameter, self.name, key, answer))
            return answer
        return self._later(key, answer)

    async def _later(self, key: str, answer: Awaitable[str | None]) -> str | None:
        try:
            value = await answer
        except TableTrouble as trouble:
            self._note(Asked(self._parameter, self.name, key, None, trouble.reason))
            raise
        self._note(Asked(self._parameter, self.name, key, value))
        return value


class HeardTables(Tables):
    """Tables that note into `asked` what they are asked, each under the parameter that names it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.root, settings.directory, main_cf=main_cf_of(settings))
        self.asked: list[Asked] = []
        self._parameter = ""

    def open(self, spec: str, use: Use = USUAL) -> Table:
        """The table, heard."""
        return HeardTable(super().open(spec, use), self._parameter, self.asked.append)

    def maps(self, value: str, use: Use = USUAL, *, title: str = "") -> Maps:
        """Maps of a parameter."""
        self._parameter = title
        return super().maps(value, use, title=title)

    def string_list(self, value: str, *, title: str = "") -> StringList:
        """A list of strings of a parameter."""
        self._parameter = title
        return super().string_list(value, title=title)

    def domain_list(self, value: str, *, parent_matches: bool = False, title: str = "") -> DomainList:
        """A list of domains of a parameter."""
        self._parameter = title
        return super().domain_list(value, parent_matches=parent_matches, title=title)


@dataclass(slots=True)
class Goal:
    """Where one final recipient goes.  `exists` is None where no table knows its class's users."""

    recipient: str
    address_class: str
    transport: str
    nexthop: str
    exists: bool | None
    remark: str = ""


@dataclass(slots=True)
class Answered:
    """All that is told of one address."""

    address: str
    rewritten: str
    mapped: str
    goals: list[Goal] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


class Guide:
    """Answers for one configuration."""

    def __init__(self, settings: Settings, sender: str) -> None:
        self._tables = HeardTables(settings)
        self._routing = Routing(settings, self._tables)
        self._maps = AddressMaps(settings, self._routing, self._tables)
        self._sender = sender

    def close(self) -> None:
        """Hang up where tables have connections."""
        self._tables.close()

    async def answer(self, text: str) -> Answered:
        """Follow one address, in the form in which a header or a command line has it."""
        self._tables.asked.clear()
        found = addresses(parse(text))
        address = found[0].internal if found else ""
        errors = Errors()
        rewritten = await self._routing.rewrite(address)
        mapped = await self._maps.mapped(rewritten, Place.ENVELOPE_RECIPIENT, errors)
        answered = Answered(text, rewritten, mapped)
        finals = await self._maps.expanded(mapped, errors) if self._maps.virtual_alias_maps else [mapped]
        if errors:
            answered.trouble += [*errors.general, *errors.warnings, errors.reply().line()]
        for final in dict.fromkeys(finals):
            answered.goals.append(await self._goal(final))
        answered.asked = list(dict.fromkeys(self._tables.asked))
        return answered

    async def _goal(self, recipient: str) -> Goal:
        route = await self._routing.resolve(recipient, self._sender)
        if route.has_failed:
            return Goal(recipient, "", "", "", None, f"temporary trouble: {route.error}")
        name = next((name for kind, name in CLASS_NAMES if kind in route.classes & ANY_CLASS), "")
        if route.is_malformed:
            return Goal(route.recipient, name, "", "", False, "bad address syntax: refused with 501")
        listing = await self._routing.recipients.listing(route)
        if listing.trouble:
            remark, exists = f"temporary trouble: {listing.trouble}", None
        else:
            remark, exists = listing.text, self._exists(route, listed=listing.listed)
        return Goal(route.recipient, name, route.transport, route.nexthop, exists, remark)

    def _exists(self, route: Route, *, listed: bool) -> bool | None:
        """True or False where a table was there to tell."""
        if not listed:
            return False
        recipients = self._routing.recipients
        known = (
            (Classes.LOCAL in route.classes and recipients.local_recipient_maps)
            or (Classes.VMAILBOX in route.classes and recipients.virtual_mailbox_maps)
            or (Classes.RELAY in route.classes and recipients.relay_recipient_maps)
        )
        return True if known else None


def _aligned(rows: list[tuple[str, ...]], indent: str) -> list[str]:
    """Columns of equal width."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        (indent + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


def as_text(answered: Answered) -> str:
    """For people."""
    head = [("rewritten", answered.rewritten)]
    if answered.mapped != answered.rewritten:
        head.append(("canonical", answered.mapped))
    lines = [answered.address or "(empty)", *_aligned(list(head), "  ")]
    for goal in answered.goals:
        rows = [("recipient", goal.recipient)]
        if goal.address_class:
            rows.append(("class", goal.address_class))
        if goal.transport:
            rows += [("transport", goal.transport), ("next hop", goal.nexthop)]
        rows.append(("exists", {True: "yes", False: "no", None: "not known here"}[goal.exists]))
        if goal.remark:
            rows.append(("remark", goal.remark))
        lines += ["", *_aligned(list(rows), "  ")]
    lines += ["", "  asked:"] if answered.asked else ["", "  no table was asked"]
    lines += _aligned(
        [
            (each.parameter, each.table, each.key, "-> " + (each.trouble or each.answer or "not found"))
            for each in answered.asked
        ],
        "    ",
    )
    lines += [f"  trouble: {text}" for text in answered.trouble]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run the command; its exit code: 75 where a table could not say, 78 where the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="seawall route", description="Where mail for an address goes, and why.")
    parser.add_argument(
        "-c", metavar="DIR", default="/etc/postfix", help="configuration directory (default %(default)s)"
    )
    parser.add_argument("--root", metavar="DIR", default="", help="read every absolute path below DIR")
    parser.add_argument("-f", metavar="SENDER", default="", help="the sender, for maps that depend on it")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    parser.add_argument("address", nargs="+", metavar="ADDRESS")
    options = parser.parse_args(arguments)
    try:
        guide = Guide(load(options.c, options.root), options.f)
    except (ConfigTrouble, TableUnsupported, OSError) as trouble:
        sys.stderr.write(f"seawall route: {trouble}\n")
        return exits.CONFIG

    async def all_of_them() -> list[Answered]:
        try:
            return [await guide.answer(address) for address in options.address]
        finally:
            guide.close()

    answers = asyncio.run(all_of_them())
    if options.json:
        print(json.dumps([asdict(answered) for answered in answers], indent=2))
    else:
        text = "\n\n".join(map(as_text, answers))
        print(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    failed = any(answered.trouble or any(each.trouble for each in answered.asked) for answered in answers)
    return exits.TEMPFAIL if failed else exits.OK
