"""Aliases: names that stand for other destinations, with the rights of whoever owns the table.  aliases(5), local(8)"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec

from seawall.delivery.point import ALIAS, DEEPEST, NO_RIGHTS, Point, Rights
from seawall.delivery.trouble import failed
from seawall.delivery.work import Work, path_of_table
from seawall.mail.address import split_extension
from seawall.mail.rfc822 import addresses, parse
from seawall.tables.table import Table, TableTrouble

DeliverEntry = Callable[[Point, str], Awaitable[bool]]
"""Delivers to one entry of an expansion, in internal form."""

UNAVAILABLE = ("4.3.0", "alias database unavailable")


async def deliver_alias(work: Work, point: Point, name: str, each: DeliverEntry) -> bool | None:
    """Deliver to what `name` stands for.  None where it is no alias, or names the alias that it came from."""
    if point.came_from is not None and point.came_from.lower() == name.lower():
        return None
    if point.level > DEEPEST:
        work.warn(f"alias database loop for {name}")
        return work.fail(point, "5.4.6", f"alias database loop for {name}")
    try:
        for table in work.parts.alias_maps.tables:
            value = table.lookup(name)
            if not (value is None or isinstance(value, str)):
                value = await value
            if value is not None and work.stops_at_aliases:
                return work.sent(point, f"aliased to {value}")
            if value is not None:
                return await _expand(work, replace(point, came_from=name), name, table, value, each)
    except TableTrouble as trouble:
        work.warn(str(trouble))
        return work.fail(point, *UNAVAILABLE)
    return None


async def _expand(work: Work, point: Point, name: str, table: Table, value: str, each: DeliverEntry) -> bool:
    rights = await _rights_of(work, table)
    if rights is None:
        return work.fail(point, "4.3.0", "cannot find alias database owner")
    point = replace(point, kind=ALIAS, rights=rights)
    point = await _with_owner(work, point, name)
    if not work.parts.rules.frozen_delivered_to:
        point = replace(point, delivered=point.address)
    entries = [address.internal for address in addresses(parse(value))]
    if not entries:
        work.warn(f"no recipient in alias lookup result for {name}")
        return work.fail(point, *UNAVAILABLE)
    point = point.without_success()
    again = False
    for entry in entries:
        again = await each(point, entry) or again
    return again


async def _rights_of(work: Work, table: Table) -> Rights | None:
    """With whose rights the commands and files of an alias are used: the table's owner's; nobody's if that is root."""

    def owner() -> Rights | None:
        path = path_of_table(table.name)
        uid = 0 if path is None else os.stat(work.parts.settings.path(path)).st_uid
        if uid == 0:
            return NO_RIGHTS
        user = work.parts.find_uid(uid)
        return None if user is None else Rights.of(user)

    try:
        rights = await work.parts.writers.run(owner)
    except OSError as trouble:
        work.warn(f"cannot find alias database owner for {table.name}: {trouble.strerror}")
        return None
    if rights is None:
        work.warn(f"cannot find alias database owner for {table.name}")
    return rights


async def _with_owner(work: Work, point: Point, name: str) -> Point:
    """With the sender and owner that an ``owner-name`` alias asks for."""
    owner = await _owner_of(work, name)
    if owner is None:
        return replace(point, owner=None) if work.parts.rules.reset_owner_alias else point
    return replace(point, sender=owner, owner=owner, orcpt="", original="")


async def _owner_of(work: Work, name: str) -> str | None:
    """Who answers for an alias: the address of its ``owner-name`` alias.  Raises TableTrouble."""
    rules = work.parts.rules
    owner = f"owner-{name}"
    found = await work.parts.alias_maps.find(owner) if rules.owner_request_special else None
    if found is None:
        return None
    if rules.expand_owner_alias:
        listed = addresses(parse(found))
        owner = listed[0].internal if listed else owner
    return await work.parts.routing.rewrite(owner)


async def fail_to_owner(work: Work, point: Point, status: str, text: str, diagnostic: str = "") -> bool:
    """Note a failure that the owner of an alias hears of, where it has one, and not the sender.

    So it is where there will be no new message with the owner as its sender: at a command, a file, a loop.
    local(8) bounce_workaround.c
    """
    address = point.address.rpartition("@")[0] or point.address
    name, _ = split_extension(address, work.parts.rules.delimiters)
    try:
        owner = await _owner_of(work, address) or (await _owner_of(work, name) if name != address else None)
    except TableTrouble as trouble:
        work.warn(str(trouble))
        return work.fail(point, *UNAVAILABLE)
    outcome = msgspec.structs.replace(failed(status, text, work.parts.service), diagnostic=diagnostic)
    if owner is not None:
        final = replace(point, orcpt="", original="").as_recipient()
        outcome = msgspec.structs.replace(outcome, tell=owner, final=final)
    return work.tell(point, outcome)
