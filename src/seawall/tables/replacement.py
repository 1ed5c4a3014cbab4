"""The result of a pattern rule: text with ``$1``, ``${1}``, ``$(1)`` and ``$$``.  mac_parse(3)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.tables.table import Warn

_CLOSING = {"{": "}", "(": ")"}


@dataclass(frozen=True, slots=True)
class Replacement:
    """Text and the numbers of parentheses, in turn; `highest` is 0 where there are no numbers."""

    parts: tuple[str | int, ...]
    highest: int

    @property
    def literal(self) -> str:
        """The whole, where nothing is put in."""
        return "".join(part for part in self.parts if isinstance(part, str))

    def expand(self, groups: Sequence[bytes]) -> str:
        """With the matched parts put in; `groups` starts with the whole match."""
        return "".join(
            part if isinstance(part, str) else groups[part].decode("utf-8", "surrogateescape") for part in self.parts
        )


def parse_replacement(text: str, where: str, warn: Warn, out_of_range: str) -> Replacement | None:
    """None, with the warnings of Postfix, where the text cannot be used.

    `where` names the rule (``regexp map x, line 3``); `out_of_range` is how its engine spells that.
    """
    parts: list[str | int] = []
    highest = 0
    for piece in _pieces(text, warn):
        if piece is None:
            return None
        if isinstance(piece, tuple):
            name = piece[0]
            if not (name.isascii() and name.isdigit()):
                warn(f'{where}: non-numeric replacement index "{name}"')
                return None
            if not int(name[:9]) >= 1:
                warn(f'{where}: {out_of_range} replacement index "{name}"')
                return None
            parts.append(int(name[:9]))
            highest = max(highest, int(name[:9]))
        else:
            parts.append(piece)
    return Replacement(tuple(parts), highest)


def _pieces(text: str, warn: Warn) -> list[str | tuple[str] | None]:
    """Literal text, and names in tuples; None at the end where the text is broken."""
    pieces: list[str | tuple[str] | None] = []
    at = 0
    while at < len(text):
        dollar = text.find("$", at)
        if dollar < 0:
            pieces.append(text[at:])
            break
        if dollar > at:
            pieces.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            pieces.append("$")
            at = dollar + 2
            continue
        name, at = _name(text, dollar)
        if at < 0:
            warn(f'truncated macro reference: "{text}"')
            return [*pieces, None]
        if not name:
            warn(f'empty macro name: "{text}"')
            return [*pieces, None]
        pieces.append((name,))
    return pieces


def _name(text: str, dollar: int) -> tuple[str, int]:
    """The name after a dollar, and where it ends; -1 where its bracket is not closed."""
    opening = text[dollar + 1 : dollar + 2]
    closing = _CLOSING.get(opening)
    if closing is None:
        end = dollar + 1
        while end < len(text) and text[end].isascii() and (text[end].isalnum() or text[end] == "_"):
            end += 1
        return text[dollar + 1 : end], end
    depth = 0
    for at in range(dollar + 1, len(text)):
        if text[at] == opening:
            depth += 1
        elif text[at] == closing:
            depth -= 1
            if depth == 0:
                return text[dollar + 2 : at], at + 1
    return "", -1
