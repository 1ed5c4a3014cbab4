"""A worker that is full: strangers of the loudest networks make room, known clients are always served, stress is seen."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.system.client import Client, submit
from tests.system.server import Server, site

FULL = "421 4.7.0 mx.example Error: too many connections from "
GREETED = "220 mx.example ESMTP Seawall"
MAIL = "Subject: hello\n\nhello"
NETWORKS_APART = "smtpd_client_connection_count_limit = 0\n"


@contextmanager
def serving(more: str) -> Iterator[Server]:
    with site(NETWORKS_APART + more) as made:
        yield made.start()


@contextmanager
def silent_from(server: Server, *sources: str) -> Iterator[list[Client]]:
    """Connections that were greeted, and say nothing."""
    clients: list[Client] = []
    try:
        for source in sources:
            clients.append(Client(server.port, source=source))
            assert clients[-1].hear() == GREETED
        yield clients
    finally:
        for client in clients:
            client.close()


def test_the_loudest_network_makes_room_and_hears_why() -> None:
    loud = [f"127.9.9.{n}" for n in range(1, 8)]
    with serving("seawall_most_sessions = 8\n") as server, silent_from(server, *loud) as clients:
        with Client(server.port, source="127.9.9.200") as one_more:
            assert one_more.hear() == FULL + "127.9.9.200"
            assert one_more.has_ended()
        assert submit(server.port, "box@example.com", MAIL, source="127.1.2.3").startswith("250 ")
        assert clients[0].hear() == FULL + "127.9.9.1"
        assert clients[0].has_ended()
        for client in clients[1:]:
            assert client.say("NOOP") == "250 2.0.0 Ok"
        server.said("too many connections after CONNECT from unknown[127.9.9.1]")
        server.said("disconnect from unknown[127.9.9.1] commands=0/0")
        server.said("worker 0 has too many connections: ")
        found = re.search(r"worker 0 has too many connections: .*", server.log())
        assert found is not None
        assert re.fullmatch(
            r"worker 0 has too many connections: \d turned away and \d let go in \d+ s; \d of 8 held; "
            r"loudest networks: 127\.9\.9\.0/24 \(\d\).*",
            found[0],
        )
        assert "127.9.9.200" not in server.log()


def test_who_sent_mail_before_is_served_in_a_full_house_and_never_let_go() -> None:
    with serving("seawall_most_sessions = 8\n") as server:
        assert submit(server.port, "box@example.com", MAIL, source="127.1.2.3").startswith("250 ")
        with (
            silent_from(server, "127.1.2.9", *(f"127.9.{n}.1" for n in range(7))) as clients,
            Client(server.port, source="127.1.2.3") as known,
        ):
            assert known.hear() == GREETED
            assert known.say("EHLO far.example").startswith("250-mx.example")
            with silent_from(server, "127.1.2.4"):
                assert known.say("NOOP") == clients[0].say("NOOP") == "250 2.0.0 Ok"


def test_known_networks_outlive_the_server() -> None:
    with serving("seawall_most_sessions = 8\n") as server:
        assert submit(server.port, "box@example.com", MAIL, source="127.1.2.3").startswith("250 ")
        server.stop()
        server.start()
        with silent_from(server, *(f"127.9.9.{n}" for n in range(1, 8))) as clients:
            assert submit(server.port, "box@example.com", MAIL, source="127.1.2.4").startswith("250 ")
            assert all(client.say("NOOP") == "250 2.0.0 Ok" for client in clients)  # the eighth place was his


def test_mynetworks_are_served_in_a_full_house() -> None:
    with (
        serving("seawall_most_sessions = 8\nmynetworks = 127.7.7.7\n") as server,
        silent_from(server, *(f"127.9.9.{n}" for n in range(1, 8)), "127.7.7.7") as clients,
    ):
        assert all(client.say("NOOP") == "250 2.0.0 Ok" for client in clients)


def test_a_message_on_its_way_is_not_cut_off_for_a_silent_newcomer() -> None:
    with (
        serving("seawall_most_sessions = 2\n") as server,
        Client(server.port, source="127.3.3.3") as sender,
        silent_from(server, "127.9.9.1"),
    ):
        sender.hear()
        assert sender.say("EHLO far.example", "MAIL FROM:<ann@far.example>").startswith("250 ")
        with Client(server.port, source="127.9.9.2") as bot:
            assert bot.hear() == FULL + "127.9.9.2"
        assert sender.say("RCPT TO:<box@example.com>", "DATA").startswith("354 ")
        assert sender.say("Subject: x\r\n\r\nx\r\n.").startswith("250 ")


def test_descriptors_limit_the_places() -> None:
    with site(NETWORKS_APART) as server:
        server.most_files = 128
        server.start()
        clients = [Client(server.port, source=f"127.9.9.{n}") for n in range(1, 90)]
        heard = [client.hear() for client in clients]
        assert heard.count(GREETED) == 84  # 128 but for a quarter, and of these an eighth is for known clients
        assert heard[84:] == [f"{FULL}127.9.9.{n}" for n in range(85, 90)]
        assert submit(server.port, "box@example.com", MAIL, source="127.1.2.3").startswith("250 ")
        server.said("worker 0 is under stress: ")
        for client in clients:
            client.close()


def test_stress_begins_at_the_process_limit_and_is_told_once() -> None:
    limits = "default_process_limit = 10\nsmtpd_hard_error_limit = ${stress?{1}:{20}}\nsmtpd_error_sleep_time = 0\n"
    with serving(limits) as server, silent_from(server, *(f"127.9.{n}.1" for n in range(10))) as clients:
        for source in ("127.9.20.1", "127.9.21.1"):
            with Client(server.port, source=source) as late:
                late.hear()
                assert late.say("EHLO far.example", "FOO").startswith("500 ")
                assert late.hear() == "421 4.7.0 mx.example Error: too many errors"
        assert clients[0].say("FOO", "FOO").startswith("500 ")  # it began before
        server.said(
            f"warning: service {server.service} is under stress: "
            "10 sessions, and 10 are this worker's share of its process limit"
        )
        assert server.log().count(" under stress") == 1
