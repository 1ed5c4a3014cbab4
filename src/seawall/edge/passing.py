"""A message that is passed on while it comes: the `Reception` of a session that is joined with the server behind.

Nothing of it is kept.  What a client sent is read to its lines before it goes on, and written anew: so the end of the
content is where we saw it and nowhere else, whatever stood around it (docs/in-front.md, "Smuggling").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seawall.journey import Reception
from seawall.mail.action import Action
from seawall.mail.envelope import Recipient, Submission
from seawall.mail.reply import Reply
from seawall.smtp.client import WireContent

if TYPE_CHECKING:
    from seawall.edge.front import FrontSession


class Passing:
    """One message.  `mail` is the MAIL command as it goes on, which may be later than it came."""

    def __init__(self, session: FrontSession, mail: str) -> None:
        self.queue_id = ""
        self._session = session
        self._mail = mail
        self._answer: Reply | None = None
        """What the server behind said to MAIL."""
        self._wire: WireContent | None = None
        self._received = 0

    @property
    def is_known(self) -> bool:
        """True where the server behind has heard of it."""
        return self._answer is not None

    async def begin(self) -> Reply:
        """Join, and say MAIL, once."""
        if self._answer is None:
            self._answer = await self._session.pass_on(self._mail)
        return self._answer

    def open(self) -> None:
        """The server behind has said 354: content follows."""
        self._wire = WireContent(0)

    def add_recipient(self, recipient: Recipient) -> None:
        """The command itself went on."""

    def apply(self, action: Action) -> None:
        """What a table wants done with a message needs a queue: it is not done (docs/in-front.md)."""

    def write(self, data: bytes) -> None:
        """More content; the client is held where the server behind does not keep up."""
        wire, session = self._wire, self._session
        if wire is None:
            return
        self._received += len(data) + data.count(b"\n")
        session.stream(wire.feed(without_stray_cr(data)))

    @property
    def received(self) -> int:
        """Content bytes so far."""
        return self._received

    async def finish(self) -> Reply:
        """The end of the content; the reply is the server's own, or 421."""
        wire, self._wire = self._wire, None
        return await self._session.end_content(b"" if wire is None else wire.finish())

    def abort(self) -> None:
        """Forget it: where content has gone on, only the end of the connection does that."""
        if self._wire is not None:
            self._wire = None
            self._session.part(politely=False)


class NoIntake:
    """The `Intake` of a door alone: nothing becomes ours."""

    def open(self, submission: Submission) -> Reception:
        """Nobody asks for it: every transaction here has its `Passing` before its first recipient."""
        raise RuntimeError("nothing is taken in where another server stands behind")

    def room_for(self, size: int) -> bool:
        """The server behind knows its disk."""
        return True


def without_stray_cr(data: bytes) -> bytes:
    """A CR that ends no line is a blank: some server would take it for a line end.  postconf(5) cleanup_replace_stray_cr_lf"""
    return data.replace(b"\r", b" ") if b"\r" in data else data
