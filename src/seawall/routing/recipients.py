"""Does a recipient or sender exist?  What the recipient maps of its address class say.  smtpd_check(3), local_recipient_maps

The policy makes a reply of the answer; here is only which table is asked, in Postfix's order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import NamedTuple

import msgspec

from seawall.config.settings import Settings
from seawall.eager import now_or_later
from seawall.mail.address import DOUBLE_BOUNCE, MAILER_DAEMON, POSTMASTER, quote_local
from seawall.routing.route import ANY_CLASS, Classes, Route
from seawall.tables.registry import Tables
from seawall.tables.search import Form, IsLocal, Maps
from seawall.tables.table import TableTrouble

CODES = (
    "unknown_local_recipient_reject_code",
    "unknown_virtual_alias_reject_code",
    "unknown_virtual_mailbox_reject_code",
    "unknown_relay_recipient_reject_code",
)
"""The parameters that `Listing.code_parameter` may name."""
_ANY_CLASS = ANY_CLASS.value
_LOCAL = Classes.LOCAL.value
_FORM = Form.EXTERNAL_FIRST


def _surely(domain: str) -> bool:
    """Is the domain ours?  It made the route a local one."""
    return True


class _OfClass(NamedTuple):
    """The table of an address class, the parameter with its reply code, and what the reply says."""

    maps: Maps
    code: str
    text: str


class Listing(msgspec.Struct, frozen=True):
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

    def __init__(self, settings: Settings, tables: Tables, is_ours: IsLocal) -> None:
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
        rewriting = (self.recipient_canonical_maps, self.canonical_maps, self.virtual_alias_maps)
        self._rewriting = tuple(filter(None, rewriting))
        self._rewriting_senders = tuple(filter(None, (rewriting[0], self.sender_canonical_maps, *rewriting[1:])))
        self._of_class: Mapping[int, _OfClass] = {
            kind.value: _OfClass(of_kind, code, f"User unknown in {table}" if self._show_table else "User unknown")
            for kind, of_kind, code, table in (
                (
                    Classes.LOCAL,
                    self.local_recipient_maps,
                    "unknown_local_recipient_reject_code",
                    "local recipient table",
                ),
                (
                    Classes.VMAILBOX,
                    self.virtual_mailbox_maps,
                    "unknown_virtual_mailbox_reject_code",
                    "virtual mailbox table",
                ),
                (
                    Classes.RELAY,
                    self.relay_recipient_maps,
                    "unknown_relay_recipient_reject_code",
                    "relay recipient table",
                ),
            )
            if of_kind
        }

    def look_up(self, route: Route, *, as_sender: bool = False) -> Listing | Awaitable[Listing]:
        """As `listing`, at once where no table is remote."""
        return now_or_later(self.listing(route, as_sender=as_sender))

    async def listing(self, route: Route, *, as_sender: bool = False) -> Listing:
        """What the tables say of a resolved address; `as_sender` for smtpd_reject_unlisted_sender."""
        try:
            return await self._listing(route, as_sender)
        except TableTrouble as trouble:
            return Listing(False, trouble=f'{trouble.table} lookup error for "{quote_local(route.recipient)}"')

    async def _listing(self, route: Route, as_sender: bool) -> Listing:
        if route.has_failed:
            return Listing(False, trouble=route.error)
        address = route.recipient
        kind = route.classes._value_ & _ANY_CLASS
        delimiters, form = self._delimiters, _FORM
        ours = _surely if kind == _LOCAL else self._is_ours
        for maps in self._rewriting_senders if as_sender else self._rewriting:
            if await maps.find_address(address, delimiters=delimiters, is_local=ours, form=form) is not None:
                return LISTED
        unknown = "5.1.0" if as_sender else "5.1.1"
        if route.transport in ("error", "retry"):
            return self._told(route, unknown)
        known = self._of_class.get(kind)
        if known is None or (kind == _LOCAL and self._is_reserved(address)):
            return LISTED
        if await known.maps.find_address(address, delimiters=delimiters, is_local=ours, form=form) is not None:
            return LISTED
        return Listing(False, known.code, unknown, known.text)

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
