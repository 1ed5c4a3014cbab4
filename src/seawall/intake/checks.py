"""header_checks(5) and body_checks: what a pattern found in the content asks for, and what becomes of that line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from seawall.config.settings import Settings
from seawall.intake.mapping import NOT_ACCEPTED
from seawall.intake.status import REPLIES, Errors, Status
from seawall.mail.headers import is_header
from seawall.tables.registry import Tables
from seawall.tables.search import Maps
from seawall.tables.table import TableTrouble

_CODED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+(.*))?\Z", re.DOTALL)


class Part(Enum):
    """Which kind of line is looked at; the value is the parameter that has its patterns."""

    PRIMARY = "header_checks"
    """A header of the message itself."""
    MIME = "mime_header_checks"
    """A header of an attachment, or one of the MIME headers of the message."""
    NESTED = "nested_header_checks"
    """A header of an attached message."""
    BODY = "body_checks"

    @property
    def word(self) -> str:
        """The log's word."""
        return "body" if self is Part.BODY else "header"


@dataclass(slots=True)
class Asked:
    """What the checks of one message have asked for so far.  `active` ends with the first decision that ends checking."""

    active: bool = True
    hold: bool = False
    discard: bool = False
    filter: str = ""
    redirect: str = ""


class Checking:
    """The checks of one message: `errors` takes refusals, `copies` the addresses of BCC.

    `log(action, part, content, note)` is told what was done and why, `warn` what is wrong with a table.
    """

    def __init__(
        self,
        maps: Mapping[Part, Maps],
        errors: Errors,
        asked: Asked,
        *,
        log: Callable[[str, str, str, str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._maps = maps
        self._log = log
        self.warn = warn
        self.errors = errors
        self.asked = asked
        self.copies: list[str] = []

    def watches(self, part: Part) -> bool:
        """True where lines of this kind must be shown to `line`."""
        return self.asked.active and part in self._maps

    async def line(self, part: Part, text: str) -> list[str]:
        """The lines to write in the place of one header (with its continuations) or body line."""
        maps = self._maps[part]
        try:
            value = await maps.find(text)
        except TableTrouble:
            self.errors.add(Status.WRITE, warning=f"{part.value} map lookup problem -- {NOT_ACCEPTED}")
            return [text]
        if value is None:
            return [text]
        word, _, note = value.strip().partition(" ")
        action = _ACTIONS.get(word.upper())
        if action is None:
            self.warn(f"unknown command in {part.value} map: {value}")
            return [text]
        return action(self, part, text, note.strip())

    def log(self, action: str, part: Part, text: str, note: str) -> None:
        """Tell what was done."""
        self._log(action, part.word, text, note)

    def log_content(self, action: str, note: str) -> None:
        """Tell of something that concerns the content as a whole, not a line of it."""
        self._log(action, "content", "", note)

    def refuse(self, note: str) -> str:
        """Note a refusal; the reason as reply and log show it.  An enhanced code in the text decides 4xx or 5xx."""
        status, text = "5.7.1", note or REPLIES[Status.CONTENT].text.removeprefix("Error: ")
        coded = _CODED.match(note)
        if coded:
            status, text = coded.group(1), coded.group(2) or ""
            if status.startswith("2"):
                self.warn(f"bad DSN action in {note} -- need 4.x.x or 5.x.x")
                status = "4" + status[1:]
        self.errors.add(Status.DEFER if status.startswith("4") else Status.CONTENT, status, text)
        self.asked.active = False
        return f"{status} {text}"


_Act = Callable[[Checking, Part, str, str], list[str]]


def _reject(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    checking.log("reject", part, text, checking.refuse(note))
    return [text]


def _only_logged(word: str) -> _Act:
    def act(checking: Checking, part: Part, text: str, note: str) -> list[str]:
        checking.log(word, part, text, note)
        return [text]

    return act


def _filter(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    if ":" not in note:
        checking.warn(
            f"bad FILTER command {note} in {part.value} -- need transport:destination"
            if note
            else f"missing FILTER command argument in {part.value} map"
        )
    else:
        checking.asked.filter = note
        checking.log("filter", part, text, note)
    return [text]


def _pass(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    checking.log("pass", part, text, note)
    checking.asked.active = False
    return [text]


def _discard(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    checking.log("discard", part, text, note)
    checking.asked.discard = True
    checking.asked.active = False
    return [text]


def _hold(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    if not checking.asked.hold and not checking.asked.discard:
        checking.log("hold", part, text, note)
        checking.asked.hold = True
    return [text]


def _is_usable(checking: Checking, part: Part, word: str, note: str) -> bool:
    """True where `note` may stand in the message in this place."""
    if not note:
        checking.warn(f"{word} action without text in {part.value} map")
    elif part is not Part.BODY and not is_header(note.encode("utf-8", "surrogateescape")):
        checking.warn(f'bad {word} header text "{note}" in {part.value} map -- need "headername: headervalue"')
    else:
        return True
    return False


def _prepend(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    if not _is_usable(checking, part, "PREPEND", note):
        return [text]
    checking.log("prepend", part, text, note)
    return [note, text]


def _replace(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    if not _is_usable(checking, part, "REPLACE", note):
        return [text]
    checking.log("replace", part, text, note)
    return [note]


def _redirect(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    if "@" not in note:
        checking.warn(f'bad REDIRECT target "{note}" in {part.value} map -- need user@domain')
    else:
        checking.asked.redirect = note
        checking.asked.active = False
        checking.log("redirect", part, text, note)
    return [text]


def _bcc(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    if "@" not in note:
        checking.warn(f'bad BCC address "{note}" in {part.value} map -- need user@domain')
    else:
        checking.copies.append(note)
        checking.log("bcc", part, text, note)
    return [text]


def _strip(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    checking.log("strip", part, text, note)
    return []


def _ignore(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    return []


def _dunno(checking: Checking, part: Part, text: str, note: str) -> list[str]:
    return [text]


_ACTIONS: Mapping[str, _Act] = MappingProxyType(
    {
        "BCC": _bcc,
        "DISCARD": _discard,
        "DUNNO": _dunno,
        "FILTER": _filter,
        "HOLD": _hold,
        "IGNORE": _ignore,
        "INFO": _only_logged("info"),
        "OK": _dunno,
        "PASS": _pass,
        "PREPEND": _prepend,
        "REDIRECT": _redirect,
        "REJECT": _reject,
        "REPLACE": _replace,
        "STRIP": _strip,
        "WARN": _only_logged("warning"),
    }
)
"""Every action of header_checks(5)."""


def open_checks(settings: Settings, tables: Tables) -> Mapping[Part, Maps]:
    """The tables of every kind of check that a configuration has."""
    opened = {part: tables.maps(settings.text(part.value), title=part.value) for part in Part}
    return MappingProxyType({part: maps for part, maps in opened.items() if maps})
