"""Who may log in, and how: the port behind AUTH.  smtpd_sasl_glue(3), RFC 4954

A mechanism is served by an `Exchange`: the session hands it what the client sent, decoded from base64, and passes its
challenges on.  Implementations stand beside this file; none of them raises for what a client sends.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from seawall.policy.attempt import Attempt


@dataclass(frozen=True, slots=True)
class Challenge:
    """The client must answer `data` (not base64 yet)."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Success:
    """The client is who it says it is."""

    username: str


@dataclass(frozen=True, slots=True)
class Failure:
    """It is not, or nobody can tell now (`is_temporary`, trouble of our own).

    `reason` is heard by the client (``Authentication failed``) and stands in the log; `username` is for the log alone.
    """

    reason: str = ""
    is_temporary: bool = False
    username: str = ""


Step: TypeAlias = Challenge | Success | Failure


class Exchange(Protocol):
    """One authentication under way."""

    def first(self) -> Step | Awaitable[Step]:
        """The answer to the AUTH command itself."""
        ...

    def step(self, response: bytes) -> Step | Awaitable[Step]:
        """The answer to what the client said to a challenge."""
        ...

    def close(self) -> None:
        """It is over: ended, given up, or the client is gone.  May be called twice."""
        ...


class Login(Protocol):
    """The way in that a configuration names."""

    def mechanisms(self, tls: bool) -> tuple[str, ...]:
        """What EHLO offers, in order; smtpd_sasl_security_options and smtpd_sasl_mechanism_filter are applied.

        Empty where nothing can be offered now: AUTH is then answered as if it were not enabled.
        """
        ...

    def start(self, mechanism: str, initial: bytes | None, attempt: Attempt) -> Exchange:
        """Begin.  `mechanism` is the client's word, in its own case; `initial` is decoded, None where there is none.

        An unknown mechanism gives an exchange whose `first` is a Failure.
        """
        ...
