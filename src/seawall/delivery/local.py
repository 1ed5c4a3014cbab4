"""local(8): mail for the users of this host, through aliases, .forward files, commands and mailboxes."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from seawall.delivery.aliases import deliver_alias, fail_to_owner
from seawall.delivery.command import deliver_command
from seawall.delivery.lists import CONFIGURATION, deliver_forward, deliver_include
from seawall.delivery.mailboxes import deliver_file, deliver_mailbox, deliver_unknown, home_is_there
from seawall.delivery.point import ALIAS, DEEPEST, INCLUDE, Point
from seawall.delivery.trouble import StoreTrouble, failed
from seawall.delivery.work import Parts, Work, delivered_to_values, find_user, is_loop
from seawall.mail.job import Job
from seawall.mail.outcome import Delivery, Forward, Outcome

INCLUDE_PREFIX = ":include:"


class LocalDelivery:
    """The delivery agent of one configuration; implements journey.Deliverer."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def deliver(self, job: Job) -> Delivery:
        """Deliver to each recipient in turn.  What must be queued anew stands in the result, to be stored first."""
        outcomes: list[Outcome] = []
        forwards: list[Forward] = []
        try:
            loops = delivered_to_values(job.content)
        except StoreTrouble as trouble:
            return Delivery(tuple(failed(trouble.status, trouble.text, self.parts.service) for _ in job.recipients))
        for place, recipient in enumerate(job.recipients):
            started = self.parts.clock.monotonic()
            delivery = await self._deliver_one(Work(self.parts, job, recipient, loops))
            took = self.parts.clock.monotonic() - started
            outcomes.append(_with_time(delivery.outcomes[0], took))
            forwards += (msgspec.structs.replace(forward, place=place) for forward in delivery.forwards)
        return Delivery(tuple(outcomes), tuple(forwards))

    @staticmethod
    async def _deliver_one(work: Work) -> Delivery:
        recipient = work.recipient
        point = Point(
            address=recipient.address,
            original=recipient.original,
            sender=work.job.envelope.sender,
            orcpt=recipient.orcpt,
            notify=recipient.notify,
        )
        await Expansion(work).recipient(point)
        return work.sum_up()


def _with_time(outcome: Outcome, seconds: float) -> Outcome:
    """The outcome and all that it stands for, with the seconds that they took together."""
    also = tuple(_with_time(each, seconds) for each in outcome.also)
    return msgspec.structs.replace(outcome, sending=seconds, also=also)


class Expansion:
    """The steps of local(8) that call each other.  Each returns True where the recipient must be tried again."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.rules = work.parts.rules

    async def recipient(self, point: Point) -> bool:
        """One recipient: the first, or one that an expansion led to.  local(8) recipient.c"""
        work = self.work
        point = point.deeper()
        if point.level > DEEPEST + 2:  # an alias that loops is told of by name, one step further down
            work.warn(f"recipient nesting limit exceeded for {point.address}")
            return work.fail(point, "5.4.6", "recipient nesting limit exceeded")
        if not work.first_time("recipient", point.level, point.address):
            return False
        if is_loop(work.loops, point.address):
            return await fail_to_owner(work, point, "5.4.6", f"mail forwarding loop for {point.address}")
        point, warning = point.split(self.rules.delimiters, owner_request_special=self.rules.owner_request_special)
        if warning:
            work.warn(f"{work.job.queue_id}: {warning}")
        if not point.user:
            return work.fail(point, "5.1.3", f'null username in "{point.address}"')
        return await self.switch(point.deeper())

    async def switch(self, point: Point) -> bool:
        """Alias, another message, .forward, mailbox, or unknown: the first that applies."""
        expanded = await deliver_alias(self.work, replace(point, unmatched=None).deeper(), point.local, self.token)
        if expanded is not None:
            return expanded
        if point.extension is not None:
            unmatched = point.extension if ALIAS in self.rules.propagate else None
            here = replace(point, unmatched=unmatched).deeper()
            expanded = await deliver_alias(self.work, here, point.user, self.token)
            if expanded is not None:
                return expanded
        point = replace(point, unmatched=point.extension)
        if point.kind == INCLUDE or (point.owner is not None and point.owner.lower() != point.user.lower()):
            return self.work.forward(point)
        there = await home_is_there(self.work, point)
        if there is not None:
            return there
        return await self.user(point)

    async def user(self, point: Point) -> bool:
        """A user of this host, if he is one."""
        if self.rules.forward_path:
            try:
                user = await find_user(self.work.parts, point.user)
            except OSError as trouble:
                self.work.warn(f"error looking up passwd info for {point.user}: {trouble.strerror}")
                return self.work.fail(point, "4.0.0", "user lookup error")
            if user is not None:
                forwarded = await deliver_forward(self.work, point.deeper(), user, self.token)
                if forwarded is not None:
                    return forwarded
        delivered = await deliver_mailbox(self.work, point)
        if delivered is not None:
            return delivered
        return await deliver_unknown(self.work, point.deeper(), self.address)

    async def token(self, point: Point, entry: str) -> bool:
        """One entry of an alias, list or .forward, in internal form.  local(8) token.c"""
        if entry.startswith("/"):
            return await deliver_file(self.work, point, entry)
        if entry.startswith("~"):
            return await self._home_file(point, entry)
        if entry.startswith("|"):
            if point.kind not in self.rules.commands_from:
                return self.work.fail(point, "5.7.1", "mail to command is restricted")
            return await deliver_command(self.work, point, entry[1:])
        if entry[: len(INCLUDE_PREFIX)].lower() == INCLUDE_PREFIX:
            return await deliver_include(self.work, point, entry[len(INCLUDE_PREFIX) :], self.token)
        return await self.address(point, entry)

    async def _home_file(self, point: Point, entry: str) -> bool:
        if not entry.startswith("~/"):
            self.work.warn(f"bad home directory syntax for: {entry}")
            return self.work.fail(point, "5.3.5", CONFIGURATION)
        if point.rights.home is None:
            self.work.warn(f"unknown home directory for: {entry}")
            return self.work.fail(point, "5.3.5", CONFIGURATION)
        return await deliver_file(self.work, point, point.rights.home.rstrip("/") + entry[1:])

    async def address(self, point: Point, entry: str) -> bool:
        """An address: made complete, resolved, and delivered here or sent on.  local(8) resolve.c"""
        routing = self.work.parts.routing
        route = await routing.resolve(await routing.rewrite(entry), point.sender)
        if route.has_failed:
            return self.work.fail(point, "4.3.0", "address resolver failure")
        if route.is_malformed:
            return self.work.fail(point, "5.1.3", f"bad recipient address syntax: {route.recipient}")
        point = replace(point, address=self._with_extension(route.recipient, point.unmatched)).deeper()
        if route.transport == self.work.parts.service:
            return await self.recipient(point)
        return self.work.forward(point)

    def _with_extension(self, address: str, unmatched: str | None) -> str:
        if unmatched is None:
            return address
        local, at, domain = address.rpartition("@")
        delimiter = self.rules.delimiters[:1]
        return f"{local}{delimiter}{unmatched}@{domain}" if at else f"{address}{delimiter}{unmatched}"
