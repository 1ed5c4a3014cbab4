"""Texts that an expression matches: enough of them that each of its ways is tried, and which letters were free.

Reads what regexp_table(5) and pcre_table(5) have in common.  What it does not know (look-around, back references)
it leaves out: whoever asks for samples tries them against the table, and knows then whether they are any.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from typing import NamedTuple, TypeAlias

MOST = 64
"""Samples of one expression."""
FILLER = "stranger"
"""What stands where an expression leaves all letters free, as long as it may be."""
CLASSES = {
    "alpha": "x", "digit": "7", "alnum": "x", "upper": "X", "lower": "x", "space": " ", "punct": "-", "xdigit": "7",
    "blank": " ", "print": "x", "graph": "x", "cntrl": "\t",
}  # fmt: skip
ESCAPES = {"d": "7", "w": "x", "s": " ", "D": "x", "W": "-", "S": "x", "h": " ", "t": "\t", "N": "x", "R": "\n"}
ASSERTIONS = frozenset("bBAzZG<>")
OPENERS = ("?:", "?i:", "?>", "?s:", "?m:", "?x:", "?-i:")
LOOKING = ("?=", "?!", "?<=", "?<!")


class Sample(NamedTuple):
    """A text; `free` is as long, with ``*`` for every letter that the expression does not name."""

    text: str
    free: str

    def __add__(self, other: object) -> Sample:
        if not isinstance(other, Sample):
            return NotImplemented
        return Sample(self.text + other.text, self.free + other.free)


EMPTY = Sample("", "")
Ways: TypeAlias = tuple[Sample, ...]


def literal(text: str) -> Sample:
    """A text that is named."""
    return Sample(text, "." * len(text))


def wild(text: str) -> Sample:
    """A text that could be any other."""
    return Sample(text, "*" * len(text))


def samples(expression: str) -> Ways:
    """Texts that match, as far as can be told; none for an expression that cannot be read."""
    try:
        return _Reader(expression).read()
    except (IndexError, ValueError):
        return ()


def _joined(parts: list[Ways]) -> Ways:
    """One way of each part after the other: all combinations, the plain ones first, up to the limit."""
    texts = (sum_of(choice) for choice in product(*parts))
    return tuple(dict.fromkeys(islice(texts, MOST)))


def sum_of(choice: tuple[Sample, ...]) -> Sample:
    """Samples put together."""
    return Sample("".join(one.text for one in choice), "".join(one.free for one in choice))


class _Reader:
    """Goes through an expression once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._is_any = False
        """True after an atom that a whole word may stand for, when it is repeated."""

    def read(self) -> Ways:
        """All of it; a parenthesis too many is a letter."""
        ways = self._branches()
        while self._at < len(self._text):
            self._at += 1
            ways = _joined([ways, (literal(")"),), self._branches()])
        return ways[:MOST]

    def _branches(self) -> Ways:
        found: list[Sample] = []
        while True:
            found.extend(self._sequence())
            if self._peek() != "|":
                return tuple(dict.fromkeys(found))[:MOST]
            self._at += 1

    def _sequence(self) -> Ways:
        parts: list[Ways] = []
        while self._peek() not in ("", "|", ")"):
            atom = self._atom()
            parts.append(self._repeated(atom))
        return _joined(parts)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        letter = self._text[self._at]
        self._at += 1
        return letter

    def _atom(self) -> Ways:
        letter = self._next()
        self._is_any = letter == "."
        match letter:
            case "(":
                return self._group()
            case "[":
                return (self._bracket(),)
            case ".":
                return (wild("x"),)
            case "^" | "$":
                return (EMPTY,)
            case "\\":
                return self._escaped(self._next())
            case _:
                return (literal(letter),)

    def _escaped(self, letter: str) -> Ways:
        if letter in ASSERTIONS:
            return (EMPTY,)
        if letter in ESCAPES:
            return (wild(ESCAPES[letter]),)
        return (literal(letter),)

    def _group(self) -> Ways:
        looks = self._text.startswith(LOOKING, self._at)
        for opener in (*OPENERS, *LOOKING):
            if self._text.startswith(opener, self._at):
                self._at += len(opener)
                break
        else:
            if self._text.startswith("?", self._at):
                end = self._text.index(")", self._at)
                if ":" not in self._text[self._at : end] and "<" not in self._text[self._at : end]:  # (?i)
                    self._at = end + 1
                    return (EMPTY,)
                self._at = min(at for sign in ":>" if (at := self._text.find(sign, self._at)) >= 0) + 1
        ways = self._branches()
        self._next()
        self._is_any = False
        return (EMPTY,) if looks else ways

    def _bracket(self) -> Sample:
        """One letter out of ``[…]``: the usual ones first."""
        start = self._at
        negated = self._peek() == "^"
        self._at += negated
        letters = ""
        while self._peek() != "]" or self._at == start + negated:
            if self._text.startswith("[:", self._at):
                end = self._text.index(":]", self._at)
                letters += CLASSES.get(self._text[self._at + 2 : end], "")
                self._at = end + 2
                continue
            low = self._next()
            if low == "\\" and self._peek() in ESCAPES:
                letters += ESCAPES[self._next()]
                continue
            if low == "\\" and self._peek() in ("]", "\\", ".", "-", "@", "/"):
                low = self._next()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._next()
                letters += "".join(map(chr, range(ord(low), min(ord(high), ord(low) + 128) + 1)))
            else:
                letters += low
        self._at += 1
        named = set(letters)
        if negated:
            letters = "".join(letter for letter in "xs7-. @Q" if letter not in letters)
        self._is_any = set(FILLER) <= set(letters) or (negated and not set(FILLER) & named)
        for usual in "xXas71":
            if usual in letters:
                return wild(usual)
        return wild(letters[0])

    def _repeated(self, ways: Ways) -> Ways:
        """What follows an atom: ``*``, ``+``, ``?``, ``{low,high}``."""
        while (sign := self._peek()) and sign in "*+?{":
            low, high = 0, 1
            self._at += 1
            match sign:
                case "*":
                    low, high = 0, len(FILLER)
                case "+":
                    low, high = 1, len(FILLER)
                case "{":
                    end = self._text.find("}", self._at)
                    bounds = self._text[self._at : end].split(",") if end >= 0 else []
                    if not bounds or not bounds[0].isdigit():
                        return _joined([ways, (literal("{"),)])
                    self._at = end + 1
                    low = int(bounds[0])
                    high = low if len(bounds) == 1 else int(bounds[1] or low + 8)
            if self._peek() in ("?", "+"):
                self._at += 1  # lazy, possessive
            ways = tuple(_times(ways, min(low, 64), min(high, 64), is_any=self._is_any))
            self._is_any = False
        return ways


def _times(ways: Ways, low: int, high: int, *, is_any: bool) -> Iterator[Sample]:
    """Some repetitions: a word where any letter will do, else as few as may be, one more, and none."""
    if is_any and high >= len(FILLER) >= low:
        yield wild(FILLER)
    for count in dict.fromkeys((max(low, 1) if high else 0, low, min(low + 1, high), min(2, high) if low < 2 else low)):
        if low <= count <= high:
            for way in ways if count else (EMPTY,):
                yield Sample(way.text * count, way.free * count)
