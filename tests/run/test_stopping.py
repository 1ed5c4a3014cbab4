"""SIGTERM and SIGINT: idle sessions are told, a message under way is taken, then every process ends."""

import signal

import pytest

from tests.system.client import Client
from tests.system.server import Server, is_alive, until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_tells_idle_sessions_and_takes_the_message_under_way(server: Server, number: signal.Signals) -> None:
    server.start()
    children = server.children()
    assert {child.role for child in children} == {"worker", "queue_manager", "delivery", "watcher"}
    with Client(server.port) as idle, Client(server.port) as busy:
        idle.hear()
        idle.say("EHLO far.example")
        busy.hear()
        assert busy.say("EHLO b", "MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>", "DATA").startswith("354")
        busy.send(b"Subject: under way\r\n\r\nhalf of it")
        server.tell(number)
        assert idle.hear() == "421 4.3.2 mx.example Service shutting down"
        assert idle.has_ended()
        assert busy.say(" and the rest\r\n.").startswith("250 2.0.0 Ok")
        assert busy.hear().startswith("421 4.3.2")
        assert busy.has_ended()
    assert server.process is not None
    assert server.process.wait(30) == 0
    assert not [child for child in children if is_alive(child.pid)]
    assert server.has_mail("half of it and the rest") or server.queue()
    assert "Traceback" not in server.printed()
    assert server.start()
    server.arrives("half of it and the rest")


def test_a_stop_during_a_start_ends_everything(server: Server) -> None:
    process = server.spawn()
    until(server.children, "the first child is there")
    server.tell(signal.SIGTERM)
    assert process.wait(30) == 0
    assert "Traceback" not in server.printed()


def test_a_session_that_never_ends_does_not_keep_the_server(server: Server) -> None:
    server.start()
    with Client(server.port) as stuck:
        stuck.hear()
        stuck.say("EHLO b", "MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>", "DATA")
        assert server.stop() == 0  # within its own patience of ten seconds
