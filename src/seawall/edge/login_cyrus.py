"""AUTH as Cyrus SASL has it on Debian: smtpd.conf, with saslauthd or sasldb behind it.

postconf(5) smtpd_sasl_type = cyrus.  The library is not used: a check by saslauthd is one question over a socket, and
sasldb is a Berkeley DB file that we read anyway.  What smtpd.conf asks for and we cannot serve is an error at start.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from seawall.config.settings import ConfigTrouble, Settings
from seawall.eager import within
from seawall.edge.login import Exchange, Failure, Step, Success
from seawall.edge.mechanisms import (
    NO_MECHANISM,
    WRONG,
    CramMd5,
    Refusal,
    allowed_by,
    password_exchange,
    read_security_options,
)
from seawall.policy.attempt import Attempt
from seawall.tables.berkeley import Damaged, read_file
from seawall.tables.table import TableTrouble

CONFIG_PATH = "/etc/postfix/sasl:/etc/sasl2:/usr/lib/sasl2"
"""Where smtpd.conf is looked for, as Debian's Postfix does, unless cyrus_sasl_config_path says otherwise."""
SASLAUTHD = "/var/run/saslauthd/mux"
SASLDB = "/etc/sasldb2"
PATIENCE = 60.0
"""Seconds that saslauthd may take; it asks PAM or LDAP."""
TROUBLE = Failure("generic failure", is_temporary=True)


@dataclass(frozen=True, slots=True)
class Options:
    """smtpd.conf as far as it concerns a server: method and mechanisms."""

    file: str
    method: str
    plugins: tuple[str, ...]
    mechanisms: tuple[str, ...]
    saslauthd: str
    sasldb: str


def read_options(settings: Settings) -> Options:
    """Find and read smtpd.conf (`smtpd_sasl_path`.conf); without one, Cyrus SASL's defaults: sasldb.

    Raises ConfigTrouble for what we cannot serve.
    """
    name = settings.text("smtpd_sasl_path") + ".conf"
    folders = (settings.text("cyrus_sasl_config_path") or CONFIG_PATH).split(":")
    values: dict[str, str] = {}
    file = ""
    for folder in folders:
        path = Path(settings.path(f"{folder}/{name}"))
        if path.is_file():
            file = f"{folder}/{name}"
            values = dict(_lines(path.read_text("utf-8", "replace")))
            break
    methods = values.get("pwcheck_method", "auxprop").split()
    plugins = tuple(values.get("auxprop_plugin", "sasldb").split())
    method = methods[0] if methods else "auxprop"
    if method not in ("saslauthd", "auxprop"):
        raise ConfigTrouble(f"{file}: pwcheck_method: {method} is not served; use saslauthd or auxprop (sasldb)")
    if method == "auxprop" and "sasldb" not in plugins:
        raise ConfigTrouble(
            f"{file}: auxprop_plugin: {' '.join(plugins)} is not served; use sasldb, or saslauthd for PAM and LDAP"
        )
    served = ("PLAIN", "LOGIN") if method == "saslauthd" else ("CRAM-MD5", "PLAIN", "LOGIN")
    wanted = tuple(word.upper() for word in values.get("mech_list", " ".join(served)).split())
    for mechanism in wanted:
        if mechanism not in served:
            raise ConfigTrouble(f"{file}: mech_list: {mechanism} is not served with {method}; have: {' '.join(served)}")
    return Options(
        file, method, plugins, wanted, values.get("saslauthd_path", SASLAUTHD), values.get("sasldb_path", SASLDB)
    )


def _lines(text: str) -> list[tuple[str, str]]:
    pairs = []
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.lstrip().startswith("#"):
            pairs.append((name.strip().lower(), value.strip()))
    return pairs


