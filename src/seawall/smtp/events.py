"""What the engine tells the session: one frozen value for each thing that a client can do.

Every event that wants a reply is a `Command`; the session answers it with `Server.send`.  `Refused` carries its
reply already, because the protocol alone decided it.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, TypeAlias

import msgspec

from seawall.mail.envelope import Body, Ret
from seawall.mail.reply import Reply


class NeedData(Enum):
    """Nothing is complete: give the engine more bytes."""

    NEED_DATA = "need data"


NEED_DATA = NeedData.NEED_DATA


class Command(msgspec.Struct, frozen=True):
    """A command that is well formed and in order."""

    verb: ClassVar[str]


class Helo(Command, frozen=True):
    """`name` is safe to print and to put into a header, `raw` is as it came."""

    verb: ClassVar[str] = "HELO"
    name: str
    raw: str


class Ehlo(Helo, frozen=True):
    """As HELO, with the list of extensions wanted."""

    verb: ClassVar[str] = "EHLO"


class Mail(Command, frozen=True):
    """A transaction begins.  `sender` is in internal form, `argument` as the client wrote it, `size` 0 where not announced.

    `auth` is the AUTH= parameter (None where there was none, empty for ``<>``), `verp` the two VERP delimiters.
    """

    verb: ClassVar[str] = "MAIL"
    sender: str
    argument: str
    size: int = 0
    body: Body = Body.UNSTATED
    smtputf8: bool = False
    ret: Ret = Ret.DEFAULT
    envid: str = ""
    auth: str | None = None
    verp: str = ""


class Rcpt(Command, frozen=True):
    """One more recipient.  `notify` is the number of a `Notify`, `orcpt` ``type;address`` decoded or empty."""

    verb: ClassVar[str] = "RCPT"
    recipient: str
    argument: str
    notify: int = 0
    orcpt: str = ""


class Data(Command, frozen=True):
    """Content is announced; nothing of it is read before 354 is sent."""

    verb: ClassVar[str] = "DATA"


class Bdat(Command, frozen=True):
    """A chunk of `size` bytes follows.  The session answers with `Server.take_chunk` or `Server.refuse_chunk`."""

    verb: ClassVar[str] = "BDAT"
    size: int
    is_last: bool
    is_first: bool


class ChunkRead(Command, frozen=True):
    """A chunk that was taken is complete, and is not the last one."""

    verb: ClassVar[str] = "BDAT"
    size: int


class Content(msgspec.Struct, frozen=True):
    """Content with LF line ends and without dot stuffing; wants no reply."""

    data: bytes


class Fault(Enum):
    """What is wrong with a content that has ended."""

    NONE = ""
    BARE_NEWLINE = "bare <LF> received"
    """postconf(5) smtpd_forbid_bare_newline = reject"""
    SIZE = "message file too big"
    """postconf(5) message_size_limit"""


class EndOfData(Command, frozen=True):
    """The content is complete.  `size` counts as message_size_limit does; `by_chunks` after BDAT."""

    verb: ClassVar[str] = "end of data"
    size: int
    fault: Fault
    by_chunks: bool
    is_last: bool = True
    """False where a chunk that is not the last one broke a rule."""


class Rset(Command, frozen=True):
    """Forget the transaction."""

    verb: ClassVar[str] = "RSET"


class Noop(Command, frozen=True):
    """Nothing wanted.  `is_listed` for a command of smtpd_noop_commands, which is not counted by name."""

    verb: ClassVar[str] = "NOOP"
    is_listed: bool = False


class Vrfy(Command, frozen=True):
    """Is this address known?  `argument` is what the reply repeats."""

    verb: ClassVar[str] = "VRFY"
    address: str
    argument: str
    smtputf8: bool = False


class Etrn(Command, frozen=True):
    """Deliver what waits for a domain.  RFC 1985."""

    verb: ClassVar[str] = "ETRN"
    domain: str


class Quit(Command, frozen=True):
    """The client says goodbye."""

    verb: ClassVar[str] = "QUIT"


class Help(Command, frozen=True):
    """The list of commands is wanted."""

    verb: ClassVar[str] = "HELP"


class StartTls(Command, frozen=True):
    """TLS is wanted.  RFC 3207."""

    verb: ClassVar[str] = "STARTTLS"


class Auth(Command, frozen=True):
    """Authentication begins; `initial` is base64 text, ``=`` for an empty response, None for none.  RFC 4954."""

    verb: ClassVar[str] = "AUTH"
    mechanism: str
    initial: str | None


class AuthLine(Command, frozen=True):
    """The answer to a challenge, base64 text; ``*`` gives up."""

    verb: ClassVar[str] = "AUTH"
    text: str


class XClient(Command, frozen=True):
    """Names and values, decoded; names are upper case.  XCLIENT_README"""

    verb: ClassVar[str] = "XCLIENT"
    attributes: tuple[tuple[str, str], ...]


class XForward(Command, frozen=True):
    """Names and values, decoded; names are upper case.  XFORWARD_README"""

    verb: ClassVar[str] = "XFORWARD"
    attributes: tuple[tuple[str, str], ...]


class Note(Enum):
    """What the log should say of a refusal, beyond the reply."""

    NONE = ""
    REJECT = "reject"
    """The reject line, with this reply; the sample is the sender."""
    BARE_NEWLINE = "bare newline"
    PIPELINING = "pipelining"
    NON_SMTP = "non-SMTP command"
    TOO_LONG = "request too long"
    BAD_ADDRESS = "illegal address syntax"
    BDAT_SYNTAX = "malformed BDAT"
    BDAT_NULL = "null BDAT"
    BDAT_SIZE = "BDAT too large"


class Refused(Command, frozen=True):
    """A command that the protocol alone refuses.

    `command` is its name, ``unknown`` where there is none; `sample` is what the log shows of it.
    """

    verb: ClassVar[str] = "refused"
    command: str
    reply: Reply
    hangs_up: bool = False
    moves: bool = True
    """False where Postfix still names the command before as the place of the trouble."""
    goes_on: bool = False
    """True where this ends a command that was an event before (a chunk, an authentication), or is none."""
    note: Note = Note.NONE
    sample: str = ""


class Pipelined(msgspec.Struct, frozen=True):
    """The client sent more before it could know our answer, where it must wait; wants no reply.  RFC 2920 §3.1"""

    command: str
    sample: str


Event: TypeAlias = Command | Content | Pipelined
