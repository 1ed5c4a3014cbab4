"""What EHLO offers, in the order in which smtpd(8) offers it, and the keywords that a site may take away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

KEYWORDS: Mapping[str, str] = MappingProxyType(
    {
        "8bitmime": "8BITMIME",
        "auth": "AUTH",
        "chunking": "CHUNKING",
        "dsn": "DSN",
        "enhancedstatuscodes": "ENHANCEDSTATUSCODES",
        "etrn": "ETRN",
        "pipelining": "PIPELINING",
        "requiretls": "REQUIRETLS",
        "silent-discard": "silent-discard",
        "size": "SIZE",
        "smtputf8": "SMTPUTF8",
        "starttls": "STARTTLS",
        "verp": "XVERP",
        "vrfy": "VRFY",
        "xclient": "XCLIENT",
        "xforward": "XFORWARD",
    }
)
"""Words of smtpd_discard_ehlo_keywords, and the extension that each takes away."""

SILENT = "silent-discard"

XCLIENT_NAMES = ("NAME", "ADDR", "PROTO", "HELO", "REVERSE_NAME", "PORT", "LOGIN", "DESTADDR", "DESTPORT")
XFORWARD_NAMES = ("NAME", "ADDR", "PROTO", "HELO", "SOURCE", "PORT", "IDENT")


def parse_discarded(words: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The extensions that `words` take away, and the words that mean nothing.  ehlo_mask(3)"""
    taken: set[str] = set()
    unknown: list[str] = []
    for word in words:
        keyword = KEYWORDS.get(word.lower())
        if keyword is None:
            unknown.append(word)
        else:
            taken.add(keyword)
    return frozenset(taken), tuple(unknown)


def ehlo_lines(
    hostname: str,
    discarded: frozenset[str],
    *,
    size: int = 0,
    vrfy: bool = True,
    starttls: bool = False,
    mechanisms: tuple[str, ...] = (),
    broken_auth: bool = False,
    verp: bool = False,
    xclient: bool = False,
    xforward: bool = False,
    smtputf8: bool = True,
) -> tuple[str, ...]:
    """The lines of the reply to EHLO, without their codes.  `size` 0 means no limit (RFC 1870 §4)."""
    words = " ".join(mechanisms)
    offers = (
        ("PIPELINING", True, "PIPELINING"),
        ("SIZE", True, f"SIZE {size}" if size else "SIZE"),
        ("VRFY", vrfy, "VRFY"),
        ("ETRN", True, "ETRN"),
        ("STARTTLS", starttls, "STARTTLS"),
        ("AUTH", bool(mechanisms), f"AUTH {words}"),
        ("AUTH", bool(mechanisms) and broken_auth, f"AUTH={words}"),
        ("XVERP", verp, "XVERP"),
        ("XCLIENT", xclient, "XCLIENT " + " ".join(XCLIENT_NAMES)),
        ("XFORWARD", xforward, "XFORWARD " + " ".join(XFORWARD_NAMES)),
        ("ENHANCEDSTATUSCODES", True, "ENHANCEDSTATUSCODES"),
        ("8BITMIME", True, "8BITMIME"),
        ("DSN", True, "DSN"),
        ("SMTPUTF8", smtputf8, "SMTPUTF8"),
        ("CHUNKING", True, "CHUNKING"),
    )
    return (hostname, *(line for keyword, offered, line in offers if offered and keyword not in discarded))


def format_ehlo(lines: Iterable[str]) -> bytes:
    """The whole reply for the wire."""
    texts = tuple(lines)
    last = len(texts) - 1
    return b"".join(f"250{' ' if at == last else '-'}{text}\r\n".encode() for at, text in enumerate(texts))
