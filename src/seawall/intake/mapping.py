"""How addresses change on their way in: canonical maps, masquerading, virtual aliases, blind copies.  cleanup(8)

canonical(5), virtual(5), postconf(5) masquerade_domains.  Every expansion ends: loops are bounded in depth, in number
and in length, whatever the maps say.
"""

from __future__ import annotations

from enum import Enum

from seawall.config.settings import Settings
from seawall.intake.status import Errors, Status
from seawall.mail.address import fold
from seawall.mail.rfc822 import addresses, parse
from seawall.routing.resolve import Routing
from seawall.routing.rewrite import Context
from seawall.tables.registry import Tables
from seawall.tables.search import Form, Maps
from seawall.tables.table import TableTrouble

CANONICAL_DEPTH = 10
"""cleanup_map11(3) MAX_RECURSION."""
EXPANSION_ERROR = ("4.6.0", "Alias expansion error")
NOT_ACCEPTED = "message not accepted, try again later"


class Place(Enum):
    """Where an address stands; the classes of canonical_classes and masquerade_classes."""

    ENVELOPE_SENDER = "envelope_sender"
    ENVELOPE_RECIPIENT = "envelope_recipient"
    HEADER_SENDER = "header_sender"
    HEADER_RECIPIENT = "header_recipient"

    @property
    def is_sender(self) -> bool:
        """True for the two sender classes."""
        return self in (Place.ENVELOPE_SENDER, Place.HEADER_SENDER)


class _NotAnAddress(TableTrouble):
    """A value that no address can be read from: the table's maker must mend it, the mail waits."""

    def __init__(self, title: str, address: str, value: str) -> None:
        super().__init__(title, f'lookup of {address} returns non-address result "{value}"')

    def __str__(self) -> str:
        return f"{self.table} {self.reason}"


