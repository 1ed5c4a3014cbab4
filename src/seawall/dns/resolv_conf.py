"""resolv.conf(5): which servers to ask, how long to wait, how often to try."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from seawall.mail.network import parse_address

MOST_SERVERS = 3
"""More are ignored.  resolv.conf(5) MAXNS"""


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """Servers as (address, port), in order.  `timeout` is seconds for one try; each server is tried `attempts` times.

    `search` are the domains that host names are tried in; mail domains and DNS lists are asked as they stand.
    """

    servers: tuple[tuple[str, int], ...] = (("127.0.0.1", 53),)
    timeout: float = 5.0
    attempts: int = 2
    rotate: bool = False
    use_tcp: bool = False
    trusts_ad: bool = False
    search: tuple[str, ...] = ()


def parse_resolv_conf(text: str, hostname: str = "") -> ResolverSettings:
    """The settings in a resolv.conf; what is wrong in it is passed over, as the C library does.

    Without a search line, the domain of `hostname` is searched.
    """
    servers: list[tuple[str, int]] = []
    search = tuple(filter(None, [hostname.partition(".")[2]]))
    options: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or line[0] in "#;":
            continue
        if words[0] == "nameserver":
            address = words[1].partition("%")[0]
            if parse_address(address) is not None and len(servers) < MOST_SERVERS:
                servers.append((words[1], 53))
        elif words[0] in ("search", "domain"):
            search = tuple(words[1:] if words[0] == "search" else words[1:2])
        elif words[0] == "options":
            options.update((name, value) for name, _, value in (word.partition(":") for word in words[1:]))
    return ResolverSettings(
        servers=tuple(servers) or (("127.0.0.1", 53),),
        timeout=float(_number(options.get("timeout", ""), 5, 30)),
        attempts=_number(options.get("attempts", ""), 2, 5),
        rotate="rotate" in options,
        use_tcp="use-vc" in options,
        trusts_ad="trust-ad" in options,
        search=search,
    )


def _number(text: str, default: int, most: int) -> int:
    return min(max(int(text), 1), most) if text.isascii() and text.isdigit() and len(text) < 10 else default


def read_resolv_conf(path: str = "/etc/resolv.conf") -> ResolverSettings:
    """The file's settings; a file that is not there means the server on this host."""
    try:
        return parse_resolv_conf(Path(path).read_text("utf-8", "replace"), socket.gethostname())
    except OSError:
        return ResolverSettings()
