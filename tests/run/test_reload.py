"""SIGHUP: sessions go on with the configuration of their start; an invalid configuration changes nothing."""

import pytest

from seawall.config.master_cf import STANDARD
from tests.system.client import Client, submit
from tests.system.server import Server, until

# what is wrong with a configuration, and a word by which the log tells
INVALID = {
    "smtpd_banner = ${broken": "truncated macro reference",
    "smtp_connect_timeout = soon": "smtp_connect_timeout",
    "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = x": "x is not served",
    "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = seawall\nseawall_users_file = /nowhere": "/nowhere",
    "smtpd_milters = inet:127.0.0.1:9": "smtpd_milters",
}


def greeting(port: int) -> str:
    with Client(port) as client:
        return client.hear()


def pids(server: Server) -> set[int]:
    return {child.pid for child in server.children()}


def test_a_session_that_is_open_goes_on_and_new_ones_see_the_new_configuration(running: Server) -> None:
    server = running
    before = server.children()
    with Client(server.port) as client:
        assert client.hear().startswith("220 mx.example ESMTP")
        client.say("EHLO far.example", "MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>")
        server.configure("smtpd_banner = mx.example second\nsmtpd_helo_required = yes\n")
        server.reload()
        server.said("reload: the new configuration is in use")
        until(lambda: greeting(server.port) == "220 mx.example second", "new sessions see the new banner")
        assert client.say("DATA").startswith("354")
        assert client.say("Subject: under way\r\n\r\nacross a reload\r\n.").startswith("250 2.0.0 Ok")
        # and the one after it, when the old generation's queue manager and delivery process are gone
        until(lambda: len(pids(server) & {child.pid for child in before}) == 1, "the old services end")
        client.say("MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>", "DATA")
        assert client.say("Subject: next\r\n\r\nby the old worker\r\n.").startswith("250 2.0.0 Ok")
        assert client.say("QUIT").startswith("221")
    server.arrives("across a reload")
    server.arrives("by the old worker")
    until(lambda: not pids(server) & {child.pid for child in before}, "the old generation ends")


@pytest.mark.parametrize("more", INVALID, ids=INVALID.values())
def test_an_invalid_configuration_keeps_the_old_one_and_says_so(running: Server, more: str) -> None:
    server = running
    before, at, banner = pids(server), len(server.log()), greeting(server.port)
    server.configure(f"smtpd_banner = mx.example never\n{more}\n")
    server.reload()
    until(lambda: "the old configuration stays in use" in server.log()[at:], "the log says so")
    (line,) = [line for line in server.log()[at:].splitlines() if "stays in use" in line]
    assert "error: reload: " in line
    assert INVALID[more] in line
    until(lambda: pids(server) == before, "only the old generation is there")
    assert greeting(server.port) == banner
    text = f"served, though {INVALID[more]}"
    assert submit(server.port, "bob@example.com", f"Subject: still\n\n{text}").startswith("250")
    server.arrives(text)


def test_what_was_mended_is_used(running: Server) -> None:
    running.configure("smtpd_banner = mx.example mended\n")
    running.reload()
    until(lambda: greeting(running.port) == "220 mx.example mended", "the mended configuration is in use")


def test_a_service_that_moved_in_master_cf_keeps_its_socket_and_what_needs_a_restart_is_named(running: Server) -> None:
    server = running
    server.configure("seawall_workers = 3\nsmtpd_banner = mx.example moved\n")
    extra = (
        "extra unix - n n - - pipe user=nobody argv=/bin/true\n127.0.0.1:00 inet n - n - - smtpd -o smtpd_banner=x\n"
    )
    (server.etc / "master.cf").write_text(extra + (server.etc / "master.cf").read_text())
    server.reload()
    until(lambda: greeting(server.port) == "220 mx.example moved", "the new configuration is in use")
    assert submit(server.port, "bob@example.com", "Subject: x\n\nmoved").startswith("250")
    server.said("seawall_workers changed from '1' to '3': this needs a restart")
    server.said("master.cf has a new inet service '127.0.0.1:00': this needs a restart")


def test_a_service_that_is_gone_from_master_cf_keeps_the_old_configuration(running: Server) -> None:
    server = running
    (server.etc / "master.cf").write_text(STANDARD.replace("smtp ", "#smtp ", 1))
    server.reload()
    server.said("any more: this needs a restart; the old configuration stays in use")
    assert submit(server.port, "bob@example.com", "Subject: x\n\nstill").startswith("250")