class AddressMaps:
    """The maps of one configuration that change addresses."""

    def __init__(self, settings: Settings, routing: Routing, tables: Tables) -> None:
        self._routing = routing
        self._delimiters = settings.text("recipient_delimiter")
        propagate = settings.words("propagate_unmatched_extensions")
        self._extend_canonical = "canonical" in propagate
        self._extend_virtual = "virtual" in propagate

        def maps(name: str) -> Maps:
            return tables.maps(settings.text(name), title=name)

        def classes(name: str) -> frozenset[str]:
            return frozenset(word.lower() for word in settings.words(name))

        common = (maps("canonical_maps"), classes("canonical_classes"))
        own = {
            True: (maps("sender_canonical_maps"), classes("sender_canonical_classes")),
            False: (maps("recipient_canonical_maps"), classes("recipient_canonical_classes")),
        }
        self._canonical = {
            place: tuple(
                chosen for chosen, wanted in (own[place.is_sender], common) if chosen and place.value in wanted
            )
            for place in Place
        }
        self._masquerade_domains = settings.words("masquerade_domains")
        self._masquerade_classes = classes("masquerade_classes")
        self._masquerade_exceptions = tables.string_list(
            settings.text("masquerade_exceptions"), title="masquerade_exceptions"
        )
        self.virtual_alias_maps = maps("virtual_alias_maps")
        self._depth = settings.number("virtual_alias_recursion_limit")
        self._width = settings.number("virtual_alias_expansion_limit")
        self._length = settings.number("virtual_alias_address_length_limit")
        self.sender_bcc_maps = maps("sender_bcc_maps")
        self.recipient_bcc_maps = maps("recipient_bcc_maps")

    def changes(self, place: Place) -> bool:
        """False where nothing but completion can happen to an address at `place`."""
        return bool(self._canonical[place]) or (
            bool(self._masquerade_domains) and place.value in self._masquerade_classes
        )

    async def mapped(self, address: str, place: Place, errors: Errors) -> str:
        """A complete address in internal form, after canonical maps and masquerading."""
        for maps in self._canonical[place]:
            address = await self._canonical_form(maps, address, errors)
        if self._masquerade_domains and place.value in self._masquerade_classes:
            address = await self._masqueraded(address, errors)
        return address

    async def _canonical_form(self, maps: Maps, address: str, errors: Errors) -> str:
        """One to one, again and again until nothing is found or an address leads to itself.  cleanup_map11(3)"""
        for _ in range(CANONICAL_DEPTH):
            try:
                found = await self._look_up(maps, address, propagate=self._extend_canonical)
            except TableTrouble as trouble:
                _table_failed(maps, address, trouble, errors)
                return address
            if not found:
                return address
            before, address = address, found[0]
            if fold(before) == fold(address):
                return address
        return address

    async def _look_up(self, maps: Maps, address: str, *, propagate: bool) -> list[str]:
        """The addresses that `maps` has in the place of `address`, complete.  mail_addr_map(3)

        A value ``@domain`` keeps the user.  An extension that was not part of the key goes on to each result.
        TableTrouble where a value has no address in it.
        """
        found = await maps.find_address(
            address, delimiters=self._delimiters, is_local=self._routing.is_ours, form=Form.EXTERNAL_FIRST
        )
        if found is None:
            return []
        value, extension = found
        rewrite = self._routing.rewriter.rewrite
        if value.startswith("@"):
            user = address.rpartition("@")[0] if "@" in address else address
            if extension:
                user = user[: -len(extension)]
            results = [rewrite(user + value, Context.LOCAL)]
        else:
            results = [rewrite(node.internal, Context.LOCAL) for node in addresses(parse(value))]
        if not results:
            raise _NotAnAddress(maps.title, address, value)
        return [_extended(result, extension) for result in results] if extension and propagate else results

    async def _masqueraded(self, address: str, errors: Errors) -> str:
        """``user@host.domain`` becomes ``user@domain`` where masquerade_domains names the domain."""
        user, at, domain = address.rpartition("@")
        if not at:
            return address
        try:
            if self._masquerade_exceptions and await self._masquerade_exceptions.matches(user):
                return address
        except TableTrouble:
            errors.add(Status.WRITE, warning=f"masquerade_exceptions map lookup problem -- {NOT_ACCEPTED}")
            return address
        low = domain.lower()
        for word in self._masquerade_domains:
            name = word.lstrip("!")
            if not name:
                continue
            if low == name.lower():
                return address
            if low.endswith("." + name.lower()):
                return address if (len(word) - len(name)) % 2 else f"{user}@{name}"
        return address

    async def expanded(self, address: str, errors: Errors) -> list[str]:
        """All addresses that virtual_alias_maps makes of one, to the end.  cleanup_map1n(3)

        On trouble the address itself is returned, and `errors` knows.
        """
        result = [address]
        done: set[str] = set()
        at = 0
        while at < len(result):
            depth = 0
            while fold(result[at]) not in done:
                if depth >= self._depth:
                    return self._gave_up("nesting", address, errors)
                try:
                    found = await self._look_up(self.virtual_alias_maps, result[at], propagate=self._extend_virtual)
                except TableTrouble as trouble:
                    _table_failed(self.virtual_alias_maps, address, trouble, errors)
                    return [address]
                if not found:
                    break
                if any(len(new) > self._length for new in found):
                    return self._gave_up("result", address, errors)
                if fold(result[at]) in (fold(new) for new in found):
                    done.add(fold(result[at]))  # an address may lead to itself once
                result[at] = found[0]
                result.extend(found[1:])
                if len(result) > self._width:
                    return self._gave_up("expansion size", address, errors)
                depth += 1
            done.add(fold(result[at]))
            at += 1
        return result

    def _gave_up(self, what: str, address: str, errors: Errors) -> list[str]:
        warning = f"unreasonable virtual_alias_maps map {what} for {address} -- {NOT_ACCEPTED}"
        errors.add(Status.DEFER, *EXPANSION_ERROR, warning=warning)
        return [address]

    async def copy_to(self, maps: Maps, address: str, errors: Errors) -> str | None:
        """The blind copy's address that sender_bcc_maps or recipient_bcc_maps has for an address, or None."""
        if not maps or not address:
            return None
        try:
            found = await maps.find_address(
                address, delimiters=self._delimiters, is_local=self._routing.is_ours, form=Form.EXTERNAL_FIRST
            )
        except TableTrouble as trouble:
            _table_failed(maps, address, trouble, errors)
            return None
        return None if found is None else found[0]


def _table_failed(maps: Maps, address: str, trouble: TableTrouble, errors: Errors) -> None:
    errors.general.append(str(trouble))
    errors.add(Status.WRITE, warning=f"{maps.title} map lookup problem for {address} -- {NOT_ACCEPTED}")


def _extended(address: str, extension: str) -> str:
    """`address` with `extension` (delimiter included) behind its user."""
    user, at, domain = address.rpartition("@")
    return f"{user}{extension}@{domain}" if at else address + extension
