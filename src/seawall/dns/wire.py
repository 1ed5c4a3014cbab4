"""DNS messages as bytes: questions written, answers read with every length checked.  RFC 1035 §4, RFC 6891, RFC 2782.

Bytes in, values out; a message that cannot be trusted raises `BadMessage` and nothing else (docs/differences.md
D-36).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Mapping

import msgspec

from seawall.dns.answers import Answer, Found, NoData, NoSuchName, Resource, TryAgain
from seawall.dns.hostnames import is_hostaddr
from seawall.mail.address import is_hostname

KINDS: Mapping[str, int] = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "SRV": 33,
    "TLSA": 52,
}
"""Record types that are read.  IANA DNS parameters"""
_NAMES: Mapping[int, str] = {number: name for name, number in KINDS.items()}

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
PAYLOAD = 1232
"""Bytes that a UDP answer may have.  DNS Flag Day 2020: fits the smallest IPv6 link."""
LONGEST_CHAIN = 16
"""CNAMEs that are followed.  BIND's limit."""
LONGEST_TEXT = 8192
"""Characters of one TXT record that are kept.  Ours: no reply text, no policy needs more."""
NEGATIVE_TTL = 60
"""Seconds for a negative answer that comes without SOA.  Ours; RFC 2308 §5 would not cache it."""
HOST_KINDS = frozenset({"MX", "NS", "PTR", "CNAME", "SRV"})
"""Kinds whose data is a host name, which must be one.  Postfix valid_rr_name()"""

_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHIH")
_CLASS_IN = 1
_KNOWS = 0x0480
"""AA or RA: the server is asked about its own zone, or asks others."""
_LENGTHS = tuple(bytes((length,)) for length in range(64))
_OPT = 41
_SOA = KINDS["SOA"]


class BadMessage(Exception):
    """The bytes are no answer to the question."""


class Response(msgspec.Struct, frozen=True):
    """An answer as read.  `is_cut` asks for TCP; `secure` is the AD bit."""

    rcode: int
    is_cut: bool
    secure: bool
    answer: Answer


def format_name(name: str) -> bytes:
    """A name as labels.  BadMessage for one that does not fit (RFC 1035 §2.3.4)."""
    data = name.rstrip(".").encode("utf-8", "surrogateescape")
    if not data:
        return b"\0"
    out = b""
    for label in data.split(b"."):
        if not 0 < len(label) <= 63:
            raise BadMessage(f"label of {len(label)} bytes")
        out += _LENGTHS[len(label)] + label
    if len(out) > 254:
        raise BadMessage("name too long")
    return out + b"\0"


def format_query(number: int, name: str, kind: str, *, edns: bool = True) -> bytes:
    """A question: recursion desired, AD wanted (RFC 6840 §5.7), EDNS0 with our payload size."""
    header = _HEADER.pack(number, 0x0120, 1, 0, 0, 1 if edns else 0)
    question = format_name(name) + struct.pack(">HH", KINDS[kind], _CLASS_IN)
    extra = b"\x00" + _RECORD.pack(_OPT, PAYLOAD, 0, 0) if edns else b""
    return header + question + extra


def read_name(data: bytes, at: int) -> tuple[str, int]:
    """(name without final dot, where it ends).  Pointers must point backwards, so that none can loop."""
    labels: list[str] = []
    end = -1
    limit = at
    total = 0
    while True:
        if at >= len(data):
            raise BadMessage("name runs past the end")
        length = data[at]
        if length >= 0xC0:
            if at + 1 >= len(data):
                raise BadMessage("pointer runs past the end")
            target = (length & 0x3F) << 8 | data[at + 1]
            if target >= limit:
                raise BadMessage("pointer does not point backwards")
            if end < 0:
                end = at + 2
            at = limit = target
            continue
        if length > 63:
            raise BadMessage("unknown label type")
        at += 1
        if length == 0:
            return ".".join(labels), end if end >= 0 else at
        total += length + 1
        if at + length > len(data) or total > 254:
            raise BadMessage("name too long")
        labels.append(_label(data[at : at + length]))
        at += length


def _label(data: bytes) -> str:
    """A label as text; a dot or a control character inside it is escaped as in master files.  RFC 1035 §5.1"""
    text = data.decode("utf-8", "surrogateescape")
    if text.isalnum() or not any(letter in ".\\" or letter <= " " for letter in text):
        return text
    return "".join(f"\\{ord(letter):03d}" if letter in ".\\" or letter <= " " else letter for letter in text)


