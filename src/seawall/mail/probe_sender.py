"""The sender of probes: fixed, or with a part that changes with time.  postconf(5) address_verify_sender, verify_sender_addr(3)"""

from __future__ import annotations

_DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZ"
"""Base 31 without vowels, so that no time spells a word.  verify_sender_addr(3)"""
_LONGEST = 16
"""Digits that are read; 2**64 has 13."""


def format_slot(number: int) -> str:
    """A slot of time as the sender shows it.

    >>> format_slot(31 * 31 + 10)
    '10B'
    """
    digits = ""
    while True:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
        if not number:
            return digits


def parse_slot(text: str) -> int | None:
    """The slot that a sender shows; None for what is none."""
    if not text or len(text) > _LONGEST:
        return None
    number = 0
    for digit in text:
        value = _DIGITS.find(digit)
        if value < 0:
            return None
        number = number * len(_DIGITS) + value
    return number


class ProbeSender:
    """The address that probes come from.

    `address` is complete (``double-bounce@mx.example``) or empty for the null sender; with a `ttl` in seconds its local
    part ends in the number of the current slot of so many seconds.
    """

    __slots__ = ("_domain", "_local", "_ttl", "address")

    def __init__(self, address: str, ttl: float = 0.0) -> None:
        self.address = address
        local, at, domain = address.partition("@")
        self._local = local.lower()
        self._domain = (at + domain).lower()
        self._ttl = int(ttl) if address else 0

    def at(self, now: float) -> str:
        """The sender of a probe at `now`, in seconds since the epoch."""
        if not self._ttl:
            return self.address
        local, at, domain = self.address.partition("@")
        return f"{local}{format_slot(int(now) // self._ttl)}{at}{domain}"

    def may_be(self, address: str) -> bool:
        """A quick look: False for nearly every address that is none of ours."""
        return bool(self._local) and address[: len(self._local)].lower() == self._local

    def matches(self, address: str, now: float) -> bool:
        """True for the sender of a probe of ours, sent in the last, this or the next slot (clocks differ).

        Letters count without case, but those of the slot do not.
        """
        if not self.may_be(address):
            return False
        stamp, at, domain = address[len(self._local) :].partition("@")
        if (at + domain).lower() != self._domain:
            return False
        if not self._ttl:
            return not stamp
        slot = parse_slot(stamp)
        return slot is not None and abs(slot - int(now) // self._ttl) <= 1
