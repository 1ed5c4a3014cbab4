"""`make faults`: what is lost when processes are killed and disks are full.  Nothing that was answered 250 may be.

Clients send without a pause and keep a ledger of every message that was accepted.  Each round kills one process of the
server (kill -9), whichever chance picks, at a moment that chance picks.  Afterwards the server is killed as a whole,
started again, and every recipient of every message in the ledger must have it.  A message that comes twice is counted;
SMTP cannot avoid that where a connection ends between the end of data and its 250 (RFC 1047).
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.box import Box, missing
from tests.system.box_site import BoxSite
from tests.system.client import Client
from tests.system.server import Server, is_alive, site, until

CLIENTS = 4
BOXES = tuple(f"box{number}" for number in range(12))
KINDS: tuple[tuple[str, int, int], ...] = (
    ("one mailbox", 1, 300),
    ("three mailboxes", 3, 300),
    ("twelve mailboxes, through the queue", 12, 300),
    ("a large message", 1, 300_000),
)
"""What is sent in turn: name, recipients, bytes.  The direct way takes at most ten recipients."""
VICTIMS = ("supervisor", "worker", "queue_manager", "delivery", "spawner", "watcher")
PATIENCE = 90.0
"""Seconds in which everything must be in order again."""

CONFIGURATION = (
    "seawall_workers = 2\nminimal_backoff_time = 1s\nqueue_run_delay = 1s\nvirtual_mailbox_maps = inline:{ "
    + " ".join(f"{{ {box}@example.com = {box}/ }}" for box in BOXES)
    + " }\n"
)


@dataclass(slots=True)
class Ledger:
    """What the clients know: every message that was answered 250, with its recipients."""

    accepted: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lost_connections: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Load(threading.Thread):
    """One client that sends until it is told to stop."""

    def __init__(self, number: int, port: Callable[[], int]) -> None:
        super().__init__(daemon=True, name=f"client {number}")
        self._number = number
        self._port = port
        self.over = threading.Event()
        self.ledger = Ledger()

    def run(self) -> None:
        count = 0
        while not self.over.is_set():
            try:
                with Client(self._port()) as client:
                    client.hear()
                    client.say(f"EHLO client{self._number}.example")
                    while not self.over.is_set():
                        count += 1
                        if not self._send(client, f"m-{self._number}-{count}.", *KINDS[count % len(KINDS)][1:]):
                            break
            except OSError:
                self.ledger.lost_connections += 1
                self.over.wait(0.01)

    def _send(self, client: Client, name: str, recipients: int, size: int) -> bool:
        """One message; False where the connection is at its end."""
        boxes = BOXES[:recipients]
        client.say(f"MAIL FROM:<{name}@far.example>", *(f"RCPT TO:<{box}@example.com>" for box in boxes))
        reply = client.say("DATA")
        if reply.startswith("354"):
            reply = client.say(f"Subject: {name}\r\n\r\n" + "x" * 70 + "\r\n" * (size > 1000) + filling(size) + "\r\n.")
        if reply.startswith("250"):
            self.ledger.accepted[name] = boxes
        elif reply:
            self.ledger.refused[reply[:9]] += 1
        return reply[:1] in ("2", "4", "5") and not reply.startswith("421")


def filling(size: int) -> str:
    """Lines of so many bytes."""
    return "\r\n".join(["y" * 70] * (size // 72))


class Kills:
    """The rounds on one server."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.killed: Counter[str] = Counter()

    def round(self, accepted: Callable[[], int]) -> None:
        """Wait for some mail, kill something, and wait until everything is there again."""
        wanted = accepted() + self.chance.randrange(1, 60)
        until(lambda: accepted() >= wanted, "mail is accepted", PATIENCE)
        victim = self.chance.choice(VICTIMS)
        pid = self._find(victim)
        if pid is None:
            return
        self.killed[victim] += 1
        if victim == "supervisor":
            self.start_again()
        else:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not is_alive(pid) and self._is_complete(), f"the {victim} is replaced", PATIENCE)

    def start_again(self) -> None:
        """Kill the supervisor, let the orphans finish, start anew."""
        server, children = self.server, self.server.children()
        server.tell(signal.SIGKILL)
        if server.process is not None:
            server.process.wait(10)
        until(lambda: not any(is_alive(child.pid) for child in children), "the orphans end", PATIENCE)
        server.start()

    def _find(self, victim: str) -> int | None:
        if victim == "supervisor":
            return self.server.pid
        if victim == "spawner":
            deliveries = [child.pid for child in self.server.children("delivery")]
            children = [pid for each in deliveries for pid in children_of(each)]
            return children[0] if children else None
        pids = [child.pid for child in self.server.children(victim)]
        return self.chance.choice(pids) if pids else None

    def _is_complete(self) -> bool:
        found = Counter(child.role for child in self.server.children())
        return found == Counter({"worker": 2, "queue_manager": 1, "delivery": 1, "watcher": 1})


