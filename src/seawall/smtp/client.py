"""The client's side of SMTP and LMTP, pure: commands out, replies in, content as it goes over the wire.

`ClientEngine` pairs each reply with the command it answers, so that commands may be sent before earlier ones are
answered (RFC 2920).  `WireContent` makes lines with CRLF, dots stuffed.  No socket, clock or policy in here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from seawall.mail.address import quote_path
from seawall.mail.envelope import Envelope, Notify, Recipient

LINE_LIMIT = 2048
"""Bytes of a reply line that are kept, and at most read as one line.  postconf(5) line_length_limit"""
MOST_LINES = 100
"""Lines of one reply; our choice: no server has so much to say."""

_REPLY = re.compile(r"(\d{3})(?:([ -])(.*))?\Z", re.DOTALL)
_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|\Z)")
_NOT_XTEXT = re.compile(rb"[^!-*,-<>-~]")
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")


class Step(Enum):
    """What a reply answers; the value is how Postfix names the command to the sender."""

    GREETING = "greeting"
    HELLO = "EHLO command"
    STARTTLS = "STARTTLS command"
    MAIL = "MAIL FROM command"
    RCPT = "RCPT TO command"
    DATA = "DATA command"
    END = "end of DATA command"
    RSET = "final RSET command"
    QUIT = "QUIT command"
    COMMAND = "command"
    """Somebody else's, passed on."""


@dataclass(frozen=True, slots=True)
class ServerReply:
    """A server's reply: `code` is that of its last line; `lines` are whole lines, code and all.

    `step` is the command that it answers.
    """

    code: int
    lines: tuple[str, ...]
    step: Step

    @property
    def text(self) -> str:
        """All lines as one, the way it is told to the sender and the log."""
        return " ".join(self.lines)

    @property
    def status(self) -> str:
        """The enhanced status code: the server's own where it fits the reply code, else one made from that."""
        found = _STATUS.match(self.lines[-1][4:])
        digit = str(self.code)[0]
        if found is not None and found.group(1)[0] == digit:
            return found.group(1)
        return f"{digit}.0.0" if digit in "245" else "5.5.0"

    @property
    def is_success(self) -> bool:
        """True for 2xx."""
        return 200 <= self.code < 300


class ServerConfusion(Exception):
    """The server said something that leaves the state of the dialogue unknown: the connection must end."""


@dataclass(frozen=True, slots=True)
class Features:
    """What a server offered in its answer to EHLO: upper-case keywords, each with its parameters."""

    keywords: dict[str, str] = field(default_factory=dict)
    name: str = ""
    """The name that the server gave itself."""

    def has(self, keyword: str) -> bool:
        """True where it was offered."""
        return keyword in self.keywords

    @property
    def size_limit(self) -> int:
        """The limit that SIZE names, 0 where it names none.  RFC 1870 §4"""
        text = self.keywords.get("SIZE", "").split(" ", 1)[0]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def parse_features(reply: ServerReply, *, ignored: frozenset[str] = frozenset()) -> Features:
    """The features in an answer to EHLO or LHLO, without the keywords in `ignored` (upper case)."""
    keywords: dict[str, str] = {}
    for line in reply.lines[1:]:
        word, _, rest = line[4:].replace("=", " ", 1).partition(" ")
        keyword = word.upper()
        if _KEYWORD.match(word) and keyword not in ignored and len(keywords) < MOST_LINES:
            keywords[keyword] = rest.strip()
    words = reply.lines[0][4:].split()
    return Features(keywords, words[0] if words else "")


