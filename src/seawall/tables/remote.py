"""What all remote tables do alike: which keys they are asked for, equal questions asked once, trouble in one shape."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence

from seawall.tables.match import StringList, read_patterns
from seawall.tables.parameters import BadParameters, Parameters
from seawall.tables.pool import Refusal, Unreachable
from seawall.tables.table import USUAL, Answer, Opening, Table, TableTrouble, Use, Warn, fold
from seawall.tables.template import BadTemplate, Parts, Templates


class _Opens:
    """An opening, as lists of patterns want it."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def open(self, spec: str, use: Use = USUAL) -> Table:
        return self._opening.open(spec, use)

    def path(self, text: str) -> str:
        return self._opening.path(text)

    def warn(self, text: str) -> None:
        self._opening.warn(text)


class RemoteTable(ABC):
    """A table whose answer has to be waited for.  `filter` lists the domains whose addresses it is asked for.

    A key that the templates or the filter rule out is answered at once: it is not there.
    """

    fixed = True
    folds = True
    texts_only = True
    """No key with bytes that are not UTF-8 is asked for, whether or not smtputf8_enable is on."""

    def __init__(self, opening: Opening, templates: Templates, domains: str = "") -> None:
        self.name = opening.name
        self._warn: Warn = opening.warn
        self._fold = opening.use.fold and self.folds
        self._utf8 = opening.use.utf8
        self._templates = templates
        self._domains: StringList | None = None
        if domains.strip():
            self._domains = StringList(read_patterns(domains, _Opens(opening), f"{opening.text}: domain"))
        self._under_way: dict[str, list[asyncio.Future[tuple[str | None] | None]]] = {}

    def lookup(self, key: str) -> Answer:
        """The value, as an awaitable; None at once where the key is none that this table can have."""
        if (self._utf8 or self.texts_only) and not is_utf8(key):
            return None
        if self._fold:
            key = fold(key)
        if self._domains is None:
            parts = self._templates.key_of(key)
            return None if parts is None else self._later(parts)
        domain = key.rpartition("@")[2] if "@" in key[1:] else ""
        if not domain:
            return None
        listed = self._domains.test(domain)
        if isinstance(listed, bool):
            parts = self._templates.key_of(key) if listed else None
            return None if parts is None else self._later(parts)
        return self._if_listed(listed, key)

    async def _if_listed(self, listed: Awaitable[bool], key: str) -> str | None:
        parts = self._templates.key_of(key) if await listed else None
        return None if parts is None else await self._later(parts)

    async def _later(self, key: Parts) -> str | None:
        """The answer.  Who asks the same meanwhile waits for the same one; where the first asker goes away, he asks."""
        while (waiting := self._under_way.get(key.whole)) is not None:
            future: asyncio.Future[tuple[str | None] | None] = asyncio.get_running_loop().create_future()
            waiting.append(future)
            answered = await future
            if answered is not None:
                return answered[0]
        self._under_way[key.whole] = waiting = []
        try:
            value = await self._ask(key)
            if value is not None and self._utf8 and not is_utf8(value):
                reason = f'non-UTF-8 value "{printable(value)}": malformed UTF-8 or invalid codepoint'
                raise Refusal(f'key "{key.whole}": {reason}')
        except BaseException as error:
            trouble = self._told(error)
            for future in waiting:
                if not future.done():
                    _pass_on(future, trouble)
            raise trouble from None
        finally:
            del self._under_way[key.whole]
        for future in waiting:
            if not future.done():
                future.set_result((value,))
        return value

    def _told(self, error: BaseException) -> BaseException:
        """What whoever asked is told: trouble in one shape, anything else as it is."""
        if isinstance(error, Unreachable):
            return TableTrouble(self.name, error.reason)
        if isinstance(error, Refusal):
            self._warn(f"{self.name}: {error}")
            return TableTrouble(self.name, str(error))
        return error

    @abstractmethod
    async def _ask(self, key: Parts) -> str | None:
        """The value.  Raises Unreachable, Refusal or TableTrouble."""

    def _joined(self, values: Sequence[str | None], key: Parts, limit: int) -> str | None:
        """Values in the result's form, with commas between.  TableTrouble where there are more than `limit` (0: any)."""
        found: list[str] = []
        for value in values:
            if value == "":
                self._warn(f'table "{self.name}": empty lookup result for: "{key.whole}" -- ignored')
            shown = self._templates.result_of(value, key) if value else None
            if shown is None:
                continue
            found.append(shown)
            if 0 < limit < len(found):
                kind, _, source = self.name.partition(":")
                reason = f"{source}: Expansion limit exceeded for key: '{key.whole}'"
                self._warn(f"dict_{kind}_lookup: {reason}")
                raise TableTrouble(self.name, reason)
        return ",".join(found) or None


def _pass_on(future: asyncio.Future[tuple[str | None] | None], error: BaseException) -> None:
    """Trouble is trouble for all; that somebody went away is his own affair."""
    if isinstance(error, TableTrouble):
        future.set_exception(TableTrouble(error.table, error.reason))
    elif not future.get_loop().is_closed():
        future.set_result(None)


def is_utf8(key: str) -> bool:
    """False for a key with bytes that are no text: no database has such."""
    if key.isascii():
        return "\0" not in key
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in key


def printable(text: str) -> str:
    """With ``?`` for what no terminal should see.  printable(3)"""
    return "".join(sign if sign.isprintable() and not "\ud800" <= sign <= "\udfff" else "?" for sign in text)


def make_templates(parameters: Parameters, questions: Sequence[str], result: str) -> Templates:
    """Raises BadParameters in Postfix's words."""
    try:
        return Templates(questions, result)
    except BadTemplate as bad:
        kind = "result" if str(bad) == result else "query"
        raise BadParameters(f"db_common_parse: {parameters.source}: Invalid {kind} template: {bad}") from None
