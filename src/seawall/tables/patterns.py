"""regexp: and pcre: tables: expressions in order, the first that matches answers.  regexp_table(5), pcre_table(5)"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import pcre2
from pcre2 import _cy

from seawall.config.source import BLANKS, LogicalLine
from seawall.linux import regexp
from seawall.tables.replacement import Replacement, parse_replacement
from seawall.tables.rules import Builder, ResultOf, Step, Unreadable, is_word, open_rules, run, starts_with_letter
from seawall.tables.table import Opening, Table, Use, Warn
from seawall.tables.threads import in_thread
from seawall.tables.together import Together
from seawall.tables.watched import Find

_ANCHORED, _DOLLAR_ENDONLY, _UNGREEDY, _UCP = 0x80000000, 0x10, 0x40000, 0x20000
"""Options of pcre2.h that the package does not name, and those that it sets by itself."""


class Expression(Protocol):
    """A compiled expression."""

    @property
    def groups(self) -> int:
        """How many parentheses it has."""
        ...

    def matches(self, subject: bytes) -> bool:
        """Does it match anywhere?  Gave_up where the engine did."""
        ...

    def search(self, subject: bytes) -> Sequence[bytes] | None:
        """The whole match and its parentheses."""
        ...


class GaveUp(Exception):
    """The engine could not finish; the text is its own."""


class _Skipped(Exception):
    """A rule is left out; the warning was given."""


class _Posix:
    """An expression of the C library."""

    __slots__ = ("_regexp", "groups")

    def __init__(self, text: str, flags: int, use: Use) -> None:
        self._regexp = regexp.Regexp(text.encode("utf-8", "surrogateescape"), flags)
        self.groups = self._regexp.groups

    def matches(self, subject: bytes) -> bool:
        try:
            return self._regexp.matches(subject)
        except regexp.RegexpTrouble as trouble:
            raise GaveUp(str(trouble)) from None

    def search(self, subject: bytes) -> Sequence[bytes] | None:
        try:
            return self._regexp.search(subject)
        except regexp.RegexpTrouble as trouble:
            raise GaveUp(str(trouble)) from None


class _Perl:
    """An expression of PCRE2, with its match limit."""

    __slots__ = ("_pattern", "groups")

    def __init__(self, text: str, flags: int, use: Use) -> None:
        self._pattern = _perl_pattern(text.encode("utf-8", "surrogateescape"), flags)
        self.groups: int = self._pattern.groups

    def matches(self, subject: bytes) -> bool:
        return self._match(subject) is not None

    def search(self, subject: bytes) -> Sequence[bytes] | None:
        found = self._match(subject)
        return None if found is None else (found.group(), *found.groups(default=b""))

    def _match(self, subject: bytes) -> pcre2.Match[bytes] | None:
        try:
            return self._pattern.search(subject)
        except pcre2.LibraryError as trouble:
            raise GaveUp(str(trouble)) from None


def _perl_pattern(text: bytes, options: int) -> pcre2.Pattern[bytes]:
    """Compiled with exactly these options: the package's own way in drops those that `re` does not have."""
    code = _cy.compile(text, options, _UCP)
    with contextlib.suppress(pcre2.LibraryError):  # machines without it match more slowly
        _cy.jit_compile(code)
    return pcre2.Pattern(code, text, options, True, None)


def _compile_posix(text: str, flags: int, use: Use) -> Expression:
    try:
        return _Posix(text, flags, use)
    except regexp.RegexpTrouble as trouble:
        raise GaveUp(str(trouble)) from None


def _compile_perl(text: str, flags: int, use: Use) -> Expression:
    try:
        return _Perl(text, flags, use)
    except pcre2.PatternError as trouble:
        words = str(trouble).partition("; ")[2] or str(trouble)
        raise GaveUp(f"error in regex at offset {trouble.pos}: {words}") from None
    except pcre2.LibraryError as trouble:
        raise GaveUp(str(trouble)) from None


@dataclass(frozen=True, slots=True)
class Engine:
    """What differs between the two kinds of table."""

    name: str
    compile: Callable[[str, int, Use], Expression]
    options: Mapping[str, int]
    """The letters after the closing delimiter; each turns a flag over."""
    flags: int
    """On from the start."""
    obsolete: str
    two_patterns: bool
    """``/one/!/other/``: matches the first and not the second."""
    unclosed: str
    out_of_range: str


POSIX = Engine(
    "regexp",
    _compile_posix,
    {"i": regexp.ICASE, "m": regexp.NEWLINE, "x": regexp.EXTENDED},
    regexp.EXTENDED | regexp.ICASE,
    "",
    True,
    "skipping this rule",
    "out-of-range",
)
PERL = Engine(
    "pcre",
    _compile_perl,
    {
        "i": int(pcre2.IGNORECASE),
        "m": int(pcre2.MULTILINE),
        "s": int(pcre2.DOTALL),
        "x": int(pcre2.VERBOSE),
        "A": _ANCHORED,
        "E": _DOLLAR_ENDONLY,
        "U": _UNGREEDY,
    },
    int(pcre2.IGNORECASE | pcre2.DOTALL),
    "X",
    False,
    "ignoring this rule",
    "out of range",
)

