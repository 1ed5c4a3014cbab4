"""What a session needs of others: the judge, the names of clients, and who may log in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from seawall.dns.names import ClientNames
from seawall.policy.attempt import Attempt
from seawall.policy.verdict import Verdict

Answer: TypeAlias = Verdict | Awaitable[Verdict]


class Judging(Protocol):
    """Judges one step; see `policy.judge.Judge`."""

    def connect(self, attempt: Attempt) -> Answer:
        """The client."""
        ...

    def helo(self, attempt: Attempt) -> Answer:
        """HELO or EHLO."""
        ...

    def mail(self, attempt: Attempt) -> Answer:
        """The sender."""
        ...

    def rcpt(self, attempt: Attempt) -> Answer:
        """One recipient."""
        ...

    def data(self, attempt: Attempt) -> Answer:
        """DATA, or the first BDAT."""
        ...

    def end_of_data(self, attempt: Attempt) -> Answer:
        """The whole message."""
        ...

    def etrn(self, attempt: Attempt) -> Answer:
        """ETRN."""
        ...

    def vrfy(self, attempt: Attempt) -> Answer:
        """VRFY."""
        ...

    async def rewrite_context(self, attempt: Attempt) -> Verdict:
        """PERMIT where the client's mail is completed as our own, REJECT where a table could not say."""
        ...

    async def is_malformed(self, address: str, sender: str, *, smtputf8: bool) -> bool:
        """True for an address that no mail can be for."""
        ...


class Naming(Protocol):
    """Finds the names of clients; see `dns.names.Names`."""

    def tell_names(self, address: str, then: Callable[[ClientNames], None]) -> None:
        """Call with the names of the host with this address, at once where they are known.  Never raises."""
        ...
