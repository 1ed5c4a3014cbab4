"""Message content out of a stream of bytes: where it ends, and what it is with LF line ends.

The end of data is ``CRLF . CRLF`` and nothing else, but for what postconf(5) smtpd_forbid_bare_newline lets a site
choose.  Whole chunks are searched and replaced, never line by line, and every expression here is linear in its input.
"""

from __future__ import annotations

import re
from enum import Enum


class BareNewline(Enum):
    """What is done about lines that end in LF without CR.  postconf(5) smtpd_forbid_bare_newline"""

    NO = "no"
    """They are lines like others, also around the dot: smuggling is possible."""
    NORMALIZE = "normalize"
    """They are lines like others, but never part of the end of data."""
    NOTE = "note"
    """As normalize, and the log's disconnect line says so."""
    REJECT = "reject"
    """As normalize, and the message or command is refused."""

    @property
    def wants_standard_end(self) -> bool:
        """True where only CRLF.CRLF ends the data."""
        return self is not BareNewline.NO


_BREAK_OFF = 8192
"""Bytes of an unfinished line that are held back before they go on as the part of a line."""

# A dot line beside a bare LF is no end of data and no content either: it is dropped.  smtpd(8) 3.9
_DOT_LINE_BESIDE_BARE = re.compile(rb"(?<=\n)\.\n|(?<=(?<!\r)\n)\.\r\n")
_LENIENT_END = re.compile(rb"\n\.\r*\n")
_CRS_BEFORE_LF = re.compile(rb"(?<!\r)\r+\n")
_FROM_LINE = re.compile(rb">*From ")


class ContentReader:
    """The content after 354.  `read` gives content with LF line ends, dots unstuffed; `has_ended` says that it is over.

    A UNIX ``From `` line at the beginning becomes ``X-Mailbox-Line:``, and a first line that begins with a blank is
    set off by an empty line, so that it is not taken for a part of our Received: header.  smtpd(8)
    """

    __slots__ = ("_held", "_in_line", "_is_at_start", "_is_complete", "_mode", "_was_bare", "rest", "saw_bare", "size")

    def __init__(self, mode: BareNewline) -> None:
        self._mode = mode
        self._held = b""
        self._in_line = False
        self._was_bare = False
        self._is_at_start = True
        self._is_complete = False
        self.rest = b""
        """What came behind the end of data."""
        self.saw_bare = False
        self.size = 0
        """Content bytes with CRLF line ends, as message_size_limit counts them."""

    @property
    def held(self) -> int:
        """Bytes that are here, but are no whole line yet."""
        return len(self._held)

    def has_ended(self) -> bool:
        """True once the end of data was read."""
        return self._is_complete

    def read(self, data: bytes) -> bytes:
        """The content that is now certain; empty where it is too early to tell."""
        if self._held:
            data = self._held + data
        end = data.rfind(b"\n") + 1
        if not end:
            return self._hold(data)
        whole, self._held = data[:end], data[end:]
        content = self._lines(whole)
        if self._is_complete:
            return content
        if len(self._held) > _BREAK_OFF:
            return content + self._hold(self._held)
        return content

    def _hold(self, part: bytes) -> bytes:
        """Keep the part of a line, or let go of it where it grows too long to be kept.  Its last byte may be a CR."""
        self._held = part
        if len(part) <= _BREAK_OFF:
            return b""
        self._held = part[-1:]
        part = part[:-1]
        if not self._in_line:
            part = part[1:] if part.startswith(b".") else self._opening(part)
            self._is_at_start = False
            self._in_line = True
        return self._counted(part)

    def _lines(self, whole: bytes) -> bytes:
        """Whole lines (the first may have lost its beginning), up to the end of data where it is among them."""
        if self._in_line:
            lead = b""
        else:
            lead = b"\n" if self._was_bare else b"\r\n"  # what stood before these lines, so that all lines look alike
        text = lead + whole
        if self._mode is BareNewline.NO:
            text = self._lenient(text)
        else:
            text = self._strict(text)
        if whole.startswith(b"."):
            self._is_at_start = False
        if self._is_at_start and lead:
            text = b"\n" + self._opening(text[1:])
        text = text.replace(b"\n.", b"\n")
        self._in_line = False
        return self._counted(text[1:] if lead else text)

    def _strict(self, text: bytes) -> bytes:
        at = text.find(b"\r\n.\r\n")
        if at >= 0:
            self._end(text[at + 5 :])
            text = text[: at + 2]
        text_lf = text.replace(b"\r\n", b"\n")
        # The virtual line end before a part that follows a bare LF was counted then.
        bare = text.count(b"\n") - (len(text) - len(text_lf))
        if bare:
            self.saw_bare = True
            text_lf = _DOT_LINE_BESIDE_BARE.sub(b"", text).replace(b"\r\n", b"\n")
        self._was_bare = text.endswith(b"\n") and not text.endswith(b"\r\n")
        return text_lf

    def _lenient(self, text: bytes) -> bytes:
        found = _LENIENT_END.search(text)
        if found:
            self._end(text[found.end() :])
            text = text[: found.start() + 1]
        text = text.replace(b"\r\n", b"\n")
        return _CRS_BEFORE_LF.sub(b"\n", text) if b"\r\n" in text else text

    def _end(self, behind: bytes) -> None:
        self._is_complete = True
        self.rest = behind + self._held
        self._held = b""

    def _opening(self, text: bytes) -> bytes:
        """The beginning of the content as our Received: header needs it."""
        if not self._is_at_start or not text:
            return text
        parts = []
        while _FROM_LINE.match(text):
            line, newline, text = text.partition(b"\n")
            parts.append(b"X-Mailbox-Line: " + line + newline)
            if not text:
                return b"".join(parts)
        self._is_at_start = False
        if text.startswith((b" ", b"\t")):
            parts.append(b"\n")
        return b"".join((*parts, text)) if parts else text

    def _counted(self, text: bytes) -> bytes:
        self.size += len(text) + text.count(b"\n")
        return text


