"""$name, ${name?{yes}:{no}} and their kin in a parameter value: pure text in, text out.  postconf(5), Postfix mac_expand(3).

Forms: ``$name  $(name)  ${name}  ${name?text}  ${name:text}  ${name?{text}:{text}}  ${{a} op {b}?{text}:{text}}``
and ``$$`` for a dollar sign.  `op` is one of ``== != < <= > >=``: numeric where both sides are digits, otherwise by
bytes; with the suffix ``level`` it compares compatibility levels (``<=level``).  ``${domain_to_ascii{text}}`` and
``${domain_to_utf8{text}}`` convert domain names.

What Postfix would never come back from (a chain that doubles at every step) is trouble here: an expansion has a budget
(docs/differences.md D-8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import idna

from seawall.config.source import BLANKS, ConfigTrouble

Lookup = Callable[[str], "str | None"]

DEEPEST = 100
"""Nesting beyond this is a loop.  mac_expand(3)"""
LONGEST = 1 << 20
"""Characters that one value may grow to; chosen here, far beyond any real list."""
MOST_STEPS = 100_000
"""Macro calls in one value; chosen here, so that a value that doubles at every step ends too."""

OPERATORS: Mapping[str, Callable[[int], bool]] = MappingProxyType(
    {
        # of the sign of (left - right)
        "==": lambda sign: sign == 0,
        "!=": lambda sign: sign != 0,
        "<": lambda sign: sign < 0,
        "<=": lambda sign: sign <= 0,
        ">=": lambda sign: sign >= 0,
        ">": lambda sign: sign > 0,
    }
)
ANY_OPERATOR = " or ".join(f'"{name}"' for name in OPERATORS)
OPERATOR_CHARS = "<>!=?+-*/~&|%"
LEVEL = re.compile(r"(\d{1,10})(?:\.(\d{1,9})(?:\.(\d{1,9}))?)?\Z", re.ASCII)
NAME = re.compile(r"[A-Za-z0-9_]*")


def domain_to_ascii(text: str) -> str:
    """The A-label form of a domain name; empty where it has none, as Postfix's conversion gives."""
    try:
        return text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return ""


def domain_to_utf8(text: str) -> str:
    """The U-label form of a domain name; empty where it has none."""
    try:
        return idna.decode(text) if "xn--" in text.lower() else text
    except (idna.IDNAError, UnicodeError):
        return ""


FUNCTIONS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"domain_to_ascii": domain_to_ascii, "domain_to_utf8": domain_to_utf8}
)


def parse_level(text: str) -> tuple[int, int, int]:
    """A compatibility level, ``3`` or ``3.6`` or ``3.6.1``, as something that compares.  Raises ConfigTrouble."""
    found = LEVEL.match(text)
    if found is None or any(int(part) > 1023 for part in found.groups("0")[1:]):
        raise ConfigTrouble(f'malformed compatibility level syntax: "{text}"')
    major, minor, patch = (int(part) for part in found.groups("0"))
    return major, minor, patch


def compare(left: str, op: str, right: str, suffix: str) -> bool:
    """`left` op `right`; both already expanded."""
    if suffix:
        return OPERATORS[op](sign_of(parse_level(left), parse_level(right)))
    if is_digits(left) and is_digits(right):
        if max(len(left), len(right)) > 18:
            raise ConfigTrouble(f"bad conversion: {max(left, right, key=len)[:40]}")
        return OPERATORS[op](int(left) - int(right))
    return OPERATORS[op](sign_of(left.encode("utf-8", "surrogateescape"), right.encode("utf-8", "surrogateescape")))


def sign_of(left: tuple[int, ...] | bytes, right: tuple[int, ...] | bytes) -> int:
    """-1, 0 or 1: how `left` stands to `right`, two of a kind."""
    return (tuple(left) > tuple(right)) - (tuple(left) < tuple(right))


def is_digits(text: str) -> bool:
    """True for one or more of 0-9 and nothing else."""
    return text.isascii() and text.isdigit()


def take_braces(text: str, at: int) -> tuple[str, int]:
    """The inside of the balanced braces that open at `at`, and where the text goes on after the blanks behind them."""
    level = 0
    for end in range(at, len(text)):
        if text[end] == "{":
            level += 1
        elif text[end] == "}":
            level -= 1
            if level == 0:
                return text[at + 1 : end], skip_blanks(text, end + 1)
    raise ConfigTrouble(f'unbalanced {{}} in attribute expression: "{text[at:]}"')


