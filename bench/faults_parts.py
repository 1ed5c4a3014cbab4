"""What the troubles of other people's parts do to mail: `python -m bench.faults_parts`, part of `make faults`.

The policy service, PostgreSQL and the name server are stopped, hung (SIGSTOP) and slow in turn, each for a minute under
load, with the thread's second configuration, and the name server with the first one as well.  No trouble may refuse mail
for good or let in what is refused; a slow answer within the timeout is an answer; once a part is known to be away, answers
come within two seconds; and once it is back, mail is taken again within five.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests import peers
from tests.box import Box
from tests.box_postgres import BoxPostgres
from tests.system.box_site import BoxSite

from bench.faults_load import CLIENTS, GOOD, SHUT, Heard, read_heard, zone
from seawall.config.master_cf import STANDARD

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
HEARD = "/var/log/heard"
PATH = f"PYTHONPATH={peers.CHECKOUT}:{peers.CHECKOUT}/src"
ANSWERED = 2.0
BACK = 5.0
SHOWN = 5
"""Replies that should not be, as examples."""
TROUBLES = ("stopped", "hung", "slow")
CHANGED = 3.0
"""Seconds until the slow name server stands in the other's place, and what was said in between is forgotten."""
POLICY_TIMEOUT = 2
"""smtpd_policy_service_timeout: short, so that a trouble of a minute is thirty timeouts long."""
TIMEOUT = 5
"""Seconds of one attempt at DNS.  resolv.conf(5)"""
MORE = f"""\
seawall_workers = 2
smtpd_policy_service_timeout = {POLICY_TIMEOUT}s
smtpd_client_connection_count_limit = 0
"""
ROWS = f"""\
CREATE TABLE entries (key text PRIMARY KEY, value text);
INSERT INTO entries VALUES ('{GOOD}', 'DUNNO'), ('{SHUT}', 'REJECT');
CREATE TABLE delay (seconds float);
INSERT INTO delay VALUES (0);
CREATE VIEW vpm_recipient_access AS
SELECT key, value FROM entries, LATERAL (SELECT pg_sleep((SELECT seconds FROM delay))) AS slept;
"""


class Part(Protocol):
    """Somebody else's part, and what can befall it.

    `opens`: the seconds after which everybody must know of the trouble: a part's whole patience, and what a session waits
    on after that.
    """

    name: str
    opens: float

    def begin(self, trouble: str) -> None:
        """Let the trouble begin."""
        ...

    def finish(self, trouble: str) -> None:
        """Let it be over; returns once the part is there again."""
        ...


class Policy:
    """The policy service behind ``unix:private/vpm-pfpolicy``."""

    name = "policy service"
    opens = POLICY_TIMEOUT + 2.5
    slow = 1.0

    def __init__(self, box: Box) -> None:
        self._box = box
        self._pid = 0
        self._answer("DUNNO")
        self._start()

    def begin(self, trouble: str) -> None:
        if trouble == "stopped":
            self._box.stop(self._pid)
            self._box.remove("/var/spool/postfix/private/vpm-pfpolicy")
        elif trouble == "hung":
            self._box.kill(self._pid, signal.SIGSTOP)
        else:
            self._answer(f"*after {self.slow} DUNNO")

    def finish(self, trouble: str) -> None:
        if trouble == "stopped":
            self._start()
        elif trouble == "hung":
            self._box.kill(self._pid, signal.SIGCONT)
        else:
            self._answer("DUNNO")

    def _start(self) -> None:
        self._pid = start(self._box, "tests.policy_server", "unix:private/vpm-pfpolicy", "/etc/script")

    def _answer(self, answer: str) -> None:
        self._box.write("/etc/script", f"-> {answer}\n")
        if self._pid:
            self._box.kill(self._pid, signal.SIGHUP)


class Postgres:
    """PostgreSQL behind ``proxy:pgsql:``."""

    name = "PostgreSQL"
    opens = 22.5
    """Each worker waits in full for three answers (the breaker's), 5 s each, the first of them after 5 s for a place."""
    slow = 0.5

    def __init__(self, database: BoxPostgres) -> None:
        self._database = database
        database.sql(ROWS)

    def begin(self, trouble: str) -> None:
        if trouble == "stopped":
            self._database.kill()
        elif trouble == "hung":
            self._database.hang()
        else:
            self._database.sql(f"UPDATE delay SET seconds = {self.slow}")

    def finish(self, trouble: str) -> None:
        if trouble == "stopped":
            self._database.start()
        elif trouble == "hung":
            self._database.resume()
        else:
            self._database.sql("UPDATE delay SET seconds = 0")


