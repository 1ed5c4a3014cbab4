"""What sendmail(1) makes of its input: the message from standard input, and recipients from arguments and headers."""

from __future__ import annotations

import re
from typing import BinaryIO

from seawall.mail.rfc822 import addresses, parse

LINE = 1 << 20
"""Bytes of a line that are read at once; a longer line is read in pieces.  Ours."""
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)\Z", re.DOTALL)
PLAIN = ("to", "cc", "bcc")
RESENT = ("resent-to", "resent-cc", "resent-bcc")


def read_message(stream: BinaryIO, *, ends_at_dot: bool, limit: int) -> bytes | None:
    """The message with LF line ends; None where it is larger than `limit` (0: no limit).

    ``From `` and ``>From `` lines at the start, which mailboxes have, are left out.  With `ends_at_dot` a line of a
    single dot ends it.  CR LF becomes LF.  postconf(5) sendmail_fix_line_endings = always
    """
    parts: list[bytes] = []
    size = 0
    starts = skipping = True
    while line := stream.readline(LINE):
        ends = line.endswith(b"\n")
        if line.endswith(b"\r\n"):
            line = line[:-2] + b"\n"
        if starts and ends_at_dot and line in (b".\n", b"."):
            break
        if starts and skipping:
            if line.startswith((b"From ", b">From ")):
                continue
            skipping = False
        size += len(line)
        if limit and size > limit:
            return None
        parts.append(line)
        starts = ends
    if parts and not parts[-1].endswith(b"\n"):
        parts.append(b"\n")
    return b"".join(parts)


def parse_list(text: str) -> list[str]:
    """The addresses of a list in external form, in internal form; ``<>`` and the empty list give none."""
    return [found.internal for found in addresses(parse(text)) if found.internal]


def header_fields(content: bytes) -> list[tuple[str, str]]:
    """(name in lower case, unfolded value) of the headers at the start of `content`."""
    fields: list[tuple[str, str]] = []
    for line in content.split(b"\n\n", 1)[0].split(b"\n"):
        if line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, value + "\n" + line.decode("utf-8", "surrogateescape"))
            continue
        found = _FIELD.match(line)
        if found is None:
            break
        fields.append((found[1].decode("ascii").lower(), found[2].decode("utf-8", "surrogateescape")))
    return fields


def extract_recipients(content: bytes) -> list[str]:
    """The recipients that To:, Cc: and Bcc: name, or the Resent- ones where there are any.  sendmail(1) -t"""
    fields = header_fields(content)
    wanted = RESENT if any(name.startswith("resent-") for name, _ in fields) else PLAIN
    return [address for name, value in fields if name in wanted for address in parse_list(value)]
