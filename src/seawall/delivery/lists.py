"""Lists of destinations in files: a user's .forward, and :include: files.  local(8)

The files are read by children that have become the user; see `spawner`.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, replace

from seawall.config.settings import ConfigTrouble
from seawall.delivery.aliases import DeliverEntry
from seawall.delivery.children import ChildTrouble
from seawall.delivery.point import DEEPEST, FORWARD, INCLUDE, Point, Rights
from seawall.delivery.rules import expand_for
from seawall.delivery.spawner import ListContent
from seawall.delivery.work import Work
from seawall.linux.identity import IdentityTrouble
from seawall.linux.users import User

CONFIGURATION = "mail system configuration error"


@dataclass(frozen=True, slots=True)
class ForwardFile:
    """A .forward file that exists; `keeps_extension` says that the extension goes on to its addresses."""

    path: str
    status: os.stat_result
    keeps_extension: bool


def forward_candidates(work: Work, point: Point) -> list[tuple[str, bool]]:
    """The paths of forward_path for this user, each with whether the extension is part of it."""
    rules = work.parts.rules
    found = []
    for pattern in rules.forward_path:
        try:
            expanded = expand_for(pattern, point, rules.forward_filter)
        except ConfigTrouble as trouble:
            work.warn(f"forward_path: {trouble}")
            continue
        if not expanded.undefined:
            found.append((expanded.text, expanded.used_extension))
    return found


def find_forward(candidates: list[tuple[str, bool]], propagates: bool) -> ForwardFile | None:
    """The first of the paths that exists.  Runs as the user.  Raises OSError where that cannot be known.

    Postfix takes any failure of lstat() for "not there" and would then fill the mailbox of a user whose home
    directory is away for a moment.
    """
    for path, used_extension in candidates:
        try:
            status = os.lstat(path)
        except OSError as trouble:
            if trouble.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG):
                continue
            raise
        return ForwardFile(path, status, propagates and not used_extension)
    return None


async def deliver_forward(work: Work, point: Point, user: User, each: DeliverEntry) -> bool | None:
    """Deliver to what the user's .forward says.  None where there is none, or where it names the user himself."""
    rules = work.parts.rules
    if not rules.frozen_delivered_to:
        point = replace(point, delivered=point.address)
    point = replace(point, rights=Rights.of(user), kind=FORWARD, owner=point.user)
    candidates = forward_candidates(work, point)
    propagates = "forward" in rules.propagate
    try:
        found = await work.parts.writers.run_as(point.rights.identity, lambda: find_forward(candidates, propagates))
    except IdentityTrouble as trouble:
        return work.fail(point, "4.3.0", f"cannot look for a .forward file: {trouble}")
    except OSError as trouble:
        work.warn(f"cannot look for a .forward file of {user.name}: {trouble.strerror}")
        return work.fail(point, "4.3.0", f"cannot look for a .forward file: {trouble.strerror}")
    if found is None:
        return None
    if work.stops_at_aliases:
        return work.sent(point, f"forward via file: {found.path}")
    if not found.keeps_extension:
        point = replace(point, unmatched=None)
    if not work.first_time("forward", found.path):
        return False if work.was_here("forward-done", found.path) else None
    return await _deliver_file(work, replace(point, came_from=point.local), found, each)


async def _deliver_file(work: Work, point: Point, found: ForwardFile, each: DeliverEntry) -> bool | None:
    reason = _objection(found, point.rights.uid)
    if reason:
        work.warn(f"file {found.path} {reason}")
        return None
    try:
        content = await work.parts.children.read_list(point.rights.identity, found.path)
    except (ChildTrouble, OSError) as trouble:
        return work.fail(point, "4.3.0", f"cannot read file {found.path}: {trouble}")
    if content.trouble:
        work.warn(f"cannot open file {found.path}: {content.trouble}")
        return None
    if not content.entries:
        return None
    again = await _deliver_entries(work, point.without_success(), content, each)
    work.first_time("forward-done", found.path)
    return again


def _objection(found: ForwardFile, uid: int) -> str:
    """Why a .forward file is not to be trusted; empty where it is."""
    if not stat.S_ISREG(found.status.st_mode):
        return "is not a regular file"
    if found.status.st_uid not in (0, uid):
        return f"has bad owner uid {found.status.st_uid}"
    if found.status.st_mode & stat.S_IWOTH:
        return "is world writable"
    return ""


async def _deliver_entries(work: Work, point: Point, content: ListContent, each: DeliverEntry) -> bool:
    for entry in content.entries:
        if await each(point, entry.decode("utf-8", "surrogateescape")):
            return True
    return False


async def deliver_include(work: Work, point: Point, path: str, each: DeliverEntry) -> bool:
    """Deliver to what an :include: file lists."""
    point = point.deeper()
    if point.level > DEEPEST:
        work.warn(f":include: nesting limit exceeded for {path}")
        return work.fail(point, "5.4.6", ":include: nesting limit exceeded")
    if not work.first_time("include", point.rights.uid, path):
        return False
    if not path.startswith("/"):
        work.warn(f":include:{path} uses a relative path")
        return work.fail(point, "5.3.5", CONFIGURATION)
    try:
        status = await work.parts.writers.run_as(point.rights.identity, lambda: os.stat(path))
    except IdentityTrouble as trouble:
        return work.fail(point, "4.3.5", f"cannot read :include: file: {trouble}")
    except OSError as trouble:
        work.warn(f"unable to lookup :include: file {path}: {trouble.strerror}")
        return work.fail(point, "5.3.5", CONFIGURATION)
    if not stat.S_ISREG(status.st_mode) or status.st_mode & stat.S_IWOTH:
        reason = "is world writable" if stat.S_ISREG(status.st_mode) else "is not a regular file"
        work.warn(f":include: file {path} {reason}")
        return work.fail(point, "5.3.5", CONFIGURATION)
    rights = await _include_rights(work, point, path, status.st_uid)
    if rights is None:
        return work.fail(point, "4.3.5", CONFIGURATION)
    point = replace(point, kind=INCLUDE, came_from=point.local, rights=rights, owner=point.owner or point.address)
    return await _deliver_include_file(work, point, path, each)


async def _deliver_include_file(work: Work, point: Point, path: str, each: DeliverEntry) -> bool:
    try:
        content = await work.parts.children.read_list(point.rights.identity, path)
    except (ChildTrouble, OSError) as trouble:
        return work.fail(point, "4.3.0", f"cannot read :include: file: {trouble}")
    if content.trouble:
        work.warn(f"cannot open include file {path}: {content.trouble}")
        return work.fail(point, "5.3.5", CONFIGURATION)
    if "include" not in work.parts.rules.propagate:
        point = replace(point, unmatched=None)
    return await _deliver_entries(work, point, content, each)


async def _include_rights(work: Work, point: Point, path: str, owner: int) -> Rights | None:
    """The rights inside an :include: file: its owner's where nobody's were established, else those there are.

    So the owner of a file that root's alias includes does not get hold of the default account, and a user gains
    nothing by including a file of somebody else's.
    """
    if point.rights.uid != 0 or owner == 0:
        return point.rights
    try:
        user = await work.parts.writers.run(lambda: work.parts.find_uid(owner))
    except OSError as trouble:
        work.warn(f"cannot find username for uid {owner}: {trouble.strerror}")
        return None
    if user is None:
        work.warn(f"cannot find username for uid {owner}")
        work.warn(f"{path}: cannot find :include: file owner username")
        return None
    return Rights.of(user)
