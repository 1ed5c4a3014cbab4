"""What the queue manager is given: where mail goes, who carries it, who words the reports.  Protocols only.

`journey.Deliverer` and `journey.Intake` complete the list; `run/build.py` knows who stands behind each.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol


class Way(Protocol):
    """What is asked of a route (routing/route.py)."""

    @property
    def transport(self) -> str:
        """A master.cf service."""
        ...

    @property
    def nexthop(self) -> str:
        """Its destination."""
        ...

    @property
    def recipient(self) -> str:
        """The address that the agent is given."""
        ...

    @property
    def error(self) -> str:
        """What went wrong, where something did."""
        ...

    @property
    def is_malformed(self) -> bool:
        """True where no mail can be for such an address."""
        ...

    @property
    def has_failed(self) -> bool:
        """True where the answer is not known now."""
        ...


class Routing(Protocol):
    """Where mail for an address goes."""

    def resolve(self, address: str, sender: str = "") -> Awaitable[Way]:
        """The way of one recipient; trouble is told in the answer, never raised."""
        ...
