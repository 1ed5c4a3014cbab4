"""Giving up root: a child becomes mail_owner once everything that needs privilege is open."""

from __future__ import annotations

import ctypes
import os
import pwd
from dataclasses import dataclass

PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
PR_SET_PDEATHSIG = 1


class PrivilegeTrouble(Exception):
    """The account does not exist, or the kernel refused: a start must end here."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the system: numbers and home."""

    name: str
    uid: int
    gid: int
    home: str


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


def become(account: Account) -> None:
    """Give up root for good, and check that it is gone.  Raises PrivilegeTrouble."""
    if not is_root():
        return
    try:
        os.setgroups([])
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
    except OSError as trouble:
        raise PrivilegeTrouble(f"cannot become '{account.name}': {trouble.strerror}") from trouble
    if account.uid != 0:
        try:
            os.setuid(0)
        except OSError:
            pass
        else:
            raise PrivilegeTrouble(f"became '{account.name}', yet could become root again")
    forbid_new_privileges()


def forbid_new_privileges() -> None:
    """No program that we exec gains privileges by its file's bits.  prctl(2)"""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
