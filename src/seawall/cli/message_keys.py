"""The headers and body lines of a message as keys for a table: postmap -h, -b and -m."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HEADER = re.compile(r"[!-9;-~]+[ \t]*:")
_BOUNDARY = re.compile(r'\bboundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_TYPE = re.compile(r"content-type\s*:\s*([^\s;]+)", re.IGNORECASE)


class _Reader:
    """Where in the message we are."""

    def __init__(self, headers: bool, body: bool, mime: bool) -> None:
        self._headers, self._body, self._mime = headers, body, mime
        self._boundaries: list[str] = []
        self._lines: list[str] = []
        self._type = ""
        self._in_headers = True
        self._primary = True

    @property
    def is_done(self) -> bool:
        """True behind the primary headers where nothing else is wanted."""
        return not self._in_headers and not (self._body or self._mime)

    def line(self, line: str) -> Iterator[str]:
        """The keys that this line completes."""
        if not self._in_headers:
            yield from self._body_line(line)
        elif line[:1] in (" ", "\t") and self._lines:
            self._lines.append(line)
        else:
            yield from self.finish()
            if _HEADER.match(line):
                self._lines = [line]
                return
            self._end_headers()
            if line and self._body:
                yield ""
            yield from self._body_line(line)

    def finish(self) -> Iterator[str]:
        """The header that was being gathered."""
        if not self._lines:
            return
        header = "\n".join(self._lines)
        self._lines = []
        kind = _TYPE.match(header)
        if kind is not None:
            self._type = kind.group(1).lower()
            boundary = _BOUNDARY.search(header)
            if self._mime and self._type.startswith("multipart/") and boundary is not None:
                self._boundaries.append(boundary.group(1) or boundary.group(2) or "")
        if self._headers and (self._primary or self._mime):
            yield header

    def _end_headers(self) -> None:
        self._primary = False
        self._in_headers = self._mime and self._type == "message/rfc822"
        self._type = ""

    def _body_line(self, line: str) -> Iterator[str]:
        if self._body:
            yield line
        if not line.startswith("--"):
            return
        for at in reversed(range(len(self._boundaries))):
            if line.startswith("--" + self._boundaries[at]):
                closes = line[2 + len(self._boundaries[at]) :].startswith("--")
                del self._boundaries[at if closes else at + 1 :]
                self._in_headers = not closes
                return


def keys_of_message(lines: Iterator[str], headers: bool, body: bool, mime: bool) -> Iterator[str]:
    """Header by header, with their continuation lines, and body line by body line.  mime_state(3)

    Without `mime` only the primary headers count as headers; with it also those of parts and attached messages.
    """
    reader = _Reader(headers, body, mime)
    for line in lines:
        yield from reader.line(line)
        if reader.is_done:
            return
    yield from reader.finish()