class ChunkReader:
    """The content of BDAT chunks: bytes as they are, but for line ends.  RFC 3030 §2, smtpd(8)

    Set `left` to open a chunk; `read` takes what belongs to it, `finish` gives what was held back at the last one.
    """

    __slots__ = ("_held", "_is_open", "_mode", "left", "saw_bare", "size")

    def __init__(self, mode: BareNewline) -> None:
        self._mode = mode
        self._held = b""
        self._is_open = False
        self.left = 0
        """Bytes of this chunk that are still to come."""
        self.saw_bare = False
        self.size = 0

    def read(self, data: bytes) -> bytes:
        """Take `data`, which belongs to the chunk, and give content."""
        self.left -= len(data)
        text = self._held + data
        kept = len(text) - len(text.rstrip(b"\r"))
        if kept:
            # CRs at the end may belong to a line end that is still to come; more of them than any line end has do not.
            kept = min(kept, 1 if self._mode.wants_standard_end else _BREAK_OFF)
            self._held = text[-kept:]
            text = text[:-kept]
        else:
            self._held = b""
        return self._counted(text)

    def finish(self) -> bytes:
        """What the last chunk left over: a content always ends with a line end."""
        text, self._held = self._held, b""
        if not text and not self._is_open:
            return b""
        self._is_open = False
        self.size += len(text) + 2
        return text + b"\n"

    def _counted(self, text: bytes) -> bytes:
        text_lf = text.replace(b"\r\n", b"\n")
        newlines = text_lf.count(b"\n")
        if newlines != len(text) - len(text_lf):
            self.saw_bare = True
        if not self._mode.wants_standard_end and b"\r\n" in text_lf:
            text_lf = _CRS_BEFORE_LF.sub(b"\n", text_lf)
        self.size += len(text_lf) + newlines
        if text_lf:
            self._is_open = not text_lf.endswith(b"\n")
        return text_lf
