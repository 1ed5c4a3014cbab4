"""The body of a message when checks want to see it: every header of an attachment, every line of text.

Only reached where a configuration has such checks; otherwise a body is never looked at.  cleanup_message(3)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from seawall.intake.checks import Checking, Part
from seawall.intake.content import Incoming
from seawall.intake.mime import MimeReader, Where
from seawall.intake.status import Status
from seawall.mail.headers import is_header, split_header

LINES_BEFORE_PAUSE = 32
"""Lines checked before others get their turn, ours: a pattern costs some 10 µs a line, and nobody may wait 2 ms."""
READ = 64 * 1024
"""Bytes read from the file at once, ours."""


def lines_of(incoming: Incoming, rest: bytes) -> Iterator[bytes]:
    """The lines of `rest` (what memory has after the header block) and of the file, without LF.  Raises OSError."""
    offset = 0
    while True:
        at = 0
        while (end := rest.find(b"\n", at)) >= 0:
            yield rest[at:end]
            at = end + 1
        rest = rest[at:]
        if offset >= incoming.spilled:
            break
        more = incoming.read(offset, READ)
        if not more:
            break
        offset += len(more)
        rest += more
    if rest:
        yield rest


class BodyPass:
    """Copies a body to `target`, each line by way of the checks."""

    def __init__(
        self,
        checking: Checking,
        mime: MimeReader | None,
        target: Incoming,
        *,
        line_limit: int,
        body_limit: int,
        header_limit: int,
    ) -> None:
        self._checking = checking
        self._mime = mime
        self._target = target
        self._line_limit = line_limit
        self._body_limit = body_limit
        self._header_limit = header_limit
        self._header: list[bytes] = []
        self._header_size = 0
        self._body_size = 0

    async def run(self, lines: Iterator[bytes]) -> None:
        """Everything after the blank line that ends the primary headers."""
        for count, line in enumerate(lines, 1):
            await self._line(line)
            if count % LINES_BEFORE_PAUSE == 0:
                await asyncio.sleep(0)
        await self._flush()
        if self._mime is not None and self._mime.too_deep:
            self._checking.errors.add(Status.CONTENT, "5.6.0", "MIME nesting exceeds safety limit")

    async def _line(self, line: bytes) -> None:
        mime = self._mime
        if mime is None or mime.where is Where.BODY:
            if mime is not None:
                mime.body_line(line)
                if mime.where is not Where.BODY:
                    self._body_size = 0
            await self._body(line)
            return
        if self._header and line.startswith((b" ", b"\t")):
            if self._header_size < self._header_limit:
                self._header.append(line.partition(b"\0")[0])
                self._header_size += len(line) + 1
            return
        await self._flush()
        if is_header(line):
            line = line.partition(b"\0")[0]
            self._header = [line]
            self._header_size = len(line)
            return
        mime.end_of_headers(proper=not line)
        self._body_size = 0
        if line:
            mime.body_line(line)
        await self._body(line)

    async def _flush(self) -> None:
        """The header that is complete now."""
        if not self._header or self._mime is None:
            return
        text = b"\n".join(self._header)
        self._header = []
        header = split_header(text)
        if header is None:
            self._target.write(text + b"\n")
            return
        self._mime.header(header)
        part = Part.NESTED if self._mime.where is Where.NESTED else Part.MIME
        await self._checked(part, header.raw)

    async def _body(self, line: bytes) -> None:
        """A line of text; body_checks see it in pieces of line_length_limit, and only the start of each part."""
        seen = not self._body_limit or self._body_size < self._body_limit
        self._body_size += len(line) + 1
        if not seen or not self._checking.watches(Part.BODY):
            self._target.write(line + b"\n")
            return
        for at in range(0, max(len(line), 1), self._line_limit):
            end = at + self._line_limit
            await self._checked(Part.BODY, line[at:end], b"\n" if end >= len(line) else b"")

    async def _checked(self, part: Part, text: bytes, end: bytes = b"\n") -> None:
        if not self._checking.watches(part):
            self._target.write(text + end)
            return
        for line in await self._checking.line(part, text.decode("utf-8", "surrogateescape")):
            self._target.write(line.encode("utf-8", "surrogateescape") + end)
