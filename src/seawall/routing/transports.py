"""transport(5): which entry of transport_maps is for an address, and how it changes transport and next hop."""

from __future__ import annotations

from typing import TypeAlias

from seawall.mail.address import split_extension
from seawall.tables.search import Maps

UNDELIVERABLE = "Address is undeliverable"
TELLING = frozenset({"error", "retry"})
"""Transports whose next hop is a text."""


def split_destination(text: str) -> tuple[str, str]:
    """``transport:nexthop`` at its first colon; either part may be empty."""
    transport, _, nexthop = text.partition(":")
    return transport, nexthop


def apply_entry(entry: str, transport: str, nexthop: str, domain: str) -> tuple[str, str]:
    """(transport, next hop) after a transport(5) entry.

    ``:`` changes nothing, ``:host`` the next hop; ``transport:`` sets the next hop back to the recipient's domain.
    """
    new_transport, new_nexthop = split_destination(entry)
    if not new_transport:
        return transport, new_nexthop or nexthop
    if new_nexthop:
        return new_transport, new_nexthop
    return new_transport, UNDELIVERABLE if new_transport in TELLING else domain


Keys: TypeAlias = list[tuple[str, bool]]
"""What to look up, in order; False beside a part of an address, of which patterns are not asked."""


def user_keys(address: str, delimiters: str) -> Keys:
    """transport(5)'s key behind the whole address: the user without extension, where there is one."""
    local, _, domain = address.rpartition("@")
    user, extension = split_extension(local, delimiters)
    return [] if extension is None else [(f"{user}@{domain}", False)]


def domain_keys(domain: str, *, parent_matches: bool) -> Keys:
    """transport(5)'s other keys: domain, .parents, ``*``.

    Parents have no dot before them where parent_domain_matches_subdomains names transport_maps.
    """
    found = []
    name = domain
    while name:
        found.append((name, False))
        dot = name.find(".", 1)
        if dot < 0:
            break
        name = name[dot + 1 if parent_matches else dot :]
    found.append(("*", True))
    return found


async def find_first(maps: Maps, keys: Keys) -> str | None:
    """The entry of the first key that is known, or None.  TableTrouble where a table cannot say."""
    for key, whole in keys:
        answer = maps.lookup(key) if whole else maps.lookup_part(key)
        value = answer if answer is None or isinstance(answer, str) else await answer
        if value is not None:
            return value
    return None
