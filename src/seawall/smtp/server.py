"""The server's side of SMTP: bytes in, events out, replies in, bytes out.  RFC 5321, RFC 2920, RFC 3030, RFC 4954

    engine.receive_data(data)
    while (event := engine.next_event()) is not NEED_DATA:
        reply = ...            # the session's judgement
        wire = engine.send(reply)

Rule 1: everything that changes the state of a transaction is here and in `states.TRANSITIONS`.  Rule 2: while an
event waits for its reply there is no next event.  Rule 3: whatever bytes come, they become events; nothing raises.
The session may change the attributes that are named without underscore between two events.
"""

from __future__ import annotations

import re

from seawall.mail.reply import Reply
from seawall.smtp.commands import LISTED_NOOP, UNKNOWN, VERBS, Verb
from seawall.smtp.end_of_data import BareNewline, ChunkReader, ContentReader
from seawall.smtp.events import (
    NEED_DATA,
    Auth,
    AuthLine,
    Bdat,
    ChunkRead,
    Command,
    Content,
    EndOfData,
    Event,
    Fault,
    Helo,
    NeedData,
    Note,
    Pipelined,
    Refused,
)
from seawall.smtp.grammar import Words, escape, printable, split_command
from seawall.smtp.lines import LineReader
from seawall.smtp.replies import ReadyReply, format_reply
from seawall.smtp.rules import Rules
from seawall.smtp.states import OUT_OF_ORDER, TRANSITIONS, State

SAMPLE = 100
"""Characters of bad input that the log shows, as many as smtpd(8) does."""

_HEADER = re.compile(r"[!-9;-~]+:")
_TOO_LONG = Reply(500, "5.5.2", "Error: line too long")
_BAD_UTF8 = Reply(500, "5.5.2", "Error: bad UTF-8 syntax")
_BAD_SYNTAX = Reply(500, "5.5.2", "Error: bad syntax")
_NOT_RECOGNIZED = Reply(500, "5.5.2", "Error: command not recognized")
_RULE_BREAKER = Reply(221, "2.7.0", "Error: I can break rules, too. Goodbye.")
_STARTTLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
OUT_OF_STEP = Reply(554, "5.5.0", "Error: SMTP protocol synchronization")
_NULL_CHUNK = Reply(551, "5.7.1", "Null BDAT request")
_CHUNK_TOO_LARGE = Reply(552, "5.3.4", "Chunk exceeds message size limit")
_RESPONSE_TOO_LONG = Reply(500, "5.5.6", "SASL response limit exceeded")
# Names of the module's own for what is asked at every command: looking a member up in its class costs ten times as much.
_IDLE, _DATA, _AUTH, _CLOSED = State.IDLE, State.DATA, State.AUTH, State.CLOSED
_OUT_OF_TABLE: frozenset[type[Command]] = frozenset({Refused, EndOfData, Auth, AuthLine})
_IN_TRANSACTION = frozenset({State.MAIL, State.RCPT, State.CHUNKS, State.CHUNKS_REFUSED})


