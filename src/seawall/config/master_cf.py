"""master.cf: the services, with their overrides of main.cf.  master(5)

Two shapes: an `Entry` is a line as it stands, words and all, for tools that show or edit the file; a `Service` is what
it means, with the defaults of ``-`` filled in.  docs/differences.md D-13 says where we are stricter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from seawall.config.main_cf import read_text
from seawall.config.parameter import split_words, unbrace
from seawall.config.settings import Settings, load
from seawall.config.source import BLANKS, ConfigTrouble, Location, logical_lines, split_name_value
from seawall.mail.words import group_trouble

FIELDS = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")
"""The names of the fields, as `postconf -F` shows them."""
SERVICE, TYPE, PRIVATE, UNPRIVILEGED, CHROOT, WAKEUP, PROCESS_LIMIT, COMMAND = range(len(FIELDS))
TYPES = ("unix", "fifo", "inet", "pass", "unix-dgram")
SEPARATORS = " \t\r\n"
Remark: TypeAlias = Callable[[str], None]
"""Is told what postconf(1) warns of."""
OPTIONS_WITH_VALUE = "o"
WAKEUP_FORM = re.compile(r"(?:-|\d{0,9})\??\Z", re.ASCII)
LIMIT_FORM = re.compile(r"(?:-|\d{1,9})\Z", re.ASCII)

STANDARD = """\
smtp      inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
        -o syslog_name=${multi_instance_name?{$multi_instance_name}:{postfix}}/$service_name
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
"""
"""The services of a site that has no master.cf: what Postfix ships."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of master.cf: its eight fields as they stand, and the command's words in normal form.

    In normal form an option with a value is two words (``-o``, ``name=value``) and braces are gone.
    """

    fields: tuple[str, ...]
    arguments: tuple[str, ...]
    location: Location

    @property
    def name(self) -> str:
        """``name/type``: what a service is called in requests and messages."""
        return f"{self.fields[SERVICE]}/{self.fields[TYPE]}"

    def overrides(self) -> dict[str, str]:
        """The ``-o name=value`` of the command, in order; the last one of a name wins."""
        result: dict[str, str] = {}
        for option, value in paired_options(self.arguments):
            if option == "-o" and value is not None:
                parts = split_name_value(value)
                if not isinstance(parts, str):
                    result.pop(parts[0], None)
                    result[parts[0]] = parts[1]
        return result


@dataclass(frozen=True, slots=True)
class Service:
    """One service, with the defaults of ``-`` filled in.

    `wakeup` is in seconds, 0 for never; with `wakes_when_used` a service is woken only after its first use.
    `maxproc` 0 is no limit.  `arguments` are the command's words without the ``-o name=value``, which are `overrides`.
    """

    name: str
    type: str
    private: bool
    unprivileged: bool
    chroot: bool
    wakeup: int
    maxproc: int
    command: str
    arguments: tuple[str, ...]
    overrides: Mapping[str, str]
    location: Location
    wakes_when_used: bool = False

    def settings(self, main: Settings) -> Settings:
        """The configuration that this service sees: main.cf with its overrides, and its own names.

        postconf(5) process_name, service_name
        """
        own = {"process_name": os.path.basename(self.command), "service_name": self.name}
        return main.with_overrides({**own, **self.overrides}, self.location)


def paired_options(arguments: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """The options of a normalized command in order, each with its value or None; ends before the first non-option."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] != "--":
        takes = len(arguments[at]) > 1 and arguments[at][1] in OPTIONS_WITH_VALUE and at + 1 < len(arguments)
        yield arguments[at], arguments[at + 1] if takes else None
        at += 2 if takes else 1


def parse_entry(text: str, location: Location, remark: Remark | None = None) -> Entry:
    """One logical line.  Raises ConfigTrouble in Postfix's words.

    Where `remark` is given, braces that do not fit are remarked upon and read as postconf(1) does.
    """
    words = split_words(text, SEPARATORS)
    if len(words) < len(FIELDS):
        raise ConfigTrouble("bad field count", location)
    fields = words[: len(FIELDS)]
    check_fields(fields, text, location)
    try:
        return Entry(fields, normalize_arguments(words[len(FIELDS) :], remark), location)
    except ConfigTrouble as trouble:
        raise ConfigTrouble(trouble.message, location) from None


def check_fields(fields: tuple[str, ...], text: str, location: Location) -> None:
    """Refuse what no field may hold.  Raises ConfigTrouble in postconf(1)'s words."""
    bad: int | None = None
    if fields[TYPE] not in TYPES:
        bad = TYPE
    else:
        bad = next((at for at in (PRIVATE, UNPRIVILEGED, CHROOT) if fields[at] not in ("y", "n", "-")), None)
    if bad is None and not WAKEUP_FORM.match(fields[WAKEUP]):
        bad = WAKEUP
    if bad is None and not LIMIT_FORM.match(fields[PROCESS_LIMIT]):
        bad = PROCESS_LIMIT
    if bad is not None:
        raise ConfigTrouble(f'invalid {FIELDS[bad]} field "{fields[bad]}" in "{text}"', location)


