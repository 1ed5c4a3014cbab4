"""The clients that have passed, in the memory of the worker that sees their network: exact, and bounded.

What changes is written behind: `take_changes` gives it to whoever keeps the store.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from seawall.door.screening import Stamps, expired
from seawall.mail.network import format_address, parse_address

MOST = 1_000_000
"""Clients in memory; ours: some 200 MB.  The one that passed longest ago goes first."""
_PACKED = struct.Struct("<5Q")
_IS_IPV6 = 1 << 128

Change = tuple[str, tuple[int, ...]]
"""A client's address, and what is known of it; nothing where it is to be forgotten."""


def key_of(address: str) -> int | None:
    """The address as a number, families apart; None where it is none."""
    parsed = parse_address(address)
    if parsed is None:
        return None
    value, width = parsed
    return value if width == 32 else value | _IS_IPV6


def address_of(key: int) -> str:
    """The address that `key_of` was asked for."""
    return format_address(key, 32) if key < _IS_IPV6 else format_address(key ^ _IS_IPV6, 128)


class PassedClients:
    """What is remembered.  `most` bounds it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[int, bytes] = {}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, address: str) -> Stamps | None:
        """When each of a client's results expires."""
        packed = self._known.get(key_of(address) or -1)
        return None if packed is None else list(_PACKED.unpack(packed))

    def keep(self, address: str, stamps: Stamps) -> None:
        """Remember, and write it behind."""
        key = key_of(address)
        if key is None:
            return
        self._known.pop(key, None)  # so that the order is that of the last success
        self._known[key] = _PACKED.pack(*stamps)
        self._changed.add(key)
        if len(self._known) > self._most:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._changed.add(oldest)

    def load(self, rows: Iterable[Change]) -> None:
        """What the store knows; what was learnt since counts more."""
        for address, stamps in rows:
            key = key_of(address)
            if key is not None and len(stamps) == _PACKED.size // 8 and len(self._known) < self._most:
                self._known.setdefault(key, _PACKED.pack(*stamps))

    def take_changes(self, most: int) -> list[Change]:
        """Some of what changed since it was taken last."""
        taken: list[Change] = []
        while self._changed and len(taken) < most:
            key = self._changed.pop()
            packed = self._known.get(key)
            taken.append((address_of(key), () if packed is None else _PACKED.unpack(packed)))
        return taken

    def give_back(self, changes: Iterable[Change]) -> None:
        """They could not be written: again later."""
        self._changed.update(key for address, _ in changes if (key := key_of(address)) is not None)

    def clean(self, enabled: int, before: int, at_once: int) -> Iterator[tuple[int, int]]:
        """Forget whose results had expired at the time `before`; (retained, dropped) after each `at_once` clients."""
        retained = dropped = 0
        for place, key in enumerate(tuple(self._known), 1):
            packed = self._known.get(key)
            if packed is not None:
                if expired(list(_PACKED.unpack(packed)), enabled, before):
                    del self._known[key]
                    self._changed.add(key)
                    dropped += 1
                else:
                    retained += 1
            if place % at_once == 0:
                yield retained, dropped
        yield retained, dropped
