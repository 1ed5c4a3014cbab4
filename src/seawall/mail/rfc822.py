"""RFC 822 address lists: a lenient parser that throws nothing away, its printers, and the path of MAIL and RCPT.

Text is scanned into tokens from left to right and grouped into addresses from right to left, because only what
stands behind a word tells whether it is a display name or an address.  What is not understood stays where it was.
Beyond RFC 822 ``%``, ``!`` and ``|`` are operators, and missing commas between addresses are put in.  tok822(3)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from seawall.mail.address import quote_local


class Kind(Enum):
    """What a token is.  An operator's character is its text."""

    OPERATOR = "operator"
    ATOM = "atom"
    QUOTED = "quoted string"
    COMMENT = "comment"
    LITERAL = "domain literal"
    GROUP = "group"
    """The ``:`` that opens a group's list."""


class Token(NamedTuple):
    """One token; `text` without quotes or brackets (a comment keeps its parentheses)."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Address:
    """Tokens that together are one address."""

    tokens: tuple[Token, ...]

    @property
    def internal(self) -> str:
        """The address without quotes; tokens stand side by side."""
        return "".join(map(_bare, self.tokens))

    @property
    def external(self) -> str:
        """The address with each token quoted as it was, which is how a header has it."""
        return "".join(map(_quoted, self.tokens))


Node: TypeAlias = Token | Address

COMMA = Token(Kind.OPERATOR, ",")
_SPECIALS = '|%!()<>@,;:\\".[]'
_BLANKS = " \t\r\n"
_ATOM = re.compile(r'(?:[^ \t\r\n\\|%!()<>@,;:".\[\]]|\\.)+', re.DOTALL)
_QUOTED = re.compile(r'((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
_LITERAL = re.compile(r"((?:[^\]\\]|\\.)*)(?:\]|\\?\Z)", re.DOTALL)
_COMMENT_STEP = re.compile(r"[()]|\\.", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NEEDS_QUOTES = re.compile(r'[\x00-\x20\x7f|%!()<>@,;:\\".\[\]]')
_QUOTED_SPECIAL = re.compile(r'(["\\\r\n])')
_LITERAL_SPECIAL = re.compile(r"([\\\r\n])")
_TO_BLANK = str.maketrans("\t\r\n", "   ")


def _unescaped(text: str) -> str:
    """`text` without backslashes, white space as blanks."""
    if "\\" in text:
        text = _ESCAPED.sub(r"\1", text)
    return text.translate(_TO_BLANK)


def _comment_end(text: str, start: int) -> int:
    """The place behind a comment that opens at `start`; comments nest."""
    level, at = 0, start
    while step := _COMMENT_STEP.search(text, at):
        at = step.end()
        if step.group() == "(":
            level += 1
        elif step.group() == ")":
            level -= 1
            if level == 0:
                return at
    return len(text)


def _scan_one(text: str, at: int) -> tuple[Token, int]:
    """The token that starts at `at`, which is no blank, and the place behind it."""
    char = text[at]
    if char == "(":
        end = _comment_end(text, at)
        return Token(Kind.COMMENT, text[at:end]), end
    if char in '["':
        found = (_LITERAL if char == "[" else _QUOTED).match(text, at + 1)
        if found is not None:
            kind = Kind.LITERAL if char == "[" else Kind.QUOTED
            return Token(kind, _unescaped(found.group(1))), found.end()
    if char != "\\" and char in _SPECIALS:
        return Token(Kind.OPERATOR, char), at + 1
    found = _ATOM.match(text, at)
    if found is None:  # a lone backslash at the very end
        return Token(Kind.ATOM, ""), len(text)
    word = _unescaped(found.group())
    end = found.end()
    if text.startswith("\\", end):  # likewise, behind an atom
        end = len(text)
    return Token(Kind.QUOTED if _NEEDS_QUOTES.search(word) else Kind.ATOM, word), end


def scan(text: str, limit: int = 0) -> list[Token]:
    """External form to tokens, `limit` of them at most (0: all)."""
    tokens: list[Token] = []
    at, length = 0, len(text)
    while at < length:
        if text[at] in _BLANKS:
            at += 1
            continue
        token, at = _scan_one(text, at)
        tokens.append(token)
        if len(tokens) == limit:
            break
    return tokens


class _Grouping:
    """The state of one pass from right to left: `done` is what lies behind, last first; `open` the address being built."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.done: list[Node] = []
        self.open: list[Token] = []
        self.word_ok = True
        self.in_group = False

    def close(self, separator: Token | None = None) -> None:
        """End the address being built, if any; `separator` is the comma that was missing before it."""
        if self.open:
            self.done.append(Address(tuple(reversed(self.open))))
            self.open.clear()
            if separator is not None:
                self.done.append(separator)

    def pass_over(self, until: str) -> None:
        """Leave tokens as they are up to one of the operators `until`, which stays for the main loop."""
        while self.tokens and not _is_operator(self.tokens[-1], until):
            self.done.append(self.tokens.pop())

    def route_address(self, bracket: Token) -> None:
        """``phrase <address>``, met at its ``>``: comments move out of the brackets, the phrase stays plain."""
        self.close(COMMA)
        self.done.append(bracket)
        while self.tokens and not _is_operator(self.tokens[-1], "<"):
            token = self.tokens.pop()
            (self.done if token.kind is Kind.COMMENT else self.open).append(token)
        self.close()
        self.pass_over(">;,:")
        self.word_ok = True
        if self.tokens and self.tokens[-1].text == ":" and not self.in_group:
            self.done.append(self.tokens.pop())

    def step(self, token: Token) -> None:
        """Take one token, the right-most that is left."""
        if token.kind is Kind.COMMENT:
            self.done.append(token)
        elif token.kind is not Kind.OPERATOR:
            if not self.word_ok:
                self.close(COMMA)
            self.word_ok = False
            self.open.append(token)
        elif token.text == ">":
            self.route_address(token)
        elif token.text == ":" and self.in_group:
            self.close()
            self.done.append(Token(Kind.GROUP, ":"))
            self.pass_over(",")
        elif token.text in ",;":
            self.close(COMMA if token.text == ";" else None)
            self.done.append(token)
            self.in_group = self.in_group or token.text == ";"
            self.word_ok = True
        else:
            self.word_ok = True
            self.open.append(token)


