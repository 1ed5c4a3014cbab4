"""SIGHUP: sessions go on with the configuration of their start; an invalid configuration changes nothing."""

import pytest

from tests.system.client import Client, submit
from tests.system.server import Server, until


def test_a_session_that_is_open_goes_on_and_new_ones_see_the_new_configuration(server: Server) -> None:
    server.configure("smtpd_banner = mx.example first\n")
    server.start()
    before = server.children()
    with Client(server.port) as client:
        assert client.hear() == "220 mx.example first"
        client.say("EHLO far.example", "MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>")
        server.configure("smtpd_banner = mx.example second\nsmtpd_helo_required = yes\n")
        server.reload()
        server.said("reload: the new configuration is in use")
        until(lambda: greeting(server.port) == "220 mx.example second", "new sessions see the new banner")
        assert client.say("DATA").startswith("354")
        assert client.say("Subject: under way\r\n\r\nacross a reload\r\n.").startswith("250 2.0.0 Ok")
        # and the one after it, long after the old generation's queue manager and delivery process are gone
        until(lambda: len(pids(server) & {child.pid for child in before}) <= 2, "the old services end")
        client.say("MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>", "DATA")
        assert client.say("Subject: next\r\n\r\nby the old worker\r\n.").startswith("250 2.0.0 Ok")
        assert client.say("QUIT").startswith("221")
    server.arrives("across a reload")
    server.arrives("by the old worker")
    until(lambda: not pids(server) & {child.pid for child in before}, "the old generation ends")


def greeting(port: int) -> str:
    with Client(port) as client:
        return client.hear()


def pids(server: Server) -> set[int]:
    return {child.pid for child in server.children()}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("smtpd_banner = ${broken\n", "truncated macro reference"),
        ("smtpd_recipient_restrictions = reject_unauth_destination\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = x\n", "x is not served"),
        ("smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = seawall\nseawall_users_file = /nowhere\n", "/nowhere"),
        ("smtp_connect_timeout = soon\n", "smtp_connect_timeout"),
        ("milter_default_action = accept\nsmtpd_milters = inet:127.0.0.1:9\n", "milter"),
    ],
)  # fmt: skip
def test_an_invalid_configuration_keeps_the_old_one_and_says_so(server: Server, more: str, reason: str) -> None:
    server.start()
    before = pids(server)
    server.configure("smtpd_banner = mx.example new\n" + more)
    server.reload()
    server.said("the old configuration stays in use")
    (line,) = [line for line in server.log().splitlines() if "stays in use" in line]
    assert "error: reload: " in line
    assert reason in line
    until(lambda: pids(server) == before, "only the old generation is there")
    assert submit(server.port, "bob@example.com", "Subject: still\n\nserved").startswith("250")
    server.arrives("served")
    # what is mended can be used
    server.configure("smtpd_banner = mx.example mended\n")
    server.reload()
    until(lambda: greeting(server.port) == "220 mx.example mended", "the mended configuration is in use")


def test_what_needs_a_restart_is_named(server: Server) -> None:
    server.start()
    server.configure("seawall_workers = 3\n", "127.0.0.1:00 inet n - n - - smtpd -o smtpd_banner=x\n")
    server.reload()
    server.said("seawall_workers changed from '2' to '3': this needs a restart")
    server.said("master.cf has a new inet service '127.0.0.1:00': this needs a restart")
    assert submit(server.port, "bob@example.com", "Subject: x\n\nafterwards").startswith("250")


def test_a_service_that_moved_in_master_cf_keeps_its_socket_and_its_options(server: Server) -> None:
    server.start()
    text = (server.etc / "master.cf").read_text()
    (server.etc / "master.cf").write_text("extra unix - n n - - pipe user=nobody argv=/bin/true\n" + text)
    server.reload()
    server.said("the new configuration is in use")
    until(lambda: greeting(server.port).startswith("220 mx.example"), "it is served")
    assert submit(server.port, "bob@example.com", "Subject: x\n\nmoved").startswith("250")


def test_a_service_that_is_gone_from_master_cf_stops_the_reload(server: Server) -> None:
    server.start()
    text = (server.etc / "master.cf").read_text()
    (server.etc / "master.cf").write_text("#" + text)
    server.reload()
    server.said("any more: this needs a restart; the old configuration stays in use")
    assert submit(server.port, "bob@example.com", "Subject: x\n\nstill").startswith("250")