def skip_blanks(text: str, at: int) -> int:
    """The first place from `at` on that is not white space."""
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def opens_brace(text: str, at: int) -> int:
    """Where ``{`` stands if it comes next after blanks, otherwise -1."""
    at = skip_blanks(text, at)
    return at if text.startswith("{", at) else -1


def split_macros(text: str) -> list[tuple[bool, str]]:
    """The parts of a value in order: (True, inside of a macro) or (False, plain text).  mac_parse(3)"""
    parts: list[tuple[bool, str]] = []
    plain: list[str] = []
    at = 0
    while at < len(text):
        next_dollar = text.find("$", at)
        if next_dollar < 0:
            plain.append(text[at:])
            break
        plain.append(text[at:next_dollar])
        at = next_dollar + 1
        if text.startswith("$", at):
            plain.append("$")
            at += 1
            continue
        if any(plain):
            parts.append((False, "".join(plain)))
        plain = []
        inside, at = take_macro(text, at)
        if not inside:
            raise ConfigTrouble(f'empty macro name: "{text}"')
        parts.append((True, inside))
    if any(plain):
        parts.append((False, "".join(plain)))
    return parts


def take_macro(text: str, at: int) -> tuple[str, int]:
    """The inside of the macro whose ``$`` stands before `at`, and where the text goes on."""
    for opening, closing in ("()", "{}"):
        if text.startswith(opening, at):
            level = 1
            for end in range(at + 1, len(text)):
                level += (text[end] == opening) - (text[end] == closing)
                if level == 0:
                    return text[at + 1 : end], end + 1
            raise ConfigTrouble(f'truncated macro reference: "{text}"')
    found = NAME.match(text, at)
    end = found.end() if found else at
    return text[at:end], end