def parse(text: str, limit: int = 0) -> list[Node]:
    """An address list in external form, as tokens and addresses in their order; `limit` tokens are read at most."""
    grouping = _Grouping(scan(text, limit))
    while grouping.tokens:
        grouping.step(grouping.tokens.pop())
    grouping.close()
    grouping.done.reverse()
    return grouping.done


def addresses(nodes: Iterable[Node]) -> list[Address]:
    """The addresses of a parsed list, in order."""
    return [node for node in nodes if isinstance(node, Address)]


def _is_operator(token: Node, which: str) -> bool:
    return isinstance(token, Token) and token.kind is Kind.OPERATOR and token.text in which


def _bare(node: Node) -> str:
    """The internal form of one token or address."""
    if isinstance(node, Address):
        return node.internal
    return f"[{node.text}]" if node.kind is Kind.LITERAL else node.text


def _quoted(node: Node) -> str:
    """The external form of one token or address."""
    if isinstance(node, Address):
        return quote_local(node.internal)
    if node.kind is Kind.QUOTED:
        return '"' + _QUOTED_SPECIAL.sub(r"\\\1", node.text) + '"'
    if node.kind is Kind.LITERAL:
        return "[" + _LITERAL_SPECIAL.sub(r"\\\1", node.text) + "]"
    return node.text


def _blank_between(left: Node, right: Node) -> bool:
    """True where white space must part two neighbours."""
    if left == COMMA or _is_operator(right, "<"):
        return True
    if isinstance(left, Token) and left.kind in (Kind.GROUP, Kind.OPERATOR):
        return left.kind is Kind.GROUP
    return isinstance(right, Address) or right.kind not in (Kind.GROUP, Kind.OPERATOR)


def internalize(nodes: Sequence[Node]) -> str:
    """A list as text without quotes."""
    return _joined(nodes, [_bare(node) for node in nodes], False)


def externalize(nodes: Sequence[Node], *, lines: bool = False) -> str:
    """A list as text for a header; `lines` ends a line behind each comma instead of putting a blank there."""
    return _joined(nodes, [_quoted(node) for node in nodes], lines)


def _joined(nodes: Sequence[Node], texts: list[str], lines: bool) -> str:
    out: list[str] = []
    last = len(nodes) - 1
    for at, node in enumerate(nodes):
        out.append(texts[at])
        if lines and node == COMMA:
            out.append("\n")
        elif at < last and _blank_between(node, nodes[at + 1]):
            out.append(" ")
    return "".join(out)


@dataclass(frozen=True, slots=True)
class Path:
    """The address that MAIL or RCPT names: `address` in internal form, `text` as the client wrote it."""

    address: str
    text: str


@dataclass(frozen=True, slots=True)
class BadPath:
    """No single address could be made out.  The caller knows whether that is 501 5.1.7 or 501 5.1.3."""

    reason: str


_PLAIN_PATH = re.compile(
    r"<([A-Za-z0-9#$&'*+/=?^_`{}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{}~-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)>\Z"
)


def parse_path(text: str, *, strict: bool = False, allow_empty: bool = True) -> Path | BadPath:
    """The argument of MAIL FROM: or RCPT TO:, brackets included.

    Lenient as Postfix is: comments, display names and missing brackets are let pass unless `strict`
    (postconf(5) strict_rfc821_envelopes); a source route is dropped (RFC 5321 §4.1.2).  `allow_empty` is for MAIL.
    Whether the domain may exist and the local part may start with ``-`` is told by routing (`Route.is_malformed`).
    """
    plain = _PLAIN_PATH.match(text)
    if plain:
        return Path(plain.group(1), text)
    inner = text[1:-1] if len(text) > 1 and text.startswith("<") and text.endswith(">") else text
    if inner.startswith("@") and ":" in inner:
        inner = inner.partition(":")[2]
    nodes = parse(inner)
    found = addresses(nodes)
    others = any(not isinstance(node, Address) and not _is_operator(node, "<>") for node in nodes)
    if len(found) > 1:
        return BadPath("more than one address")
    if strict and (others or not text.startswith("<")):
        return BadPath("not an RFC 5321 path")
    address = found[0].internal if found else ""
    if not address and not allow_empty:
        return BadPath("empty address")
    if strict and address.startswith("@"):
        return BadPath("empty local part")
    return Path(address, text)
