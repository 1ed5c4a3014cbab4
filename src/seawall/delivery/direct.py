"""The direct way: mail for local Maildirs alone lies there before the client hears 250, without a queue file.

docs/design.md, "The direct way".  Every condition is decided before the first write; a message that does not meet
them all takes the spool.  What then happens to the files is in `rounds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from seawall.config.settings import ConfigTrouble
from seawall.delivery.content import delivery_headers
from seawall.delivery.local import LocalDelivery
from seawall.delivery.mailboxes import maildir_of
from seawall.delivery.maildir import VIRTUAL_STATUS
from seawall.delivery.point import Point, Rights
from seawall.delivery.rounds import Order, Rounds, Target
from seawall.delivery.rules import Rules, expand_for
from seawall.delivery.trouble import StoreTrouble, as_deferred
from seawall.delivery.virtual import VirtualDelivery, VirtualMailbox
from seawall.delivery.work import delivered_to_values, is_loop
from seawall.delivery.writers import Writers
from seawall.linux.identity import Identity
from seawall.linux.users import User
from seawall.mail.envelope import Notify, Recipient
from seawall.mail.message import Message
from seawall.mail.outcome import Outcome
from seawall.tables.table import TableTrouble

MOST_RECIPIENTS = 10
"""Recipients of a message that may take the direct way.  docs/design.md"""
USER_SECONDS = 1.0
"""How long a user's entry is believed: as long as a table goes unlooked at."""
_MOST_USERS = 10_000


class _NotThisWay(Exception):
    """A condition does not hold; nothing was written."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A user of this host as last asked for, and the paths at which he may have a .forward."""

    user: User
    forwards: tuple[str, ...]
    until: float


class DirectDelivery:
    """Implements journey.DirectWay inside the delivery process.

    `local` and `virtual` are the agents of the services, by their names in master.cf; `deferred` names the transports
    of defer_transports.
    """

    def __init__(
        self,
        local: Mapping[str, LocalDelivery],
        virtual: Mapping[str, VirtualDelivery],
        rounds: Rounds,
        writers: Writers,
        deferred: Iterable[str] = (),
        *,
        soft_bounce: bool = False,
    ) -> None:
        self._local = local
        self._virtual = virtual
        self._rounds = rounds
        self._writers = writers
        self._deferred = frozenset(deferred)
        self._soft_bounce = soft_bounce
        self._parts = next(iter(local.values())).parts
        self._users: dict[str, _Known] = {}

    async def deliver(self, message: Message) -> tuple[Outcome, ...] | None:
        """One outcome a recipient, each Delivered one durable; None, with nothing written, where this is not the way."""
        envelope = message.envelope
        recipients = envelope.recipients
        if not 1 <= len(recipients) <= MOST_RECIPIENTS or envelope.hold or envelope.filter or envelope.redirect:
            return None
        if any(recipient.notify & Notify.SUCCESS.value for recipient in recipients):
            return None
        try:
            loops = delivered_to_values(message.content)
            targets = tuple([await self._target(message, recipient, loops) for recipient in recipients])
        except (_NotThisWay, TableTrouble, StoreTrouble, ConfigTrouble, OSError):
            return None
        if len({target.maildir for target in targets}) != len(targets):
            return None  # one mailbox twice is for the duplicate filter of local(8)
        outcomes = await self._rounds.deliver(Order(message, targets))
        if outcomes is not None and self._soft_bounce:
            return tuple(map(as_deferred, outcomes))
        return outcomes

    async def _target(self, message: Message, recipient: Recipient, loops: frozenset[str]) -> Target:
        if is_loop(loops, recipient.address):
            raise _NotThisWay
        sender = message.envelope.sender
        route = await self._parts.routing.resolve(recipient.address, sender)
        if route.has_failed or route.is_malformed or route.transport in self._deferred:
            raise _NotThisWay
        virtual = self._virtual.get(route.transport)
        if virtual is not None:
            return await _virtual_target(virtual, sender, recipient)
        local = self._local.get(route.transport)
        if local is None:
            raise _NotThisWay
        return await self._local_target(local, sender, recipient)

    async def _local_target(self, agent: LocalDelivery, sender: str, recipient: Recipient) -> Target:
        """A user of this host whom no alias, map or command gets between."""
        parts, rules = agent.parts, agent.parts.rules
        if rules.mailbox_transport or rules.mailbox_command:
            raise _NotThisWay
        point, warning = Point(recipient.address, recipient.original, sender).split(
            rules.delimiters, owner_request_special=rules.owner_request_special
        )
        if warning or not point.user:
            raise _NotThisWay
        names = (point.local,) if point.extension is None else (point.local, point.user)
        for maps, keys in (
            (parts.alias_maps, names),
            (parts.transport_maps, (point.user,)),
            (parts.command_maps, (point.user,)),
        ):
            for key in keys:
                if maps and await maps.find(key) is not None:
                    raise _NotThisWay
        known = await self._user(point.user, rules)
        maildir = maildir_of(rules, known.user)
        if maildir is None:
            raise _NotThisWay
        forwards = known.forwards if point.extension is None else _forwards(rules, point, known.user)
        head = delivery_headers(
            sender,
            recipient.original if rules.original_header else "",
            recipient.address if "file" in rules.delivered_header else "",
        )
        identity = Identity(known.user.uid, known.user.gid)
        return Target(maildir, identity, head, rules.mailbox_size_limit, parts.service, forwards)

    async def _user(self, name: str, rules: Rules) -> _Known:
        """The user, asked for in a thread unless he was within the last second."""
        now = self._parts.clock.monotonic()
        known = self._users.get(name)
        if known is not None and known.until > now:
            return known
        user = await self._writers.run(lambda: self._parts.find_user(name))
        if user is None:
            raise _NotThisWay
        if len(self._users) >= _MOST_USERS:
            self._users.clear()
        point = Point(name, "", "", local=name, user=name)
        known = _Known(user, _forwards(rules, point, user), now + USER_SECONDS)
        self._users[name] = known
        return known


def _forwards(rules: Rules, point: Point, user: User) -> tuple[str, ...]:
    """The paths of forward_path for a user."""
    point = replace(point, rights=Rights.of(user))
    expanded = [expand_for(pattern, point, rules.forward_filter) for pattern in rules.forward_path]
    return tuple(found.text for found in expanded if not found.undefined)


async def _virtual_target(agent: VirtualDelivery, sender: str, recipient: Recipient) -> Target:
    found = await agent.find(recipient.address)
    if not isinstance(found, VirtualMailbox) or not found.is_maildir:
        raise _NotThisWay
    return Target(
        found.path, found.identity, agent.head(sender, recipient), agent.limit, agent.service, status=VIRTUAL_STATUS
    )
