"""`seawall check`, the host's part: read what this kernel and this shell allow, and tell what a flood breaks first.

These are facts of the host that the command runs on; with `--root` the configuration is another host's, and nothing is said.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

from seawall.cli.host_limits import Host, Limit, find_limits, sentence
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble
from seawall.run.listeners import BACKLOG
from seawall.run.load import SPARE
from seawall.run.serve import worker_count

UPSTREAM = "seawall_upstream"
SKIPPED = "host limits: not looked at, for with --root they would be this host's"


def host_limits(settings: Settings) -> tuple[Limit, ...]:
    """The limits of this host for a server with this configuration."""
    return find_limits(read_host(settings))


def read_host(settings: Settings, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Host:
    """What the host says; what cannot be read is left out."""
    system = proc / "sys"
    tracked = _numbers(system / "net/netfilter/nf_conntrack_max")
    pages = _numbers(system / "net/ipv4/tcp_mem")
    receive = _numbers(system / "net/ipv4/tcp_rmem")
    descriptors = _descriptors()
    files = _numbers(system / "fs/file-nr")
    return Host(
        workers=_workers(settings),
        descriptors=descriptors,
        spare=min(SPARE, (descriptors or 0) // 4),
        descriptors_ceiling=_first(_numbers(system / "fs/nr_open")),
        files=_first(_numbers(system / "fs/file-max")),
        files_used=files[0] if files else 0,
        waiting=_first(_numbers(system / "net/core/somaxconn")),
        backlog=BACKLOG,
        half_open=_first(_numbers(system / "net/ipv4/tcp_max_syn_backlog")),
        cookies=_numbers(system / "net/ipv4/tcp_syncookies") != [0],
        tracked=_first(tracked),
        tracked_used=_first(_numbers(system / "net/netfilter/nf_conntrack_count")) or 0,
        tracked_closed=_first(_numbers(system / "net/netfilter/nf_conntrack_tcp_timeout_time_wait")) or 120,
        tracked_open=_first(_numbers(system / "net/netfilter/nf_conntrack_tcp_timeout_established")) or 0,
        buffers=pages[2] if len(pages) == 3 else None,
        page=os.sysconf("SC_PAGE_SIZE"),
        buffer=receive[1] if len(receive) == 3 else 131_072,
        memory=_memory(proc, groups, _number(settings, "seawall_most_memory") << 20),
        sessions=_number(settings, "seawall_most_sessions") or None,
        ports=_ports(settings, system),
    )


def _workers(settings: Settings) -> int:
    try:
        return worker_count(settings)
    except ConfigTrouble:  # the report names it already
        return 1


def _number(settings: Settings, name: str) -> int:
    try:
        return settings.number(name)
    except ConfigTrouble:
        return 0


def _descriptors() -> int | None:
    """The server raises its soft limit to this one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _ports(settings: Settings, system: Path) -> int | None:
    """Only where clients are joined to a server behind."""
    if UPSTREAM not in settings.names() or not settings.text(UPSTREAM):
        return None
    range_ = _numbers(system / "net/ipv4/ip_local_port_range")
    return range_[1] - range_[0] + 1 if len(range_) == 2 else None


def _memory(proc: Path, groups: Path, most: int) -> int | None:
    """Bytes: what the kernel calls available, or less where a control group has a bound.  proc(5), cgroups(7)

    `most` is what the configuration allows; where it is 0 that is half of all that there is.
    """
    words = {line.partition(":")[0]: line.split()[1] for line in _text(proc / "meminfo").splitlines() if ":" in line}
    found = [int(words["MemAvailable"]) * 1024] if "MemAvailable" in words else []
    if most or "MemTotal" in words:
        found.append(most or int(words["MemTotal"]) * 1024 // 2)
    for line in _text(proc / "self/cgroup").splitlines():
        number, _, path = line.partition("::")
        group = groups / path.lstrip("/")
        bound, used = _numbers(group / "memory.max"), _numbers(group / "memory.current")
        if number == "0" and bound and used:
            found.append(max(0, bound[0] - used[0]))
    return min(found, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""


def _numbers(path: Path) -> list[int]:
    """The numbers in a file of /proc/sys; none where it cannot be read, or says ``max``."""
    words = _text(path).split()
    return [int(word) for word in words] if all(word.isdecimal() for word in words) else []


def _first(numbers: list[int]) -> int | None:
    return numbers[0] if numbers else None


def text_lines(limits: Iterable[Limit]) -> Iterator[str]:
    """The sentence and the table."""
    known = tuple(limits)
    yield sentence(known)
    if not known:
        return
    rows = [("connections", "", "limit", "set to", "what then")]
    rows += [(f"{each.connections:,}", each.kind.value, each.name, f"{each.value:,}", each.then) for each in known]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        number, kind, name, value = (
            text.rjust(width) if column in (0, 3) else text.ljust(width)
            for column, (text, width) in enumerate(zip(row[:4], widths, strict=True))
        )
        yield f"  {number} {kind}  {name}  {value}  {row[4]}".rstrip()
    for each in known:
        if each.remedy:
            yield f"  -> {each.remedy}"
    yield ""


def as_json(limits: Iterable[Limit]) -> dict[str, object]:
    """The same for programs."""
    known = tuple(limits)
    return {
        "sentence": sentence(known),
        "limits": [
            {
                "name": each.name,
                "kind": each.kind.value,
                "value": each.value,
                "connections": each.connections,
                "then": each.then,
                "remedy": each.remedy,
            }
            for each in known
        ],
    }