class ClientEngine:
    """One dialogue: `send` a command's bytes, `receive_data`, `next_reply`.  A greeting is expected first."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lines: list[str] = []
        self._expected: deque[Step] = deque((Step.GREETING,))
        self._skipping = False

    @property
    def is_waiting(self) -> bool:
        """True while replies are still to come."""
        return bool(self._expected)

    def send(self, step: Step, data: bytes, replies: int = 1) -> bytes:
        """Note that `data` is sent and how many replies it will have; returns it."""
        self._expected.extend([step] * replies)
        return data

    def receive_data(self, data: bytes) -> None:
        """Bytes from the server."""
        self._buffer += data

    def next_reply(self) -> ServerReply | None:
        """The next whole reply, or None where more must be received.  Raises ServerConfusion."""
        while True:
            line = self._next_line()
            if line is None:
                return None
            if not self._expected:
                raise ServerConfusion("a reply to no command")
            found = _REPLY.match(line)
            self._lines.append(line)
            if (
                found is None or found.group(2) == "-"
            ):  # what is no reply line is taken for more of one, as Postfix does
                if len(self._lines) >= MOST_LINES:
                    raise ServerConfusion("a reply of too many lines")
                continue
            reply = ServerReply(int(found.group(1)), tuple(self._lines), self._expected.popleft())
            self._lines = []
            return reply

    def _next_line(self) -> str | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > 4 * LINE_LIMIT:
                raise ServerConfusion("a reply line that is too long")
            return None
        line = bytes(self._buffer[: min(end, LINE_LIMIT)]).rstrip(b"\r")
        del self._buffer[: end + 1]
        text = line.decode("utf-8", "surrogateescape")
        return "".join(letter if letter >= " " and letter != "\x7f" else "?" for letter in text)

    def start_tls(self) -> None:
        """TLS begins now.  Raises ServerConfusion where the server said more before: nobody knows who it was.

        RFC 3207 §6; what was learnt before the handshake does not count after it.
        """
        if self._buffer or self._expected:
            raise ServerConfusion("data before the TLS handshake")
        self._lines = []


# -- commands ---------------------------------------------------------------------------------------------------


def format_xtext(text: str) -> str:
    """RFC 3461 §4 xtext."""
    data = text.encode("utf-8", "surrogateescape")
    return _NOT_XTEXT.sub(lambda found: b"+%02X" % found.group()[0], data).decode()


def _line(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\r\n"


def _path(address: str, quoted: bool) -> str:
    return quote_path(address) if quoted else address


def hello(verb: str, name: str) -> bytes:
    """``EHLO name``, ``HELO name``, ``LHLO name``."""
    return _line(f"{verb} {name}")


def mail_from(envelope: Envelope, size: int, features: Features, *, quoted: bool = True) -> bytes:
    """MAIL FROM with the parameters that the server offers.  `size` is in bytes as on the wire."""
    words = [f"MAIL FROM:<{_path(envelope.sender, quoted)}>"]
    if features.has("SIZE"):
        words.append(f"SIZE={size}")
    if features.has("8BITMIME") and envelope.body:
        words.append(f"BODY={envelope.body}")
    if features.has("SMTPUTF8") and envelope.smtputf8:
        words.append("SMTPUTF8")
    if features.has("DSN"):
        if envelope.envid:
            words.append(f"ENVID={format_xtext(envelope.envid)}")
        if envelope.ret:
            words.append(f"RET={envelope.ret}")
    return _line(" ".join(words))


_NOTIFY_WORDS = ((Notify.SUCCESS, "SUCCESS"), (Notify.FAILURE, "FAILURE"), (Notify.DELAY, "DELAY"))


def rcpt_to(recipient: Recipient, features: Features, *, quoted: bool = True) -> bytes:
    """RCPT TO with the parameters that the server offers."""
    words = [f"RCPT TO:<{_path(recipient.address, quoted)}>"]
    if features.has("DSN"):
        if recipient.orcpt:
            kind, _, address = recipient.orcpt.partition(";")
            words.append(f"ORCPT={kind};{format_xtext(address)}")
        if recipient.notify & Notify.NEVER.value:
            words.append("NOTIFY=NEVER")
        elif recipient.notify:
            asked = (word for bit, word in _NOTIFY_WORDS if recipient.notify & bit.value)
            words.append(f"NOTIFY={','.join(asked)}")
    return _line(" ".join(words))


def needs_smtputf8(envelope: Envelope, recipients: Sequence[Recipient]) -> bool:
    """True where a server without SMTPUTF8 cannot take the message.  RFC 6531 §3.6"""
    if not envelope.smtputf8:
        return False
    return not envelope.sender.isascii() or any(not recipient.address.isascii() for recipient in recipients)


# -- content ----------------------------------------------------------------------------------------------------

_DOT_AT_START = re.compile(rb"^\.", re.MULTILINE)
_HELD = 65536
"""Bytes of an unfinished line that are kept back where no limit cuts it."""


class WireContent:
    """Content with LF line ends as SMTP carries it: CRLF, a dot before each dot that begins a line.  RFC 5321 §4.5.2

    Lines longer than `limit` bytes are cut, what follows begins with a blank (0: no limit).
    postconf(5) smtp_line_length_limit
    """

    def __init__(self, limit: int = 998) -> None:
        self._limit = limit
        self._rest = b""
        self._continues = False
        """True where `_rest` is not the start of a line."""
        self._too_long = re.compile(rb"[^\n]{%d}" % (limit + 1)) if limit else None

    def feed(self, data: bytes) -> bytes:
        """Wire bytes for some more content; an unfinished line is kept back unless it is longer than the limit."""
        data = self._rest + data if self._rest else data
        end = data.rfind(b"\n") + 1
        out = self._whole(data[:end]) if end else b""
        self._rest = data[end:]
        longest = self._limit or _HELD
        while len(self._rest) > longest:
            out += self._start(self._rest[:longest]) + (b"\r\n " if self._limit else b"")
            self._rest = self._rest[longest:]
            self._continues = True
        return out

    def finish(self) -> bytes:
        """The last line's end, where the content had none, and the end of data."""
        rest = self._whole(self._rest + b"\n") if self._rest or self._continues else b""
        self._rest = b""
        return rest + b".\r\n"

    def _start(self, part: bytes) -> bytes:
        """The start of a line, or more of one that was cut."""
        return b"." + part if part.startswith(b".") and not self._continues else part

    def _whole(self, lines: bytes) -> bytes:
        """Whole lines; the first may be the end of one that was cut."""
        out = b""
        if self._continues:
            first, _, lines = lines.partition(b"\n")
            out = self._cut(first)
            self._continues = False
        if self._too_long is not None and self._too_long.search(lines):
            return out + b"".join(map(self._cut, lines.split(b"\n")[:-1]))
        return out + _DOT_AT_START.sub(b"..", lines).replace(b"\n", b"\r\n")

    def _cut(self, line: bytes) -> bytes:
        """One line, without its end, in as many lines as it needs."""
        size = self._limit or len(line) or 1
        parts = [line[at : at + size] for at in range(0, len(line), size)] or [b""]
        return self._start(parts[0]) + b"".join(b"\r\n " + part for part in parts[1:]) + b"\r\n"
