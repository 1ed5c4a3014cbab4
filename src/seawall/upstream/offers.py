"""What the server behind offers, pure: which of its EHLO keywords a client is told of before it is joined."""

from __future__ import annotations

from collections.abc import Iterable

PASSED_ON = frozenset(
    {"SIZE", "VRFY", "ETRN", "STARTTLS", "AUTH", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING"}
)
"""Extensions that mean something to the dialogue in front; others are not announced, as the client must not use them."""
OURS = "PIPELINING"
"""Commands are read here, one by one, so this is ours to offer, and alone what is safe to offer without knowing."""
UNKNOWN = (OURS,)


def read_offers(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines behind the server's name in its answer to EHLO, without their codes, as they may be passed on."""
    kept = [OURS]
    for line in lines:
        words = line.replace("=", " ", 1).split()
        if words and words[0].upper() in PASSED_ON:
            kept.append(" ".join((line.split()[0].upper(), *line.split()[1:])))
    return tuple(dict.fromkeys(kept))