class Names:
    """The name server of resolv.conf, which has two attempts of `timeout` seconds, and another one with the same zone.

    When it is slow, it takes as long as one attempt does.
    """

    name = "name server"
    ours, other = "127.0.0.2", "127.0.0.4"

    def __init__(self, box: Box, zone_text: str, timeout: int = TIMEOUT, ttl: int = 1) -> None:
        self._box = box
        self.slow = float(timeout)
        self.opens = 2 * timeout + 2.5
        head = f"$ORIGIN .\n$TTL {ttl}\n@ SOA ns. hostmaster. 1 3600 600 86400 {ttl}\n@ NS ns.\nns. A 127.0.0.1\n"
        text = "".join(line for line in zone_text.splitlines(keepends=True) if not line.startswith(";!"))
        box.write("/run/names/root.zone", head + text)
        box.write("/etc/resolv.conf", f"nameserver {self.ours}\noptions timeout:{timeout}\n")
        self._slow = 0
        self._start(self.other)
        self._start(self.ours)

    def begin(self, trouble: str) -> None:
        if trouble == "hung":
            self._tell(signal.SIGSTOP)
            return
        self._tell(signal.SIGKILL)
        if trouble == "slow":
            self._slow = start(self._box, "bench.slow_dns", self.ours, self.other, str(self.slow))
            threading.Event().wait(CHANGED)  # meanwhile it was stopped, which is another trouble

    def finish(self, trouble: str) -> None:
        if trouble == "hung":
            self._tell(signal.SIGCONT)
            return
        if trouble == "slow":
            self._box.stop(self._slow)
        self._start(self.ours)

    def _start(self, address: str) -> None:
        place = f"/run/names/{address}"
        self._box.write(
            f"{place}/nsd.conf",
            f'server:\n ip-address: {address}\n port: 53\n username: ""\n zonesdir: "/run/names"\n pidfile: "{place}/pid"\n'
            f' rrl-ratelimit: 0\n database: ""\n xfrdfile: "{place}/xfrd"\n zonelistfile: "{place}/zones"\n'
            f' logfile: "{place}/log"\n server-count: 1\n'
            'remote-control:\n control-enable: no\nzone:\n name: "."\n zonefile: "root.zone"\n',
        )
        self._box.start("nsd", "-d", "-c", f"{place}/nsd.conf")
        self._box.listens(53, address)

    def _tell(self, number: signal.Signals) -> None:
        for pid, line in self._box.processes().items():
            if f"{self.ours}/nsd.conf" in line:
                self._box.kill(pid, number)


def start(box: Box, module: str, *words: str) -> int:
    """Run a module of the checkout in the box."""
    return box.start("env", PATH, sys.executable, "-m", module, *words)


@dataclass(frozen=True, slots=True)
class Result:
    """What one trouble came to.  Seconds; `open_slowest` is of replies to what was said when the trouble must be known."""

    part: str
    trouble: str
    replies: int
    permanent: int
    let_in: int
    deferred: int
    slowest: float
    open_slowest: float
    back_after: float

    @property
    def is_good(self) -> bool:
        """True where everything was as it must be."""
        if self.permanent or self.let_in or self.back_after > BACK:
            return False
        return self.deferred == 0 if self.trouble == "slow" else self.open_slowest <= ANSWERED

    def line(self) -> str:
        """A row of the table."""
        known = "-" if self.trouble == "slow" else f"{self.open_slowest:.2f}"
        return (
            f"{self.part + ' ' + self.trouble:32} {self.replies:>8} {self.permanent:>9} {self.let_in:>7} {self.deferred:>8} "
            f"{self.slowest:>8.2f} {known:>10} {self.back_after:>6.2f}  {'good' if self.is_good else 'BAD'}"
        )


HEAD = f"{'':32} {'replies':>8} {'permanent':>9} {'let in':>7} {'deferred':>8} {'slowest':>8} {'once known':>10} {'back':>6}"


@contextmanager
def loaded(box: Box) -> Iterator[Callable[[], list[Heard]]]:
    """Clients that send all the while; the call gives what they have heard so far."""
    box.write(HEARD, "")
    pid = start(box, "bench.faults_load", HEARD)
    try:
        yield lambda: read_heard((box.read(HEARD) or b"").decode("ascii"))
    finally:
        box.kill(pid, signal.SIGKILL)
        box.ended(pid, 10)