def children_of(pid: int) -> list[int]:
    """Processes that a process started."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class Result:
    """What the rounds came to."""

    rounds: int
    killed: Counter[str]
    messages: int
    copies: int
    lost: tuple[str, ...]
    duplicates: int
    lost_connections: int
    refused: Counter[str]
    seconds: float


@contextmanager
def loaded(server: Server) -> Iterator[list[Load]]:
    """Clients that send all the while."""
    loads = [Load(number, lambda: server.port) for number in range(CLIENTS)]
    for load in loads:
        load.start()
    try:
        yield loads
    finally:
        for load in loads:
            load.over.set()
        for load in loads:
            load.join(60)


def run_kills(rounds: int, seed: int, progress: Callable[[int], None] = lambda _: None) -> Result:
    """Kill `rounds` processes under load; what was lost and what came twice."""
    began = time.monotonic()
    with site(CONFIGURATION) as server:
        for box in BOXES:
            (server.base / "mail" / box).mkdir()
            os.chown(server.base / "mail" / box, server.user.pw_uid, server.user.pw_gid)
        server.start()
        kills = Kills(server, seed)
        with loaded(server) as loads:
            for number in range(rounds):
                kills.round(lambda: sum(len(load.ledger.accepted) for load in loads))
                progress(number + 1)
        kills.start_again()
        until(lambda: not server.queue(), "the queue is empty", PATIENCE)
        if "Traceback" in server.printed():
            raise RuntimeError(server.printed())
        found = found_in_mailboxes(server.base / "mail")
    owed = Counter((name, box) for load in loads for name, boxes in load.ledger.accepted.items() for box in boxes)
    return Result(
        rounds=rounds,
        killed=kills.killed,
        messages=sum(len(load.ledger.accepted) for load in loads),
        copies=len(owed),
        lost=tuple(sorted(f"{name} for {box}" for name, box in owed.keys() - found.keys())),
        duplicates=sum(count - 1 for count in found.values() if count > 1),
        lost_connections=sum(load.ledger.lost_connections for load in loads),
        refused=sum((load.ledger.refused for load in loads), Counter()),
        seconds=time.monotonic() - began,
    )


def found_in_mailboxes(mail: Path) -> Counter[tuple[str, str]]:
    """How often each message lies in each mailbox, whole."""
    found: Counter[tuple[str, str]] = Counter()
    for path in mail.glob("*/new/*"):
        with path.open(encoding="latin-1") as file:
            text = file.read()
        name = re.search(r"^Subject: (\S+)$", text, re.M)
        if name is not None and text.endswith(("x\n", "y\n")):
            found[name[1], path.parts[-3]] += 1
    return found


# ---- full disks ---------------------------------------------------------------------------------------------------

FULL_DISK = """\
compatibility_level = 3.6
myhostname = pop.cape.com
mynetworks =
mydestination = $myhostname
alias_maps =
home_mailbox = Maildir/
smtpd_peername_lookup = no
relay_domains = relay.example
transport_maps = inline:{{relay.example = smtp:[192.0.2.25]:2525}}
minimal_backoff_time = 1s
queue_run_delay = 1s
seawall_workers = 1
message_size_limit = 0
"""


@contextmanager
def small_disk(box: Box, place: str, megabytes: int, owner: str) -> Iterator[None]:
    """A file system of that size at a place in the box, as long as the block lasts."""
    box.run("install", "-d", "-o", owner, place)
    box.run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "small", place)
    box.run("chown", owner, place)
    try:
        yield
    finally:
        box.run("umount", "-l", place)


def fill(box: Box, place: str) -> str:
    """Use up all space there; the file that does so."""
    ballast = f"{place}/ballast"
    box.run("dd", "if=/dev/zero", f"of={ballast}", "bs=4k", check=False)
    return ballast


def full_spool(box: Box) -> list[str]:
    """The spool's disk is full, then has space again: the replies to three messages for the queue."""
    made = BoxSite(box)
    with small_disk(box, "/var/spool/postfix", 8, "root"):
        made.lay_out(FULL_DISK)
        made.start()
        try:
            said = [made.submit("ann@good.example", "far@relay.example", "before")[-1]]
            ballast = fill(box, "/var/spool/postfix")
            said.append(
                made.submit("ann@good.example", "far@relay.example", "while it is full\r\n" + filling(90_000))[-1]
            )
            box.run("rm", ballast)
            said.append(made.submit("ann@good.example", "far@relay.example", "afterwards")[-1])
        finally:
            made.stop()
    return said


