"""virtual(8): mailboxes of users who exist in tables alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from seawall.clock import Clock
from seawall.config.settings import ConfigTrouble, Settings
from seawall.delivery import mbox
from seawall.delivery.content import delivery_headers, from_line
from seawall.delivery.lists import CONFIGURATION
from seawall.delivery.maildir import VIRTUAL_STATUS, Maildirs
from seawall.delivery.mbox import Checks
from seawall.delivery.rules import read_locking
from seawall.delivery.trouble import StoreTrouble, delivered, failed
from seawall.delivery.work import delivered_to_values, is_loop
from seawall.delivery.writers import Writers
from seawall.journal.record import Journal, Warned
from seawall.linux.identity import Identity, IdentityTrouble
from seawall.mail.address import fold
from seawall.mail.envelope import Recipient
from seawall.mail.job import Job
from seawall.mail.outcome import Delivery, Outcome
from seawall.tables.registry import Tables
from seawall.tables.search import Maps
from seawall.tables.table import TableTrouble, Use

_LEADING_NUMBER = re.compile(r"\s*([+-]?\d{1,18})")
_LARGEST_ID = 2**32 - 2


def number_of(text: str) -> int:
    """A number as atol(3) reads it: leading digits count, anything else is 0."""
    found = _LEADING_NUMBER.match(text)
    return int(found.group(1)) if found else 0


@dataclass(frozen=True, slots=True)
class VirtualMailbox:
    """Where a recipient's mail lies and whose it is; a path that ends in a slash is a Maildir."""

    path: str
    identity: Identity

    @property
    def is_maildir(self) -> bool:
        """True for a Maildir."""
        return self.path.endswith("/")


class VirtualDelivery:
    """The delivery agent of one configuration; implements journey.Deliverer.  `service` is its name in master.cf."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        writers: Writers,
        maildirs: Maildirs,
        journal: Journal,
        clock: Clock,
        service: str = "virtual",
    ) -> None:
        self.service = service
        self._writers = writers
        self._maildirs = maildirs
        self._journal = journal
        self._clock = clock
        use = Use(substitute=False, trusted=True)
        names = ("virtual_mailbox_maps", "virtual_uid_maps", "virtual_gid_maps")
        self._mailboxes, self._uids, self._gids = (tables.maps(settings.text(n), use, title=n) for n in names)
        self._base = settings.text("virtual_mailbox_base")
        if self._base and not self._base.startswith("/"):
            raise ConfigTrouble(
                f"do not specify relative pathname: virtual_mailbox_base = {self._base}",
                settings.where("virtual_mailbox_base"),
            )
        self._base = settings.path(self._base)
        self._lowest_uid = settings.number("virtual_minimum_uid")
        self._delimiters = settings.text("recipient_delimiter")
        self.limit = settings.number("virtual_mailbox_limit")
        self._strict = settings.flag("strict_mailbox_ownership")
        self._original_header = settings.flag("enable_original_recipient")
        self._locking = read_locking(settings, "virtual_mailbox_lock")

    async def deliver(self, job: Job) -> Delivery:
        """Deliver to each recipient in turn."""
        outcomes: list[Outcome] = []
        try:
            loops = delivered_to_values(job.content)
        except StoreTrouble as trouble:
            return Delivery(tuple(failed(trouble.status, trouble.text, self.service) for _ in job.recipients))
        for recipient in job.recipients:
            started = self._clock.monotonic()
            outcome = await self._deliver_one(job, recipient, loops)
            took = self._clock.monotonic() - started
            outcomes.append(msgspec.structs.replace(outcome, sending=took))
        return Delivery(tuple(outcomes))

    async def _deliver_one(self, job: Job, recipient: Recipient, loops: frozenset[str]) -> Outcome:
        if is_loop(loops, recipient.address):
            return failed("5.4.6", f"mail forwarding loop for {recipient.address}", self.service)
        found = await self.find(recipient.address)
        if not isinstance(found, VirtualMailbox):
            return found
        if job.is_probe:
            return delivered("delivers to maildir" if found.is_maildir else "delivers to mailbox", self.service)
        store, done = self._store_into(job, recipient, found)
        try:
            await self._writers.run_as(found.identity, store)
        except StoreTrouble as trouble:
            return failed(trouble.status, trouble.text, self.service)
        except IdentityTrouble as trouble:
            return failed("4.3.0", f"delivery failed to mailbox {found.path}: {trouble}", self.service)
        return delivered(done, self.service)

    async def find(self, address: str) -> VirtualMailbox | Outcome:
        """The mailbox of a recipient, or what his mail comes to where he has none."""
        user = fold(address)
        try:
            path = await self._look_up(self._mailboxes, user)
            if path is None:
                return failed("5.1.1", f'unknown user: "{user}"', self.service)
            uid, gid = await self._look_up(self._uids, user), await self._look_up(self._gids, user)
        except TableTrouble as trouble:
            self._warn(f"table {trouble.table}: lookup {user}: {trouble.reason}")
            return failed("4.3.5", CONFIGURATION, self.service)
        for value, maps, lowest, word in ((uid, self._uids, self._lowest_uid, "uid"), (gid, self._gids, 1, "gid")):
            if value is None:
                self._warn(f"recipient {user}: not found in {maps.title}")
                return failed("4.3.5", CONFIGURATION, self.service)
            if not lowest <= number_of(value) <= _LARGEST_ID:
                self._warn(f"recipient {user}: bad {word} {value} in {maps.title}")
                return failed("4.3.5", CONFIGURATION, self.service)
        return VirtualMailbox(f"{self._base}/{path}", Identity(number_of(uid or ""), number_of(gid or "")))

    async def _look_up(self, maps: Maps, user: str) -> str | None:
        found = await maps.find_address(user, delimiters=self._delimiters)
        return None if found is None else found[0]

    def head(self, sender: str, recipient: Recipient) -> bytes:
        """The headers before a message."""
        return delivery_headers(sender, recipient.original if self._original_header else "", recipient.address)

    def _warn(self, message: str) -> None:
        self._journal.write(Warned(at=self._clock.now(), source="virtual", message=message))

    def _store_into(self, job: Job, recipient: Recipient, found: VirtualMailbox) -> tuple[Callable[[], None], str]:
        """What a thread does to deliver, and the text for when it has."""
        sender, now = job.envelope.sender, self._clock.now()
        head = self.head(sender, recipient)
        if found.is_maildir:

            def store() -> None:
                try:
                    self._maildirs.deliver(
                        found.path, head, job.content, now=now, limit=self.limit, status=VIRTUAL_STATUS
                    )
                except StoreTrouble as trouble:
                    raise replace_text(trouble, f"maildir delivery failed: {trouble.text}") from trouble

            return store, "delivered to maildir"
        checks = Checks(owner=found.identity.uid if self._strict else -1, default_status=VIRTUAL_STATUS)

        def append() -> None:
            whole = from_line(sender, now) + head
            try:
                mbox.append(found.path, whole, job.content, self._locking, checks, self.limit)
            except StoreTrouble as trouble:
                raise replace_text(trouble, f"delivery failed to mailbox {found.path}: {trouble.text}") from trouble

        return append, "delivered to mailbox"


def replace_text(trouble: StoreTrouble, text: str) -> StoreTrouble:
    """The same trouble, told with more around it."""
    return StoreTrouble(trouble.status, text, trouble.cause)
