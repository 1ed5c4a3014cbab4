"""Plays golden cases against a server and says where it differs. The driver decides which server that is.

Cases with the same main.cf share one start of the server: each set of `-o` options is a port of its own in master.cf. A case
is played alone, so that what is logged and delivered meanwhile is its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Protocol

from tests.box import Box, BoxTrouble
from tests.box_postgres import BoxPostgres
from tests.box_world import CONFIGURATION, USERS
from tests.case_file import GOLDEN, Case, Exchange, Expected, Said, escape, mask

FIRST_PORT = 10025
NOT_FILES = ("main.cf", "master.cf", "zone")
ROWS = ".rows"
"""The end of a base file whose lines, ``KEY VALUE`` as in texthash_table(5), are a table of the database as well."""
QUIET = 0.08  # seconds of silence after which a server is taken to have said all, when recording
QUIET_AFTER_MANY = 0.4  # the same after commands that were sent together
INDEXED = re.compile(r"\b(hash|btree|lmdb|cdb):/etc/postfix/([^\s,{}]+)")
SPEAKING = re.compile(
    r"^\S*?(?P<program>\w+)\[\d+\]: (?P<text>\w+: (?:reject|reject_warning|warn|hold|discard|redirect|filter|prepend|info|bcc|"
    r"permit|replace|strip): .*|\w+: to=<.*|warning: (?:access table (?:\{ ?)?(?:inet|unix):|malformed UTF-8 in policy|"
    r"unknown smtpd restriction|problem talking to server|connect to [^ ]*: |missing (?:attribute|value for string)|"
    r"premature end-of-input|restriction ).*)"
)
LOG_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^(?!NOQUEUE|warning)[0-9A-Za-z]{6,}(?=: )"), "{id}"),
    (re.compile(r"delay=[\d.]+, delays=[\d./]+"), "delay={n}, delays={n}"),
    (re.compile(r"queued as [0-9A-Za-z]{6,}"), "queued as {id}"),
)
PEOPLE = tuple(name for name, *_ in USERS)


@dataclass(slots=True)
class Group:
    """Cases that one start of a server serves."""

    main_cf: str
    files: dict[str, str] = field(default_factory=dict)
    zone: list[str] = field(default_factory=list)
    ports: dict[tuple[tuple[str, str], ...], int] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)

    def takes(self, case: Case) -> bool:
        """True when the case's files say nothing else than those that are here already."""
        return all(self.files.get(name, text) == text for name, text in all_files(case).items())

    def add(self, case: Case) -> None:
        self.cases.append(case)
        self.files.update(all_files(case))
        self.zone += [line for line in all_zone(case).splitlines() if line not in self.zone]
        self.ports.setdefault(tuple(case.options.items()), FIRST_PORT + len(self.ports))

    def port(self, case: Case) -> int:
        return self.ports[tuple(case.options.items())]

    def master_cf(self) -> str:
        """The services of the box, and an smtpd for each set of options."""
        lines = [CONFIGURATION["master.cf"], *map(services_of, {base_of(case) for case in self.cases})]
        for options, port in self.ports.items():
            lines.append(f"{port} inet n - n - - smtpd\n")
            lines += [f"  -o {{ {name} = {value} }}\n" for name, value in options]
        return "".join(lines)


def base_of(case: Case) -> str:
    """The folder that a case's main.cf starts from; empty for none."""
    found = re.match(r"include (\S+)\n", case.main_cf)
    return found[1] if found else ""


def all_main_cf(case: Case) -> str:
    base = base_of(case)
    if not base:
        return case.main_cf
    return (GOLDEN / base / "main.cf").read_text() + case.main_cf.partition("\n")[2]


