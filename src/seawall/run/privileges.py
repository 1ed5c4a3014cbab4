"""Giving up root: a child becomes mail_owner once everything that needs privilege is open."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from seawall.linux import capabilities


class PrivilegeTrouble(Exception):
    """The account does not exist, or the kernel refused: a start must end here."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the system: numbers and home."""

    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class Powers:
    """What a child keeps of root's power.  `in_reserve` comes to life only while a thread acts as root on files.

    `may_gain` lets programs that it runs have the rights of their setuid bits: commands of users need that.
    """

    acting: frozenset[int] = frozenset()
    in_reserve: frozenset[int] = frozenset()
    may_gain: bool = False


NONE = Powers()
ACT_AS_RECIPIENT = frozenset({capabilities.SETUID, capabilities.SETGID})
"""To write as whoever gets the mail."""
RUN_AS_RECIPIENT = Powers(ACT_AS_RECIPIENT | {capabilities.KILL}, may_gain=True)
"""To run a command as him, and to end it when its time is over."""


def find_account(name: str) -> Account:
    """The account called `name`.  Raises PrivilegeTrouble with the remedy where there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise PrivilegeTrouble(
            f"there is no user '{name}': create it (useradd --system {name}) or set mail_owner"
        ) from None
    return Account(name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def is_root() -> bool:
    """True where we may bind low ports and change identity."""
    return os.geteuid() == 0


def become(account: Account, powers: Powers = NONE) -> None:
    """Be this user for good, with his groups, keep nothing but `powers`, and check it.  Raises PrivilegeTrouble.

    His groups count: Debian's saslauthd is open to the group sasl, and its administrators add postfix to it.
    """
    if not is_root():
        return
    try:
        if powers.acting:
            _only_thread()
        capabilities.keep_across_change(bool(powers.acting))
        os.setgroups(os.getgrouplist(account.name, account.gid))
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
        if account.uid == 0:
            return  # mail_owner = root was the operator's wish
        capabilities.hold_only(powers.acting, powers.in_reserve)
        capabilities.keep_across_change(False)
        if not powers.may_gain:
            capabilities.forbid_new_privileges()
        left = capabilities.effective()
    except OSError as trouble:
        raise PrivilegeTrouble(f"cannot become '{account.name}': {trouble.strerror}") from trouble
    if os.getresuid() != (account.uid,) * 3 or left != powers.acting:
        raise PrivilegeTrouble(f"became '{account.name}', yet kept rights of root's")
    if not powers.acting:
        _is_for_good(account)


def _only_thread() -> None:
    """Capabilities are each thread's own: one that exists already would keep root's."""
    if len(os.listdir("/proc/self/task")) > 1:
        raise PrivilegeTrouble("a thread was started before the change to mail_owner")


def _is_for_good(account: Account) -> None:
    try:
        os.setuid(0)
    except OSError:
        return
    raise PrivilegeTrouble(f"became '{account.name}', yet could become root again")
