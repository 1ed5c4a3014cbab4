"""Templates of remote tables: ``%s`` and its like in queries and results, and which keys they rule out.  db_common(3)

A key that lacks a part which any template of its table names is not asked for at all: ``%u`` of ``@example.com``,
``%d`` of ``root``, ``%3`` of ``user@example.com``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

Quote: TypeAlias = Callable[[str], str]
"""Makes a part of a key safe to stand in a query."""
LETTERS = "suSUdD123456789"
_OF_KEY = "SUD123456789"


class BadTemplate(Exception):
    """No template: a ``%`` with an unknown letter after it."""


class Macro(msgspec.Struct, frozen=True):
    """One ``%`` and its letter."""

    letter: str


Template: TypeAlias = "tuple[str | Macro, ...]"
"""Literal text and macros, in turn; no two texts side by side."""


def parse_template(text: str) -> Template:
    """Raises BadTemplate."""
    parts: list[str | Macro] = []
    literal = ""
    at = 0
    while at < len(text):
        sign = text[at]
        at += 1
        if sign != "%":
            literal += sign
            continue
        letter = text[at : at + 1]
        at += 1
        if letter == "%":
            literal += "%"
        elif letter and letter in LETTERS:
            if literal:
                parts.append(literal)
            parts.append(Macro(letter))
            literal = ""
        else:
            raise BadTemplate(text)
    if literal:
        parts.append(literal)
    return tuple(parts)


def letters_of(template: Template) -> frozenset[str]:
    """The letters of its macros."""
    return frozenset(part.letter for part in template if isinstance(part, Macro))


class Parts(msgspec.Struct, frozen=True):
    """A key, or a value, taken apart.  `user` is the whole where there is no domain; `labels` are those of the domain,
    the last one first."""

    whole: str
    user: str
    domain: str = ""
    labels: tuple[str, ...] = ()

    def of(self, letter: str) -> str:
        """What a letter stands for, in lower case or upper case."""
        if letter in "sS":
            return self.whole
        if letter in "uU":
            return self.user
        if letter in "dD":
            return self.domain
        return self.labels[int(letter) - 1]


def take_apart(text: str, *, labels: bool = True) -> Parts:
    """At the last ``@``, and the domain into its labels where they are wanted."""
    user, at, domain = text.rpartition("@")
    if not at:
        return Parts(text, text)
    return Parts(text, user, domain, tuple([label for label in domain.split(".")[::-1] if label]) if labels else ())


class Templates:
    """The templates of one table: those of the question, and that of the result (none where answers are used as they are).

    Raises BadTemplate.
    """

    __slots__ = (
        "_key_domain",
        "_key_user",
        "_labels",
        "_value_domain",
        "_value_user",
        "dynamic",
        "questions",
        "result",
    )

    def __init__(self, questions: Sequence[str], result: str = "%s") -> None:
        self.questions = tuple(map(parse_template, questions))
        self.result = parse_template(result)
        asked = frozenset[str]().union(*map(letters_of, self.questions))
        shown = letters_of(self.result)
        of_key = asked | (shown & frozenset(_OF_KEY))
        digits = [int(letter) for letter in of_key if letter.isdigit()]
        self._labels = max(digits, default=0)
        self._key_user = bool(asked & {"u"} or of_key & {"U"})
        self._key_domain = bool(asked & {"d"} or of_key & {"D"} or digits)
        self._value_user = "u" in shown
        self._value_domain = "d" in shown
        self.dynamic = tuple(bool(letters_of(question)) for question in self.questions)
        """For each question: does it depend on the key?"""

    def key_of(self, key: str) -> Parts | None:
        """The key taken apart, None where it is not to be asked for."""
        if not key:
            return None
        parts = take_apart(key, labels=self._labels > 0)
        if self._key_domain and not parts.domain:
            return None
        if self._key_user and not parts.user:
            return None
        return parts if len(parts.labels) >= self._labels else None

    def result_of(self, value: str, key: Parts) -> str | None:
        """A value as the result template has it; None where the value is empty or lacks a part."""
        if not value:
            return None
        if self.result == (_WHOLE,):
            return value
        parts = take_apart(value, labels=False)
        if self._value_domain and not parts.domain:
            return None
        if self._value_user and not parts.user:
            return None
        return "".join(
            part if isinstance(part, str) else (key if part.letter in _OF_KEY else parts).of(part.letter)
            for part in self.result
        )


_WHOLE = Macro("s")


def fill(template: Template, key: Parts, quote: Quote | None = None) -> str:
    """A question for a key, each part of the key quoted."""
    return "".join(
        part if isinstance(part, str) else (quote(key.of(part.letter)) if quote else key.of(part.letter))
        for part in template
    )
