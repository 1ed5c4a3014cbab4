"""Many expressions asked as one: most keys match no rule of a table, and one look by the C library can tell.

Neighbouring rules ``/a/``, ``/b/`` get a guard ``(a)|(b)`` before them.  Where that matches nothing, none of them would;
where it matches, they are asked in turn as ever.  Only expressions whose meaning in parentheses is beyond doubt take part.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from seawall.linux import regexp
from seawall.tables.rules import Builder, Step

MOST = 50
"""Expressions behind one guard, ours: the C library builds one automaton for all of them."""
LONGEST = 4096
"""Characters of them, ours."""
_PIECE = re.compile(
    r"\\[^A-Za-z0-9]"  # an escaped special character
    r"|\[\^?\]?(?:\[:[a-z]+:\]|[^\]\[\\])*\]"  # a bracket expression without oddities
    r"|[^\\\[\](){}*+?]"  # a character, an anchor, a dot, a bar
    r"|[()]|[*+?]|\{\d+(?:,\d*)?\}"
)
_REPEAT = "*+?{"
_NOTHING_BEFORE = "(|^"


def is_tame(text: str) -> bool:
    """True for an expression that means the same inside parentheses: all of them closed, no reference back."""
    depth, at, before = 0, 0, "("
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            return False
        letter = text[at]
        if letter in _REPEAT and (before in _NOTHING_BEFORE or before in _REPEAT):
            return False
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
            if depth < 0:
                return False
        at, before = piece.end(), letter
    return depth == 0 and bool(text)


class Together:
    """Guards for the rules of one table, as they are read."""

    def __init__(self, builder: Builder[bytes]) -> None:
        self._builder = builder
        self._guard: Step[bytes] | None = None
        self._texts: list[str] = []
        self._groups = 0
        self._length = 0

    def add(self, line: int, text: str, groups: int) -> None:
        """The next rule answers only where `text` matches.  An empty text stands for a rule without a guard."""
        if not is_tame(text):
            self.end()
            return
        if len(self._texts) == MOST or self._length + len(text) > LONGEST:
            self.end()
        if self._guard is None:
            self._guard = self._builder.open_guard(line)
        self._texts.append(text)
        self._groups += groups + 1
        self._length += len(text)

    def end(self) -> None:
        """No more rules behind the guard."""
        guard, texts, groups = self._guard, self._texts, self._groups
        self._guard, self._texts, self._groups, self._length = None, [], 0, 0
        if guard is None or len(texts) == 1:
            return
        holds = _any_of(texts, groups)
        if holds is not None:
            self._builder.close_guard(guard, holds)


def _any_of(texts: list[str], groups: int) -> Callable[[bytes], bool] | None:
    """Does any of the expressions match?  None where the library does not take them as one."""
    whole = "|".join(f"({text})" for text in texts).encode("utf-8", "surrogateescape")
    try:
        one = regexp.Regexp(whole, regexp.EXTENDED | regexp.ICASE | regexp.NOSUB)
    except regexp.RegexpTrouble:
        return None
    if one.groups != groups:
        return None
    matches = one.matches

    def holds(subject: bytes) -> bool:
        try:
            return matches(subject)
        except regexp.RegexpTrouble:
            return True  # then each is asked for itself, and says what is wrong

    return holds
