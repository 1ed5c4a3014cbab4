"""seawall_door: strangers are screened, and those who may log in lose nothing by it."""

import base64
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from seawall.linux.crypt import crypt
from tests.box import Box, Heard
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("door")]

STRANGER, LISTED, TRUSTED = "198.18.3.4", "198.18.3.9", "198.18.77.1"
ZONE = "$TTL 300\n9.3.18.198.bl.example. IN A 127.0.0.2\n"
MAIN_CF = """\
compatibility_level = 3.6
myhostname = mx.example
inet_protocols = ipv4
mynetworks = 127.0.0.0/8 198.18.77.0/24
mydestination = example.com
local_recipient_maps =
alias_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_sasl_authenticated reject_unauth_destination
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = seawall
smtpd_discard_ehlo_keywords = chunking dsn enhancedstatuscodes etrn smtputf8 vrfy 8bitmime silent-discard
seawall_users_file = /etc/postfix/users
seawall_door = yes
seawall_workers = 2
postscreen_greet_wait = 1s
"""
MASTER_CF = """\
smtp inet n - n - - smtpd
587 inet n - n - - smtpd
local unix - n n - - local
"""
LOGIN = "AUTH PLAIN " + base64.b64encode(b"\0alice\0secret").decode()
TEASER, BANNER = "220-mx.example ESMTP Seawall", "220 mx.example ESMTP Seawall"
OFFERS = ("250-mx.example", "250-PIPELINING", "250-SIZE 10240000", "250 AUTH PLAIN LOGIN")
PORT = re.compile(r"\]:\d+")


@pytest.fixture
def site(box: Box) -> Iterator[BoxSite]:
    site = BoxSite(box)
    yield site
    site.stop()


def begin(site: BoxSite, more: str = "") -> None:
    hashed = crypt(b"secret", b"$6$seawall")
    assert hashed is not None
    site.lay_out(MAIN_CF + more, {"master.cf": MASTER_CF}, ZONE)
    site.box.write("/etc/postfix/users", f"alice:{hashed.decode()}\n", mode=0o600)
    site.start()


def visit(site: BoxSite, *lines: str, source: str = STRANGER, early: str = "", port: int = 25) -> list[Heard]:
    acts: list[tuple[str, object]] = [("send", early)] if early else []
    acts.append(("listen", 0.2))
    for line in lines:
        acts += [("send", line if line.endswith("\n") else f"{line}\r\n"), ("listen", 0.1)]
    return site.box.talk(acts, port=port, source=source)


def replies(heard: list[Heard]) -> list[tuple[str, ...]]:
    return [each.lines for each in heard]


def noted(site: BoxSite) -> list[str]:
    """What the log says of strangers in postscreen's name, with ports masked."""
    lines = [line.partition(": ") for line in site.log().splitlines()]
    return [PORT.sub("]", text) for head, _, text in lines if "/postscreen[" in head and "[198.18." in text]


def comes_to_say(site: BoxSite, *expected: str) -> None:
    """The log says exactly this of strangers, within a moment."""
    until(lambda: noted(site) == list(expected), f"{expected}, not {noted(site)}", within=5)


def says(site: BoxSite, line: str) -> None:
    until(lambda: line in noted(site), f"{line} among {noted(site)}", within=5)


ENVELOPE = ("EHLO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<x@example.com>")


def test_a_stranger_waits_once_and_goes_on_in_the_same_connection(site: BoxSite) -> None:
    begin(site)
    first = replies(visit(site, *ENVELOPE, "QUIT"))
    assert first == [(TEASER, BANNER), OFFERS, ("250 2.1.0 Ok",), ("250 2.1.5 Ok",), ("221 2.0.0 Bye",)]
    assert replies(visit(site, "QUIT"))[0] == (BANNER,)
    site.stop()
    site.start()
    assert replies(visit(site, "QUIT"))[0] == (BANNER,)
    told = f"CONNECT from [{STRANGER}] to [192.0.2.1]"
    comes_to_say(site, told, f"PASS NEW [{STRANGER}]", *[told, f"PASS OLD [{STRANGER}]"] * 2)


