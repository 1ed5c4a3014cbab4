"""Whose mail is it, and which way does it go?  The resolver of trivial-rewrite(8).

An address is stripped of our own domains until a foreign one, or a user of ours, is left.  Its domain then falls
into one of five classes, each with its transport; transport_maps may say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import NamedTuple

import idna

from seawall.config.settings import Settings
from seawall.eager import now_or_later
from seawall.mail.address import fold, is_host_address, is_hostname, literal_address, quote_local
from seawall.mail.rfc822 import Kind, Token, internalize, scan
from seawall.routing.interfaces import Interfaces
from seawall.routing.recipients import Listing, RecipientTables
from seawall.routing.rewrite import AT, BANG, DOT, PERCENT, Context, Rewriter, last
from seawall.routing.route import Classes, Route, failed
from seawall.routing.transports import apply_entry, domain_keys, find_first, split_destination, user_keys
from seawall.tables.match import DomainList, Found, StringList
from seawall.tables.registry import Tables
from seawall.tables.search import Form, Maps
from seawall.tables.table import TableTrouble

# user@host.domain as nearly all of them are: complete, nothing in it to look into, and surely a host name.
_PLAIN = re.compile(
    r"[A-Za-z0-9#$&'*+/=?^_`{}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{}~-]+)*"
    r"@((?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)\Z"
)
LONGEST_NAME = 255
"""Characters of a host name.  RFC 1035 §2.3.4"""
_ROUTE_SIGN = re.compile(r"[@!%]")


_ALIAS = Classes.ALIAS.value


class Way(NamedTuple):
    """What the class of a domain gives: the transport and its next hop, before transport_maps."""

    transport: str
    nexthop: str
    classes: Classes


def _way(destination: str, nexthop: str, classes: Classes) -> Way:
    """The way of ``transport:nexthop``, of which either part may be empty."""
    transport, explicit = split_destination(destination)
    return Way(transport, explicit or nexthop, classes)


class Memory:
    """What was found out about domains, for as long as its owner keeps it: their ways, their transport_maps entries."""

    __slots__ = ("entries", "ways")

    def __init__(self) -> None:
        self.ways: dict[str, Way] = {}
        self.entries: dict[str, str | None] = {}


class Routing:
    """The routing of one configuration.  `verify` takes the address_verify_* transports instead (verify(8) probes)."""

    def __init__(self, settings: Settings, tables: Tables, *, verify: bool = False) -> None:
        prefix = "address_verify_" if verify else ""
        self.rewriter = Rewriter(settings)
        self._origin = fold(self.rewriter.origin)
        self.interfaces = Interfaces(settings)
        self.recipients = RecipientTables(settings, tables, self.is_ours)
        self.delimiters = settings.text("recipient_delimiter")
        self._hostname = settings.text("myhostname")
        self._empty_address = settings.text("empty_address_recipient")
        self._dequote = settings.flag("resolve_dequoted_address")
        self._null_domain = settings.flag("resolve_null_domain")
        self._numeric_domain = settings.flag("resolve_numeric_domain")
        self._leading_minus = settings.flag("allow_min_user")
        self._utf8 = settings.flag("smtputf8_enable")
        self._show_table = settings.flag("show_user_unknown_table_name")
        self._read_classes(settings, tables)
        self._read_ways(settings, tables, prefix)

    def _read_classes(self, settings: Settings, tables: Tables) -> None:
        """The lists that make the classes."""
        parents = settings.words("parent_domain_matches_subdomains")

        def strings(name: str) -> StringList:
            return tables.string_list(settings.text(name), title=name)

        self.mydestination = strings("mydestination")
        self.virtual_alias_domains = strings("virtual_alias_domains")
        self.virtual_mailbox_domains = strings("virtual_mailbox_domains")
        self.relay_domains: DomainList = tables.domain_list(
            settings.text("relay_domains"), parent_matches="relay_domains" in parents, title="relay_domains"
        )
        self._transport_parents = "transport_maps" in parents

    def _read_ways(self, settings: Settings, tables: Tables, prefix: str) -> None:
        """Transports, relay hosts and the maps that change them."""

        def maps(name: str) -> Maps:
            return tables.maps(settings.text(name), title=name)

        self._local_transport = settings.text(prefix + "local_transport")
        self._virtual_transport = settings.text(prefix + "virtual_transport")
        self._relay_transport = settings.text(prefix + "relay_transport")
        self._default_transport = settings.text(prefix + "default_transport")
        self._relayhost = settings.text(prefix + "relayhost").strip()
        self.transport_maps = maps(prefix + "transport_maps")
        self.relocated_maps = maps("relocated_maps")
        self._sender_transports = maps(prefix + "sender_dependent_default_transport_maps")
        self._sender_relays = maps(prefix + "sender_dependent_relayhost_maps")
        self._empty_sender_transport = settings.text("empty_address_default_transport_maps_lookup_key")
        self._empty_sender_relay = settings.text("empty_address_relayhost_maps_lookup_key")

    async def rewrite(self, address: str, context: Context | str = Context.LOCAL) -> str:
        """An address in internal form made complete, in the ``local`` or ``remote`` context.  It never waits."""
        return self.rewriter.rewrite(address, Context(context))

    def is_local(self, domain: str) -> Found:
        """True for mydestination and our own addresses as literals; at once where no table is remote.  resolve_local(3)

        TableTrouble where a table of mydestination cannot say.
        """
        name = domain[:-1] if domain.endswith(".") else domain
        found = self.mydestination.test(name)
        if isinstance(found, bool):
            return found or self._is_own_literal(name)
        return self._is_local_later(found, name)

    async def _is_local_later(self, found: Awaitable[bool], name: str) -> bool:
        return await found or self._is_own_literal(name)

    def _is_own_literal(self, name: str) -> bool:
        if not name.startswith("["):
            return False
        address = literal_address(name)
        return address is not None and self.interfaces.has(address)

    def route(self, address: str, sender: str = "", memory: Memory | None = None) -> Route | Awaitable[Route]:
        """The route of an address as a client names it: made complete in the local context, then resolved.

        At once where no table is remote.  `memory` may be given where no route depends on the sender.
        """
        plain = _PLAIN.match(address)
        if plain is None or len(address) > LONGEST_NAME:
            return now_or_later(self.resolve(self.rewriter.rewrite(address), sender))
        return now_or_later(self._plain_route(address, plain.group(1), sender, memory))

    async def resolve(self, address: str, sender: str = "") -> Route:
        """The route for an address in internal form; `sender` (internal form, "" is the null sender) may choose it.

        Never raises for a table: trouble is a Route with FAILED.
        """
        plain = _PLAIN.match(address)
        if plain is not None and len(address) <= LONGEST_NAME:
            return await self._plain_route(address, plain.group(1), sender, None)
        try:
            return await self._resolve(address, sender)
        except TableTrouble as trouble:
            return failed(str(trouble))

    async def _plain_route(self, address: str, domain: str, sender: str, memory: Memory | None) -> Route:
        """The route of an address with nothing to strip and nothing to look into."""
        try:
            way = None if memory is None else memory.ways.get(domain)
            if way is None:
                local = self.mydestination.test(domain)
                is_local = local if isinstance(local, bool) else await local
                way = self._local_way(domain) if is_local else await self._way_of(domain, sender)
                if memory is not None:
                    memory.ways[domain] = way
            return await self._by_maps(way, address, domain, memory)
        except TableTrouble as trouble:
            return failed(str(trouble))

    async def listing(self, address: str, sender: str = "") -> Listing:
        """Does the recipient exist, as far as the tables of its class say?  postconf(5) smtpd_reject_unlisted_recipient"""
        return await self.recipients.listing(await self.resolve(address, sender))

    async def _resolve(self, address: str, sender: str) -> Route:
        recipient, local = await self._strip(address)
        domain = recipient.rpartition("@")[2]
        if not self._is_domain(domain):
            if not (self._numeric_domain and is_host_address(domain)):
                return Route("", "", recipient, Classes.MALFORMED | Classes.DEFAULT)
            domain = f"[{domain}]"
            recipient = recipient.rpartition("@")[0] + "@" + domain
            local = local or await self._is_here(domain)
        way = self._local_way(domain) if local else await self._way_of(domain, sender)
        sign = _ROUTE_SIGN.search(recipient)
        if sign is not None and recipient[sign.end() :] != domain:
            way = way._replace(classes=way.classes | Classes.ROUTED)
        return await self._by_maps(way, recipient, recipient.rpartition("@")[2], None)

    def _is_domain(self, domain: str) -> bool:
        """True for a host name or an address literal; names beyond ASCII must have an A-label form."""
        if domain.startswith("["):
            return literal_address(domain) is not None
        if domain.isascii():
            return is_hostname(domain)
        if not self._utf8:
            return False
        try:
            return is_hostname(idna.encode(domain, uts46=True).decode())
        except (idna.IDNAError, UnicodeError):
            return False

    async def _strip(self, address: str) -> tuple[str, bool]:
        """(address, True where it is ours) after every domain of ours has been taken off the right end.

        Quotes are opened where resolve_dequoted_address says so: ``"a@b"@ours`` is mail for a@b, and a stranger
        must not relay that way.
        """
        tokens = scan(quote_local(address))
        kept: list[Token] = []
        for _ in range(len(address) + 100):
            if len(tokens) > 1 and tokens[-1] == DOT and AT in tokens and tokens[-2] not in (DOT, AT):
                tokens = tokens[:-1]
            if self._null_domain and tokens and tokens[-1] == AT:
                tokens = tokens[:-1]
            at = last(tokens, AT)
            if at >= 0:
                if at < len(tokens) - 1 and not await self._is_here(internalize(tokens[at + 1 :])):
                    return internalize(tokens), False
                tokens, kept = tokens[:at], tokens[at:]
            if self._has_operator(tokens):
                tokens = self.rewriter.rewrite_tokens(tokens)
                continue
            opened = self._opened(tokens)
            if opened is not None:
                tokens = self.rewriter.rewrite_tokens(opened)
                continue
            if not tokens or tokens == [Token(Kind.QUOTED, "")]:
                tokens = scan(self._empty_address)
                continue
            if not kept:
                tokens = [*tokens, AT, *scan(self._hostname)]
                continue
            return internalize([*tokens, *kept]), True
        raise TableTrouble("address", f"<{address}>: giving up after too many rounds")

    def _has_operator(self, tokens: list[Token]) -> bool:
        """True where a local part without our domain names a further domain."""
        return (
            AT in tokens
            or (self.rewriter.swap_bangpath and BANG in tokens)
            or (self.rewriter.percent_hack and PERCENT in tokens)
        )

    def _opened(self, tokens: list[Token]) -> list[Token] | None:
        """The tokens inside a quoted local part that has a routing operator, or None."""
        if not self._dequote or len(tokens) != 1 or tokens[0].kind is not Kind.QUOTED:
            return None
        text = tokens[0].text
        at = text.rfind("@")
        if at < 0 and self.rewriter.percent_hack:
            at = text.rfind("%")
            if at >= 0:
                text = text[:at] + "@" + text[at + 1 :]
        if at >= 0:
            return scan(quote_local(text))
        if self.rewriter.swap_bangpath and "!" in text:
            return scan(text)
        return None

    async def _is_here(self, domain: str) -> bool:
        local = self.is_local(domain)
        return local if isinstance(local, bool) else await local

    def _local_way(self, domain: str) -> Way:
        return _way(self._local_transport, domain, Classes.LOCAL)

    async def _way_of(self, domain: str, sender: str) -> Way:
        """The way that the class of a domain which is not ours gives."""
        key = fold(domain)
        found = self.virtual_alias_domains.test(key)
        if found if isinstance(found, bool) else await found:
            table = " in virtual alias table" if self._show_table else ""
            return Way("error", f"5.1.1 User unknown{table}", Classes.ALIAS)
        found = self.virtual_mailbox_domains.test(key)
        if found if isinstance(found, bool) else await found:
            return _way(self._virtual_transport, domain, Classes.VMAILBOX)
        found = self.relay_domains.test(key)
        if found if isinstance(found, bool) else await found:
            transport, classes = self._relay_transport, Classes.RELAY
        else:
            transport, classes = self._default_transport, Classes.DEFAULT
            if self._sender_transports:
                transport = await self._transport_for(sender)
        nexthop = await self._relay_for(sender) if self._sender_relays else self._relayhost
        return _way(transport, nexthop or domain, classes)

    async def _transport_for(self, sender: str) -> str:
        """default_transport, or what sender_dependent_default_transport_maps says for a sender."""
        chosen = await self._of_sender(self._sender_transports, sender or self._empty_sender_transport)
        return chosen if chosen is not None and chosen.upper() != "DUNNO" else self._default_transport

    async def _relay_for(self, sender: str) -> str:
        """relayhost, or what sender_dependent_relayhost_maps says for a sender; DUNNO there means relayhost."""
        chosen = await self._of_sender(self._sender_relays, sender or self._empty_sender_relay)
        return chosen if chosen is not None and chosen.upper() != "DUNNO" else self._relayhost

    async def _of_sender(self, maps: Maps, sender: str) -> str | None:
        if not maps:
            return None
        found = await maps.find_address(
            sender, delimiters=self.delimiters, is_local=self.is_ours, form=Form.EXTERNAL_FIRST
        )
        return None if found is None else found[0]

    def is_ours(self, domain: str) -> Found:
        """True where tables may name a user without domain: myorigin and what `is_local` says.  mail_addr_find(3)"""
        return fold(domain) == self._origin or self.is_local(domain)

    async def _by_maps(self, way: Way, recipient: str, domain: str, memory: Memory | None) -> Route:
        """The route after transport_maps and relocated_maps."""
        transport, nexthop, classes = way
        if not transport:
            return failed("null transport is not allowed")
        if self.transport_maps and not classes._value_ & _ALIAS:
            entry = await self._entry_of(recipient, domain, memory)
            if entry is not None:
                transport, nexthop = apply_entry(entry, transport, nexthop, domain)
        if self.relocated_maps:
            moved = await self.relocated_maps.find_address(
                recipient, delimiters=self.delimiters, is_local=self.is_ours, form=Form.EXTERNAL_FIRST
            )
            if moved is not None:
                transport, nexthop = "error", f"5.1.6 User has moved to {moved[0]}"
        if recipient.startswith("-") and not self._leading_minus:
            classes |= Classes.MALFORMED
        return Route(transport, nexthop, recipient, classes)

    async def _entry_of(self, recipient: str, domain: str, memory: Memory | None) -> str | None:
        """The entry of transport_maps: of the address, or else of its domain, which may be remembered."""
        maps = self.transport_maps
        answer = maps.lookup(recipient)
        entry = answer if answer is None or isinstance(answer, str) else await answer
        if entry is None and self.delimiters:
            entry = await find_first(maps, user_keys(recipient, self.delimiters))
        if entry is not None:
            return entry
        if memory is None:
            return await find_first(maps, domain_keys(domain, parent_matches=self._transport_parents))
        if domain not in memory.entries:
            keys = domain_keys(domain, parent_matches=self._transport_parents)
            memory.entries[domain] = await find_first(maps, keys)
        return memory.entries[domain]