def _skip_name(data: bytes, at: int) -> int:
    """Where a name ends that nobody reads.  BadMessage where it runs past the end."""
    while True:
        if at >= len(data):
            raise BadMessage("name runs past the end")
        length = data[at]
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise BadMessage("unknown label type")
        at += length + 1
        if length == 0:
            return at


class _Raw(msgspec.Struct, frozen=True):
    """A record whose data is still bytes, at `start` of the message."""

    name: str
    number: int
    ttl: int
    start: int
    end: int


def _read_records(data: bytes, at: int, count: int) -> tuple[list[_Raw], int]:
    records: list[_Raw] = []
    for _ in range(count):
        name, at = read_name(data, at)
        if at + _RECORD.size > len(data):
            raise BadMessage("record runs past the end")
        number, kind, ttl, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        if at + length > len(data):
            raise BadMessage("record data runs past the end")
        if kind == _CLASS_IN:
            # RFC 2181 §8: a TTL with the top bit set counts as zero
            records.append(_Raw(name.lower(), number, ttl if ttl < 1 << 31 else 0, at, at + length))
        at += length
    return records, at


def _address(data: bytes, raw: _Raw) -> tuple[str, int]:
    body = data[raw.start : raw.end]
    if len(body) != (4 if raw.number == KINDS["A"] else 16):
        raise BadMessage(f"address of {len(body)} bytes")
    return str(ipaddress.ip_address(body)), 0


def _host(data: bytes, raw: _Raw) -> tuple[str, int]:
    name, end = read_name(data, raw.start)
    if end > raw.end:
        raise BadMessage("name longer than its record")
    return name, 0


def _mx(data: bytes, raw: _Raw) -> tuple[str, int]:
    if raw.end - raw.start < 3:
        raise BadMessage("short MX")
    name, end = read_name(data, raw.start + 2)
    if end > raw.end:
        raise BadMessage("name longer than its record")
    return name, int.from_bytes(data[raw.start : raw.start + 2], "big")


def _srv(data: bytes, raw: _Raw) -> tuple[str, int]:
    """``weight port target``, the priority as preference."""
    if raw.end - raw.start < 7:
        raise BadMessage("short SRV")
    priority, weight, port = struct.unpack_from(">HHH", data, raw.start)
    name, end = read_name(data, raw.start + 6)
    if end > raw.end:
        raise BadMessage("name longer than its record")
    return f"{weight} {port} {name}", priority


def _txt(data: bytes, raw: _Raw) -> tuple[str, int]:
    """All strings of the record, joined."""
    at, parts, size = raw.start, [], 0
    while at < raw.end:
        length = data[at]
        if at + 1 + length > raw.end:
            raise BadMessage("string longer than its record")
        if size < LONGEST_TEXT:
            parts.append(data[at + 1 : at + 1 + length])
            size += length
        at += 1 + length
    return b"".join(parts)[:LONGEST_TEXT].decode("utf-8", "surrogateescape"), 0


def _tlsa(data: bytes, raw: _Raw) -> tuple[str, int]:
    """``usage selector matching hex``."""
    body = data[raw.start : raw.end]
    if len(body) < 4:
        raise BadMessage("short TLSA")
    return f"{body[0]} {body[1]} {body[2]} {body[3:].hex()}", 0


def _soa(data: bytes, raw: _Raw) -> tuple[str, int]:
    """``mname rname serial refresh retry expire minimum``."""
    mname, at = read_name(data, raw.start)
    rname, at = read_name(data, at)
    if at + 20 > raw.end:
        raise BadMessage("short SOA")
    return " ".join([mname, rname, *map(str, struct.unpack_from(">IIIII", data, at))]), 0


_READERS: Mapping[str, Callable[[bytes, _Raw], tuple[str, int]]] = {
    "A": _address,
    "AAAA": _address,
    "CNAME": _host,
    "MX": _mx,
    "NS": _host,
    "PTR": _host,
    "SOA": _soa,
    "SRV": _srv,
    "TLSA": _tlsa,
    "TXT": _txt,
}


