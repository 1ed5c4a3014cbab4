"""The envelope on its way in: the sender and every recipient in the form that the queue keeps.  cleanup_addr(3)

Each recipient is completed, mapped, expanded by the virtual alias maps, and kept once.  Blind copies join on the way.
"""

from __future__ import annotations

from seawall.config.settings import Settings
from seawall.intake.mapping import AddressMaps, Place
from seawall.intake.status import Errors
from seawall.mail.address import MAILER_DAEMON, fold, quote_path
from seawall.mail.envelope import Notify, Recipient
from seawall.routing.rewrite import Context, Rewriter

NEVER = Notify.NEVER.value
SUCCESS = Notify.SUCCESS.value


class EnvelopeRules:
    """What a configuration says about envelopes.

    `maps_addresses` and `copies` are switched off by receive_override_options = no_address_mappings, and copies are
    not made of mail that we write ourselves.
    """

    def __init__(self, settings: Settings, rewriter: Rewriter, maps: AddressMaps) -> None:
        self.rewriter = rewriter
        self.maps = maps
        self.always_bcc = settings.text("always_bcc")
        self.keeps_original = settings.flag("enable_original_recipient")
        self.remembers = settings.number("duplicate_filter_limit")
        self.empty_address = settings.text("empty_address_recipient")
        self.maps_addresses = "no_address_mappings" not in settings.words("receive_override_options")
        self.mailer_daemon = fold(rewriter.rewrite(MAILER_DAEMON))


class EnvelopeInProgress:
    """One message's envelope while it grows.

    `copied` is True once a blind copy was added, `expanded` once an alias was followed for a recipient with
    NOTIFY=SUCCESS; `last` is the last recipient before alias expansion, as content checks log it.
    """

    def __init__(self, rules: EnvelopeRules, errors: Errors, *, copies: bool) -> None:
        self._rules = rules
        self._errors = errors
        self._copies = copies and rules.maps_addresses
        self._seen: set[tuple[str, int, str, str]] = set()
        self.sender = ""
        self.last = ""
        self.recipients: list[Recipient] = []
        self.copied = False

    async def set_sender(self, address: str) -> None:
        """The envelope sender; our own mailer-daemon is the null sender."""
        rules = self._rules
        sender = rules.rewriter.rewrite(address, Context.LOCAL)
        if fold(sender) == rules.mailer_daemon:
            sender = ""
        if rules.maps_addresses:
            sender = await rules.maps.mapped(sender, Place.ENVELOPE_SENDER, self._errors)
        self.sender = sender
        if self._copies:
            await self._copy(await rules.maps.copy_to(rules.maps.sender_bcc_maps, sender, self._errors))

    async def add(self, recipient: Recipient) -> None:
        """A recipient as the client named it, address in internal form."""
        rules = self._rules
        address = await self._mapped(recipient.address or rules.empty_address)
        original = recipient.original or recipient.address
        orcpt = recipient.orcpt or f"rfc822;{quote_path(original)}"
        await self._keep(address, original, orcpt, recipient.notify)
        self.last = address
        if self._copies:
            await self._copy(await rules.maps.copy_to(rules.maps.recipient_bcc_maps, address, self._errors))

    async def finish(self, more_copies: list[str]) -> None:
        """Copies for all: always_bcc, and those that content checks asked for."""
        always = self._rules.always_bcc
        if self._copies and always and self.last:
            await self._copy(always)
        for address in more_copies:
            await self._copy(address)

    async def _mapped(self, address: str) -> str:
        rules = self._rules
        complete = rules.rewriter.rewrite(address, Context.LOCAL)
        if not rules.maps_addresses:
            return complete
        return await rules.maps.mapped(complete, Place.ENVELOPE_RECIPIENT, self._errors)

    async def _copy(self, address: str | None) -> None:
        """A blind copy, of whose fate nobody is told.  postconf(5) always_bcc"""
        if address is None:
            return
        self.copied = True
        mapped = await self._mapped(address)
        await self._keep(mapped, mapped, "", NEVER)

    async def _keep(self, address: str, original: str, orcpt: str, notify: int) -> None:
        """What virtual aliases make of a recipient, each result once."""
        rules = self._rules
        results = [address]
        if rules.maps_addresses and rules.maps.virtual_alias_maps:
            results = await rules.maps.expanded(address, self._errors)
            if notify & SUCCESS and results != [address]:
                notify = NEVER if notify == SUCCESS else notify & ~SUCCESS
        for result in results:
            self._keep_once(Recipient(result, original, orcpt, notify))

    def _keep_once(self, recipient: Recipient) -> None:
        """been_here(3): memory for duplicate_filter_limit addresses, letters without case."""
        if self._rules.keeps_original:
            key = (fold(recipient.orcpt), recipient.notify, fold(recipient.original), fold(recipient.address))
        else:
            key = ("", 0, "", fold(recipient.address))
        if key in self._seen:
            return
        if self._rules.remembers <= 0 or len(self._seen) < self._rules.remembers:
            self._seen.add(key)
        self.recipients.append(recipient)
