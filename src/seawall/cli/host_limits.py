"""Which limit of this host a flood of connections meets first, and at what number.  Pure: the values are given.

Three things can run short.  *Held*: every open connection is a file of a worker, a file of the host, an entry of the
connection tracker where one is loaded, and some memory; the lowest number is where a flood that holds on breaks in.
*Burst*: connections that wait in the kernel until a worker accepts them, and those that are half open; what comes beyond
is tried again by the client a second later, so a burst delays, and holding on refuses.  *Filled*: buffers of the kernel,
which only clients use whose bytes nobody reads.

A connection at rest has no buffers (seen here: 8,000 of them took not one page of tcp_mem), a socket, inode, file and
poll entry of 3.7 KiB, and a session of Seawall's.  Unread bytes take at most tcp_rmem's middle value, because the kernel lets
a buffer grow only for who reads.  So we set no SO_RCVBUF: it would save nothing at rest, and slow down real mail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

SESSION = 12 * 1024
"""Bytes of one held connection in Seawall, at most (`python -m bench idle` measures it)."""
KERNEL = 4 * 1024
"""Bytes of one held connection in the kernel: tcp_sock 2368, inode 832, file and dentry 384, poll entry 128, rounded up."""
PLENTY = 100_000
"""Connections from which on a limit is called wide enough: six times the flood that Seawall is measured under.  Ours."""
BURST_PLENTY = 4096
"""What a listening socket asks for, where nothing else is said: a fifth of a second of new connections.  Ours."""


class Kind(Enum):
    """What a number counts."""

    HELD = "held"
    BURST = "burst"
    FILLED = "filled"


@dataclass(frozen=True, slots=True)
class Host:
    """What this host says of itself; None where it does not (no such part, or not readable)."""

    workers: int = 1
    descriptors: int | None = None
    """RLIMIT_NOFILE's hard limit, which the server raises its soft one to.  getrlimit(2)"""
    spare: int = 0
    """Of these, what a worker keeps for other things than connections."""
    descriptors_ceiling: int | None = None
    """fs.nr_open: what the limit can be raised to.  proc(5)"""
    files: int | None = None
    """fs.file-max"""
    files_used: int = 0
    waiting: int | None = None
    """net.core.somaxconn, of this network namespace.  listen(2)"""
    backlog: int = BURST_PLENTY
    """What a listening socket asks for."""
    half_open: int | None = None
    """net.ipv4.tcp_max_syn_backlog.  tcp(7)"""
    cookies: bool = True
    """net.ipv4.tcp_syncookies"""
    tracked: int | None = None
    """net.netfilter.nf_conntrack_max, where connections are tracked."""
    tracked_used: int = 0
    tracked_closed: int = 120
    """Seconds that a closed connection stays.  nf_conntrack_tcp_timeout_time_wait"""
    tracked_open: int = 432_000
    """Seconds that a silent one stays.  nf_conntrack_tcp_timeout_established"""
    buffers: int | None = None
    """Pages that the buffers of all TCP connections may take: tcp_mem's last value.  tcp(7)"""
    page: int = 4096
    buffer: int = 131_072
    """Bytes of one receive buffer that nobody reads from.  tcp_rmem's middle value"""
    memory: int | None = None
    """Bytes that can be had: MemAvailable, or what a control group or seawall_most_memory leave of it."""
    sessions: int | None = None
    """seawall_most_sessions, where it is set."""
    ports: int | None = None
    """Local ports for connections to the server behind, where there is one.  net.ipv4.ip_local_port_range"""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: at how many connections it breaks, what then happens, and the line that raises it, where there is one."""

    name: str
    kind: Kind
    value: int
    connections: int
    then: str
    remedy: str = ""


Finder = Callable[[Host], Limit | None]


def _power(number: int) -> int:
    """The next power of two: what admins write."""
    return 1 << max(0, number - 1).bit_length()


def _remedy(connections: int, line: str, plenty: int = PLENTY) -> str:
    return line if connections < plenty else ""


def _descriptors(host: Host) -> Limit | None:
    if host.descriptors is None:
        return None
    held = max(0, host.descriptors - host.spare) * host.workers
    wanted = _power(PLENTY // host.workers + host.spare)
    line = f"ulimit -Hn {wanted} before the start (systemd: LimitNOFILE={wanted})"
    if host.descriptors_ceiling is not None and host.descriptors_ceiling < wanted:
        line = f"sysctl -w fs.nr_open={wanted}; {line}"
    each = (
        f"{host.descriptors:,} files for each of {host.workers} workers" if host.workers > 1 else "files of the worker"
    )
    return Limit("ulimit -n", Kind.HELD, host.descriptors, held, f"{each}: strangers are let go", _remedy(held, line))


def _files(host: Host) -> Limit | None:
    if host.files is None:
        return None
    held = max(0, host.files - host.files_used)
    line = f"sysctl -w fs.file-max={_power(host.files_used + 2 * PLENTY)}"
    then = "nobody on this host can open a file"
    return Limit("fs.file-max", Kind.HELD, host.files, held, then, _remedy(held, line))


def _tracked(host: Host) -> Limit | None:
    if host.tracked is None:
        return None
    held = max(0, host.tracked - host.tracked_used)
    rate = host.tracked // max(1, host.tracked_closed)
    then = f"packets of new ones are dropped; short ones fill it at {rate:,} a second"
    lines = [f"sysctl -w net.netfilter.nf_conntrack_max={_power(host.tracked_used + 2 * PLENTY)}"]
    if host.tracked_open > 86_400:
        lines.append("net.netfilter.nf_conntrack_tcp_timeout_established=7200")
    return Limit("nf_conntrack_max", Kind.HELD, host.tracked, held, then, _remedy(held, " ".join(lines)))


def _memory(host: Host) -> Limit | None:
    if host.memory is None:
        return None
    each = SESSION + KERNEL
    held = host.memory // each
    then = f"at {each // 1024} KiB each: strangers are let go"
    return Limit("memory (MiB)", Kind.HELD, host.memory >> 20, held, then)


def _sessions(host: Host) -> Limit | None:
    if host.sessions is None:
        return None
    then = "by your word: strangers are let go"
    return Limit("seawall_most_sessions", Kind.HELD, host.sessions, host.sessions, then)


def _waiting(host: Host) -> Limit | None:
    if host.waiting is None:
        return None
    line = f"sysctl -w net.core.somaxconn={host.backlog}"
    # a queue is full once it holds one more than its length: inet_csk(9) sk_acceptq_is_full
    at_once = (min(host.waiting, host.backlog) + 1) * host.workers
    then = "waiting to be accepted; further ones try again after 1 s"
    return Limit(
        "net.core.somaxconn", Kind.BURST, host.waiting, at_once, then, _remedy(host.waiting, line, host.backlog)
    )


def _half_open(host: Host) -> Limit | None:
    if host.half_open is None or host.cookies:
        return None  # with cookies a half open connection needs no place
    then = "half open ones of any sender lock everybody out"
    return Limit(
        "tcp_max_syn_backlog", Kind.BURST, host.half_open, host.half_open, then, "sysctl -w net.ipv4.tcp_syncookies=1"
    )


def _buffers(host: Host) -> Limit | None:
    if host.buffers is None:
        return None
    filled = host.buffers * host.page // max(1, host.buffer)
    return Limit("tcp_mem (pages)", Kind.FILLED, host.buffers, filled, "each with its buffer full of what nobody reads")


def _ports(host: Host) -> Limit | None:
    if host.ports is None:
        return None
    then = "joined to the server behind; further clients hear 421"
    line = 'sysctl -w net.ipv4.ip_local_port_range="1024 65535"'
    return Limit("ip_local_port_range", Kind.HELD, host.ports, host.ports, then, _remedy(host.ports, line, 60_000))


FINDERS: tuple[Finder, ...] = (
    _descriptors,
    _files,
    _tracked,
    _memory,
    _sessions,
    _waiting,
    _half_open,
    _buffers,
    _ports,
)


def find_limits(host: Host) -> tuple[Limit, ...]:
    """All that are known of this host: held, then burst, then filled, each the lowest first."""
    order = tuple(Kind)
    known = [limit for find in FINDERS if (limit := find(host)) is not None]
    return tuple(sorted(known, key=lambda limit: (order.index(limit.kind), limit.connections)))


def first_of(limits: Iterable[Limit], kind: Kind) -> Limit | None:
    """The one that breaks first."""
    return min((limit for limit in limits if limit.kind is kind), key=lambda limit: limit.connections, default=None)


def sentence(limits: Iterable[Limit]) -> str:
    """What breaks first, for people."""
    known = tuple(limits)
    held, burst = first_of(known, Kind.HELD), first_of(known, Kind.BURST)
    parts = []
    if held is not None:
        parts.append(f"{held.name} breaks first, at {held.connections:,} connections held")
    if burst is not None:
        parts.append(f"{burst.name} at {burst.connections:,} at once")
    return "under a flood " + ", and ".join(parts) if parts else "this host does not tell its limits"