class Server:
    """One session's engine."""

    __slots__ = (
        "_chunk",
        "_chunks",
        "_content",
        "_dropping",
        "_event",
        "_heard",
        "_held",
        "_lines",
        "_refusal",
        "bare_newline",
        "denied",
        "discarded",
        "helo",
        "is_authenticated",
        "is_encrypted",
        "line",
        "may_verp",
        "may_xclient",
        "may_xforward",
        "noted_bare",
        "pipelined",
        "protocol",
        "rules",
        "size",
        "state",
    )

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.state = State.IDLE
        self.protocol = "SMTP"
        self.helo: str | None = None
        self.line = ""
        """The command line that was read last."""
        self._heard = b""
        """The same, with what stands behind a NUL."""
        self.size = 0
        """Content bytes of the message under way, as message_size_limit counts them."""
        self.pipelined = False
        """The client once sent more before it could know our answer, where it must wait."""
        self.noted_bare = False
        self.denied: Reply | None = None
        """What every command but QUIT hears."""
        self.discarded = rules.discarded
        self.bare_newline = rules.bare_newline
        self.is_encrypted = False
        self.is_authenticated = False
        self.may_verp = False
        self.may_xclient = False
        self.may_xforward = False
        self._lines = LineReader(rules.line_length_limit)
        self._content: ContentReader | None = None
        self._chunks: ChunkReader | None = None
        self._chunk: Bdat | None = None
        self._dropping = 0
        self._refusal: Refused | None = None
        self._held: Command | None = None
        self._event: Command | None = None

    # Bytes in

    def receive_data(self, data: bytes) -> None:
        """What the client sent."""
        self._lines.feed(data)

    @property
    def waiting(self) -> int:
        """Bytes that are here and were not looked at yet."""
        return self._lines.waiting

    @property
    def content_so_far(self) -> int:
        """Bytes of the content under way, whole lines or not."""
        held = self._content.held if self._content is not None else 0
        return self.size + held + self._lines.waiting

    def peek(self) -> str:
        """The beginning of what waits, for the log."""
        return escape(self._lines.peek(SAMPLE))

    def drop_input(self) -> None:
        """Forget what waits: what a client sent before its TLS handshake must not count after it.  RFC 3207 §4.2"""
        self._lines.take_all()

    def next_event(self) -> Event | NeedData:
        """What the client did next; NEED_DATA where that is not known yet, or where an event still waits for its reply."""
        if self._event is not None:
            return NEED_DATA
        if self._held is not None:
            held, self._held = self._held, None
            return self._come(held)
        state = self.state
        if state is _DATA:
            return self._read_content()
        if self._chunk is not None:
            return self._read_chunk() if self._refusal is None else self._drop_chunk()
        if state is _CLOSED:
            self._lines.take_all()
            return NEED_DATA
        line = self._lines.next_line()
        if line is None:
            return NEED_DATA
        if state is _AUTH:
            return self._auth_line(line)
        return self._command(line)

    def _waits(self, event: Command) -> Command:
        self._event = event
        return event

    # Commands

    def _command(self, line: bytes) -> Event | NeedData:
        lines, rules = self._lines, self.rules
        if lines.is_bare and self.bare_newline is not BareNewline.NO:
            if self.bare_newline is BareNewline.REJECT:
                return self._waits(self._bare_newline())
            self.noted_bare = True
        if lines.is_too_long:
            sample = printable(line.decode("utf-8", "replace"))
            return self._waits(Refused(UNKNOWN, _TOO_LONG, note=Note.TOO_LONG, sample=sample))
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            if rules.smtputf8:
                return self._waits(_no_command(_BAD_UTF8))
            text = line.decode("utf-8", "surrogateescape")
        if "\0" in text:
            text = text.partition("\0")[0]  # a C string ends here
        if rules.command_filter is not None:
            text = rules.command_filter(text.lstrip(" \t")) or text
            line = text.encode("utf-8", "surrogateescape")
        self.line, self._heard = text, line
        words = split_command(text)
        if not words.words:
            return self._waits(_no_command(_BAD_SYNTAX))
        return self._named(words)

    def _named(self, words: Words) -> Event | NeedData:
        """A command by its first word, unless something forbids every command."""
        word = words.words[0]
        rules = self.rules
        if rules.is_noop is not None and rules.is_noop(word):
            return self._waits(LISTED_NOOP)
        verb = VERBS.get(word) or VERBS.get(word.upper())
        if verb is None:
            return self._waits(self._unknown(word))
        if self.denied is not None and verb.name != "QUIT":
            return self._waits(Refused(verb.name, self.denied, moves=False))
        if rules.requires_tls and not self.is_encrypted and not verb.is_open:
            return self._waits(Refused(verb.name, _STARTTLS_FIRST, moves=False))
        if (verb.ends_group or self.protocol != "ESMTP") and self._lines.waiting and not self.pipelined:
            return self._out_of_step(verb, words)
        event = verb.read(self, words)
        if event.__class__ is Bdat:
            return self._opened(event)
        self._event = event
        return event

    def _come(self, event: Command) -> Event | NeedData:
        """The event, or what becomes of a chunk that the protocol refuses."""
        if event.__class__ is Bdat:
            return self._opened(event)
        return self._waits(event)

    def _unknown(self, word: str) -> Refused:
        if _HEADER.match(word) or self.rules.is_forbidden(word):
            sample = escape(self._heard)[:SAMPLE]
            return Refused(UNKNOWN, _RULE_BREAKER, hangs_up=True, note=Note.NON_SMTP, sample=sample)
        return Refused(UNKNOWN, self.denied or _NOT_RECOGNIZED)

    def _out_of_step(self, verb: Verb, words: Words) -> Pipelined:
        self.pipelined = True
        if self.rules.forbid_unauth_pipelining:
            self._held = Refused(verb.name, OUT_OF_STEP, hangs_up=True)
        else:
            self._held = verb.read(self, words)
        return Pipelined(verb.name, self.peek())

    def _bare_newline(self) -> Refused:
        reply = Reply(self.rules.bare_newline_code, "5.5.2", f"{self.rules.hostname} Error: {Fault.BARE_NEWLINE.value}")
        return Refused(UNKNOWN, reply, hangs_up=True, moves=False, goes_on=True, note=Note.BARE_NEWLINE)

    def _auth_line(self, line: bytes) -> Command:
        if self._lines.is_too_long:
            return self._waits(Refused("AUTH", _RESPONSE_TOO_LONG, goes_on=True))
        return self._waits(AuthLine(line.decode("utf-8", "surrogateescape")))

    # Content after DATA

    def _read_content(self) -> Event | NeedData:
        reader = self._content
        if reader is None:
            reader = self._content = ContentReader(self.bare_newline)
        if not reader.has_ended():
            data = self._lines.take_all()
            if not data:
                return NEED_DATA
            content = reader.read(data)
            self.size = reader.size
            if reader.has_ended():
                self._lines.feed(reader.rest)
            if content and self._fault(reader) is Fault.NONE:
                return Content(content)
            if not reader.has_ended():
                return NEED_DATA
        self.noted_bare |= reader.saw_bare
        return self._waits(EndOfData(reader.size, self._fault(reader), by_chunks=False))

    def _fault(self, reader: ContentReader | ChunkReader) -> Fault:
        if reader.saw_bare and self.bare_newline is BareNewline.REJECT:
            return Fault.BARE_NEWLINE
        limit = self.rules.message_size_limit
        return Fault.SIZE if limit and reader.size > limit else Fault.NONE

    # Content in chunks

    def _opened(self, event: Command) -> Event | NeedData:
        """A BDAT that can be understood; what the protocol refuses is refused once its chunk is read."""
        if not isinstance(event, Bdat):
            return self._waits(event)
        if event.size == 0 and not event.is_last:
            self._chunk_refused(is_last=False)
            return self._waits(Refused("BDAT", _NULL_CHUNK, note=Note.BDAT_NULL))
        reply = OUT_OF_ORDER[self.state].get("BDAT")
        if self.state in (State.CHUNKS_REFUSED, State.CHUNKS_LOST):
            reply = Reply(551, "5.0.0", f"Discarded {event.size} bytes after earlier error")
        if reply is None:
            return self._waits(event)
        self._refuse(event, Refused("BDAT", reply))
        return self._drop_chunk()

    def _refuse(self, event: Bdat, refused: Refused) -> None:
        """Drop the chunk, then refuse it."""
        self._chunk = event
        self._dropping = event.size
        self._refusal = refused

    def take_chunk(self) -> None:
        """The answer to `Bdat`: read it.  What comes of it is told by `Content`, `ChunkRead`, `EndOfData` or `Refused`."""
        event = self._event
        if not isinstance(event, Bdat):
            return
        self._event = None
        if self._chunks is None:
            self._chunks = ChunkReader(self.bare_newline)
        limit = self.rules.message_size_limit
        if limit and self._chunks.size > limit - event.size:
            self._refuse(event, Refused("BDAT", _CHUNK_TOO_LARGE, note=Note.BDAT_SIZE, goes_on=True))
            return
        self._chunk = event
        self._chunks.left = event.size
        self.state = State.CHUNKS

    def refuse_chunk(self, reply: Reply) -> None:
        """The answer to `Bdat`: drop it; `Refused` with this reply follows when it has been dropped."""
        event = self._event
        if isinstance(event, Bdat):
            self._event = None
            self._refuse(event, Refused("BDAT", reply, goes_on=True))

    def _read_chunk(self) -> Event | NeedData:
        chunks, chunk = self._chunks, self._chunk
        if chunks is None or chunk is None:
            return NEED_DATA
        content = b""
        if chunks.left:
            data = self._lines.take(chunks.left)
            if not data:
                return NEED_DATA
            content = chunks.read(data)
            if chunks.left == 0 and chunk.is_last:
                content += chunks.finish()
            self.size = chunks.size
            if content and self._fault(chunks) is Fault.NONE:
                return Content(content)
            if chunks.left:
                return NEED_DATA
        elif chunk.size == 0:
            content = chunks.finish()
            if content and self._fault(chunks) is Fault.NONE:
                return Content(content)
        self._chunk = None
        self.noted_bare |= chunks.saw_bare
        fault = self._fault(chunks)
        if chunk.is_last or fault is not Fault.NONE:
            return self._waits(EndOfData(chunks.size, fault, by_chunks=True, is_last=chunk.is_last))
        return self._waits(ChunkRead(chunk.size))

    def _drop_chunk(self) -> Event | NeedData:
        refused, chunk = self._refusal, self._chunk
        self._dropping -= len(self._lines.take(self._dropping))
        if self._dropping or refused is None or chunk is None:
            return NEED_DATA
        self._refusal = None
        self._chunk = None
        self._chunk_refused(is_last=chunk.is_last)
        return self._waits(refused)

    def _chunk_refused(self, *, is_last: bool) -> None:
        if is_last:
            self._forget()
        else:
            self.state = State.CHUNKS_REFUSED if self.state in _IN_TRANSACTION else State.CHUNKS_LOST

    # Replies out

    def send(self, reply: Reply) -> bytes:
        """Answer the event that waits; the state follows."""
        event, self._event = self._event, None
        code = reply.code
        if event is not None:
            if event.__class__ in _OUT_OF_TABLE:
                self._answered(event, reply)
            elif code < 400:
                self._accepted(event)
        if code == 421 or code == 521:
            self.state = State.CLOSED
        return reply.wire if reply.__class__ is ReadyReply else format_reply(reply)

    def _answered(self, event: Command, reply: Reply) -> None:
        """An event whose consequences are not in `TRANSITIONS`."""
        if isinstance(event, Refused):
            if event.hangs_up:
                self.state = State.CLOSED
            elif self.state is State.AUTH:
                self._auth_is_over()
        elif isinstance(event, EndOfData):
            self._forget()
            if not event.is_last:
                self.state = State.CHUNKS_LOST
        elif reply.code == 334:
            self.state = State.AUTH
            self._lines.limit = self.rules.response_limit
        else:
            self._auth_is_over()

    def _accepted(self, event: Command) -> None:
        state = TRANSITIONS[self.state].get(event.verb)
        if state is None:
            return
        if state is not _IDLE:
            self.state = state
            return
        self._forget()
        if isinstance(event, Helo):
            self.helo = event.name
            if event.verb == "EHLO":
                self.protocol = "ESMTP"  # HELO does not take it back: the client was told of PIPELINING
        elif event.verb == "STARTTLS":
            self.helo = None

    def _auth_is_over(self) -> None:
        self.state = State.IDLE
        self._lines.limit = self.rules.line_length_limit

    def _forget(self) -> None:
        """No transaction."""
        self.state = State.IDLE
        self.size = 0
        self._content = None
        self._chunks = None
        self._chunk = None

    def restart(self, *, helo: str | None, protocol: str) -> None:
        """Back to the greeting, as XCLIENT asks; that is the answer to it."""
        self._event = None
        self._forget()
        self.helo = helo
        self.protocol = protocol


def _no_command(reply: Reply) -> Refused:
    """What has no first word counts as no command, and where the client is does not change."""
    return Refused(UNKNOWN, reply, goes_on=True)
