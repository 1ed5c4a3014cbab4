"""The listening sockets: which addresses a master.cf service means, and one SO_REUSEPORT group for each of them."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seawall.linux.reuseport import attach, network_program
from seawall.mail.network import Network
from seawall.run.messages import ListenerInfo

BACKLOG = 4096
"""Connections that may wait in the kernel for a worker; the kernel cuts it to net.core.somaxconn."""
HASHED_BITS = {socket.AF_INET: 24, socket.AF_INET6: 56}
FIRST_WORD = 10
"""Seconds that the kernel waits for a client's first bytes where it speaks first, before a worker hears of it.  Ours."""
COOKIES = Path("/proc/sys/net/ipv4/tcp_syncookies")
WIDTH = {socket.AF_INET: 32, socket.AF_INET6: 128}


class ListenTrouble(Exception):
    """An address cannot be bound; the text names the remedy."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens; `service` is its position in master.cf.

    `clients_begin` where TLS comes first: a client that says nothing there need not be accepted.  Everywhere else it is
    the server that speaks first.
    """

    service: int
    family: socket.AddressFamily
    host: str
    port: int
    clients_begin: bool = False


def split_service(name: str) -> tuple[str, str]:
    """(host, port) of an inet service's name: ``smtp``, ``127.0.0.1:2525``, ``[::1]:25``.  master(5)"""
    host, _, port = name.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), port


def port_number(text: str) -> int:
    """The number of a port or of a service of services(5).  Raises ListenTrouble."""
    if text.isdigit() and int(text) <= 65535:
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        known = {"smtp": 25, "smtps": 465, "submissions": 465, "submission": 587}
        if text in known:
            return known[text]
        raise ListenTrouble(f"master.cf: '{text}' is no port and no service of /etc/services") from None


def interface_hosts(interfaces: Sequence[str], families: Sequence[socket.AddressFamily]) -> list[str]:
    """The hosts that inet_interfaces means.  postconf(5) inet_interfaces"""
    wild = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
    loop = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
    hosts: list[str] = []
    for word in interfaces:
        if word == "all":
            hosts += [wild[family] for family in families]
        elif word == "loopback-only":
            hosts += [loop[family] for family in families]
        else:
            hosts.append(word.removeprefix("[").removesuffix("]"))
    return list(dict.fromkeys(hosts))


def protocol_families(words: Sequence[str]) -> list[socket.AddressFamily]:
    """The families of inet_protocols that this kernel has.  postconf(5) inet_protocols"""
    wanted = {"ipv4", "ipv6"} if "all" in words else set(words)
    families = [socket.AF_INET] if "ipv4" in wanted else []
    if "ipv6" in wanted and _has_ipv6():
        families.append(socket.AF_INET6)
    return families


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def addresses(
    service: int,
    name: str,
    interfaces: Sequence[str],
    families: Sequence[socket.AddressFamily],
    *,
    clients_begin: bool = False,
) -> list[Address]:
    """Every address on which the service listens.  Raises ListenTrouble for a name that leads nowhere."""
    host, port = split_service(name)
    number = port_number(port)
    hosts = [host] if host else interface_hosts(interfaces, families)
    found: list[Address] = []
    for each in hosts:
        try:
            entries = socket.getaddrinfo(each, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError:
            raise ListenTrouble(
                f"cannot find the address of '{each}', on which '{name}' of master.cf listens"
            ) from None
        for family, _, _, _, address in entries:
            if family in families:
                where = socket.AddressFamily(family), str(address[0])
                found.append(Address(service, *where, number, clients_begin))
    return list(dict.fromkeys(found))


def _bound(address: Address, reuse_port: bool) -> socket.socket:
    listener = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address.host, address.port))
    except OSError as trouble:
        listener.close()
        where = f"{address.host}:{address.port}"
        remedy = {
            13: "ports below 1024 need root: start as root, or choose a port above in master.cf",
            98: "another server listens there: stop it first (`ss -ltnp` names it)",
            99: "this host has no such address: correct inet_interfaces or the name in master.cf",
        }.get(trouble.errno or 0, "")
        raise ListenTrouble(f"cannot listen on {where}: {trouble.strerror}; {remedy}".rstrip("; ")) from None
    return listener


def open_group(address: Address, workers: int, key: int, exempt: Sequence[Network]) -> tuple[list[socket.socket], bool]:
    """One socket for each worker, listening in order, and whether the kernel sorts for them.

    A plain bind first: it fails while an older group lives, which SO_REUSEPORT alone would join silently.
    """
    probe = _bound(address, reuse_port=False)
    port = probe.getsockname()[1]
    probe.close()
    place = replace(address, port=port)
    group = [_bound(place, reuse_port=True) for _ in range(workers)]
    for listener in group:
        listener.listen(BACKLOG)
        if address.clients_begin and _has_cookies():
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, FIRST_WORD)
    if workers == 1:
        return group, True
    width, bits = WIDTH[address.family], HASHED_BITS[address.family]
    return group, attach(group[0], network_program(width, bits, workers, key, exempt))


def _has_cookies() -> bool:
    """False where half open connections need a place each: then those who say nothing would take it from others.  tcp(7)"""
    try:
        return COOKIES.read_text().strip() != "0"
    except OSError:
        return False


def open_one(address: Address) -> socket.socket:
    """A socket of its own on an address.  Raises ListenTrouble."""
    listener = _bound(address, reuse_port=False)
    listener.listen(BACKLOG)
    return listener


def open_local(path: Path) -> tuple[ListenerInfo, socket.socket]:
    """A local socket to which everybody on this host may connect.  Raises ListenTrouble."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(BACKLOG)
    except OSError as trouble:
        listener.close()
        raise ListenTrouble(f"cannot listen on {path}: {trouble.strerror or trouble}") from None
    return ListenerInfo(-1, "unix", path.name, 0), listener


def describe(service: int, listener: socket.socket) -> ListenerInfo:
    """The listener as the start message names it."""
    host, port = listener.getsockname()[:2]
    return ListenerInfo(service, "ipv6" if listener.family == socket.AF_INET6 else "ipv4", str(host), int(port))
