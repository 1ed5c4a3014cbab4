"""SPF records as text: terms, macros, and what is wrong with them.  RFC 7208 §4.6, §5, §6, §7, §12

A record is parsed whole before any of it is asked: a mistake anywhere in it is a permanent error (§4.6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from seawall.mail.network import Network, parse_address

VERSION = "v=spf1"
LONGEST_DOMAIN = 253
"""Characters of an expanded domain; labels beyond are cut off from the left.  RFC 7208 §7.3"""


class Result(StrEnum):
    """What came out.  RFC 7208 §2.6"""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


QUALIFIERS: Mapping[str, Result] = MappingProxyType(
    {"": Result.PASS, "+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}
)


class BadRecord(Exception):
    """The record does not follow the grammar; the text names the term."""


class Unanswerable(Exception):
    """A macro stands for something that no DNS name can hold: its mechanism matches nothing.  RFC 8616 §4"""


@dataclass(frozen=True, slots=True)
class Macro:
    """``%{letter digits r delimiters}``; `escapes` is true for a capital letter."""

    letter: str
    keep: int
    """Parts to keep, counted from the right; 0 is all."""
    reverses: bool
    delimiters: str
    escapes: bool


MacroString: TypeAlias = "tuple[str | Macro, ...]"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism.  `domain` is empty where the current domain is meant; `network` is that of ip4 and ip6."""

    result: Result
    name: str
    domain: MacroString = ()
    network: Network | None = None
    ipv4_bits: int = 32
    ipv6_bits: int = 128


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """A record without mistakes."""

    mechanisms: tuple[Mechanism, ...]
    redirect: MacroString = ()

    @property
    def names_the_client(self) -> bool:
        """True where a macro wants the client's validated name (``%{p}``)."""
        strings = (self.redirect, *(mechanism.domain for mechanism in self.mechanisms))
        return any(isinstance(part, Macro) and part.letter == "p" for string in strings for part in string)


_TERM = re.compile(r"([+\-~?]?)([A-Za-z][A-Za-z0-9_.\-]*)(.*)", re.DOTALL)
_TOKEN = re.compile(r"%\{([A-Za-z])(\d*)([rR]?)([.\-+,/_=]*)\}|(%[%_\-])|([!-$&-~]+)")
_TOP_LABEL = re.compile(r".*\.(?:[0-9A-Za-z]*[A-Za-z][0-9A-Za-z]*|[0-9A-Za-z]+-[0-9A-Za-z-]*[0-9A-Za-z])\.?")
_DUAL = re.compile(r"(.*?)(?:/(0|[1-9]\d?))?(?://(0|[1-9]\d{0,2}))?", re.DOTALL)
_CIDR = re.compile(r"(.*?)(?:/(0|[1-9]\d{0,2}))?", re.DOTALL)
_PLAIN: Mapping[str, str] = MappingProxyType({"%%": "%", "%_": " ", "%-": "%20"})
_LETTERS = frozenset("slodiphv")
_LETTERS_OF_EXPLANATIONS = frozenset("crt")
_MOST_PARTS = 128
"""As many as a domain can have; larger numbers are the same as all.  RFC 7208 §7.3"""
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def is_spf(text: str) -> bool:
    """True for a TXT record that is meant as one.  RFC 7208 §4.5"""
    return text[:6].lower() == VERSION and text[6:7] in ("", " ")


def parse_record(text: str) -> SpfRecord:
    """The terms of a record.  Raises BadRecord."""
    if not text.isascii():
        raise BadRecord("characters beyond ASCII")
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, MacroString] = {}
    for term in filter(None, text[len(VERSION) :].split(" ")):
        found = _TERM.fullmatch(term)
        if not found:
            raise BadRecord(term)
        qualifier, name, rest = found[1], found[2].lower(), found[3]
        if not rest.startswith("="):
            mechanisms.append(_mechanism(QUALIFIERS[qualifier], name, rest, term))
        elif qualifier:
            raise BadRecord(term)
        elif name in ("redirect", "exp"):
            if name in modifiers:
                raise BadRecord(f"{name} is there twice")
            modifiers[name] = parse_domain(rest[1:])
        else:
            parse_macros(rest[1:], explains=True)
    return SpfRecord(tuple(mechanisms), modifiers.get("redirect", ()))


