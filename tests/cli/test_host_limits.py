"""What a flood breaks first: computed from values, read from /proc, and seen to break for real."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seawall.cli import check_host
from seawall.cli.host_limits import KERNEL, SESSION, Host, Kind, Limit, find_limits, first_of, sentence
from seawall.config.settings import Settings
from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.server import until

WIDE = Host(
    workers=2,
    descriptors=1 << 20,
    descriptors_ceiling=1 << 20,
    files=10_000_000,
    waiting=4096,
    half_open=4096,
    tracked=1 << 22,
    tracked_open=7200,
    buffers=1_000_000,
    memory=64 << 30,
)
"""A host that no flood of today troubles."""


def by_name(host: Host) -> dict[str, Limit]:
    return {limit.name: limit for limit in find_limits(host)}


# ---- the order, from values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "name", "connections", "remedy"),
    [
        ({"descriptors": 1024, "spare": 256}, "ulimit -n", 2 * (1024 - 256), "ulimit -Hn 65536 before the start"),
        (
            {"descriptors": 1024, "spare": 256, "descriptors_ceiling": 2048},
            "ulimit -n",
            2 * (1024 - 256),
            "sysctl -w fs.nr_open=65536; ulimit -Hn 65536",
        ),
        ({"files": 10_000, "files_used": 4_000}, "fs.file-max", 6_000, "sysctl -w fs.file-max=262144"),
        (
            {"tracked": 65_536, "tracked_used": 536, "tracked_open": 432_000},
            "nf_conntrack_max",
            65_000,
            "sysctl -w net.netfilter.nf_conntrack_max=262144 net.netfilter.nf_conntrack_tcp_timeout_established=7200",
        ),
        ({"memory": 160 << 20}, "memory (MiB)", (160 << 20) // (SESSION + KERNEL), ""),
        ({"sessions": 500}, "seawall_most_sessions", 500, ""),
        ({"ports": 28_232}, "ip_local_port_range", 28_232, 'sysctl -w net.ipv4.ip_local_port_range="1024 65535"'),
    ],
)
def test_the_narrowest_is_named_first_with_its_number_and_remedy(
    change: dict[str, Any], name: str, connections: int, remedy: str
) -> None:
    limits = find_limits(replace(WIDE, **change))
    first = first_of(limits, Kind.HELD)
    assert first is not None and limits[0] == first
    assert (first.name, first.connections) == (name, connections)
    assert first.remedy.startswith(remedy) and bool(first.remedy) == bool(remedy)
    assert sentence(limits).startswith(f"under a flood {name} breaks first, at {connections:,} connections held")


def test_what_is_wide_enough_has_no_remedy() -> None:
    assert [limit.remedy for limit in find_limits(WIDE)] == [""] * 6


def test_a_queue_holds_for_each_worker_what_the_kernel_allows_of_what_we_ask_for() -> None:
    short = by_name(replace(WIDE, waiting=128))["net.core.somaxconn"]
    assert (short.connections, short.remedy) == (258, "sysctl -w net.core.somaxconn=4096")
    assert by_name(replace(WIDE, waiting=65_535))["net.core.somaxconn"].connections == 2 * 4097


def test_half_open_ones_count_only_without_cookies() -> None:
    assert "tcp_max_syn_backlog" not in by_name(WIDE)
    found = by_name(replace(WIDE, cookies=False, half_open=256))["tcp_max_syn_backlog"]
    assert (found.kind, found.connections, found.remedy) == (Kind.BURST, 256, "sysctl -w net.ipv4.tcp_syncookies=1")
    assert first_of(find_limits(replace(WIDE, cookies=False, half_open=256)), Kind.BURST) == found


def test_short_connections_fill_the_tracker_faster_than_held_ones() -> None:
    assert "at 546 a second" in by_name(replace(WIDE, tracked=65_536))["nf_conntrack_max"].then


def test_buffers_break_only_where_nobody_reads() -> None:
    limits = find_limits(replace(WIDE, buffers=1000, page=4096, buffer=131_072))
    assert limits[-1].kind is Kind.FILLED and limits[-1].connections == 31
    assert "tcp_mem" not in sentence(limits)


def test_a_host_that_tells_nothing_is_no_error() -> None:
    assert find_limits(Host()) == ()
    assert list(check_host.text_lines(())) == ["this host does not tell its limits"]


# ---- reading ------------------------------------------------------------------------------------------------------

FILES = {
    "sys/net/core/somaxconn": "512\n",
    "sys/net/ipv4/tcp_max_syn_backlog": "1024\n",
    "sys/net/ipv4/tcp_syncookies": "0\n",
    "sys/net/ipv4/tcp_mem": "100\t200\t300\n",
    "sys/net/ipv4/tcp_rmem": "4096\t65536\t6291456\n",
    "sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "sys/net/netfilter/nf_conntrack_max": "65536\n",
    "sys/net/netfilter/nf_conntrack_count": "36\n",
    "sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait": "60\n",
    "sys/fs/file-max": "9223372036854775807\n",
    "sys/fs/file-nr": "1600\t0\t9223372036854775807\n",
    "sys/fs/nr_open": "1048576\n",
    "meminfo": "MemTotal: 6000000 kB\nMemAvailable:    4000000 kB\n",
    "self/cgroup": "0::/mail.slice\n",
}


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "proc"


def test_what_the_kernel_says_is_read(proc: Path, tmp_path: Path) -> None:
    settings = Settings.from_text("seawall_workers = 3\n")
    host = check_host.read_host(settings, proc, tmp_path / "groups")
    assert replace(host, descriptors=None, spare=0) == Host(
        workers=3,
        descriptors_ceiling=1048576,
        files=9223372036854775807,
        files_used=1600,
        waiting=512,
        half_open=1024,
        cookies=False,
        tracked=65536,
        tracked_used=36,
        tracked_closed=60,
        tracked_open=0,
        buffers=300,
        page=host.page,
        buffer=65536,
        memory=3_072_000_000,
    )


@pytest.mark.parametrize(("bound", "memory"), [("1000000\n", 400_000), ("max\n", 3_072_000_000)])
def test_a_control_group_bounds_the_memory(proc: Path, tmp_path: Path, bound: str, memory: int) -> None:
    group = tmp_path / "groups/mail.slice"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(bound)
    (group / "memory.current").write_text("600000\n")
    assert check_host.read_host(Settings.from_text(""), proc, tmp_path / "groups").memory == memory


def test_the_configuration_may_bound_it_as_well(proc: Path) -> None:
    settings = Settings.from_text("seawall_most_memory = 100\nseawall_most_sessions = 900\n")
    host = check_host.read_host(settings, proc, proc)
    assert (host.memory, host.sessions) == (100 << 20, 900)


def test_a_host_without_proc_tells_what_it_can(tmp_path: Path) -> None:
    names = {limit.name for limit in find_limits(check_host.read_host(Settings.from_text(""), tmp_path, tmp_path))}
    assert names <= {"ulimit -n"}


# ---- for real -----------------------------------------------------------------------------------------------------

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mx.example
inet_protocols = ipv4
mynetworks =
mydestination = example.com
local_recipient_maps =
alias_maps =
smtpd_peername_lookup = no
seawall_workers = 1
"""
MASTER_CF = "smtp inet n - n - - smtpd\nlocal unix - n n - - local\n"
HOLD = """
import socket
held = []
for number in range(given[0]):
    try:
        source = f"198.18.{number % 250}.{1 + number // 250}"
        one = socket.create_connection(("192.0.2.1", 25), 3, source_address=(source, 0))
        if not one.recv(100).startswith(b"220"):
            break
    except OSError:
        break
    held.append(one)
print(len(held))
"""
"""Open connections until one is not greeted."""
WAIT = """
import socket
from pathlib import Path
from seawall.run.listeners import Address, open_group
path = Path("/proc/sys/net/core/somaxconn")
before = path.read_text()
path.write_text(str(given[0]))
try:
    group, _ = open_group(Address(0, socket.AF_INET, "127.0.0.1", 0), 1, 1, ())
    waiting = []
    for number in range(10 * given[0]):
        one = socket.socket()
        one.settimeout(0.3)
        try:
            one.connect(group[0].getsockname())
        except OSError:
            break
        waiting.append(one)
    import contextlib, io, sys
    from seawall.cli.check import main
    with contextlib.redirect_stdout(io.StringIO()) as said:
        main(["-c", "/etc/postfix", "--json"])
    print(json.dumps([len(waiting), json.loads(said.getvalue())]))
finally:
    path.write_text(before)
"""
"""Connect to a listener that nobody accepts from until a connection is not made."""