def all_files(case: Case) -> dict[str, str]:
    """The files below /etc/postfix: the base's, and over them the case's own."""
    files: dict[str, str] = {}
    base = base_of(case)
    if base:
        folder = GOLDEN / base
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in NOT_FILES:
                files[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8")
    return {**files, **case.files}


def services_of(base: str) -> str:
    """The services that a base adds to master.cf."""
    path = GOLDEN / base / "master.cf"
    return path.read_text(encoding="utf-8") if base and path.exists() else ""


def rows_of(text: str) -> dict[str, str]:
    """The rows of a table of the database: key, value."""
    return {key: value.strip() for key, _, value in (line.partition(" ") for line in text.splitlines() if line)}


def sql_of(table: str, text: str) -> str:
    """What makes a table of the database with these rows."""
    rows = "".join(
        f"INSERT INTO {table} VALUES ({quoted(key)}, {quoted(value)});\n" for key, value in rows_of(text).items()
    )
    return f"DROP TABLE IF EXISTS {table};\nCREATE TABLE {table} (key text PRIMARY KEY, value text);\n{rows}"


def quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def all_zone(case: Case) -> str:
    base = base_of(case)
    return ((GOLDEN / base / "zone").read_text() if base else "") + case.zone


def groups_of(cases: Iterable[Case]) -> list[Group]:
    """The cases, sorted into as few groups as their configurations allow."""
    groups: list[Group] = []
    for case in cases:
        main_cf = all_main_cf(case)
        for group in groups:
            if group.main_cf == main_cf and group.takes(case):
                break
        else:
            group = Group(main_cf)
            groups.append(group)
        group.add(case)
    return groups


@dataclass(frozen=True, slots=True)
class Played:
    """What a case led to: one `Said` for each exchange that was reached, mail and log lines."""

    said: tuple[Said, ...]
    mailboxes: Mapping[str, tuple[str, ...]]
    log: tuple[str, ...]


class Driver(Protocol):
    """A server that golden cases are played against."""

    name: str

    def start(self, group: Group) -> None: ...

    def stop(self) -> None: ...

    def play(self, case: Case, *, record: bool = False) -> Played: ...


class BoxDriver:
    """What the drivers of servers in a box have in common."""

    name = ""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.group: Group | None = None
        self._database: BoxPostgres | None = None

    def start(self, group: Group) -> None:
        """Lay out the group's configuration and start the server."""
        self.stop()
        box = self.box
        box.wipe()
        box.write("/etc/postfix/main.cf", group.main_cf)
        box.write("/etc/postfix/master.cf", group.master_cf())
        for name, text in group.files.items():
            box.write(f"/etc/postfix/{name}", text)
        box.ask("certificate", directory="/etc/postfix", name="pop.cape.com")
        named = "\n".join([group.main_cf, *(value for options in group.ports for _, value in options)])
        for kind, name in sorted(set(INDEXED.findall(named))):
            tool = "postalias" if name.startswith("aliases") else "postmap"
            if name in group.files:
                box.run(tool, f"{kind}:/etc/postfix/{name}")
        if "sasl/smtpd.conf" in group.files:
            box.run("saslpasswd2", "-p", "-c", "-u", "pop.cape.com", "alice", stdin="secret")
            box.run("chown", "postfix", "/etc/sasldb2")
        box.zone("\n".join(group.zone) + "\n")
        box.sunk()
        self._fill_database(group)
        self.start_server(group)
        self.group = group

    def start_server(self, group: Group) -> None:
        raise BoxTrouble("a driver starts its own server")

    def stop_server(self) -> None:
        raise BoxTrouble("a driver stops its own server")

    def stop(self) -> None:
        if self.group is not None:
            self.stop_server()
            self.group = None

    def close(self) -> None:
        """End the server, and the database where there is one."""
        self.stop()
        if self._database is not None:
            self._database.stop()
            self._database = None

    def _fill_database(self, group: Group) -> None:
        """A table of the database for each file of rows; PostgreSQL is started for the first of them."""
        for name, text in group.files.items():
            if not name.endswith(ROWS):
                continue
            if self._database is None:
                self._database = BoxPostgres(self.box)
                self._database.start()
            self._database.sql(sql_of(name.removesuffix(ROWS), text))

    def settle(self, wanted: int, accepted: bool) -> None:
        """Wait until mail has come to rest, so many messages where that is known."""
        raise BoxTrouble("a driver knows how its server comes to rest")

    def play(self, case: Case, *, record: bool = False) -> Played:
        """Play one case of the group that was started. With `record`, the server is heard until it is silent."""
        assert self.group is not None
        for endpoint, script in case.policies.items():
            self.box.policy(endpoint, script)
        _, before = self.box.log()
        acts = acts_of(case.dialogue, self.name, record=record)
        heard = self.box.talk(acts, port=self.group.port(case), source=case.client, patience=12 if record else 6)
        said = tuple(Said(tuple(mask(escape(line.encode("latin-1"))) for line in h.lines), h.closed) for h in heard)
        accepted = any("queued as" in line for one in said for line in one.lines)
        expected = {name: lines_for(self.name, one) for name, one in case.mailboxes.items()}
        wanted = sum(1 + lines.count("|-") for lines in expected.values() if lines)
        if accepted or wanted:
            self.settle(-1 if record else wanted, accepted)
        mailboxes = self.collect() if accepted or wanted else {}
        return Played(said, mailboxes, self._log(before, 0 if record else len(lines_for(self.name, case.log))))

    def _log(self, start: int, wanted: int) -> tuple[str, ...]:
        end = time.monotonic() + (2.0 if wanted else 0.03)
        while True:
            lines = log_lines(self.box.log(start)[0])
            if (wanted and len(lines) >= wanted) or time.monotonic() > end:
                return lines
            time.sleep(0.02)

    def collect(self) -> dict[str, tuple[str, ...]]:
        """Take all mail out of the mailboxes: name of the mailbox, lines of its messages."""
        return {name: mail_lines(messages) for name, messages in self.box.ask("mail").items() if messages}


def acts_of(dialogue: Sequence[Exchange], who: str, *, record: bool) -> list[tuple[str, Any]]:
    """The dialogue as acts of `tests.box_talk`."""
    acts: list[tuple[str, Any]] = []
    for exchange in dialogue:
        kept = b""
        for line in exchange.client:
            if line.mark == "C*":
                if kept:
                    acts.append(("send", kept.decode("latin-1")))
                    kept = b""
                act, _, value = line.text.partition(" ")
                acts.append((act, value))
            else:
                kept += line.wire()
        if kept:
            acts.append(("send", kept.decode("latin-1")))
        if record:
            acts.append(("listen", QUIET if len(exchange.client) < 2 else QUIET_AFTER_MANY))
        else:
            said = said_by(who, exchange)
            acts.append(("expect-close", "") if said.closes else ("expect", len(said.lines)))
    return acts


def said_by(who: str, exchange: Exchange) -> Said:
    """What this server is expected to say."""
    return exchange.postfix if who == "postfix" or exchange.seawall is None else exchange.seawall


def lines_for(who: str, expected: Expected) -> tuple[str, ...]:
    """What a section holds for this server."""
    return expected.postfix if who == "postfix" or expected.seawall is None else expected.seawall


def log_lines(text: str) -> tuple[str, ...]:
    """Of a log the lines about refusals and deliveries, masked; sorted where they come from several programs."""
    lines: list[str] = []
    for line in text.splitlines():
        found = SPEAKING.match(line)
        if found:
            spoken = found["text"]
            for pattern, stand_in in LOG_MASKS:
                spoken = pattern.sub(stand_in, spoken)
            lines.append(escape(f"{found['program']}: {mask(spoken)}".encode("latin-1")))
    edge = [line for line in lines if line.startswith("smtpd:")]
    return (*edge, *sorted(line for line in lines if not line.startswith("smtpd:")))


def mail_lines(messages: Iterable[str]) -> tuple[str, ...]:
    """Messages (bytes as Latin-1) as the lines of a mailbox section."""
    shown: list[list[str]] = []
    for message in messages:
        lines = message.split("\n")
        ends = lines.pop() == ""
        body = [f"| {mask(escape(line.encode('latin-1')))}".rstrip() for line in lines]
        shown.append(body if ends else [*body, "|: no line end"])
    out: list[str] = []
    for body in sorted(shown):
        out += ["|-", *body] if out else body
    return tuple(out)


def differences(case: Case, played: Played, who: str) -> list[str]:
    """Where what happened differs from what the case says, a text each; empty when it does not."""
    found: list[str] = []
    for number, exchange in enumerate(case.dialogue):
        wanted = said_by(who, exchange)
        got = played.said[number] if number < len(played.said) else Said(("(not reached)",))
        if got.lines != wanted.lines or (wanted.closes and not got.closes):
            client = "".join(f"  {line.mark}: {line.text[:200]}\n" for line in exchange.client)
            found.append(f"dialogue\n{client}{_both(_show(wanted), _show(got))}")
            break
        if wanted.closes:
            break
    if not found and who == "memory":  # nothing is delivered there, and the edge alone logs
        logged = tuple(line for line in lines_for(who, case.log) if line.startswith("smtpd:"))
        lines = tuple(line for line in played.log if line.startswith("smtpd:"))
        if lines != logged:
            found.append(f"log\n{_both(logged, lines)}")
    elif not found:
        for name in sorted({*case.mailboxes, *played.mailboxes}):
            expected = case.mailboxes.get(name, Expected())
            lines = lines_for(who, expected)
            if lines != played.mailboxes.get(name, ()):
                found.append(f"mailbox {name}\n{_both(lines, played.mailboxes.get(name, ()))}")
        log = lines_for(who, case.log)
        if log != played.log:
            found.append(f"log\n{_both(log, played.log)}")
    return found


def _show(said: Said) -> tuple[str, ...]:
    return (*said.lines, *(("(closed)",) if said.closes else ()))


def _both(wanted: Sequence[str], got: Sequence[str]) -> str:
    """What was wanted (-) beside what came (+)."""
    lines: list[str] = []
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, wanted, got, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [f"    {line}" for line in wanted[i1:i2]]
        else:
            lines += [f"  - {line}" for line in wanted[i1:i2]]
            lines += [f"  + {line}" for line in got[j1:j2]]
    return "\n".join(lines)
