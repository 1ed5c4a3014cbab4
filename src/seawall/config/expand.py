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
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import idna

from seawall.config.source import BLANKS, ConfigTrouble, Location

Lookup = Callable[[str], "str | None"]

DEEPEST = 100
"""Nesting beyond this is a loop.  mac_expand(3)"""
DEEPEST_OF_ALL = 150
"""The same with conditions inside conditions, each of which Postfix counts from zero; chosen here."""
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
ANY_OPERATOR = '"==" or "!="" or "<"" or "<="" or ">="" or ">"'
"""As Postfix writes it."""
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


MALFORMED = 'malformed compatibility level syntax: "{}"'


def is_level(text: str) -> bool:
    """True for a compatibility level."""
    found = LEVEL.match(text)
    return found is not None and all(int(part) <= 1023 for part in found.groups("0")[1:])


def parse_level(text: str) -> tuple[int, int, int]:
    """A compatibility level, ``3`` or ``3.6`` or ``3.6.1``, as something that compares.  Raises ConfigTrouble."""
    found = LEVEL.match(text)
    if found is None or not is_level(text):
        raise ConfigTrouble(MALFORMED.format(text))
    major, minor, patch = (int(part) for part in found.groups("0"))
    return major, minor, patch


def compare(left: str, op: str, right: str, suffix: str) -> bool:
    """`left` op `right`; both already expanded."""
    if suffix:
        return OPERATORS[op](sign_of(parse_level(left), parse_level(right)))
    if is_digits(left) and is_digits(right):
        if max(len(left), len(right)) > 18:
            raise BadNumber(f"mac_exp_eval: bad conversion: {max(left, right, key=len)[:40]}")
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


class BadNumber(ConfigTrouble):
    """A number too long to be compared: Postfix ends on the spot."""


class ExpansionTrouble(ConfigTrouble):
    """A value that cannot be expanded; `warnings` are all that Postfix says of it, the message is the first of them."""

    def __init__(self, warnings: Sequence[str], location: Location | None = None) -> None:
        super().__init__(warnings[0], location)
        self.warnings = tuple(warnings)

    def at(self, location: Location | None) -> ConfigTrouble:
        """The same, with its place."""
        return ExpansionTrouble(self.warnings, self.location or location)


class _Stop(Exception):
    """One macro cannot be read; the text, if any, is said."""


class _Context:
    """What one text comes to: how deep its macros are nested, whether one of them failed, and the result so far."""

    __slots__ = ("failed", "level", "result")

    def __init__(self) -> None:
        self.level = 0
        self.failed = False
        self.result: list[str] = []


