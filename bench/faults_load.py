"""The clients of `bench.faults_parts`, inside the box: `python -m bench.faults_load FILE`.

Each session comes from an address and with a sender domain that DNS must be asked for, and names two recipients: one that
exists, and one that the site refuses.  Every reply is a line of the file: what was said, when, how long the reply took,
its code.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.system.client import Client

CLIENTS = 8
NETWORKS = range(101, 101 + CLIENTS)
"""Each client's 198.18.N.0/24, of which neither configuration says anything."""
HOSTS = 250
PAUSE = 0.05
"""Seconds between a client's sessions: a load that leaves the machine to the server."""
PATIENCE = 60.0
GOOD = "alice@cape.com"
SHUT = "pg-reject@cape.com"
SERVER = "192.0.2.1"


@dataclass(frozen=True, slots=True)
class Heard:
    """One reply: to what (``banner``, ``EHLO``, ``MAIL``, ``good``, ``shut``), when that was said (monotonic seconds), how
    long it took, and its code."""

    what: str
    at: float
    seconds: float
    code: str


def zone() -> str:
    """What DNS knows of the clients.  Nothing is to be kept for long: the resolver is asked all the time."""
    hosts = [(network, host) for network in NETWORKS for host in range(1, HOSTS + 1)]
    names = "".join(
        f"{host}.{network}.18.198.in-addr.arpa. PTR h{network}-{host}.load.example.\n"
        f"h{network}-{host}.load.example. A 198.18.{network}.{host}\n"
        for network, host in hosts
    )
    return f"{names}*.from.example. MX 10 mail.load.example.\nmail.load.example. A 203.0.113.25\n"


def session(number: int, count: int, tell: Callable[[str, float, str], None]) -> None:
    """Ask for both recipients."""
    host = 1 + count % HOSTS
    at = time.monotonic()
    with Client(25, SERVER, f"198.18.{number}.{host}", PATIENCE) as client:
        tell("banner", at, client.hear())
        for what, line in (
            ("EHLO", f"EHLO h{number}-{host}.load.example"),
            ("MAIL", f"MAIL FROM:<ann@s{count}-{number}.from.example>"),
            ("good", f"RCPT TO:<{GOOD}>"),
            ("shut", f"RCPT TO:<{SHUT}>"),
        ):
            at = time.monotonic()
            tell(what, at, client.say(line))


def main() -> None:
    """All clients, until the process is ended."""
    write = threading.Lock()
    with open(sys.argv[1], "w", encoding="ascii", buffering=1) as file:

        def tell(what: str, at: float, reply: str) -> None:
            with write:
                file.write(f"{what} {at:.4f} {time.monotonic() - at:.4f} {reply[:3] or '---'}\n")

        def client(number: int) -> None:
            count = 0
            while True:
                count += 1
                try:
                    session(number, count, tell)
                except OSError:
                    tell("lost", time.monotonic(), "")
                threading.Event().wait(PAUSE)

        threads = [threading.Thread(target=client, args=(number,)) for number in NETWORKS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def read_heard(text: str) -> list[Heard]:
    """The lines of the file; one that is not whole yet is left out."""
    words = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [Heard(what, float(at), float(seconds), code) for what, at, seconds, code in words]


if __name__ == "__main__":
    main()