class SaslDb:
    """The secrets of sasldb2: read whole at start, while we may; read again when the file changes and still may be read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._secrets: dict[bytes, bytes] = {}
        self.is_usable = False
        self.refresh()

    def refresh(self) -> None:
        """Look whether it changed; what cannot be read keeps the old secrets."""
        try:
            found = os.stat(self._path)
            facts = (found.st_mtime_ns, found.st_size, found.st_ino)
            if facts != self._seen:
                self._secrets = dict(read_file(self._path))
                self._seen = facts
                self.is_usable = True
        except (OSError, Damaged, TableTrouble):
            return

    def secret(self, user: str, realm: str) -> str | None:
        """A user's password; ``user@realm`` names its own realm.  sasldb(5): ``user NUL realm NUL userPassword``"""
        self.refresh()
        name, at, own = user.partition("@")
        key = "\0".join((name, own if at else realm, "userPassword")).encode("utf-8", "surrogateescape")
        found = self._secrets.get(key)
        return None if found is None else found.decode("utf-8", "surrogateescape")


async def ask_saslauthd(path: str, user: str, password: str, service: str, realm: str) -> Step:
    """One question: four counted strings out, one in, which starts with ``OK`` or ``NO``.  saslauthd(8)"""
    name, _, own = user.partition("@")
    fields = [text.encode("utf-8", "surrogateescape") for text in (name, password, service, own or realm)]
    if any(len(field) > 65535 for field in fields):
        return Failure(WRONG, username=user)
    writer = None
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"".join(struct.pack("!H", len(field)) + field for field in fields))
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = await reader.readexactly(length)
    except (OSError, asyncio.IncompleteReadError):
        return TROUBLE
    finally:
        if writer is not None:
            writer.close()
    return Success(user) if answer.startswith(b"OK") else Failure(WRONG, username=user)


async def _within(patience: float, question: Awaitable[Step]) -> Step:
    try:
        return await within(question, patience)
    except TimeoutError:
        return TROUBLE


class CyrusLogin:
    """Implements edge.login.Login.  Made while we are still privileged: sasldb is readable for root alone."""

    def __init__(self, settings: Settings, filtered: Callable[[str], bool]) -> None:
        """`filtered(mechanism)` is smtpd_sasl_mechanism_filter.  Raises ConfigTrouble."""
        self._options = read_options(settings)
        self._host = settings.text("myhostname")
        self._realm = settings.text("smtpd_sasl_local_domain")
        self._service = settings.text("smtpd_sasl_service")
        self._socket = settings.path(self._options.saslauthd)
        self._db = SaslDb(settings.path(self._options.sasldb)) if self._options.method == "auxprop" else None
        plain = read_security_options(settings, "smtpd_sasl_security_options")
        inside = read_security_options(settings, "smtpd_sasl_tls_security_options")
        names = [name for name in self._options.mechanisms if filtered(name)]
        self._plain = tuple(name for name in names if allowed_by(plain, name))
        self._inside = tuple(name for name in names if allowed_by(inside, name))

    def mechanisms(self, tls: bool) -> tuple[str, ...]:
        """What EHLO offers."""
        return self._inside if tls else self._plain

    def start(self, mechanism: str, initial: bytes | None, attempt: Attempt) -> Exchange:
        """Begin an exchange."""
        name = mechanism.upper()
        if name not in self.mechanisms(attempt.tls is not None):
            return Refusal(NO_MECHANISM)
        if name == "CRAM-MD5":
            nonce = f"<{secrets.randbits(63)}.{secrets.randbits(31)}@{self._host}>".encode()
            return CramMd5(self._secret, nonce, initial)
        return password_exchange(name, self._check, initial)

    def _secret(self, user: str) -> str | None:
        return self._db.secret(user, self._realm or self._host) if self._db is not None else None

    def _check(self, user: str, password: str) -> Step | Awaitable[Step]:
        if self._db is None:
            return _within(PATIENCE, ask_saslauthd(self._socket, user, password, self._service, self._realm))
        secret = self._secret(user)
        if not self._db.is_usable:
            return TROUBLE
        encoded = (text.encode("utf-8", "surrogateescape") for text in (secret or "", password))
        if secrets.compare_digest(*encoded) and secret is not None:
            return Success(f"{user}@{self._realm}" if self._realm and "@" not in user else user)
        return Failure(WRONG, username=user)