class Expander:
    """One expansion and its budget."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._steps = 0
        self._length = 0

    def expand(self, text: str, depth: int = 0) -> str:
        """The text with all macros replaced, again and again until none is left.  Raises ConfigTrouble."""
        if depth > DEEPEST:
            raise ConfigTrouble(f'unreasonable macro call nesting: "{text[:100]}"')
        if "$" not in text:
            return self._count(text)
        return "".join(
            self._macro(part, depth) if is_macro else self._count(part) for is_macro, part in split_macros(text)
        )

    def _count(self, text: str) -> str:
        self._length += len(text)
        if self._length > LONGEST:
            raise ConfigTrouble(f"the expanded value is longer than {LONGEST} characters")
        return text

    def _macro(self, inside: str, depth: int) -> str:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise ConfigTrouble(f"the value needs more than {MOST_STEPS} macro calls")
        brace = opens_brace(inside, 0)
        if brace >= 0:
            value, at = self._relation(inside, brace, depth)
            if at < len(inside) and inside[at] not in "?:":
                raise ConfigTrouble(f'"?" or ":" expected at: "...}}>>>{inside[at : at + 20]}"')
            return self._choose(inside, at, value, depth) if at < len(inside) else self._count(value)
        found = NAME.match(inside, skip_blanks(inside, 0))
        name = found.group() if found else ""
        end = found.end() if found else 0
        at = skip_blanks(inside, end)
        if name in FUNCTIONS and inside.startswith("{", end):
            return self._call(name, inside, end, depth)
        if at < len(inside) and inside[at] not in "?:":
            raise ConfigTrouble(f'attribute name syntax error at: "...{inside[:end]}>>>{inside[end : end + 20]}"')
        looked_up = self._lookup(name)
        if at < len(inside):
            return self._choose(inside, at, looked_up or "", depth)
        return self.expand(looked_up, depth + 1) if looked_up else ""

    def _call(self, name: str, inside: str, at: int, depth: int) -> str:
        argument, rest = take_braces(inside, at)
        if rest < len(inside):
            raise ConfigTrouble(f'unexpected input at: "...{argument}}}>>>{inside[rest : rest + 20]}"')
        return self._count(FUNCTIONS[name](self.expand(argument, depth + 1)))

    def _relation(self, inside: str, at: int, depth: int) -> tuple[str, int]:
        """``{a} op {b}``: its truth as the text that a macro would have, and where the text goes on."""
        left, at = take_braces(inside, at)
        start = at
        while at < len(inside) and inside[at] in OPERATOR_CHARS:
            at += 1
        op = inside[start:at]
        if op not in OPERATORS:
            raise ConfigTrouble(f'{ANY_OPERATOR} expected at: "...{left}}}>>>{inside[start : start + 20]}"')
        begin = at
        while at < len(inside) and inside[at].isascii() and inside[at].isalnum():
            at += 1
        suffix = inside[begin:at]
        if suffix not in ("", "level"):
            raise ConfigTrouble(f'bad operator suffix at: "...{op}>>>{suffix}"')
        brace = opens_brace(inside, at)
        if brace < 0:
            raise ConfigTrouble(f'"{{expression}}" expected at: "...{{{left}}} {op}>>>{inside[at : at + 20]}"')
        right, at = take_braces(inside, brace)
        truth = compare(self.expand(left, depth + 1), op, self.expand(right, depth + 1), suffix)
        return "true" if truth else "", at

    def _choose(self, inside: str, at: int, value: str, depth: int) -> str:
        """What ``?`` and ``:`` leave of the text from `at` on.

        Without braces the rest of the text is the one result, ``?``, ``:`` and all (as before Postfix 3.0).
        """
        result = ""
        if inside[at] == "?":
            chosen, at = self._operand(inside, at + 1)
            if value:
                result = self.expand(chosen, depth + 1)
            if at == len(inside):
                return result
            if inside[at] != ":":
                raise ConfigTrouble(f'":" expected at: "...{chosen}}}>>>{inside[at : at + 20]}"')
        chosen, at = self._operand(inside, at + 1)
        if at < len(inside):
            raise ConfigTrouble(f'unexpected input at: "...{chosen}}}>>>{inside[at : at + 20]}"')
        return result if value else self.expand(chosen, depth + 1)

    @staticmethod
    def _operand(inside: str, at: int) -> tuple[str, int]:
        brace = opens_brace(inside, at)
        return take_braces(inside, brace) if brace >= 0 else (inside[at:], len(inside))


def expand(text: str, lookup: Lookup) -> str:
    """The text with all macros replaced; `lookup` gives the raw value of a name, None where there is none.

    A name without a value expands to nothing, as in Postfix.  Raises ConfigTrouble, and nothing else.
    """
    return Expander(lookup).expand(text)


def names_used(text: str) -> tuple[str, ...]:
    """The names in a text, in order, both sides of every condition looked at.  Raises ConfigTrouble.

    mac_expand(3) with MAC_EXP_FLAG_SCAN
    """
    found: dict[str, None] = {}
    scan(text, found, 0)
    return tuple(found)


def scan(text: str, found: dict[str, None], depth: int) -> None:
    """Add the names in a text to `found`."""
    if depth > DEEPEST:
        raise ConfigTrouble(f'unreasonable macro call nesting: "{text[:100]}"')
    if "$" not in text:
        return
    for is_macro, inside in split_macros(text):
        if is_macro:
            for operand in scan_macro(inside, found):
                scan(operand, found, depth + 1)


def scan_macro(inside: str, found: dict[str, None]) -> list[str]:
    """Add the name of one macro to `found`; the texts in it that may hold further macros."""
    operands: list[str] = []
    at = opens_brace(inside, 0)
    if at >= 0:
        left, at = take_braces(inside, at)
        at = inside.find("{", at)
        if at < 0:
            raise ConfigTrouble(f'"{{expression}}" expected at: "...{{{left}}}>>>"')
        right, at = take_braces(inside, at)
        operands += [left, right]
    else:
        matched = NAME.match(inside, skip_blanks(inside, 0))
        name = matched.group() if matched else ""
        at = matched.end() if matched else 0
        if name in FUNCTIONS and inside.startswith("{", at):
            argument, at = take_braces(inside, at)
            return [argument]
        at = skip_blanks(inside, at)
        if at < len(inside) and inside[at] not in "?:":
            raise ConfigTrouble(f'attribute name syntax error at: "...{inside[:at]}>>>{inside[at : at + 20]}"')
        found[name] = None
    while at < len(inside) and inside[at] in "?:":
        brace = opens_brace(inside, at + 1)
        if brace < 0:
            operands.append(inside[at + 1 :])
            break
        operand, at = take_braces(inside, brace)
        operands.append(operand)
    return operands