@pytest.fixture
def site(box: Box) -> Iterator[BoxSite]:
    site = BoxSite(box)
    site.lay_out(MAIN_CF, {"master.cf": MASTER_CF})
    yield site
    site.stop()


def first_named(report: dict[str, Any], kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in report["host"]["limits"] if each["kind"] == kind.value)
    return found


@pytest.mark.peer
def test_a_server_holds_about_as_many_as_its_first_limit_says(site: BoxSite) -> None:
    limited = ("prlimit", "--nofile=400:400", sys.executable, "-m", "seawall")
    report = json.loads(site.box.run(*limited, "check", "--json", check=False).out)
    first = first_named(report, Kind.HELD)
    assert (first["name"], first["connections"]) == ("ulimit -n", 300)
    site.pid = site.box.start(*limited, "serve", "-c", "/etc/postfix", output="/var/log/seawall.log")
    until(lambda: "seawall: ready" in site.printed(), "it is ready")
    held = site.python(HOLD, 1000)
    assert isinstance(held, int)
    assert 200 <= held <= 400, f"{held} were greeted\n{site.printed()}\n{site.log()[-2000:]}"


@pytest.mark.peer
def test_as_many_wait_to_be_accepted_as_the_queue_is_said_to_hold(site: BoxSite) -> None:
    found = site.python(WAIT, 30)
    assert isinstance(found, list)
    waiting, report = found
    first = first_named(report, Kind.BURST)
    assert first["name"] == "net.core.somaxconn"
    assert first["connections"] == waiting == 31