def wait_until(condition: Callable[[], bool], what: str, patience: float) -> None:
    """Look four times a second."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {patience:.0f} s: {what}")
        threading.Event().wait(0.25)


def run_trouble(box: Box, part: Part, trouble: str, seconds: float) -> Result:
    """Let a part be in trouble for so many seconds, under load."""
    with loaded(box) as heard:
        wait_until(lambda: len(taken(heard(), 0.0)) > CLIENTS * 3, "mail is taken", 60)
        began = time.monotonic()
        part.begin(trouble)
        if trouble == "slow":
            began = time.monotonic()
        threading.Event().wait(seconds)
        stop = time.monotonic()
        part.finish(trouble)
        over = time.monotonic()
        wait_until(lambda: len(taken(heard(), over)) > CLIENTS * 3, "everybody is served again", 60)
        everything = heard()
    during = [one for one in everything if began <= one.at < stop]
    known = [one.seconds for one in during if began + part.opens < one.at]
    deferred = [one for one in during if one.what != "shut" and one.code[:1] in "4-" and one.at + one.seconds < stop]
    if trouble == "slow":
        for one in deferred[:SHOWN]:  # there should be none
            when = f"{one.at - began:.2f} s after the trouble began"
            print(f"  {one.code} to {one.what}, said {when}, {one.seconds:.2f} s later", file=sys.stderr, flush=True)
    return Result(
        part.name,
        trouble,
        replies=len(during),
        permanent=sum(one.what != "shut" and one.code.startswith("5") for one in everything),
        let_in=sum(one.what == "shut" and one.code.startswith("2") for one in everything),
        deferred=len(deferred),
        slowest=max((one.seconds for one in during), default=0.0),
        open_slowest=max(known, default=0.0),
        back_after=min(one.at + one.seconds for one in taken(everything, over)) - over,
    )


def taken(heard: Sequence[Heard], moment: float) -> list[Heard]:
    """Good recipients that were named after a moment, and taken."""
    return [one for one in heard if one.at > moment and one.what == "good" and one.code == "250"]


def lay_out(site: BoxSite, letter: str) -> str:
    """Put one of the two configurations where it belongs; its zone with that of the clients."""
    folder = GOLDEN / f"config-{letter}"
    files = {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("main.cf", "master.cf", "zone")
    }
    if letter == "a":  # nothing there refuses an address of this domain but that nobody has it
        files["recipient_regexp"] = files["recipient_regexp"] + f"\n/^{SHUT}$/ REJECT\n"
    site.lay_out((folder / "main.cf").read_text() + MORE, {**files, "master.cf": STANDARD})
    site.box.run("sh", "-c", "chmod 600 /etc/postfix/vpm_recipient_access 2>/dev/null || true")
    return (folder / "zone").read_text() + zone()


@contextmanager
def config_a(timeout: int = TIMEOUT) -> Iterator[tuple[Box, dict[str, Part]]]:
    """The first configuration in a box of its own: it asks the name server and nobody else."""
    with Box() as box:
        site = BoxSite(box)
        names = Names(box, lay_out(site, "a"), timeout)
        site.start()
        try:
            yield box, {"names": names}
        finally:
            site.stop()


@contextmanager
def config_b(timeout: int = TIMEOUT) -> Iterator[tuple[Box, dict[str, Part]]]:
    """The second one, with all its parts."""
    with Box() as box, BoxPostgres(box) as database:
        site = BoxSite(box)
        parts: dict[str, Part] = {"postgres": Postgres(database)}
        parts["names"] = Names(box, lay_out(site, "b"), timeout)
        site.start()
        parts["policy"] = Policy(box)
        try:
            yield box, parts
        finally:
            site.stop()


WORLDS = {"a": config_a, "b": config_b}


def main(arguments: Sequence[str]) -> int:
    """All troubles of all parts in turn, then the table; 1 where one was not met as it should be."""
    parser = argparse.ArgumentParser(prog="bench.faults_parts", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each trouble lasts")
    parser.add_argument("--config", choices=sorted(WORLDS), help="default: both")
    parser.add_argument("--part", choices=("names", "policy", "postgres"), help="default: all")
    parser.add_argument("--trouble", choices=TROUBLES, help="default: all")
    given = parser.parse_args(arguments)
    rows: list[tuple[str, Result]] = []
    for letter in given.config or WORLDS:
        with WORLDS[letter]() as (box, parts):
            for name, part in parts.items():
                for trouble in TROUBLES:
                    if given.part in (None, name) and given.trouble in (None, trouble):
                        print(f"configuration {letter.upper()}: {part.name} {trouble} …", file=sys.stderr, flush=True)
                        rows.append((letter, run_trouble(box, part, trouble, given.seconds)))
    for letter in dict.fromkeys(letter for letter, _ in rows):
        print(f"configuration {letter.upper()}{HEAD[15:]}")
        for each, result in rows:
            if each == letter:
                print(f"  {result.line()[:32].rstrip():30} {result.line()[33:]}")
    return int(not all(result.is_good for _, result in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
