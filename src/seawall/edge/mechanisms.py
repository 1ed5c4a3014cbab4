"""SASL mechanisms that need a password or a secret: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195).  Pure but for the check.

What is right is decided by the `Check` (name and password) or the `Secrets` (name) that stand behind an exchange.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from seawall.config.settings import ConfigTrouble, Settings
from seawall.edge.login import Challenge, Exchange, Failure, Step, Success

Check: TypeAlias = Callable[[str, str], Step | Awaitable[Step]]
"""(user name, password) → Success or Failure."""
Secrets: TypeAlias = Callable[[str], str | None]
"""A user's password in the clear, None where there is no such user."""

WRONG = "authentication failure"
"""Cyrus SASL's words, which clients and log readers know; the same for a wrong password and for no such user."""
BAD_PROTOCOL = "bad protocol / cancel"
NO_MECHANISM = "no mechanism available"

OFFERS = {
    "PLAIN": frozenset({"noanonymous"}),
    "LOGIN": frozenset({"noanonymous"}),
    "CRAM-MD5": frozenset({"noanonymous", "noplaintext"}),
}
"""What each mechanism grants, in the words of smtpd_sasl_security_options.  As the plugins of Cyrus SASL declare it."""
OPTIONS = frozenset({"noplaintext", "noactive", "nodictionary", "noanonymous", "forward_secrecy", "mutual_auth"})


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class Refusal:
    """An exchange that has failed before it began."""

    def __init__(self, reason: str, *, temporary: bool = False) -> None:
        self._failure = Failure(reason, temporary)

    def first(self) -> Step:
        """The failure."""
        return self._failure

    def step(self, response: bytes) -> Step:
        """The failure."""
        return self._failure

    def close(self) -> None:
        """Nothing is held."""


class Plain:
    """PLAIN: ``authzid NUL authcid NUL password``."""

    def __init__(self, check: Check, initial: bytes | None) -> None:
        self._check = check
        self._initial = initial

    def first(self) -> Step | Awaitable[Step]:
        """The initial response's verdict, or an empty challenge."""
        return Challenge() if self._initial is None else self.step(self._initial)

    def step(self, response: bytes) -> Step | Awaitable[Step]:
        """Who asks to be somebody else than he proves to be is refused: no proxy is authorized here."""
        parts = response.split(b"\0")
        if len(parts) != 3 or not parts[1]:
            return Failure(BAD_PROTOCOL)
        wanted, name, password = map(_text, parts)
        if wanted not in ("", name):
            return Failure(WRONG, username=name)
        return self._check(name, password)

    def close(self) -> None:
        """Nothing is held."""


class LoginMechanism:
    """LOGIN: asks ``Username:`` and ``Password:``; never standardised, still what many clients speak."""

    def __init__(self, check: Check, initial: bytes | None) -> None:
        self._check = check
        self._name = None if initial is None else _text(initial)

    def first(self) -> Step:
        """An initial response is the name."""
        return Challenge(b"Username:" if self._name is None else b"Password:")

    def step(self, response: bytes) -> Step | Awaitable[Step]:
        """The name, then the password."""
        if self._name is None:
            self._name = _text(response)
            return Challenge(b"Password:")
        if not self._name:
            return Failure(BAD_PROTOCOL)
        return self._check(self._name, _text(response))

    def close(self) -> None:
        """Nothing is held."""


class CramMd5:
    """CRAM-MD5; `nonce` is the challenge (``<unique@host>``), an argument because chance is."""

    def __init__(self, secrets: Secrets, nonce: bytes, initial: bytes | None) -> None:
        self._secrets = secrets
        self._nonce = nonce
        self._initial = initial

    def first(self) -> Step:
        """The challenge; an initial response is against the protocol."""
        return Challenge(self._nonce) if self._initial is None else Failure(BAD_PROTOCOL)

    def step(self, response: bytes) -> Step:
        """``name digest``, the digest in hexadecimal; names may hold blanks."""
        name_part, blank, digest = response.rpartition(b" ")
        name = _text(name_part)
        if not blank or len(digest) != 32:
            return Failure(BAD_PROTOCOL)
        secret = self._secrets(name)
        key = secret.encode("utf-8", "surrogateescape") if secret is not None else b""
        good = hmac.new(key, self._nonce, hashlib.md5).hexdigest().encode()
        if hmac.compare_digest(good, digest.lower()) and secret is not None:
            return Success(name)
        return Failure(WRONG, username=name)

    def close(self) -> None:
        """Nothing is held."""


def allowed_by(options: frozenset[str], mechanism: str) -> bool:
    """True where the mechanism grants all that smtpd_sasl_security_options asks for."""
    return options <= OFFERS.get(mechanism, frozenset())


def password_exchange(mechanism: str, check: Check, initial: bytes | None) -> Exchange:
    """The exchange of PLAIN or LOGIN; for any other name one that fails."""
    match mechanism.upper():
        case "PLAIN":
            return Plain(check, initial)
        case "LOGIN":
            return LoginMechanism(check, initial)
        case _:
            return Refusal(NO_MECHANISM)


def read_security_options(settings: Settings, name: str) -> frozenset[str]:
    """The words of smtpd_sasl_security_options and its like.  Raises ConfigTrouble for one that we do not know."""
    words = frozenset(word.lower() for word in settings.words(name))
    for word in words - OPTIONS:
        raise ConfigTrouble(f"unknown {name} value: {word}", settings.where(name))
    return words
