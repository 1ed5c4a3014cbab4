"""Children that die or hang: replaced, while the service goes on and nothing accepted is lost."""

import os
import re
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.system.client import Client, submit
from tests.system.server import ROLES, Server, is_alive, site, until


@pytest.fixture(scope="module")
def pair() -> Iterator[Server]:
    """A server with two workers."""
    with site("seawall_workers = 2\n") as made:
        yield made.start()


def complete(server: Server) -> bool:
    """True while every place has its one child."""
    return sorted(child.role for child in server.children()) == sorted((*ROLES, "worker"))


class Sender(threading.Thread):
    """Sends small messages one after the other, and remembers those that were accepted."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.label = name
        self.accepted: list[str] = []
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            text = f"{self.label} number {number}."
            try:
                if submit(self.port, "bob@example.com", f"Subject: load\n\n{text}").startswith("250"):
                    self.accepted.append(text)
            except OSError:
                continue  # the worker that had it was killed


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_child_is_replaced_and_nothing_accepted_is_lost(pair: Server, role: str) -> None:
    server = pair
    until(lambda: complete(server), "all children are there")
    sender = Sender(server.port, role)
    until(lambda: len(sender.accepted) > 5, "mail is accepted")
    victim = server.children(role)[0].pid
    os.kill(victim, signal.SIGKILL)
    server.said(f"(pid {victim}) ended with signal 9; replaced")
    until(lambda: complete(server), "it was replaced")
    count = len(sender.accepted)
    until(lambda: len(sender.accepted) > count + 5, "mail is accepted afterwards")
    sender.over.set()
    sender.join(60)
    until(lambda: len(missing(server, sender.accepted)) == 0, f"all {len(sender.accepted)} accepted messages arrive")
    assert "Traceback" not in server.printed()


def missing(server: Server, texts: list[str]) -> list[str]:
    everything = "\n".join(server.mail())
    return [text for text in texts if text not in everything]


def connected(server: Server, since: int) -> list[int]:
    """The numbers of the sessions that were opened since the log had this length."""
    return [int(found) for found in re.findall(r"smtpd\[(\d+)\]: connect", server.log()[since:])]


def test_a_worker_that_hangs_is_helped_by_its_neighbour_and_then_replaced(pair: Server) -> None:
    server = pair
    until(lambda: complete(server), "all children are there")
    stopped = server.children("worker")[0].pid
    os.kill(stopped, signal.SIGSTOP)
    before = len(server.log())
    # loopback is sorted by port as well: of so many connections some wait for the worker that hangs
    clients = [Client(server.port) for _ in range(24)]
    try:
        assert all(client.hear().startswith("220 ") for client in clients)
        until(lambda: len(connected(server, before)) == len(clients), "the log has them all")
        assert len({number % 2 for number in connected(server, before)}) == 1, (
            "one worker took them all: sessions are numbered by worker"
        )
        server.said("is silent for 5 s; killed")
        until(lambda: complete(server) and not is_alive(stopped), "it is replaced")
        assert all(client.say("QUIT").startswith("221") for client in clients)
    finally:
        for client in clients:
            client.close()
    assert submit(server.port, "bob@example.com", "Subject: x\n\nafter the silence").startswith("250")
    server.arrives("after the silence")


def test_a_child_that_always_dies_is_started_less_and_less_often(pair: Server) -> None:
    server = pair
    until(lambda: complete(server), "all children are there")
    for _ in range(3):
        until(lambda: server.children("watcher"), "there is a watcher")
        victim = server.children("watcher")[0].pid
        os.kill(victim, signal.SIGKILL)
        server.said(f"watcher 0 (pid {victim}) ended with signal 9; replaced")
    until(lambda: complete(server), "it comes back all the same")
