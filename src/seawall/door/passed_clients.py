"""The clients that have passed, for the worker that sees their network: the recent ones in memory, the others in the store.

What changes is written behind: `take_changes` gives it to whoever keeps the store.  docs/decisions/0010
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Protocol

from seawall.door.screening import Stamps
from seawall.mail.network import format_address, parse_address

MOST = 1_000_000
"""Clients in the store; ours: some 60 MB.  The one that passed longest ago goes first."""
RECENT = 50_000
"""Clients in a worker's memory; ours: some 10 MB.  The store knows them all half a second later."""
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


class Kept(Protocol):
    """The store, as it is asked for one client.  The answer is at once, and None as well where it has none to give now."""

    def find(self, address: str) -> tuple[int, ...] | None:
        """When each of a client's results expires; its address as `address_of` writes it."""
        ...


class PassedClients:
    """What is remembered: in memory at most `most` clients, the rest in `kept`, where there is a store."""

    def __init__(self, kept: Kept | None = None, most: int = RECENT) -> None:
        self._kept = kept
        self._most = most
        self._known: dict[int, bytes] = {}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, address: str) -> Stamps | None:
        """When each of a client's results expires."""
        key = key_of(address)
        if key is None:
            return None
        packed = self._known.get(key)
        if packed is not None:
            return list(_PACKED.unpack(packed))
        stamps = None if self._kept is None else self._kept.find(address_of(key))
        return None if stamps is None else list(stamps)

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
            self._changed.discard(oldest)  # for so long nobody took it: it is tested again one day

    def take_changes(self, most: int) -> list[Change]:
        """Some of what changed since it was taken last."""
        taken: list[Change] = []
        while self._changed and len(taken) < most:
            key = self._changed.pop()
            taken.append((address_of(key), _PACKED.unpack(self._known[key])))
        return taken

    def give_back(self, changes: Iterable[Change]) -> None:
        """They could not be written: again later."""
        self._changed.update(
            key for address, _ in changes if (key := key_of(address)) is not None and key in self._known
        )
