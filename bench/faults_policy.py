"""What a policy service's troubles do to mail: stopped, hung (SIGSTOP) and slow, each for a while under load.

Clients ask for the same recipient without a pause and note when they asked, how long it took and what they heard.  No
trouble of the service may refuse mail for good; a slow answer within the timeout is an answer; once the service is known
to be away, answers come within two seconds; and once it is back, mail is taken again within five.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.client import Client
from tests.system.server import Server, site, until

CLIENTS = 8
TIMEOUT = 2
"""smtpd_policy_service_timeout: short, so that a trouble of a minute is thirty timeouts long."""
SLOW = 1.0
OPENS = TIMEOUT + 1.5
"""Seconds after which the breaker must have opened: a timeout, and what a session waits on after that."""
ANSWERED = 2.0
BACK = 5.0
PAUSE = 0.02
"""Seconds between a client's questions: a load that leaves the machine to the server."""
TROUBLES = ("stopped", "hung", "slow")


@dataclass(frozen=True, slots=True)
class Heard:
    """One RCPT: when it was said (monotonic seconds), how long the reply took, and its code."""

    at: float
    seconds: float
    code: str


@dataclass(slots=True)
class Asking:
    """One client that asks until it is told to stop."""

    port: int
    over: threading.Event = field(default_factory=threading.Event)
    heard: list[Heard] = field(default_factory=list)

    def run(self) -> None:
        while not self.over.is_set():
            try:
                with Client(self.port) as client:
                    client.hear()
                    client.say("EHLO client.example", "MAIL FROM:<ann@far.example>")
                    while not self.over.wait(PAUSE):
                        at = time.monotonic()
                        code = client.say("RCPT TO:<joe@example.com>")[:3]
                        self.heard.append(Heard(at, time.monotonic() - at, code))
                        client.say("RSET", "MAIL FROM:<ann@far.example>")
            except OSError:
                self.over.wait(PAUSE)


@contextmanager
def loaded(port: int) -> Iterator[Callable[[], list[Heard]]]:
    """Clients that ask all the while; the call gives what all of them have heard so far."""
    clients = [Asking(port) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield lambda: [heard for client in clients for heard in list(client.heard)]
    finally:
        for client in clients:
            client.over.set()
        for thread in threads:
            thread.join(30)


class Service:
    """The policy service, a process of its own."""

    def __init__(self, base: Path) -> None:
        self.endpoint = f"unix:{base / 'policy'}"
        self._script = base / "script"
        self._socket = base / "policy"
        self._process: subprocess.Popen[bytes] | None = None
        self._script.write_text("-> DUNNO\n")

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.policy_server", self.endpoint, str(self._script)], stdout=subprocess.DEVNULL
        )
        until(self._socket.exists, "the policy service listens")

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
            self._socket.unlink(missing_ok=True)

    def begin(self, trouble: str) -> None:
        """Let the trouble begin."""
        if trouble == "stopped":
            self.end()
        elif trouble == "hung":
            self._tell(signal.SIGSTOP)
        else:
            self._answer(f"-> *after {SLOW} DUNNO\n")

    def finish(self, trouble: str) -> None:
        """Let it be over."""
        if trouble == "stopped":
            self.start()
        elif trouble == "hung":
            self._tell(signal.SIGCONT)
        else:
            self._answer("-> DUNNO\n")

    def _answer(self, script: str) -> None:
        self._script.write_text(script)
        self._tell(signal.SIGHUP)

    def _tell(self, number: signal.Signals) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)


@dataclass(frozen=True, slots=True)
class Result:
    """What one trouble came to.  Seconds; `open_slowest` is of answers from when the breaker must be open."""

    trouble: str
    asked: int
    permanent: int
    deferred: int
    slowest: float
    open_slowest: float
    back_after: float

    @property
    def is_good(self) -> bool:
        """True where everything was as it must be."""
        if self.permanent or self.back_after > BACK:
            return False
        return self.deferred == 0 if self.trouble == "slow" else self.open_slowest <= ANSWERED


@contextmanager
def asked_server() -> Iterator[tuple[Server, Service]]:
    """A server that asks a policy service at every RCPT."""
    with site("") as server:
        service = Service(server.base)
        server.configure(
            "virtual_mailbox_domains = example.com\nvirtual_mailbox_maps = inline:{joe@example.com=joe/}\n"
            f"smtpd_policy_service_timeout = {TIMEOUT}s\nsmtpd_error_sleep_time = 0\nsmtpd_hard_error_limit = 1000000\n"
            "smtpd_junk_command_limit = 1000000\nsmtpd_client_connection_count_limit = 0\n"
            f"smtpd_recipient_restrictions = check_policy_service {service.endpoint}, permit_auth_destination, reject\n"
            "smtpd_relay_restrictions =\n"
        )
        service.start()
        server.start()
        try:
            yield server, service
        finally:
            service.end()


def run_trouble(server: Server, service: Service, trouble: str, seconds: float) -> Result:
    """Let the service be in trouble for so many seconds, under load."""
    with loaded(server.port) as heard:
        until(lambda: len(heard()) > CLIENTS * 3, "questions are answered")
        began = time.monotonic()
        service.begin(trouble)
        threading.Event().wait(seconds)
        over = time.monotonic()
        service.finish(trouble)
        until(lambda: taken_after(heard(), over) is not None, "mail is taken again", 30)
        back = taken_after(heard(), over) or over
        until(lambda: sum(one.at > back for one in heard()) > CLIENTS * 3, "everybody is served again", 30)
        everything = heard()
    during = [one for one in everything if one.at >= began]
    known = [one.seconds for one in during if began + OPENS < one.at < over]
    return Result(
        trouble,
        asked=len(during),
        permanent=sum(one.code.startswith("5") for one in everything),
        deferred=sum(one.code.startswith("4") for one in during),
        slowest=max(one.seconds for one in during),
        open_slowest=max(known, default=0.0),
        back_after=back - over,
    )


def taken_after(heard: Sequence[Heard], moment: float) -> float | None:
    """When the first recipient was taken that was asked for after a moment."""
    return min((one.at + one.seconds for one in heard if one.at > moment and one.code == "250"), default=None)


def main(arguments: Sequence[str]) -> int:
    """All troubles in turn; 1 where one was not met as it should be."""
    parser = argparse.ArgumentParser(prog="bench.faults_policy", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each trouble lasts")
    given = parser.parse_args(arguments)
    good = True
    with asked_server() as (server, service):
        for trouble in TROUBLES:
            result = run_trouble(server, service, trouble, given.seconds)
            good = good and result.is_good
            print(
                f"policy service {trouble:12} {result.asked} asked, {result.permanent} refused for good, "
                f"{result.deferred} deferred, slowest {result.slowest:.2f} s, once known {result.open_slowest:.2f} s, "
                f"back after {result.back_after:.2f} s",
                flush=True,
            )
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
