"""Addresses made complete: source routes go, ``site!user`` and ``user%site`` turn, missing domains are added.

trivial-rewrite(8), postconf(5) append_at_myorigin, append_dot_mydomain, swap_bangpath, allow_percent_hack.
No table is asked, so nothing here waits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from seawall.config.settings import Settings
from seawall.mail.address import quote_local, unquote_local
from seawall.mail.rfc822 import Kind, Token, internalize, scan

AT = Token(Kind.OPERATOR, "@")
DOT = Token(Kind.OPERATOR, ".")
BANG = Token(Kind.OPERATOR, "!")
PERCENT = Token(Kind.OPERATOR, "%")
COLON = Token(Kind.OPERATOR, ":")
EMPTY = Token(Kind.QUOTED, "")

# user@host.domain without any operator: nothing to do, whatever the configuration.
_COMPLETE = re.compile(
    r"[A-Za-z0-9#$&'*+/=?^_`{}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{}~-]+)*@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+\Z"
)


class Context(Enum):
    """Whose domain completes an address: ours, or the one for strangers' headers."""

    LOCAL = "local"
    REMOTE = "remote"


def last(tokens: list[Token], operator: Token) -> int:
    """The place of the right-most `operator`, or -1."""
    for at in range(len(tokens) - 1, -1, -1):
        if tokens[at] == operator:
            return at
    return -1


def first(tokens: list[Token], operator: Token) -> int:
    """The place of the left-most `operator`, or -1."""
    return tokens.index(operator) if operator in tokens else -1


@dataclass(frozen=True, slots=True)
class Domains:
    """What a context appends: ``@origin`` to an address without ``@``, ``.domain`` to a domain without dot."""

    origin: list[Token]
    domain: list[Token]


def _origin_of(settings: Settings) -> str:
    """myorigin; Debian's Postfix lets it be the name of a file whose first line is meant (/etc/mailname)."""
    text = settings.text("myorigin")
    if not text.startswith("/"):
        return text
    try:
        lines = Path(settings.path(text)).read_text("utf-8", "surrogateescape").split()
    except OSError:
        lines = []
    return lines[0] if lines else settings.text("myhostname")


class Rewriter:
    """The rewriting rules of one configuration."""

    def __init__(self, settings: Settings) -> None:
        self.origin = _origin_of(settings)
        self.swap_bangpath = settings.flag("swap_bangpath")
        self.percent_hack = settings.flag("allow_percent_hack")
        self._append_at = settings.flag("append_at_myorigin")
        self._append_dot = settings.flag("append_dot_mydomain")
        invalid = scan(settings.text("remote_header_rewrite_domain"))
        self._domains = {
            Context.LOCAL: Domains(scan(self.origin), scan(settings.text("mydomain"))),
            Context.REMOTE: Domains(invalid, invalid),
        }

    def rewrite(self, address: str, context: Context = Context.LOCAL) -> str:
        """An address in internal form, made complete."""
        if _COMPLETE.match(address):
            return address
        return unquote_local(self.rewrite_external(quote_local(address), context))

    def rewrite_external(self, text: str, context: Context = Context.LOCAL) -> str:
        """One address in external form, made complete."""
        if not text or _COMPLETE.match(text):
            return text
        return quote_local(internalize(self.rewrite_tokens(scan(text), context)))

    def rewrite_tokens(self, tokens: list[Token], context: Context = Context.LOCAL) -> list[Token]:
        """The tokens of one address, made complete.  The empty address stays empty, and so becomes a lone ``@``."""
        if not tokens or tokens == [EMPTY]:
            return tokens
        if tokens == [AT]:
            return [EMPTY]
        if tokens[0] == AT:  # a source route
            colon = first(tokens, COLON)
            if 0 <= colon < len(tokens) - 1:
                tokens = tokens[colon + 1 :]
        domains = self._domains[context]
        if AT not in tokens:
            tokens = self._with_domain(tokens, domains)
        tokens = self._with_parent(tokens, domains)
        if len(tokens) > 1 and tokens[-1] == DOT and tokens[-2] not in (DOT, AT):
            tokens = tokens[:-1]
        return tokens

    def _with_domain(self, tokens: list[Token], domains: Domains) -> list[Token]:
        """An address without ``@``: a bang path turned, a percent sign promoted, or our origin appended."""
        bang = first(tokens, BANG) if self.swap_bangpath else -1
        if bang >= 0:
            return [*tokens[bang + 1 :], AT, *tokens[:bang]]
        percent = last(tokens, PERCENT) if self.percent_hack else -1
        if percent >= 0:
            return [*tokens[:percent], AT, *tokens[percent + 1 :]]
        if self._append_at and domains.origin:
            return [*tokens, AT, *domains.origin]
        return tokens

    def _with_parent(self, tokens: list[Token], domains: Domains) -> list[Token]:
        """``user@host`` gets ``.mydomain``; what ends in ``@`` is left alone, so that diagnostics show it as it was."""
        at = last(tokens, AT)
        if not self._append_dot or not domains.domain or at < 0 or at == len(tokens) - 1:
            return tokens
        after = tokens[at + 1 :]
        if DOT in after or any(token.kind is Kind.LITERAL for token in after):
            return tokens
        return [*tokens, DOT, *domains.domain]
