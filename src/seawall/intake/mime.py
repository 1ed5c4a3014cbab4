"""Which lines of a body are headers of attachments: a MIME reader that follows boundaries line by line.  mime_state(3)

It knows multipart/*, message/* and nothing of encodings.  It remembers boundaries, at most mime_nesting_limit of them and
each to mime_boundary_length_limit, so a hostile message costs no more than that.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from seawall.mail.headers import Header

_TYPE = re.compile(rb"\s*([^\s()<>@,;:\\\"/\[\]?=]+)\s*(?:/\s*([^\s()<>@,;:\\\"/\[\]?=]+))?")
_BOUNDARY = re.compile(
    rb';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s()<>@,;:\\"/\[\]?=]+))', re.IGNORECASE | re.DOTALL
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT = re.compile(rb"\([^()]*\)")


class Where(Enum):
    """What the next line belongs to."""

    PRIMARY = auto()
    MULTIPART = auto()
    """The headers of a part."""
    NESTED = auto()
    """The headers of an attached message."""
    BODY = auto()


class Kind(Enum):
    """What the last header block said of what follows it."""

    TEXT = auto()
    MESSAGE = auto()
    ATTACHED = auto()
    """message/rfc822"""
    MULTIPART = auto()
    OTHER = auto()


class MimeReader:
    """`where` tells of the next line; the caller reports headers, the end of a header block, and body lines.

    `too_deep` is set once more parts lie inside each other than mime_nesting_limit lets.
    """

    def __init__(self, *, nesting_limit: int, boundary_limit: int) -> None:
        self.where = Where.PRIMARY
        self.too_deep = False
        self._kind = Kind.TEXT
        self._nesting_limit = nesting_limit
        self._boundary_limit = boundary_limit
        self._boundaries: list[tuple[bytes, Kind]] = []

    def header(self, header: Header) -> None:
        """A header of any block; only Content-Type: matters."""
        if header.key != b"content-type":
            return
        value = _COMMENT.sub(b"", header.value)
        found = _TYPE.match(value)
        if found is None:
            self._kind = Kind.OTHER
            return
        major, minor = found.group(1).lower(), (found.group(2) or b"").lower()
        if major == b"text":
            self._kind = Kind.TEXT
        elif major == b"message":
            self._kind = Kind.ATTACHED if minor == b"rfc822" else Kind.MESSAGE
        elif major == b"multipart":
            self._kind = Kind.MULTIPART
            self._remember(value[found.end() :], Kind.ATTACHED if minor == b"digest" else Kind.TEXT)

    def _remember(self, parameters: bytes, default: Kind) -> None:
        """All boundaries that the header names: two of them are forbidden, and used to hide things."""
        for found in _BOUNDARY.finditer(parameters):
            boundary = _ESCAPED.sub(rb"\1", found.group(1)) if found.group(1) is not None else found.group(2)
            if len(self._boundaries) > self._nesting_limit:
                self.too_deep = True
            else:
                self._boundaries.append((boundary[: self._boundary_limit], default))

    def end_of_headers(self, *, proper: bool) -> None:
        """The header block ends; `proper` with a blank line, otherwise with a line that is no header."""
        if proper and self._kind is Kind.ATTACHED:
            self.where, self._kind = Where.NESTED, Kind.TEXT
            return
        if proper and self._kind is Kind.MULTIPART:
            self._kind = Kind.OTHER
        self.where = Where.BODY

    def body_line(self, line: bytes) -> None:
        """A line of a body, before it is written: a boundary decides what the next line belongs to."""
        if not self._boundaries or not line.startswith(b"--"):
            return
        for at in range(len(self._boundaries) - 1, -1, -1):
            boundary, default = self._boundaries[at]
            if line.startswith(boundary, 2):
                del self._boundaries[at + 1 :]
                if line.startswith(b"--", 2 + len(boundary)):
                    del self._boundaries[at]
                    self.where, self._kind = Where.BODY, Kind.OTHER
                else:
                    self.where, self._kind = Where.MULTIPART, default
                return