def full_home(box: Box) -> list[str]:
    """A user's disk is full: what is accepted meanwhile waits in the queue and comes when there is space again."""
    made = BoxSite(box)
    with small_disk(box, "/home/alice", 2, "alice"):
        made.lay_out(FULL_DISK)
        made.start()
        try:
            ballast = fill(box, "/home/alice")
            said = [made.submit("ann@good.example", "alice@pop.cape.com", "while it is full\r\n" + filling(90_000))[-1]]
            made.said("status=deferred")
            box.run("rm", ballast)
            made.arrives("alice", "while it is full")
            said.append(made.submit("ann@good.example", "alice@pop.cape.com", "afterwards")[-1])
            made.arrives("alice", "afterwards")
        finally:
            made.stop()
    return said


# ---- the table ----------------------------------------------------------------------------------------------------


def show(result: Result) -> None:
    """What the README quotes."""
    kills = ", ".join(f"{name} {count}" for name, count in sorted(result.killed.items()))
    refused = ", ".join(f"{reply} {count}" for reply, count in sorted(result.refused.items())) or "none"
    rows = (
        ("rounds, each a kill -9 under load", result.rounds),
        ("killed", kills),
        ("messages answered 250", result.messages),
        ("copies owed to mailboxes", result.copies),
        ("lost", len(result.lost)),
        ("came twice (RFC 1047)", result.duplicates),
        ("connections lost by clients", result.lost_connections),
        ("other replies", refused),
        ("seconds", f"{result.seconds:.0f}"),
    )
    for name, value in rows:
        print(f"{name:36} {value}")
    for name in result.lost:
        print(f"LOST: {name}")


def main(arguments: Sequence[str]) -> int:
    """Run everything; 1 where something was lost or a full disk was not met as it should be."""
    parser = argparse.ArgumentParser(prog="bench.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 31), help="of chance; printed, to play it again"
    )
    given = parser.parse_args(arguments)
    print(f"{'seed':36} {given.seed}", flush=True)
    result = run_kills(given.rounds, given.seed, lambda done: print(f"\rround {done}", end="", file=sys.stderr))
    print("\r", end="", file=sys.stderr)
    show(result)
    good = not result.lost
    trouble = missing()
    if trouble:
        print(f"full disks were not tried: {trouble}")
        return int(not good)
    with Box() as box:
        for name, try_it in (("full spool", full_spool), ("full home", full_home)):
            said = try_it(box)
            print(f"{name:36} {'; '.join(reply[:45] for reply in said)}")
            good = good and said[-1].startswith("250")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
