"""A client that has its session and is still looked at: what seawall_door does where postscreen(8) makes it come again.

The session answers; here its commands are only looked at, until it gets to RCPT.  docs/differences.md D-52
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from seawall.door.screening import Test
from seawall.door.talk import COMMANDS, CONNECT, SAMPLE, UNIMPLEMENTED, is_no_smtp
from seawall.journal.records.door import RecipientRefused
from seawall.mail.reply import Reply
from seawall.policy.access import split_status
from seawall.policy.attempt import Attempt
from seawall.policy.worth import Place
from seawall.smtp.grammar import escape, printable
from seawall.smtp.proxy_header import End

if TYPE_CHECKING:
    from seawall.door.stranger import Stranger

NO_COMMANDS_AFTER = frozenset({"AUTH", "DATA", "BDAT", "XCLIENT"})
"""What follows these is no command, or comes from somebody whom we trust."""


class Guest(Protocol):
    """What the door needs of a session, which is an asyncio.Protocol."""

    screened: Callable[[Attempt], Reply] | None
    """Refuses every recipient of who has not logged in, and tells the log."""
    watch: Callable[[bytes], bool] | None
    """Looks at what comes before the session does; False where the session is over because of it."""
    ends: tuple[End, End] | None
    """The client's and ours, where a proxy named them."""

    place: Place | None
    """What its connection holds of the worker."""

    @property
    def has_spoken(self) -> bool:
        """The client has said something."""
        ...

    def shed(self) -> bool:
        """Take leave of the client because others are worth more."""
        ...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is the session's."""
        ...

    def data_received(self, data: bytes) -> None:
        """What the client said before."""
        ...

    def eof_received(self) -> bool | None:
        """The client says no more."""
        ...

    def withhold(self, keyword: str) -> None:
        """Do not announce an extension; with an empty word announce all again."""
        ...

    def tell(self, reply: Reply) -> None:
        """Say something that answers no command."""
        ...

    def hang_up(self) -> None:
        """End it."""
        ...


class Refusal:
    """What a client hears at RCPT because of who it is, unless it has logged in."""

    __slots__ = ("_stranger",)

    def __init__(self, stranger: Stranger) -> None:
        self._stranger = stranger

    def __call__(self, attempt: Attempt) -> Reply:
        """The reply for a recipient."""
        stranger = self._stranger
        text, door = stranger.rcpt_reply, stranger.door
        door.journal.write(
            RecipientRefused(
                at=door.clock.now(),
                address=stranger.address,
                port=stranger.port,
                reply=text,
                sender=attempt.sender or "",
                recipient=attempt.recipient or "",
                protocol=attempt.protocol,
                helo=attempt.helo or "",
            )
        )
        status, rest = split_status(text[4:], "")
        return Reply(int(text[:3]), status, rest)


class Watch:
    """Looks at commands as the deep tests do."""

    __slots__ = ("_guest", "_line", "_stranger", "_where")

    def __init__(self, stranger: Stranger, guest: Guest) -> None:
        self._stranger = stranger
        self._guest = guest
        self._line = b""
        self._where = CONNECT

    def __call__(self, data: bytes) -> bool:
        """What came; False where the client was dropped for it."""
        guest, limit = self._guest, self._stranger.talk_rules.line_length
        now = int(self._stranger.door.clock.now())
        while data and guest.watch is not None:
            line, end, data = data.partition(b"\n")
            line = (self._line + line)[: limit + 1]
            if not end:
                self._line = line
                break
            self._line = b""
            if not self._look(line, data, now):
                guest.watch = None
                return False
        return True

    def _look(self, line: bytes, rest: bytes, now: int) -> bool:
        """One command.  False where it was one too many."""
        stranger = self._stranger
        text = line.removesuffix(b"\r")
        if len(text) == len(line) and not self._may_be_bare(text, now):
            return False
        words = text.decode("utf-8", "surrogateescape").lstrip(" ")
        word, _, arguments = words.partition(" ")
        name = word.upper()
        before, self._where = self._where, name if name in COMMANDS else UNIMPLEMENTED
        for broken in self._broken(name, word, arguments, before, rest):
            test, reply, facts = broken
            if not stranger.breaks(test, now, reply, **facts):
                return False
        if name == "RCPT":
            stranger.reached_recipient(now)
            stranger.settle()
            self._stop()
        elif name in NO_COMMANDS_AFTER:
            self._stop()
        return True

    def _may_be_bare(self, line: bytes, now: int) -> bool:
        stranger = self._stranger
        facts = {"what": "BARE NEWLINE", "after": escape(line[:SAMPLE])}
        return not stranger.is_tested(Test.BARE_NEWLINE) or stranger.breaks(
            Test.BARE_NEWLINE, now, "521 5.5.1 Protocol error", **facts
        )

    def _broken(
        self, name: str, word: str, arguments: str, before: str, rest: bytes
    ) -> list[tuple[Test, str, dict[str, Any]]]:
        stranger = self._stranger
        found: list[tuple[Test, str, dict[str, Any]]] = []
        shown = printable(word, utf8=False)[:SAMPLE]
        if name not in COMMANDS and stranger.is_tested(Test.NON_SMTP) and is_no_smtp(stranger, word):
            sample = escape(arguments.encode("utf-8", "surrogateescape")[:SAMPLE])
            facts = {"what": "NON-SMTP COMMAND", "after": before, "sample": f"{shown} {sample}"}
            found.append((Test.NON_SMTP, "521 5.7.0 Error: I can break rules, too. Goodbye.", facts))
        if rest and name != "BDAT" and stranger.is_tested(Test.PIPELINING):
            facts = {"what": "COMMAND PIPELINING", "after": shown, "sample": escape(rest[:SAMPLE])}
            found.append((Test.PIPELINING, "521 5.5.1 Protocol error", facts))
        return found

    def _stop(self) -> None:
        self._guest.watch = None
        self._guest.withhold("")