def normalize_arguments(words: tuple[str, ...], remark: Remark | None = None) -> tuple[str, ...]:
    """The words after the command: options split from their values, braces taken off.  Raises ConfigTrouble."""
    rest = list(words)
    result: list[str] = []
    while rest and rest[0].startswith("-") and rest[0] != "--":
        option = rest.pop(0)
        value_at = next((at for at in range(1, len(option)) if option[at] in OPTIONS_WITH_VALUE), 0)
        if value_at == 0:
            result.append(option)
            continue
        if value_at > 1:  # -vo name=value is -v -o name=value
            result.append(option[:value_at])
            option = "-" + option[value_at:]
        result.append(option[:2])
        if option[2:]:
            rest.insert(0, option[2:])
        if rest:
            result.append(normalize_value(rest.pop(0), remark, named=result[-1] == "-o"))
    result.extend(_without_braces(word, remark) for word in rest)
    return tuple(result)


def normalize_value(word: str, remark: Remark | None = None, *, named: bool = True) -> str:
    """``{ name = value }`` as ``name=value``; anything else as it is."""
    if not word.startswith("{"):
        return word
    inside = _without_braces(word, remark)
    parts = split_name_value(inside) if named else inside
    if not isinstance(parts, str):
        return f"{parts[0]}={parts[1]}"
    if named and remark is None:
        raise ConfigTrouble(f'{parts}: "{inside}"')
    if named and remark is not None:
        remark(f'master.cf: {parts}: "{inside}"')
    return inside


def _without_braces(word: str, remark: Remark | None) -> str:
    """The inside of ``{ text }``; where the braces do not fit, what extpar(3) makes of it."""
    if remark is None or not word.startswith("{"):
        return unbrace(word)
    trouble = group_trouble(word)
    if trouble is None:
        return unbrace(word)
    remark(f"master.cf: {trouble}")
    depth = 0
    for at, letter in enumerate(word):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return word[1:at].strip(BLANKS)
    return word[1:].strip(BLANKS)


def parse_entries(text: str, file: str, remark: Remark | None = None) -> tuple[Entry, ...]:
    """All lines of a master.cf.  Raises ConfigTrouble for the first that is no service.  `remark` as in `parse_entry`."""
    entries: list[Entry] = []
    for line in logical_lines(text):
        location = Location(file, line.first)
        if line.text.startswith(tuple(BLANKS)):
            if remark is not None:
                shown = line.text[:30] + ("..." if len(line.text) > 30 else "")
                remark(f'{file}: logical line must not start with whitespace: "{shown}"')
            continue  # a first line that continues nothing
        entries.append(parse_entry(line.text, location, remark))
    return tuple(entries)


def make_service(entry: Entry, settings: Settings) -> Service:
    """What an entry means under a main.cf.  Raises ConfigTrouble in master(8)'s words."""
    fields = entry.fields
    private = fields[PRIVATE] != "n"
    if fields[TYPE] == "inet" and private:
        raise ConfigTrouble("inet service cannot be private", entry.location)
    for option, value in paired_options(entry.arguments):
        if option == "-o" and isinstance(parts := split_name_value(value or ""), str):
            raise ConfigTrouble(f'invalid "-o {value or ""}" option value: {parts}', entry.location)
    old_chroot = settings.expand("${{$compatibility_level} <level {1} ? {y} : {n}}")
    wakeup = fields[WAKEUP].rstrip("?")
    limit = fields[PROCESS_LIMIT]
    return Service(
        name=fields[SERVICE],
        type=fields[TYPE],
        private=private,
        unprivileged=fields[UNPRIVILEGED] != "n",
        chroot=(old_chroot if fields[CHROOT] == "-" else fields[CHROOT]) == "y",
        wakeup=int(wakeup) if wakeup.isdigit() else 0,
        maxproc=settings.number("default_process_limit") if limit == "-" else int(limit),
        command=fields[COMMAND],
        arguments=plain_arguments(entry.arguments),
        overrides=MappingProxyType(entry.overrides()),
        location=entry.location,
        wakes_when_used=fields[WAKEUP].endswith("?"),
    )


def plain_arguments(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a normalized command without its ``-o name=value``."""
    kept: list[str] = []
    at = 0
    for option, value in paired_options(arguments):
        at += 1 if value is None else 2
        if option != "-o":
            kept.extend([option] if value is None else [option, value])
    return (*kept, *arguments[at:])


def is_disabled(entry: Entry, patterns: tuple[str, ...]) -> bool:
    """True where master_service_disable names it: ``name/type`` or ``type``; the first match, ``!`` or not, decides."""
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        name, slash, kind = wanted.rpartition("/")
        if (entry.fields[TYPE] == kind) and (not slash or entry.fields[SERVICE] == name):
            return not pattern.startswith("!")
    return False


def parse_master(text: str, file: str, settings: Settings) -> tuple[Service, ...]:
    """The services of a master.cf that are not disabled, in order.  Raises ConfigTrouble."""
    disabled = settings.words("master_service_disable")
    return tuple(
        make_service(entry, settings) for entry in parse_entries(text, file) if not is_disabled(entry, disabled)
    )


def load_master(directory: str, root: str = "", settings: Settings | None = None) -> tuple[Service, ...]:
    """The services of ``directory/master.cf`` below `root`; Postfix's standard ones where there is no such file.

    `settings` is the main.cf beside it, read here where the caller has none.  Raises ConfigTrouble.
    """
    main = settings if settings is not None else load(directory, root)
    file = f"{directory}/master.cf"
    path = main.root + file
    return parse_master(read_text(path) if os.path.exists(path) else STANDARD, file, main)
