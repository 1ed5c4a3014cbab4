"""What an access table, a policy service or a content check may ask of the message itself.  access(5) OTHER ACTIONS."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class What(Enum):
    """The kinds of action."""

    BCC = "bcc"
    DISCARD = "discard"
    FILTER = "filter"
    HOLD = "hold"
    PREPEND = "prepend"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class Action:
    """A side effect for intake: the address, header, transport:nexthop or note that belongs to it in `value`."""

    what: What
    value: str = ""
