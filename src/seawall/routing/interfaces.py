"""Our own network addresses: inet_interfaces and proxy_interfaces, as the addresses that they mean.  inet_addr_local(3)"""

from __future__ import annotations

import socket
from pathlib import Path

from seawall.config.settings import Settings
from seawall.mail.network import parse_address

_LOOPBACK = ("127.0.0.1", "::1")


def _ipv4_of_this_host() -> list[str]:
    """Addresses that the kernel calls LOCAL in its routing trie; the line before each such line has the address."""
    try:
        lines = Path("/proc/net/fib_trie").read_text("ascii", "replace").splitlines()
    except OSError:
        return []
    found = []
    for at, line in enumerate(lines):
        if at and line.strip().startswith("/32 host LOCAL"):
            found.append(lines[at - 1].rpartition(" ")[2])
    return found


def _ipv6_of_this_host() -> list[str]:
    """Addresses of /proc/net/if_inet6: 32 hexadecimal digits in the first column."""
    try:
        lines = Path("/proc/net/if_inet6").read_text("ascii", "replace").splitlines()
    except OSError:
        return []
    return [socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])) for line in lines if line]


def _addresses_of_name(name: str) -> list[str]:
    """A host name's addresses by the system's own look-up (it happens once, at start)."""
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)]
    except OSError:
        return []


def _addresses(word: str) -> list[str]:
    """The addresses that one word of inet_interfaces or proxy_interfaces means."""
    if word == "all":
        return [*_ipv4_of_this_host(), *_ipv6_of_this_host()] or list(_LOOPBACK)
    if word == "loopback-only":
        return list(_LOOPBACK)
    bare = word[1:-1] if word.startswith("[") and word.endswith("]") else word
    return [bare] if parse_address(bare) else _addresses_of_name(bare)


class Interfaces:
    """The addresses of this host (`own`) and of what forwards to it (`proxies`), as (value, width in bits)."""

    def __init__(self, settings: Settings) -> None:
        self.own = _numbers(settings.words("inet_interfaces"))
        self.proxies = _numbers(settings.words("proxy_interfaces"))

    def has(self, address: str) -> bool:
        """True for an address of ours or of a proxy, without brackets."""
        number = parse_address(address)
        return number is not None and (number in self.own or number in self.proxies)


def _numbers(words: tuple[str, ...]) -> frozenset[tuple[int, int]]:
    found = [parse_address(address) for word in words for address in _addresses(word)]
    return frozenset(number for number in found if number is not None)
