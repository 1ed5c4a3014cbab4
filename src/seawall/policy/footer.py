"""smtpd_reject_footer and smtpd_reject_footer_maps: what is added to every refusal.  postconf(5), smtp_reply_footer(3)"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import lru_cache

from seawall.config.expand import expand
from seawall.config.source import ConfigTrouble
from seawall.mail.reply import Reply
from seawall.tables.search import Maps
from seawall.tables.table import TableTrouble


@dataclass(frozen=True, slots=True)
class Footer:
    """`appends`: the text follows the refusal on its line (``\\c``); else it makes lines of its own."""

    text: str
    appends: bool


@lru_cache(maxsize=100)
def compile_footer(value: str) -> Footer | None:
    """``\\n`` parts lines, a leading ``\\c`` goes on with the last one; None where there is no footer."""
    if not value:
        return None
    appends = value.startswith("\\c")
    return Footer((value[2:] if appends else value).replace("\\n", "\n"), appends)


@dataclass(frozen=True, slots=True)
class Footers:
    """The footers of a configuration: by the whole refusal from `maps`, else the one of smtpd_reject_footer.

    `safe` are the characters that a client's words may have in it.  A table that has to ask somebody else, or is in
    trouble, is passed over: a refusal waits for nobody (docs/differences.md D-38).
    """

    usual: Footer | None
    maps: Maps
    safe: frozenset[str]

    def __bool__(self) -> bool:
        return self.usual is not None or bool(self.maps)

    def add(self, reply: Reply, lookup: Callable[[str], str | None]) -> Reply:
        """The refusal with its footer; macros are those of the session (``client_address``, ``sender`` …)."""
        footer = self._of(reply)
        if footer is None:
            return reply

        def value(name: str) -> str:
            text = lookup(name) or ""
            return "".join(letter if letter in self.safe else "_" for letter in text).replace("$", "$$")

        try:
            text = expand(footer.text, value)
        except ConfigTrouble:
            return reply
        return replace(reply, text=reply.text + ("" if footer.appends else "\n") + text)

    def _of(self, reply: Reply) -> Footer | None:
        line = reply.line()
        for table in self.maps.tables:
            try:
                found = table.lookup(line)
            except TableTrouble:
                break
            if isinstance(found, str):
                return compile_footer(found)
            if isinstance(found, Coroutine):
                found.close()
        return self.usual