@pytest.mark.parametrize(("action", "code", "is_over"), [("enforce", 550, False), ("drop", 521, True)])
def test_what_lists_say_falls_at_rcpt_and_not_upon_who_logs_in(
    site: BoxSite, action: str, code: int, is_over: bool
) -> None:
    begin(site, f"postscreen_dnsbl_sites = bl.example\npostscreen_dnsbl_action = {action}\n")
    heard = visit(site, *ENVELOPE, source=LISTED)
    refusal = f"{code} 5.7.1 Service unavailable; client [{LISTED}] blocked using bl.example"
    assert replies(heard) == [(TEASER, BANNER), OFFERS, ("250 2.1.0 Ok",), (refusal,)]
    assert heard[-1].closed is is_over
    says(
        site,
        f"NOQUEUE: reject: RCPT from [{LISTED}]: {refusal}; from=<a@b.example>, to=<x@example.com>, "
        "proto=ESMTP, helo=<client.example>",
    )
    heard = visit(site, "EHLO a", LOGIN, *ENVELOPE[1:2], "RCPT TO:<x@elsewhere.example>", source=LISTED)
    assert replies(heard)[2:] == [("235 2.7.0 Authentication successful",), ("250 2.1.0 Ok",), ("250 2.1.5 Ok",)]


def test_what_a_client_said_too_early_is_answered_after_the_greeting(site: BoxSite) -> None:
    begin(site)
    heard = visit(site, "NOOP", "QUIT", early="EHLO client.example\r\n")
    assert replies(heard)[0][:2] == (TEASER, BANNER)
    assert replies(heard)[-1] == ("221 2.0.0 Bye",)
    says(site, f"PREGREET 21 after 0 from [{STRANGER}]: EHLO client.example\\r\\n")


def test_an_early_talker_whom_nobody_lets_off_hears_it_at_rcpt(site: BoxSite) -> None:
    begin(site, "postscreen_greet_action = enforce\nsmtpd_forbid_unauth_pipelining = no\n")
    heard = visit(site, *ENVELOPE[1:], early="EHLO client.example\r\n")
    assert replies(heard)[-1] == ("550 5.5.1 Protocol error",)


def test_trusted_networks_and_submission_have_no_door(site: BoxSite) -> None:
    begin(site)
    assert replies(visit(site, "QUIT", source=TRUSTED))[0] == (BANNER,)
    assert replies(visit(site, "QUIT", port=587))[0] == (BANNER,)
    assert not noted(site)


def test_pipelining_is_withheld_until_its_test_is_passed_and_nobody_must_come_again(site: BoxSite) -> None:
    begin(site, "postscreen_pipelining_enable = yes\npostscreen_bare_newline_enable = yes\n")
    withheld = tuple(line for line in OFFERS if line != "250-PIPELINING")
    first = replies(visit(site, *ENVELOPE, "RSET", "EHLO again"))
    assert first == [
        (TEASER, BANNER), withheld, ("250 2.1.0 Ok",), ("250 2.1.5 Ok",), ("250 2.0.0 Ok",), OFFERS,
    ]  # fmt: skip
    assert replies(visit(site, "EHLO client.example"))[:2] == [(BANNER,), OFFERS]
    says(site, f"PASS OLD [{STRANGER}]")
    assert noted(site)[1::2] == [f"PASS NEW [{STRANGER}]", f"PASS OLD [{STRANGER}]"]


def test_a_client_that_fails_a_deep_test_hears_it_at_rcpt(site: BoxSite) -> None:
    begin(
        site,
        "postscreen_bare_newline_enable = yes\npostscreen_bare_newline_action = enforce\n"
        "postscreen_non_smtp_command_enable = yes\n",
    )
    heard = visit(site, "EHLO client.example\n", *ENVELOPE[1:])
    assert replies(heard)[-1] == ("550 5.5.1 Protocol error",)
    says(site, f"BARE NEWLINE from [{STRANGER}] after EHLO client.example")
    heard = visit(site, "EHLO client.example", "Subject: hello", "NOOP")
    assert replies(heard)[2] == ("521 5.7.0 Error: I can break rules, too. Goodbye.",)
    assert heard[2].closed


def test_a_stop_does_not_wait_for_those_who_wait(site: BoxSite) -> None:
    begin(site, "postscreen_greet_wait = 60s\n")
    acts = [("expect", 1), ("send", ""), ("expect-close", "")]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(site.box.talk, acts, port=25, source=STRANGER, patience=20)
        site.said(f"CONNECT from [{STRANGER}]")
        site.stop()
        assert waiting.result()[-1].lines == ("421 4.3.2 mx.example Service shutting down",)


def test_the_thread_gains_a_door_without_rewriting(site: BoxSite) -> None:
    site.lay_out_config_a("\nseawall_door = yes\npostscreen_greet_wait = 1s\n")
    site.start()
    lines = replies(visit(site, "EHLO client.good.example"))
    assert lines[0][0].startswith("220-pop.cape.com ESMTP")
    assert lines[0][-1].startswith("220 pop.cape.com ESMTP")
    assert replies(visit(site, "QUIT"))[0][0].startswith("220 pop.cape.com ESMTP")