_BACK_REFERENCE = re.compile(r"(?:[^\\]|^)(?:\\\\)*\\[1-9]")
"""What makes the C library try without end; PCRE2 has a limit."""
Answer: TypeAlias = Callable[[bytes], "str | None"]


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One ``!/expression/flags``, not compiled yet."""

    text: str
    flags: int
    positive: bool


class _Compiler:
    """Reads the rules of one table."""

    def __init__(self, engine: Engine, name: str, use: Use, warn: Warn, result_of: ResultOf) -> None:
        self.engine, self.use, self.warn, self._result_of = engine, use, warn, result_of
        self.builder: Builder[bytes] = Builder()
        self.is_unbounded = False
        self._name = name
        self._together = Together(self.builder)

    def where(self, line: int) -> str:
        """How warnings name a rule."""
        return f"{self.engine.name} map {self._name}, line {line}"

    def skip(self, line: int, reason: str) -> _Skipped:
        """Warn, and leave the rule out."""
        self.warn(f"{self.where(line)}: {reason}")
        return _Skipped()

    def rule(self, line: LogicalLine) -> None:
        """One line of the table."""
        text, number = line.text.rstrip(BLANKS), line.first
        if not starts_with_letter(text):
            self._answering(text, number)
        elif is_word(text, "if"):
            self._if(text[2:].lstrip(BLANKS), number)
        elif is_word(text, "endif"):
            if not self.builder.depth:
                raise self.skip(number, "ignoring ENDIF without matching IF")
            if text[5:].strip(BLANKS):
                self.warn(f"{self.where(number)}: ignoring extra text after ENDIF")
            self._together.end()
            self.builder.close_if()
        else:
            raise self.skip(number, "ignoring unrecognized request")

    def finish(self) -> tuple[Step[bytes], ...]:
        """All steps; warns of each ``if`` that was never closed."""
        self._together.end()
        steps, unclosed = self.builder.finish()
        for number in unclosed:
            self.warn(f"{self.where(number)}: IF has no matching ENDIF")
        return steps

    def _if(self, text: str, number: int) -> None:
        pattern, rest = self._pattern(text, number)
        if rest.strip(BLANKS):
            extra = rest.lstrip(BLANKS)
            self.warn(f'{self.where(number)}: ignoring extra text after IF statement: "{extra}"')
            self.warn(f"{self.where(number)}: do not prepend whitespace to statements between IF and ENDIF")
        test = self._test(pattern, number)
        self._together.end()
        self.builder.open_if(number, test)

    def _answering(self, text: str, number: int) -> None:
        first, rest = self._pattern(text, number)
        second = None
        if self.engine.two_patterns and rest.startswith("!"):
            second, rest = self._pattern(rest, number)
        result = rest.lstrip(BLANKS)
        where = self.where(number)
        if not result:
            self.warn(f"{where}: no replacement text: using empty string")
        try:
            content = self._result_of(result) if self.use.files else None
        except Unreadable as trouble:
            raise self.skip(number, f"{trouble}: skipping this rule") from None
        if content is None:
            replacement = parse_replacement(result, where, self.warn, self.engine.out_of_range)
        else:
            replacement = Replacement((content,), 0)
        if replacement is None:
            raise self.skip(number, "bad replacement syntax: skipping this rule")
        highest = replacement.highest
        if highest and not first.positive:
            raise self.skip(number, "$number found in negative match replacement text: skipping this rule")
        if highest and not self.use.substitute:
            raise self.skip(number, "regular expression substitution is not allowed: skipping this rule")
        expression = self._expression(first, number, captures=highest > 0)
        if highest > expression.groups:
            raise self.skip(number, f'out of range replacement index "{highest}": skipping this rule')
        unless = self._test(second, number) if second is not None else None
        usual = self.engine is POSIX and first.positive and first.flags == POSIX.flags
        self._together.add(number, first.text if usual else "", expression.groups)
        if highest:
            expand = replacement.expand
            self.builder.add_answer(number, self._expanding(expression, unless, expand, number))
        else:
            test = self._positive(expression, first.positive, number)
            literal = replacement.literal
            self.builder.add_answer(number, _plain(test, unless, literal))

    def _expanding(
        self,
        expression: Expression,
        also: Callable[[bytes], bool] | None,
        expand: Callable[[Sequence[bytes]], str],
        number: int,
    ) -> Answer:
        search, report = expression.search, self._report

        def answer(key: bytes) -> str | None:
            try:
                groups = search(key)
            except GaveUp as trouble:
                report(number, trouble)
                return None
            if groups is None or (also is not None and not also(key)):
                return None
            return expand(groups)

        return answer

    def _test(self, pattern: _Pattern, number: int) -> Callable[[bytes], bool]:
        return self._positive(self._expression(pattern, number, captures=False), pattern.positive, number)

    def _positive(self, expression: Expression, positive: bool, number: int) -> Callable[[bytes], bool]:
        """A rule whose engine gives up does not match, whether it stands after ``!`` or not."""
        matches, report = expression.matches, self._report

        def test(key: bytes) -> bool:
            try:
                return matches(key) is positive
            except GaveUp as trouble:
                report(number, trouble)
                return False

        return test

    def _report(self, number: int, trouble: GaveUp) -> None:
        self.warn(f"{self.where(number)}: {trouble}")

    def _expression(self, pattern: _Pattern, number: int, *, captures: bool) -> Expression:
        flags = pattern.flags
        if self.engine is POSIX:
            self.is_unbounded |= _BACK_REFERENCE.search(pattern.text) is not None
            flags |= 0 if captures else regexp.NOSUB
        try:
            return self.engine.compile(pattern.text, flags, self.use)
        except GaveUp as trouble:
            raise self.skip(number, str(trouble)) from None

    def _pattern(self, text: str, number: int) -> tuple[_Pattern, str]:
        """``!/expression/flags`` at the start of `text`, and what follows it."""
        letters = _letters(text)
        body = letters.lstrip("!" + BLANKS)
        positive = letters[: len(letters) - len(body)].count("!") % 2 == 0
        if not body:
            raise self.skip(number, "no regexp: skipping this rule")
        end = _closing(body)
        if end is None and self.engine.two_patterns and _ends_in_escape(body):
            end = len(body) - 1  # as regexp_table(5) has it, unlike pcre_table(5)
        if end is None:
            raise self.skip(number, f'no closing regexp delimiter "{_text(body[0])}": {self.engine.unclosed}')
        flags = self.engine.flags
        at = end + 1
        while at < len(body) and body[at] not in BLANKS and not (self.engine.two_patterns and body[at] == "!"):
            letter = body[at]
            if letter in self.engine.options:
                flags ^= self.engine.options[letter]
            elif letter in self.engine.obsolete:
                self.warn(f'{self.where(number)}: ignoring obsolete regexp option "{letter}"')
            else:
                raise self.skip(number, f'unknown regexp option "{_text(letter)}": skipping this rule')
            at += 1
        return _Pattern(_text(body[1:end]), flags, positive), _text(body[at:])


def _letters(text: str) -> str:
    """Each byte of the text a letter: a delimiter is one byte."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _text(letters: str) -> str:
    """Back again."""
    return letters if letters.isascii() else letters.encode("latin-1").decode("utf-8", "surrogateescape")


