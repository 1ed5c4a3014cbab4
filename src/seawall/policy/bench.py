"""What a restriction is built with: the configuration's values, the port to the world, and the compiler itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

from seawall.policy.attempt import Attempt
from seawall.policy.evaluate import Ask, Items, Manner
from seawall.policy.facts import ClientMatch, Facts
from seawall.policy.stages import Stage
from seawall.policy.verdict import PERMIT, Remark, Verdict


class Values(Protocol):
    """The settings as restrictions read them.  `seawall.config.settings.Settings` is one."""

    def text(self, name: str) -> str:
        """The expanded value."""
        ...

    def flag(self, name: str) -> bool:
        """yes or no."""
        ...

    def number(self, name: str) -> int:
        """A number."""
        ...

    def seconds(self, name: str) -> float:
        """A time in seconds."""
        ...

    def words(self, name: str) -> tuple[str, ...]:
        """The value split at blanks and commas."""
        ...


@dataclass(frozen=True, slots=True)
class Bench:
    """One configuration's workshop.

    `compile` makes the items of a list, for restrictions that stand in tables.  `permit_log` holds the words of
    smtpd_log_access_permit_actions.
    """

    values: Values
    facts: Facts
    manner: Manner
    compile: Callable[[str, Stage], Items]
    mynetworks: ClientMatch
    permit_log: tuple[str, ...] = ()

    def permit(self, attempt: Attempt, action: str, reply_class: str, reply_name: str, more: str = "") -> Verdict:
        """PERMIT, told to the log where the configuration wants it.  postconf(5) smtpd_log_access_permit_actions"""
        if self.permit_log and attempt.pending.defer_if_permit is None and _logs(self.permit_log, action):
            text = f"action={action} for {reply_class}={reply_name}{more or ' '}"  # the blank is Postfix's
            attempt.remarks.append(Remark("permit", attempt.where, text))
        return PERMIT


def _logs(words: tuple[str, ...], action: str) -> bool:
    """The first word that fits decides; ``static:all`` fits everything, ``!word`` means no."""
    for word in words:
        name = word.lstrip("!")
        if name.lower() == action.lower() or name.startswith("static:"):
            return (len(word) - len(name)) % 2 == 0
    return False


def warn(attempt: Attempt, text: str) -> None:
    """A warning for the log: trouble of our own, not of the client."""
    attempt.remarks.append(Remark("warning", attempt.where, text))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a restriction stands: its list, its name as written, its argument, and the word that follows it."""

    stage: Stage
    name: str
    argument: str = ""
    follows: str = ""


Builder: TypeAlias = Callable[[Bench, Place], Ask]


class Argument(Enum):
    """What a restriction takes."""

    NONE = "nothing"
    TABLE = "type:table"
    DOMAIN = "domain name"
    SERVICE = "transport:server"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Restriction:
    """A row of the registry."""

    build: Builder
    argument: Argument = Argument.NONE


Registry: TypeAlias = Mapping[str, Restriction]
