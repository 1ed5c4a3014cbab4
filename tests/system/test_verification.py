"""Address verification through sockets: probes, what outlives the server, and a queue manager that dies, hangs and returns."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.client import Client
from tests.system.server import Server, site, until

MORE = """
virtual_mailbox_maps = inline:{good@example.com=box/, again@example.com=box/}
smtpd_reject_unlisted_recipient = no
smtpd_recipient_restrictions = reject_unverified_recipient, permit
relay_domains = down.example
transport_maps = inline:{down.example=smtp:[127.0.0.1]:1}
unverified_recipient_reject_code = 550
address_verify_poll_delay = 5s
"""
HOT = "address_verify_poll_count = 1\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with site(MORE) as made:
        yield made


def asked(server: Server, recipient: str) -> str:
    """What RCPT says."""
    with Client(server.port) as client:
        client.hear()
        return client.say("EHLO far.example", "MAIL FROM:<ann@far.example>", f"RCPT TO:<{recipient}>")


def probes(server: Server, recipient: str) -> int:
    """How many probes of an address the log tells of."""
    return sum(
        f"to=<{recipient}>" in line and ("status=deliverable" in line or "status=undeliverable" in line)
        for line in server.log().splitlines()
    )


def test_an_address_is_probed_once_and_the_client_waits_no_longer_than_for_that(server: Server) -> None:
    server.start()
    before = time.monotonic()
    assert asked(server, "good@example.com") == "250 2.1.5 Ok"
    assert asked(server, "nemo@example.com") == (
        "550 5.1.1 <nemo@example.com>: Recipient address rejected:"
        ' undeliverable address: unknown user: "nemo@example.com"'
    )
    assert asked(server, "x@down.example") == (
        "450 4.1.1 <x@down.example>: Recipient address rejected:"
        " unverified address: connect to 127.0.0.1[127.0.0.1]:1: Connection refused"
    )
    assert time.monotonic() - before < 5  # less than one poll of Postfix's
    for _ in range(3):
        assert asked(server, "good@example.com") == "250 2.1.5 Ok"
    server.said("to=<x@down.example>")
    assert [probes(server, name) for name in ("good@example.com", "nemo@example.com", "x@down.example")] == [1, 1, 1]
    assert server.mail() == []
    assert server.queue() == []


def test_what_is_known_outlives_a_restart_and_a_kill(server: Server) -> None:
    server.start()
    asked(server, "good@example.com")
    asked(server, "nemo@example.com")
    server.stop()
    server.start()
    asked(server, "again@example.com")
    until(lambda: rows(server) == 3, "the answers are in the file")
    (manager,) = server.children("queue_manager")
    os.kill(manager.pid, signal.SIGKILL)
    until(lambda: server.children("queue_manager") not in ([], [manager]), "there is another queue manager")
    until(lambda: asked(server, "again@example.com") == "250 2.1.5 Ok", "it is asked")
    assert asked(server, "good@example.com") == "250 2.1.5 Ok"
    assert asked(server, "nemo@example.com").startswith("550 5.1.1 ")
    assert [probes(server, name) for name in ("good@example.com", "nemo@example.com", "again@example.com")] == [1, 1, 1]


def rows(server: Server) -> int:
    """Addresses in the file."""
    database = sqlite3.connect(f"file:{server.base}/state/seawall/verify.sqlite?mode=ro", uri=True)
    try:
        count: int = database.execute("SELECT count(*) FROM addresses").fetchone()[0]
        return count
    finally:
        database.close()


def test_without_a_map_nothing_is_kept_on_disk() -> None:
    with site(MORE + "address_verify_map =\n") as server:
        server.start()
        assert asked(server, "good@example.com") == "250 2.1.5 Ok"
        server.stop()
        assert not (server.base / "state/seawall/verify.sqlite").exists()
        server.start()
        assert asked(server, "good@example.com") == "250 2.1.5 Ok"
        server.said("to=<good@example.com>")
        until(lambda: probes(server, "good@example.com") == 2, "it was probed again")


def test_a_queue_manager_that_hangs_puts_clients_off_quickly_and_serves_when_it_is_back() -> None:
    with site(MORE + HOT) as server:
        server.start()
        (manager,) = server.children("queue_manager")
        os.kill(manager.pid, signal.SIGSTOP)
        problem = "450 4.1.1 <{}>: Recipient address rejected: address verification problem"
        names = [f"user{number}@example.com" for number in range(4)]
        with ThreadPoolExecutor(4) as pool:  # it takes some full timeouts to open the breaker
            assert list(pool.map(lambda name: asked(server, name), names)) == [problem.format(name) for name in names]
        before = time.monotonic()
        assert asked(server, "good@example.com") == problem.format("good@example.com")
        assert time.monotonic() - before < 3
        os.kill(manager.pid, signal.SIGCONT)
        until(lambda: asked(server, "good@example.com") == "250 2.1.5 Ok", "it answers again", within=10)
        server.said("warning: verify service failure")


def test_a_store_that_cannot_be_used_is_told_and_done_without(server: Server) -> None:
    state = server.base / "state" / "seawall"
    state.mkdir(parents=True)
    for directory in (state.parent, state):
        os.chown(directory, server.user.pw_uid, server.user.pw_gid)
    file = state / "verify.sqlite"
    file.write_bytes(b"no database " * 1000)
    file.chmod(0o666)
    server.start()
    assert asked(server, "good@example.com") == "250 2.1.5 Ok"
    server.said("address verification cache")
    assert file.read_bytes().startswith(b"no database ")
