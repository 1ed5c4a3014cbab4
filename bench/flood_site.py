"""Where a flood happens: a box with one of the thread's configurations, a name server, and one of those who are compared."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from tests.box import Box
from tests.box_postgres import BoxPostgres
from tests.player import ROWS, sql_of
from tests.system.box_site import GOLDEN, BoxSite

from bench.faults_parts import Names, start
from bench.flood_bots import KNOWN, MIX, zone
from bench.flood_swarm import Group, Plan
from seawall.config.master_cf import STANDARD

CACHE = Path(__file__).resolve().parent.parent / ".cache"
POLICY = "/var/spool/postfix/private/vpm-pfpolicy"
MORE = """\
smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/postfix/cert.pem
smtpd_tls_key_file = /etc/postfix/key.pem
"""
"""Beside the thread's own words, for both servers: TLS, so that bots can begin it."""
POSTSCREEN = """\
smtp      inet  n       -       n       -       1       postscreen
smtpd     pass  -       -       n       -       -       smtpd
dnsblog   unix  -       -       n       -       0       dnsblog
tlsproxy  unix  -       -       n       -       0       tlsproxy
"""
GOOD_RATE = 20.0
RAMP = 1000.0
"""Bots that come in a second, until all are there."""
AGAIN = 5.0
"""Seconds until one that was sent away, or has done all it wanted, is replaced by another from another address."""
READY = 60.0
LONGEST = 900.0
"""Seconds after which bots end whatever happens."""
NICE = 10
"""Of the process of bots: on the real net they have machines of their own, here they must not take the server's cores."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One of those who are compared.  `name` is what tables say."""

    name: str
    software: str
    main_cf: str = ""
    master_cf: str = STANDARD


SEAWALL = Contender("Seawall", "seawall")
DOOR = Contender("Seawall, door on", "seawall", "seawall_door = yes\n")
POSTFIX = Contender("Postfix", "postfix")
SCREENED = Contender("Postfix, postscreen", "postfix", master_cf=POSTSCREEN + STANDARD.split("\n", 1)[1])
CONTENDERS = (SEAWALL, DOOR, POSTFIX, SCREENED)
Tallies = list[dict[str, Any]]


class Swarming:
    """Clients at work in a box; `bench.flood_swarm`."""

    def __init__(self, box: Box, name: str, plan: Plan) -> None:
        self._box = box
        self._file = f"/run/swarm-{name}"
        box.remove(self._file)
        self.planned = sum(group.count for group in plan.groups)
        self._pid = start(box, "bench.flood_swarm", msgspec.json.encode(plan).decode(), self._file)

    def status(self) -> dict[str, Any]:
        """What it told last; empty before the first time."""
        found: dict[str, Any] = json.loads(self._box.read(self._file) or b"{}")
        return found

    def wait_started(self, every: float = 1.0) -> None:
        """Until every client has tried to connect, and nobody's connection is being made any more, or none more is made."""
        before = -1

        def all_there() -> bool:
            nonlocal before
            tallies: Tallies = self.status().get("tallies", [])
            started, connected = (sum(int(each[what]) for each in tallies) for what in ("started", "connected"))
            is_still = connected == before
            before = connected
            return started >= self.planned and (connected >= self.planned or is_still)

        wait_until(all_there, "the clients have come", READY, every)

    def wait(self, patience: float) -> dict[str, Any]:
        """Until it ends by itself; what came of it."""
        if self._box.ended(self._pid, patience) is None:
            raise RuntimeError(f"the clients go on after {patience:.0f} s")
        return self._last()

    def stop(self) -> dict[str, Any]:
        """End it; what came of it."""
        self._box.stop(self._pid)
        return self._last()

    def _last(self) -> dict[str, Any]:
        found = self.status()
        if not found.get("is_over"):
            raise RuntimeError(f"the clients broke off:\n{(self._box.read('/var/log/started.log') or b'').decode()}")
        return found