class Expander:
    """One expansion and its budget.

    As in mac_expand(3), a macro that cannot be read fails the whole, but what stands behind it is still looked at, and
    more may be said of it.  `scanning` looks at both sides of every condition and evaluates none.
    """

    def __init__(self, lookup: Lookup, *, scanning: bool = False) -> None:
        self.warnings: list[str] = []
        self._lookup = lookup
        self._scanning = scanning
        self._steps = self._length = self._depth = 0

    def expand(self, text: str) -> str:
        """The text with all macros replaced, again and again until none is left.  Look at `warnings` then."""
        context = _Context()
        self._parse(text, context)
        return "".join(context.result)

    def _parse(self, text: str, context: _Context) -> bool:
        """Handle the parts of a text in order; True where one failed.  mac_parse(3)"""
        failed = False
        plain: list[str] = []
        at = 0
        while (dollar := text.find("$", at)) >= 0:
            plain.append(text[at:dollar])
            at = dollar + 1
            if text.startswith("$", at):
                plain.append("$")
                at += 1
                continue
            if any(plain):
                failed |= self._literal("".join(plain), context)
            plain = []
            braced = text.startswith(("{", "("), at)
            try:
                inside, at = take_macro(text, at)
            except ConfigTrouble as trouble:
                self.warnings.append(trouble.message)
                return True
            if failed and braced:
                return True
            if not inside:
                self.warnings.append(f'empty macro name: "{text}"')
                return True
            failed |= self._macro(inside, context)
        plain.append(text[at:])
        if any(plain) and not failed:
            failed |= self._literal("".join(plain), context)
        return failed

    def _enter(self, text: str, context: _Context) -> bool:
        """True where the part is to be looked at."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise ConfigTrouble(f"the value needs more than {MOST_STEPS} macro calls")
        if context.level > DEEPEST:
            self.warnings.append(f'unreasonable macro call nesting: "{text}"')
            context.failed = True
        context.level += 1
        return not context.failed

    def _literal(self, text: str, context: _Context) -> bool:
        if not self._enter(text, context):
            return True
        if not self._scanning:
            self._length += len(text)
            if self._length > LONGEST:
                raise ConfigTrouble(f"the expanded value is longer than {LONGEST} characters")
            context.result.append(text)
        context.level -= 1
        return context.failed

    def _macro(self, inside: str, context: _Context) -> bool:
        if not self._enter(inside, context):
            return True
        self._depth += 1
        if self._depth > DEEPEST_OF_ALL:
            raise ConfigTrouble(f'unreasonable macro call nesting: "{inside[:100]}"')
        try:
            self._evaluate(inside, context)
        except _Stop as stop:
            self.warnings += stop.args
            context.failed = True
            return True
        finally:
            self._depth -= 1
        context.level -= 1
        return context.failed

    def _evaluate(self, inside: str, context: _Context) -> None:
        """Append what one macro stands for."""
        brace = opens_brace(inside, 0)
        if brace >= 0:
            value, at = self._relation(inside, brace, context)
            if at < len(inside) and inside[at] not in "?:":
                raise _Stop(f'"?" or ":" expected at: "...}}>>>{near(inside, at)}"')
            self._choose(inside, at, value, context)
            return
        found = NAME.match(inside, skip_blanks(inside, 0))
        name = found.group() if found else ""
        end = found.end() if found else 0
        if name in FUNCTIONS and inside.startswith("{", end):
            self._call(name, inside, end, context)
            return
        at = skip_blanks(inside, end)
        if at < len(inside) and inside[at] not in "?:":
            raise _Stop(f'attribute name syntax error at: "...{inside[:end]}>>>{near(inside, end)}"')
        self._choose(inside, at, self._lookup(name) or "", context)

    def _call(self, name: str, inside: str, at: int, context: _Context) -> None:
        argument, rest = self._braces(inside, at)
        if rest < len(inside):
            raise _Stop(f'unexpected input at: "...{argument}}}>>>{near(inside, rest)}"')
        within = _Context()
        context.failed |= self._parse(argument, within)
        if not context.failed and not self._scanning:
            context.result.append(FUNCTIONS[name]("".join(within.result)))

    def _relation(self, inside: str, at: int, context: _Context) -> tuple[str, int]:
        """``{a} op {b}``: its truth as the text that a macro would have, and where the text goes on."""
        left, at = self._braces(inside, at)
        start = at
        while at < len(inside) and inside[at] in OPERATOR_CHARS:
            at += 1
        op = inside[start:at]
        if op not in OPERATORS:
            raise _Stop(f'{ANY_OPERATOR} expected at: "...{left}}}>>>{near(inside, start)}"')
        begin = at
        while at < len(inside) and inside[at].isascii() and inside[at].isalnum():
            at += 1
        suffix = inside[begin:at]
        if suffix not in ("", "level"):
            raise _Stop(f'bad operator suffix at: "...{op}>>>{suffix}"')
        brace = opens_brace(inside, at)
        if brace < 0:
            raise _Stop(f'"{{expression}}" expected at: "...{{{left}}} {op}>>>{near(inside, at)}"')
        right, at = self._braces(inside, brace)
        operands = (_Context(), _Context())
        for text, operand in zip((left, right), operands, strict=True):
            context.failed |= self._parse(text, operand)
        texts = tuple("".join(operand.result) for operand in operands)
        if suffix and not self._scanning:  # also where an operand failed, as in Postfix
            malformed = next((text for text in texts if not is_level(text)), None)
            if malformed is not None:
                raise _Stop(MALFORMED.format(malformed))
        if context.failed:
            raise _Stop
        if self._scanning:
            return "", at
        return "true" if compare(texts[0], op, texts[1], suffix) else "", at

    def _choose(self, inside: str, at: int, value: str, context: _Context) -> None:
        """Append the value, or what ``?`` and ``:`` make of it in the text from `at` on.

        Without braces the rest of the text is the one result, ``?``, ``:`` and all (as before Postfix 3.0).
        """
        if at == len(inside):
            if value and not self._scanning:
                context.failed |= self._parse(value, context)
            return
        if inside[at] == "?":
            chosen, at = self._operand(inside, at + 1)
            if value or self._scanning:
                context.failed |= self._parse(chosen, context)
            if at == len(inside):
                return
            if inside[at] != ":":
                raise _Stop(f'":" expected at: "...{chosen}}}>>>{near(inside, at)}"')
        chosen, at = self._operand(inside, at + 1)
        if not value or self._scanning:
            context.failed |= self._parse(chosen, context)
        if at < len(inside):
            raise _Stop(f'unexpected input at: "...{chosen}}}>>>{near(inside, at)}"')

    def _operand(self, inside: str, at: int) -> tuple[str, int]:
        brace = opens_brace(inside, at)
        return self._braces(inside, brace) if brace >= 0 else (inside[at:], len(inside))

    @staticmethod
    def _braces(inside: str, at: int) -> tuple[str, int]:
        try:
            return take_braces(inside, at)
        except ConfigTrouble as trouble:
            raise _Stop(trouble.message) from None


def near(text: str, at: int) -> str:
    """The next twenty bytes, for a message."""
    return text[at : at + 20].encode("utf-8", "surrogateescape")[:20].decode("utf-8", "surrogateescape")


def expand(text: str, lookup: Lookup) -> str:
    """The text with all macros replaced; `lookup` gives the raw value of a name, None where there is none.

    A name without a value expands to nothing, as in Postfix.  Raises ConfigTrouble, and nothing else.
    """
    expander = Expander(lookup)
    result = expander.expand(text)
    if expander.warnings:
        raise ExpansionTrouble(expander.warnings)
    return result


def scan(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names in a text, in order, both sides of every condition looked at; and what is wrong with it.

    mac_expand(3) with MAC_EXP_FLAG_SCAN
    """
    found: dict[str, None] = {}
    expander = Expander(lambda name: found.setdefault(name), scanning=True)
    expander.expand(text)
    return tuple(found), tuple(expander.warnings)


def names_used(text: str) -> tuple[str, ...]:
    """The names in a text.  Raises ConfigTrouble."""
    names, warnings = scan(text)
    if warnings:
        raise ExpansionTrouble(warnings)
    return names
