"""AUTH by a file of hashed users, for a site with neither Dovecot nor Cyrus.

`smtpd_sasl_type = seawall`, `seawall_users_file`: one ``name:hash`` a line.  A hash is Argon2 (``$argon2id$…``, made with
``python3 -m seawall.edge.login_users``) or anything that crypt(3) of this host knows (``$y$…``, ``$6$…``).  Hashing
takes long on purpose: it runs in a few threads, and a flood of attempts waits there, not on the loop.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import argon2

from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.login import Exchange, Failure, Step, Success
from seawall.edge.mechanisms import NO_MECHANISM, WRONG, Refusal, allowed_by, password_exchange, read_security_options
from seawall.linux.crypt import is_right
from seawall.policy.attempt import Attempt

THREADS = 2
"""Hashes under way at once in a worker; ours: a hash takes a core for 50 ms or more."""
MOST_WAITING = 64
"""Attempts that may wait for a thread; more hear a temporary failure at once."""
BUSY = Failure("Too many attempts, try again", is_temporary=True)
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$PsiXLHSwMooaIZiN5Jm31w$VB5GJDaJfj9R1kplyuwF318dmKNb95wfGxss4YS4Ihk"
"""Checked for a user that does not exist, so that the time tells nothing; of 16 random bytes that nobody kept."""


def parse_users(text: str, file: str) -> dict[str, str]:
    """Names and hashes.  Raises ConfigTrouble for a line that is neither a comment nor ``name:hash``."""
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, hashed = line.strip().partition(":")
        if not colon or not name or not hashed.startswith("$"):
            raise ConfigTrouble(f"{file}, line {number}: expected name:hash, where the hash begins with $")
        users[name] = hashed
    return users


def verify(hashed: str, password: str) -> bool:
    """True where the password is right.  Slow; call it in a thread."""
    data = password.encode("utf-8", "surrogateescape")
    if hashed.startswith("$argon2"):
        try:
            return argon2.PasswordHasher().verify(hashed, data)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
    return is_right(data, hashed.encode("utf-8", "surrogateescape"))


class UsersLogin:
    """Implements edge.login.Login."""

    def __init__(self, settings: Settings, filtered: Callable[[str], bool]) -> None:
        """Raises ConfigTrouble where the file is missing or wrong."""
        name = settings.text("seawall_users_file")
        where = settings.where("seawall_users_file") or settings.where("smtpd_sasl_type")
        if not name:
            raise ConfigTrouble("smtpd_sasl_type = seawall needs seawall_users_file", where)
        try:
            with open(settings.path(name), encoding="utf-8", errors="surrogateescape") as file:
                self._users = parse_users(file.read(), name)
        except OSError as trouble:
            raise ConfigTrouble(f"seawall_users_file = {name}: {trouble.strerror}", where) from trouble
        options = {
            False: read_security_options(settings, "smtpd_sasl_security_options"),
            True: read_security_options(settings, "smtpd_sasl_tls_security_options"),
        }
        names = [word for word in ("PLAIN", "LOGIN") if filtered(word)]
        self._offered = {tls: tuple(n for n in names if allowed_by(words, n)) for tls, words in options.items()}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="login")
        self._waiting = 0

    def mechanisms(self, tls: bool) -> tuple[str, ...]:
        """PLAIN and LOGIN, where plaintext is allowed."""
        return self._offered[tls]

    def start(self, mechanism: str, initial: bytes | None, attempt: Attempt) -> Exchange:
        """Begin an exchange."""
        if mechanism.upper() not in self.mechanisms(attempt.tls is not None):
            return Refusal(NO_MECHANISM)
        return password_exchange(mechanism, self._check, initial)

    def _check(self, user: str, password: str) -> Step | Awaitable[Step]:
        if self._waiting >= MOST_WAITING:
            return BUSY
        return self._verify(user, password)

    async def _verify(self, user: str, password: str) -> Step:
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._threads, verify, self._users.get(user, NOBODY), password)
        finally:
            self._waiting -= 1
        return Success(user) if right and user in self._users else Failure(WRONG, username=user)


def main() -> int:
    """Ask for a name and a password, print the line for the file."""
    sys.stderr.write("user name: ")
    name = sys.stdin.readline().strip()
    sys.stdout.write(f"{name}:{argon2.PasswordHasher().hash(getpass.getpass('password: '))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