def _closing(body: str) -> int | None:
    """Where the delimiter that opens `body` comes again, not after a backslash."""
    at = 1
    while at < len(body):
        if body[at] == "\\":
            at += 1
        elif body[at] == body[0]:
            return at
        at += 1
    return None


def _ends_in_escape(body: str) -> bool:
    """True where the last character is a backslash that escapes nothing."""
    rest = body[1:]
    return (len(rest) - len(rest.rstrip("\\"))) % 2 == 1


def _plain(test: Callable[[bytes], bool], also: Callable[[bytes], bool] | None, result: str) -> Answer:
    if also is None:
        return lambda key: result if test(key) else None
    return lambda key: result if test(key) and also(key) else None


def _compile(
    engine: Engine, lines: Iterator[LogicalLine], name: str, use: Use, warn: Warn, result_of: ResultOf
) -> Find:
    compiler = _Compiler(engine, name, use, warn, result_of)
    for line in lines:
        try:
            compiler.rule(line)
        except _Skipped:
            continue
    steps = compiler.finish()

    def find(key: str) -> str | None:
        return run(steps, key.encode("utf-8", "surrogateescape"))

    if compiler.is_unbounded:
        return lambda key: in_thread(find, key, f"{engine.name}:{name}")
    return find


def compile_regexp(lines: Iterator[LogicalLine], name: str, use: Use, warn: Warn, result_of: ResultOf = str) -> Find:
    """The look-up function of a regexp: table."""
    return _compile(POSIX, lines, name, use, warn, result_of)


def compile_pcre(lines: Iterator[LogicalLine], name: str, use: Use, warn: Warn, result_of: ResultOf = str) -> Find:
    """The look-up function of a pcre: table."""
    return _compile(PERL, lines, name, use, warn, result_of)


def open_regexp(opening: Opening) -> Table:
    """``regexp:/file`` or ``regexp:{ {/expression/ result}, … }``"""
    return open_rules(opening, compile_regexp)


def open_pcre(opening: Opening) -> Table:
    """``pcre:/file`` or ``pcre:{ {/expression/ result}, … }``"""
    return open_rules(opening, compile_pcre)
