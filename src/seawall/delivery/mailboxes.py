"""The end of the way inside local(8): a user's mailbox, a file of an alias, or nobody at all.  local(8)"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec

from seawall.delivery import mbox
from seawall.delivery.command import deliver_command
from seawall.delivery.mbox import Checks
from seawall.delivery.point import Point, Rights
from seawall.delivery.rules import Rules, expand_for
from seawall.delivery.trouble import StoreTrouble
from seawall.delivery.work import Work, as_user, at_last, deliver_maildir, find_user, with_default_rights
from seawall.linux.identity import Identity, IdentityTrouble
from seawall.linux.users import User
from seawall.mail.address import MAILER_DAEMON, POSTMASTER
from seawall.mail.outcome import Deferred
from seawall.tables.table import TableTrouble

DeliverAddress = Callable[[Point, str], Awaitable[bool]]
"""Resolves an address in internal form and delivers there."""


def maildir_of(rules: Rules, user: User) -> str | None:
    """The user's Maildir, with its slash; None where his mailbox is a file."""
    if rules.home_mailbox:
        return f"{user.home}/{rules.home_mailbox}" if rules.home_mailbox.endswith("/") else None
    if rules.mail_spool_directory.endswith("/"):
        return f"{rules.mail_spool_directory}{user.name}/"
    return None


async def deliver_mailbox(work: Work, point: Point) -> bool | None:
    """Deliver to a user's mailbox, by whatever means the configuration chose.  None where there is no such user."""
    if not work.first_time("mailbox", point.local):
        return False
    rules = work.parts.rules
    try:
        transport = await work.parts.transport_maps.find(point.user) or rules.mailbox_transport
        if transport:
            return await pass_on(work, point, transport)
        user = await find_user(work.parts, point.user)
        if user is None:
            return None
        command = await work.parts.command_maps.find(point.user) or rules.mailbox_command
    except TableTrouble as trouble:
        work.warn(str(trouble))
        return work.fail(point, "4.3.0", "table lookup failure")
    except OSError as trouble:
        return _user_trouble(work, point, trouble)
    point = replace(point, rights=Rights.of(user))
    if command:
        return await deliver_command(work, point, command)
    maildir = maildir_of(rules, user)
    if maildir is not None:
        return await deliver_maildir(work, point, maildir)
    return await _deliver_mailbox_file(work, point, user)


def _user_trouble(work: Work, point: Point, trouble: OSError) -> bool:
    work.warn(f"error looking up passwd info for {point.user}: {trouble.strerror}")
    return work.fail(point, "4.0.0", "user lookup error")


async def home_is_there(work: Work, point: Point) -> bool | None:
    """None where delivery may go on; otherwise it was told why not.  postconf(5) require_home_directory"""
    if not work.parts.rules.require_home_directory:
        return None
    try:
        user = await find_user(work.parts, point.user)
    except OSError as trouble:
        return _user_trouble(work, point, trouble)
    if user is None:
        return None
    try:
        await work.parts.writers.run_as(Identity(user.uid, user.gid), lambda: os.stat(user.home))
    except OSError as trouble:
        return work.fail(point, "4.3.0", f"cannot access home directory {user.home}: {trouble.strerror}")
    except IdentityTrouble as trouble:
        return work.fail(point, "4.3.0", f"cannot access home directory {user.home}: {trouble}")
    return None


@dataclass(frozen=True, slots=True)
class _Spool:
    """Who creates and locks a mailbox file: the user, with the spool's group where only that may write there."""

    identity: Identity
    chown: tuple[int, int] | None = None


def _spool_for(directory: str | None, user: User) -> _Spool:
    """local(8) mailbox.c: least privilege first, root only where the directory lets nobody else write."""
    own = _Spool(Identity(user.uid, user.gid))
    if directory is None:
        return own
    try:
        status = os.stat(directory)
    except OSError:
        return own
    if status.st_mode & stat.S_IWOTH:
        return own
    if status.st_mode & stat.S_IWGRP:
        return _Spool(Identity(user.uid, status.st_gid))
    return _Spool(Identity(0, 0), (user.uid, user.gid)) if user.uid else own


