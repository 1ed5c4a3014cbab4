"""`seawall lists`: ask every DNS list of a configuration its test points now, and say what each is worth.

Asks DNS and changes nothing.  Ends with 0 where every list answers soundly (a missing test entry is only named), 69
(EX_UNAVAILABLE) where one lies, answers with errors or is silent, 75 (EX_TEMPFAIL) where the DNS does not answer at all, 78
(EX_CONFIG) for a configuration that cannot be read, 66 (EX_NOINPUT) or 65 (EX_DATAERR) for the zone file of ``--dns``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seawall.cli import exits
from seawall.cli.check_report import place_of, shown
from seawall.cli.lint.about_dns_lists import Asked, asked
from seawall.cli.lint.site import read_site
from seawall.cli.text_output import keep_bytes
from seawall.config.settings import DEFAULT_DIRECTORY, Settings, load
from seawall.config.source import ConfigTrouble
from seawall.dns.answers import Answer, Asks, Found
from seawall.dns.resolv_conf import ResolverSettings, read_resolv_conf
from seawall.dns.resolver import Resolver
from seawall.dns.zone import BadZone, Zone
from seawall.mail.network import parse_address
from seawall.policy.dnsbl import parse_reply_filter
from seawall.policy.domains import ANSWERS
from seawall.policy.list_status import ALIVE, ListStatus, status_of
from seawall.policy.list_watch import Heard, Kind, ListWatch, Must, News, Point, Purpose, Round, What, Why
from seawall.policy.policy_service import split_endpoint

SOUND, BARE, LIES, ERRORS, SILENT, UNKNOWN = "sound", "no test entry", "lies", "errors", "silent", "unknown"
VERDICTS = {Why.FORBIDDEN: LIES, Why.WORLD: LIES, Why.ERROR: ERRORS, Why.SILENT: SILENT}
KINDS = {"addresses": Kind.ADDRESSES, "domains": Kind.DOMAINS}
MEANINGS = {
    SOUND: "it is asked as configured",
    BARE: "empty, dead or without test entries; it is asked as configured",
    UNKNOWN: "nothing in the DNS answers: nothing can be said",
}
BAD = frozenset({LIES, ERRORS, SILENT})


@dataclass(frozen=True, slots=True)
class Said:
    """What a list said about a test point."""

    point: Point
    heard: Heard
    answers: tuple[str, ...]

    @property
    def text(self) -> str:
        """``127.0.0.1 not listed``, ``127.0.0.2 listed (127.0.0.4)``."""
        found = f" ({', '.join(self.answers)})" if self.answers else ""
        return f"{self.point.about} {self.heard.value}{found}"


@dataclass(frozen=True, slots=True)
class Row:
    """One list: what was heard of it, and what that means where it is used."""

    zone: str
    verdict: str
    evidence: str
    said: tuple[Said, ...]
    used: tuple[Asked, ...]
    known: ListStatus | None
    is_watched: bool

    @property
    def meaning(self) -> str:
        """For people."""
        if self.verdict in MEANINGS:
            return MEANINGS[self.verdict]
        if self.is_watched:
            return f"put aside while it is so: it neither refuses nor permits (Postfix: {self._effect})"
        return f"it {self._effect}, because of seawall_dnsbl_watch = no"

    @property
    def _effect(self) -> str:
        """What it does to clients where nobody puts it aside."""
        if self.verdict == SILENT:
            return "lets everybody wait"
        answers = [answer for each in self.said for answer in each.answers if each.point.must is not Must.BE]
        hit = [use for use in self.used if any(use.counts(answer) for answer in answers)]
        return " and ".join(sorted({_effect(use) for use in hit})) or "finds nobody"


def _effect(use: Asked) -> str:
    if use.weighs:
        return "adds its weight to everybody"
    return "permits everybody" if use.permits else "refuses everybody"


def main(arguments: list[str]) -> int:
    """Run the command; its exit code."""
    keep_bytes()
    options = parser().parse_args(arguments)
    try:
        settings = load(options.directory, options.root)
    except ConfigTrouble as trouble:
        return complain(str(trouble), exits.CONFIG if trouble.location else exits.NOINPUT)
    try:
        zone = Zone.read(options.dns) if options.dns else None
    except BadZone as trouble:
        return complain(f"{options.dns}: {trouble}", exits.DATAERR)
    except OSError as error:
        return complain(f"{error.filename}: {error.strerror}", exits.NOINPUT)
    server = server_of(options.dns_server) if options.dns_server else None
    if options.dns_server and server is None:
        return complain(f"--dns-server {options.dns_server}: ADDRESS or ADDRESS:PORT is meant", exits.USAGE)
    used = asked(read_site(settings, time.time()))
    rows = asyncio.run(ask_all(used, settings, zone, server))
    sys.stdout.write(as_json(rows) if options.json else as_text(rows, f"{options.directory}/main.cf"))
    if any(row.verdict in BAD for row in rows):
        return exits.UNAVAILABLE
    return exits.TEMPFAIL if any(row.verdict == UNKNOWN for row in rows) else exits.OK


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    result = argparse.ArgumentParser(
        prog="seawall lists", description="Ask every DNS list of a configuration its test points (RFC 5782), now."
    )
    result.add_argument("-c", dest="directory", default=DEFAULT_DIRECTORY, help="configuration directory")
    result.add_argument("--root", default="", help="read every absolute path of the configuration below this directory")
    source = result.add_mutually_exclusive_group()
    source.add_argument("--dns", metavar="ZONEFILE", help="answer all DNS questions from this master file")
    source.add_argument("--dns-server", metavar="ADDRESS[:PORT]", help="ask this server, not those of resolv.conf")
    result.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return result


def complain(text: str, code: int) -> int:
    """Say what is wrong, and which exit code it makes."""
    sys.stderr.write(f"seawall lists: {text}\n")
    return code


def server_of(text: str) -> tuple[str, int] | None:
    """``192.0.2.53``, ``192.0.2.53:5353``, ``[2001:db8::53]:5353``; None for anything else."""
    if parse_address(text) is not None:
        return text, 53
    host, port = split_endpoint(text)
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    return (host, int(port)) if is_port and parse_address(host) is not None else None


async def ask_all(
    used: Sequence[Asked], settings: Settings, zone: Zone | None, server: tuple[str, int] | None
) -> tuple[Row, ...]:
    """All lists at one time, in the order in which the configuration names them."""
    by_zone: dict[str, list[Asked]] = {}
    for each in used:
        by_zone.setdefault(each.domain, []).append(each)
    resolver: Resolver | None = None
    if zone is None:
        found = read_resolv_conf(settings.path("/etc/resolv.conf"))
        resolver = Resolver(found if server is None else ResolverSettings(servers=(server,)))
    try:
        dns: Asks | None = zone or resolver
        is_watched = settings.flag("seawall_dnsbl_watch")
        rows = [ask_list(name, tuple(uses), dns, is_watched) for name, uses in by_zone.items() if name and dns]
        return tuple(await asyncio.gather(*rows))
    finally:
        if resolver is not None:
            resolver.close()


async def ask_list(zone: str, used: tuple[Asked, ...], dns: Asks, is_watched: bool) -> Row:
    """One list: its test points, and where it says nothing, a name beside it."""
    watch = ListWatch(zone)
    for each in used:
        pattern = each.argument.partition("=")[2]
        try:
            watch.use(KINDS[each.wants], parse_reply_filter(pattern) if pattern else None)
        except ConfigTrouble:
            watch.use(KINDS[each.wants], None)  # the check is told of it by `seawall check`
    points = watch.begin(Purpose.REGULAR, 0.0, secrets.randbelow)
    answers = await ask(dns, points)
    heard = [watch.read(answer) for answer in answers]
    news = watch.judge(points, answers, 0.0)
    if all(each is Heard.TROUBLE for each in heard):
        beside = watch.begin(Purpose.COMPARE, 0.0, secrets.randbelow)
        news = watch.judge(beside, await ask(dns, beside), 0.0)
    verdict, evidence = verdict_of(news, heard)
    said = tuple(
        Said(point, each, tuple(record.data for record in answer.records) if isinstance(answer, Found) else ())
        for point, answer, each in zip(points.points, answers, heard, strict=True)
    )
    return Row(zone, verdict, evidence, said, used, status_of(zone), is_watched)


async def ask(dns: Asks, asked_for: Round) -> list[Answer]:
    """The answers, in order; all questions go out at once."""
    coming = [dns.ask(point.query, "A") for point in asked_for.points]
    return [each if isinstance(each, ANSWERS) else await each for each in coming]


def verdict_of(news: Iterable[News], heard: Sequence[Heard]) -> tuple[str, str]:
    """The verdict in a word, and what it rests on."""
    for each in news:
        if each.what is What.ASIDE:
            return VERDICTS[Why(each.why)], each.evidence
        if each.what is What.LACKS_TEST:
            return BARE, f"it does not list {each.evidence}"
    if all(each is Heard.TROUBLE for each in heard):
        return UNKNOWN, "it does not answer, nor does the DNS beside it"
    if Heard.TROUBLE in heard:
        return SOUND, "some questions were not answered"
    return SOUND, ""


def as_text(rows: Sequence[Row], main_cf: str) -> str:
    """The table for people."""
    if not rows:
        return "no DNS list is asked\n"
    width = max(len(row.zone) for row in rows)
    lines: list[str] = []
    for row in rows:
        lines.append(f"{row.zone.ljust(width)}  {row.verdict.ljust(len(BARE))}  {row.meaning}")
        lines += [f"    {place_of(use.location, main_cf)}: {use.shown}" for use in row.used]
        lines.append(f"    {', '.join(said.text for said in row.said)}")
        if row.evidence:
            lines.append(f"    {row.evidence}")
        if row.known is not None and row.known.note and (row.known.status != ALIVE or row.verdict != SOUND):
            since = f" since {row.known.since}" if row.known.since else ""
            lines.append(f"    known of {row.known.zone}: {row.known.status}{since}: {row.known.note}")
    return "".join(f"{shown(line)}\n" for line in lines)


def as_json(rows: Sequence[Row]) -> str:
    """The same as one JSON object."""
    lists = [
        {
            "zone": row.zone,
            "verdict": row.verdict,
            "evidence": row.evidence,
            "meaning": row.meaning,
            "points": [
                {
                    "about": said.point.about,
                    "query": said.point.query,
                    "expected": Heard.HIT.value if said.point.must is Must.BE else Heard.MISS.value,
                    "said": said.heard.value,
                    "answers": list(said.answers),
                }
                for said in row.said
            ],
            "used": [
                {
                    "check": use.shown,
                    "location": {"file": use.location.file, "line": use.location.line} if use.location else None,
                }
                for use in row.used
            ],
            "known": {
                "zone": row.known.zone,
                "status": row.known.status,
                "since": row.known.since,
                "note": row.known.note,
            }
            if row.known is not None
            else None,
        }
        for row in rows
    ]
    return json.dumps({"lists": lists, "sound": not any(row.verdict in BAD for row in rows)}, indent=2) + "\n"