def parse_macros(text: str, *, explains: bool = False) -> MacroString:
    """A macro string.  Raises BadRecord.  `explains` allows the letters of explanations as well."""
    parts: list[str | Macro] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise BadRecord(text)
        letter, digits, reverses, delimiters, plain, literal = found.groups()
        if letter is None:
            parts.append(literal if plain is None else _PLAIN[plain])
        else:
            low = letter.lower()
            if not (low in _LETTERS or (explains and low in _LETTERS_OF_EXPLANATIONS)):
                raise BadRecord(found[0])
            if digits and not int(digits[:9]):
                raise BadRecord(found[0])
            keep = min(int(digits[:9]), _MOST_PARTS) if digits else 0
            parts.append(Macro(low, keep, bool(reverses), delimiters or ".", letter != low))
        at = found.end()
    return tuple(parts)


def parse_domain(text: str) -> MacroString:
    """A domain-spec: it ends in a macro, or in a label that no number is.  Raises BadRecord."""
    parts = parse_macros(text)
    tail = text[max((found.end() for found in _TOKEN.finditer(text) if found[6] is None), default=0) :]
    if not parts or (tail and not _TOP_LABEL.fullmatch(tail)):
        raise BadRecord(text or "a domain is missing")
    return parts


def _mechanism(result: Result, name: str, rest: str, term: str) -> Mechanism:
    """One mechanism with what follows its name."""
    match name:
        case "all" if not rest:
            return Mechanism(result, name)
        case "include" | "exists" if rest.startswith(":"):
            return Mechanism(result, name, parse_domain(rest[1:]))
        case "ptr" if not rest or rest.startswith(":"):
            return Mechanism(result, name, parse_domain(rest[1:]) if rest else ())
        case "a" | "mx" if not rest or rest[0] in ":/":
            return _with_bits(result, name, rest, term)
        case "ip4" | "ip6" if rest.startswith(":"):
            return Mechanism(result, name, network=_network(rest[1:], 32 if name == "ip4" else 128, term))
        case _:
            raise BadRecord(term)


def _with_bits(result: Result, name: str, rest: str, term: str) -> Mechanism:
    """``[":" domain-spec] [dual-cidr-length]``"""
    found = _DUAL.fullmatch(rest)
    spec, four, six = found.groups() if found else (rest, None, None)
    ipv4_bits, ipv6_bits = int(four or 32), int(six or 128)
    if ipv4_bits > 32 or ipv6_bits > 128 or (spec and not spec.startswith(":")):
        raise BadRecord(term)
    return Mechanism(result, name, parse_domain(spec[1:]) if spec else (), None, ipv4_bits, ipv6_bits)


def _network(text: str, width: int, term: str) -> Network:
    found = _CIDR.fullmatch(text)
    body, prefix = found.groups() if found else (text, None)
    address = parse_address(body)
    bits = width if prefix is None else int(prefix)
    if address is None or address[1] != width or bits > width:
        raise BadRecord(term)
    return Network(address[0], bits, width)


@dataclass(frozen=True, slots=True)
class Values:
    """What macros stand for.  `client` is the address as ``%{i}`` prints it, `family` ``in-addr`` or ``ip6``."""

    local: str
    sender_domain: str
    domain: str
    client: str
    family: str
    helo: str
    client_name: str = "unknown"

    def of(self, letter: str) -> str:
        """The value of a macro letter.  Raises Unanswerable for a local part beyond ASCII."""
        match letter:
            case "s" | "l":
                if not self.local.isascii():
                    raise Unanswerable
                return self.local if letter == "l" else f"{self.local}@{self.sender_domain}"
            case "o":
                return self.sender_domain
            case "d":
                return self.domain
            case "i":
                return self.client
            case "v":
                return self.family
            case "h":
                return self.helo
            case _:
                return self.client_name


def expand_domain(parts: MacroString, values: Values) -> str:
    """The domain that a macro string stands for, without a final dot.  Raises Unanswerable.  RFC 7208 §7.3"""
    text = "".join(part if isinstance(part, str) else _expanded(part, values) for part in parts)
    text = text.removesuffix(".")
    while len(text) > LONGEST_DOMAIN and "." in text:
        text = text.partition(".")[2]
    return text


def _expanded(macro: Macro, values: Values) -> str:
    value = values.of(macro.letter)
    for delimiter in macro.delimiters:
        if delimiter != ".":
            value = value.replace(delimiter, "\0")
    if "." in macro.delimiters:
        value = value.replace(".", "\0")
    parts = value.split("\0")
    if macro.reverses:
        parts.reverse()
    text = ".".join(parts[-macro.keep :] if macro.keep else parts)
    if not macro.escapes:
        return text
    octets = text.encode("utf-8", "surrogateescape")
    return "".join(chr(octet) if octet in _UNRESERVED else f"%{octet:02X}" for octet in octets)