async def _deliver_mailbox_file(work: Work, point: Point, user: User) -> bool:
    if work.job.is_probe:
        return work.sent(point, "delivers to mailbox")
    parts, rules = work.parts, work.parts.rules
    directory = None if rules.home_mailbox else rules.mail_spool_directory
    path = f"{user.home}/{rules.home_mailbox}" if directory is None else f"{directory}/{point.user}"
    spool = await parts.writers.run(lambda: _spool_for(directory, user))
    head = work.head(at_last(work, point), "file", opening=True)
    checks = Checks(owner=user.uid if rules.strict_ownership else -1, chown=spool.chown)
    content, limit = work.job.content, rules.mailbox_size_limit

    def store() -> None:
        try:
            mbox.append(path, head, content, rules.locking, checks, limit)
        except StoreTrouble as trouble:
            text = f"cannot update mailbox {path} for user {point.user}. {trouble.text}"
            raise StoreTrouble(trouble.status, text, trouble.cause) from trouble

    acting = replace(point, rights=replace(point.rights, uid=spool.identity.uid, gid=spool.identity.gid))
    return await as_user(work, acting, "mailbox", store, "delivered to mailbox")


async def deliver_file(work: Work, point: Point, path: str) -> bool:
    """Deliver to ``/file`` or ``/directory/`` of an alias, list or .forward.  local(8) file.c"""
    if not work.first_time("file", point.rights.uid, path):
        return False
    if point.kind not in work.parts.rules.files_from:
        return work.fail(point, "5.7.1", "mail to file is restricted")
    if work.job.is_probe:
        return work.sent(point, f"delivers to file: {path}")
    point = with_default_rights(work, point)
    if path.endswith("/"):
        return await deliver_maildir(work, point, path)
    rules, content = work.parts.rules, work.job.content
    head = work.head(point, "file", opening=True)
    locking = replace(rules.locking, dotlock_may_fail=True)
    warnings: list[str] = []

    def store() -> None:
        try:
            warnings.extend(mbox.append(path, head, content, locking, Checks(regular=False), rules.mailbox_size_limit))
        except StoreTrouble as trouble:
            text = f"cannot append message to file {path}: {trouble.text}"
            raise StoreTrouble(trouble.status, text, trouble.cause) from trouble

    again = await as_user(work, point, "file", store, f"delivered to file: {path}")
    for warning in warnings:
        work.warn(warning)
    return again


async def deliver_unknown(work: Work, point: Point, resolve: DeliverAddress) -> bool:
    """Deliver for a name that is neither alias nor user.  local(8) unknown.c"""
    if not work.first_time("unknown", point.local):
        return False
    rules = work.parts.rules
    try:
        transport = await work.parts.fallback_maps.find(point.user) or rules.fallback_transport
    except TableTrouble as trouble:
        work.warn(str(trouble))
        return work.fail(point, "4.3.0", "table lookup failure")
    if transport:
        return await pass_on(work, point, transport)
    if rules.luser_relay:
        expanded = expand_for(rules.luser_relay, point)
        return await resolve(replace(point, unmatched=None), expanded.text)
    if point.user in (MAILER_DAEMON, POSTMASTER):
        work.warn(f"required alias not found: {point.user}")
        return work.sent(point, "discarded")
    return work.fail(point, "5.1.1", f'unknown user: "{point.user}"')


async def pass_on(work: Work, point: Point, transport: str) -> bool:
    """Give the recipient to another transport: mailbox_transport, fallback_transport and their maps.  deliver_pass(3)"""
    job = replace(work.job, recipients=(point.as_recipient(),), nexthop=work.job.nexthop)
    delivery = await work.parts.pass_on(transport, job)
    again = any(isinstance(outcome, Deferred) for outcome in delivery.outcomes)
    for outcome in delivery.outcomes:
        work.tell(point, msgspec.structs.replace(outcome, transport=transport.partition(":")[0]))
    for forward in delivery.forwards:
        work.forwards.setdefault((forward.delivered_to, forward.sender), []).extend(forward.recipients)
    return again