def parse_response(data: bytes, number: int, name: str, kind: str, query: bytes = b"") -> Response:
    """The answer to one question.  BadMessage where it is none: another id, another question, lengths that lie.

    `query` is the message that asked, without its id: an answer that repeats the question to the letter is known by that.
    """
    if len(data) < _HEADER.size:
        raise BadMessage("shorter than a header")
    got, flags, questions, answers, authorities, _ = _HEADER.unpack_from(data)
    if got != number or not flags & 0x8000 or (flags >> 11) & 0xF:
        raise BadMessage("not an answer to this question")
    rcode, is_cut, secure = flags & 0xF, bool(flags & 0x0200), bool(flags & 0x0020)
    if questions != 1:
        if questions == 0 and rcode in (FORMERR, SERVFAIL, NOTIMP, REFUSED):
            return Response(rcode, False, False, NoSuchName())
        raise BadMessage(f"{questions} questions")
    asked, at = _read_question(data, name, kind, query)
    if rcode == NOERROR and not (answers or is_cut or flags & _KNOWS):
        rcode = REFUSED  # a referral: this server does not know and will not ask.  resolver(3) res_nsend()
    if is_cut or rcode not in (NOERROR, NXDOMAIN):
        return Response(rcode, is_cut, secure, NoSuchName())
    records, at = _read_records(data, at, answers)
    if not records:
        ttl = _negative_ttl(data, at, authorities)
        return Response(rcode, False, secure, NoSuchName(ttl) if rcode == NXDOMAIN else NoData(ttl))
    answer = _answer(data, records, (at, authorities), asked, kind, rcode, secure)
    return Response(rcode, False, secure, answer)


def _read_question(data: bytes, name: str, kind: str, query: bytes) -> tuple[str, int]:
    """(the name asked for in lower case, where the question ends).  BadMessage where it is another question."""
    wanted = name.rstrip(".").lower()
    start = _HEADER.size
    if query:
        end = query.index(0, start - 2) + 5  # the question's labels hold no NUL, its type and class follow
        if data[start : end + 2] == query[start - 2 : end]:
            return wanted, end + 2
    asked, at = read_name(data, start)
    if asked.lower() != wanted or data[at : at + 4] != struct.pack(">HH", KINDS[kind], _CLASS_IN):
        raise BadMessage("answers another question")
    return wanted, at + 4


def _answer(
    data: bytes, records: list[_Raw], authority: tuple[int, int], name: str, kind: str, rcode: int, secure: bool
) -> Answer:
    """Follow CNAMEs inside the message, and take what stands at their end.

    `authority` is where that section begins, and how many records it has.
    """
    ttl = 1 << 31
    for _ in range(LONGEST_CHAIN):
        here = [raw for raw in records if raw.name == name]
        wanted = [raw for raw in here if raw.number == KINDS[kind]]
        if wanted and rcode != NXDOMAIN:
            return _found(data, wanted, kind, ttl, secure)
        alias = next((raw for raw in here if raw.number == KINDS["CNAME"]), None)
        if alias is None:
            negative = min(ttl, _negative_ttl(data, *authority))
            return NoSuchName(negative) if rcode == NXDOMAIN else NoData(negative)
        ttl = min(ttl, alias.ttl)
        name = _host(data, alias)[0].lower()
    return TryAgain("CNAME chain without an end")  # the server's own word: asking it again would bring the same


def _found(data: bytes, wanted: list[_Raw], kind: str, ttl: int, secure: bool) -> Answer:
    resources = []
    for raw in wanted:
        text, preference = _READERS[kind](data, raw)
        if is_usable(kind, text, preference):
            resources.append(Resource(kind, raw.name, text, min(ttl, raw.ttl), preference))
    if not resources:
        return NoData(NEGATIVE_TTL, malformed=True)
    return Found(tuple(resources), secure)


def is_usable(kind: str, data: str, preference: int) -> bool:
    """True unless the data should be a host name and is none; ``MX 0 .`` means something.  RFC 7505"""
    if kind not in HOST_KINDS:
        return True
    host = data.rpartition(" ")[2]
    return (
        is_hostname(host) or is_hostaddr(host) or (not host and (kind == "SRV" or (kind == "MX" and preference == 0)))
    )


def _negative_ttl(data: bytes, at: int, count: int) -> int:
    """RFC 2308 §5: the lesser of the SOA's own TTL and its last field.  Whose SOA it is, nobody asks."""
    for _ in range(count):
        at = _skip_name(data, at)
        if at + _RECORD.size > len(data):
            raise BadMessage("record runs past the end")
        number, kind, ttl, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size + length
        if at > len(data):
            raise BadMessage("record data runs past the end")
        if number == _SOA and kind == _CLASS_IN:
            if length < 22:
                raise BadMessage("short SOA")
            # RFC 2181 §8: a TTL with the top bit set counts as zero
            return min(ttl if ttl < 1 << 31 else 0, int.from_bytes(data[at - 4 : at], "big"))
    return NEGATIVE_TTL