def wait_until(condition: Callable[[], bool], what: str, patience: float, every: float = 0.1) -> None:
    """Look every so many seconds."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {patience:.0f} s: {what}")
        threading.Event().wait(every)


class Stage:
    """A box with a contender's configuration laid out, as a context manager.  `begin` starts the server."""

    def __init__(self, contender: Contender, letter: str = "a", *, main_cf: str = "", ttl: int = 3600) -> None:
        self.contender = contender
        self.letter = letter
        self._main_cf = main_cf
        self._ttl = ttl
        self._closing = ExitStack()
        self._counts = 0
        self.pid = 0

    def __enter__(self) -> Stage:
        closing = self._closing
        self._disk = Path(tempfile.mkdtemp(prefix="flood-", dir=CACHE))
        closing.callback(shutil.rmtree, self._disk, ignore_errors=True)
        try:
            self.box = closing.enter_context(Box(self._disk))
            self.site = BoxSite(self.box)
            self._lay_out()
        except BaseException:
            closing.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.finish()
        finally:
            self._closing.close()

    def _lay_out(self) -> None:
        folder = GOLDEN / f"config-{self.letter}"
        files = {
            path.relative_to(folder).as_posix(): path.read_text()
            for path in folder.rglob("*")
            if path.is_file() and path.name not in ("main.cf", "master.cf", "zone")
        }
        text = (folder / "main.cf").read_text() + MORE + self.contender.main_cf + self._main_cf
        self.site.lay_out(text, {**files, "master.cf": self.contender.master_cf})
        box = self.box
        box.ask("certificate", directory="/etc/postfix", name="pop.cape.com")
        box.run("saslpasswd2", "-p", "-c", "-u", "pop.cape.com", "alice", stdin="secret")
        box.run("chown", "postfix", "/etc/sasldb2")
        own = (folder / "zone").read_text().splitlines(keepends=True)
        kept = "".join(line for line in own if ".18.198." not in line and not line.startswith(";!"))
        self.names = Names(box, kept + zone(), ttl=self._ttl)
        if self.letter == "b":
            database = self._closing.enter_context(BoxPostgres(box))
            database.sql(sql_of("vpm_recipient_access", (folder / f"vpm_recipient_access{ROWS}").read_text()))

    def begin(self) -> None:
        """Start the server."""
        if self.contender.software == "seawall":
            self.pid = self.site.start().pid
        else:
            self.pid = self.box.start_postfix()
        if self.letter == "b":
            self.box.run("install", "-d", "-m", "700", "-o", "postfix", str(Path(POLICY).parent))
            start(self.box, "bench.fast_policy", POLICY)
            wait_until(lambda: not self.box.run("test", "-S", POLICY, check=False).code, "the policy service is up", 10)

    def listens(self, port: int, address: str) -> None:
        """Wait until somebody accepts there."""
        wait_until(lambda: self.box.listens(port, address, timeout=1), f"{address}:{port} is up", 20)

    def finish(self) -> None:
        """Stop it; a server that wrote a traceback has failed."""
        if not self.pid:
            return
        pid, self.pid = self.pid, 0
        if self.contender.software == "postfix":
            self.box.stop_postfix(pid)
            return
        self.box.kill(pid, signal.SIGKILL)  # its clients are held open for long: nobody waits for them
        self.box.ended(pid, 10)
        if "Traceback" in self.site.printed():
            raise RuntimeError(self.site.printed())

    def gauge(self) -> dict[str, float]:
        """Memory, CPU and processes of the server.  `flood_gauge`"""
        path = f"{Path(__file__).resolve().parent.parent}"
        out = self.box.run(
            "env", f"PYTHONPATH={path}:{path}/src", "python", "-m", "bench.flood_gauge", str(self.pid)
        ).out
        found: dict[str, float] = json.loads(out)
        return found

    def swarm(self, plan: Plan) -> Swarming:
        """Let clients loose."""
        self._counts += 1
        return Swarming(self.box, str(self._counts), plan)

    def bots(self, groups: list[Group], *, waits: bool = True) -> Swarming:
        """Let bots loose, and wait until they are there."""
        swarm = self.swarm(Plan(groups, LONGEST, nice=NICE))
        if waits:
            swarm.wait_started()
        return swarm

    def good(self, seconds: float, patience: float, *, first: int = 0) -> dict[str, Any]:
        """20 messages a second, every other one by a client that has come before; what came of each kind."""
        each = max(1, round(seconds * GOOD_RATE / 2))
        groups = [
            Group("good", each, GOOD_RATE / 2, source="known", patience=patience),
            Group("good", each, GOOD_RATE / 2, source="new", first=first, patience=patience),
        ]
        return self.swarm(Plan(groups, seconds + patience + 5)).wait(seconds + patience + 30)

    def warm(self) -> None:
        """Every known client comes once, and the code is warm: all must be served."""
        plan = Plan([Group("good", KNOWN, 40.0, source="known", patience=30.0)], 60.0)
        (tally,) = self.swarm(plan).wait(90)["tallies"]
        if tally["ended"] != {"done": KNOWN}:
            raise RuntimeError(
                f"{self.contender.name}, before any flood: {tally['ended']}\n{self.box.log()[0][-3000:]}"
            )


def mixed(count: int, *, rate: float = RAMP) -> list[Group]:
    """The mixed flood, each kind from addresses of its own."""
    groups, first = [], 0
    for kind, share in MIX.items():
        bots = max(1, round(count * share))
        groups.append(Group(kind, bots, max(1.0, rate * share), first=first, again=AGAIN))
        first += 10_000
    return groups


def silent(count: int, first: int) -> list[Group]:
    """Connections that say nothing."""
    return [Group("silent", count, 2 * RAMP, first=first)]
