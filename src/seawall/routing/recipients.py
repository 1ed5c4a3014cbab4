"""Does a recipient or sender exist?  What the recipient maps of its address class say.  smtpd_check(3), local_recipient_maps

The policy makes a reply of the answer; here is only which table is asked, in Postfix's order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from seawall.config.settings import Settings
from seawall.mail.address import DOUBLE_BOUNCE, MAILER_DAEMON, POSTMASTER
from seawall.routing.route import ANY_CLASS, Classes, Route
from seawall.tables.registry import Tables
from seawall.tables.search import Form, Maps
from seawall.tables.table import TableTrouble

_BY_CLASS: Mapping[Classes, tuple[str, str, str]] = {
    # class: (maps, reply code, what the reply calls the table)
    Classes.LOCAL: ("local_recipient_maps", "unknown_local_recipient_reject_code", "local recipient table"),
    Classes.ALIAS: ("virtual_alias_maps", "unknown_virtual_alias_reject_code", "virtual alias table"),
    Classes.VMAILBOX: ("virtual_mailbox_maps", "unknown_virtual_mailbox_reject_code", "virtual mailbox table"),
    Classes.RELAY: ("relay_recipient_maps", "unknown_relay_recipient_reject_code", "relay recipient table"),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """The answer.  `trouble` is set where a table could not say; nothing else counts then.

    Where `listed` is False, `code_parameter` names the parameter with the reply code (empty: 550, or 450 where
    `is_temporary`), `status` is the enhanced code for a recipient, `text` what follows ``rejected: ``.
    """

    listed: bool
    code_parameter: str = ""
    status: str = ""
    text: str = ""
    is_temporary: bool = False
    trouble: str = ""


LISTED = Listing(True)


class RecipientTables:
    """The maps that know addresses, each by the name of its parameter."""

    def __init__(self, settings: Settings, tables: Tables, is_ours: Callable[[str], Awaitable[bool]]) -> None:
        self._is_ours = is_ours
        self._delimiters = settings.text("recipient_delimiter")
        self._show_table = settings.flag("show_user_unknown_table_name")
        self._double_bounce = settings.text("double_bounce_sender").lower() or DOUBLE_BOUNCE

        def maps(name: str) -> Maps:
            return tables.maps(settings.text(name), title=name)

        self.canonical_maps = maps("canonical_maps")
        self.sender_canonical_maps = maps("sender_canonical_maps")
        self.recipient_canonical_maps = maps("recipient_canonical_maps")
        self.virtual_alias_maps = maps("virtual_alias_maps")
        self.local_recipient_maps = maps("local_recipient_maps")
        self.virtual_mailbox_maps = maps("virtual_mailbox_maps")
        self.relay_recipient_maps = maps("relay_recipient_maps")

    async def find(self, maps: Maps, address: str) -> str | None:
        """What `maps` has for an address in internal form, by mail_addr_find(3)'s order, or None."""
        if not maps:
            return None
        found = await maps.find_address(
            address, delimiters=self._delimiters, is_local=self._is_ours, form=Form.EXTERNAL_FIRST
        )
        return None if found is None else found[0]

    async def listing(self, route: Route, *, as_sender: bool = False) -> Listing:
        """What the tables say of a resolved address; `as_sender` for smtpd_reject_unlisted_sender."""
        if route.has_failed:
            return Listing(False, trouble=route.error)
        try:
            return await self._listing(route, as_sender)
        except TableTrouble as trouble:
            return Listing(False, trouble=str(trouble))

    async def _listing(self, route: Route, as_sender: bool) -> Listing:
        address = route.recipient
        rewriting = [self.recipient_canonical_maps, self.canonical_maps, self.virtual_alias_maps]
        if as_sender:
            rewriting.insert(1, self.sender_canonical_maps)
        for maps in rewriting:
            if await self.find(maps, address) is not None:
                return LISTED
        unknown = "5.1.0" if as_sender else "5.1.1"
        if route.transport in ("error", "retry"):
            return self._told(route, unknown)
        kind = route.classes & ANY_CLASS
        entry = _BY_CLASS.get(kind)
        if entry is None or kind is Classes.ALIAS:
            return LISTED
        _, code, table = entry
        maps = self._maps_of(kind)
        if not maps or (kind is Classes.LOCAL and self._is_reserved(address)):
            return LISTED
        if await self.find(maps, address) is not None:
            return LISTED
        return Listing(False, code, unknown, f"User unknown in {table}" if self._show_table else "User unknown")

    def _maps_of(self, kind: Classes) -> Maps:
        return {
            Classes.LOCAL: self.local_recipient_maps,
            Classes.VMAILBOX: self.virtual_mailbox_maps,
            Classes.RELAY: self.relay_recipient_maps,
        }[kind]

    def _is_reserved(self, address: str) -> bool:
        """Names that Postfix answers for itself, in no table."""
        return address.partition("@")[0].lower() in (POSTMASTER, MAILER_DAEMON, self._double_bounce)

    def _told(self, route: Route, unknown: str) -> Listing:
        """The text of an ``error:`` or ``retry:`` route; it may open with an enhanced code."""
        temporary = route.transport == "retry"
        status, text = unknown.replace("5", "4", 1) if temporary else unknown, route.nexthop
        head, blank, rest = text.partition(" ")
        parts = head.split(".")
        if blank and len(parts) == 3 and parts[0] in ("2", "4", "5") and all(part.isdigit() for part in parts):
            status, text = head, rest.lstrip()
        alias = Classes.ALIAS in route.classes
        return Listing(False, "unknown_virtual_alias_reject_code" if alias else "", status, text, temporary)
