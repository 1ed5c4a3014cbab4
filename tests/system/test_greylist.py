"""Greylisting in a server with two workers: strangers from real networks, a sender with many, a restart, a policy service."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = pytest.mark.peer

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.here.example
mydestination = here.example
alias_maps =
local_recipient_maps = inline:{alice=x, bob=x}
home_mailbox = Maildir/
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_recipient_restrictions = reject_unauth_destination
seawall_workers = 2
seawall_greylist = yes
seawall_greylist_delay = 3s
"""
ZONE = 'big.example. TXT "v=spf1 ip4:198.18.64.0/18 -all"\n'
SEE = "Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/here.example.html"


@pytest.fixture
def site(box: Box) -> Iterator[BoxSite]:
    made = BoxSite(box)
    made.lay_out(MAIN_CF, zone=ZONE)
    yield made.start()
    made.stop()


def rcpt(site: BoxSite, source: str, sender: str = "a@small.example", to: str = "alice") -> str:
    """What RCPT says to a client from `source`."""
    lines = ("HELO far.example", f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}@here.example>")
    acts: list[tuple[str, object]] = [("expect", 1)]
    for line in lines:
        acts += [("send", f"{line}\r\n"), ("expect", 1)]
    return site.box.talk(acts, port=25, source=source, patience=20)[-1].lines[-1]


def passed(site: BoxSite) -> str:
    """How many triplets have passed, as the store has it."""
    text = (
        "import sqlite3; print(sqlite3.connect('/var/lib/postfix/seawall/greylist.sqlite')"
        ".execute('SELECT count(*) FROM triplets WHERE passed > 0').fetchone()[0])"
    )
    return site.box.run(sys.executable, "-c", text).out.strip()


def put_off(to: str = "alice") -> str:
    return f"450 4.2.0 <{to}@here.example>: {SEE}"


def test_strangers_wait_once_each_and_a_sender_with_many_networks_once_in_all(site: BoxSite) -> None:
    networks = [f"198.18.{64 + number}.25" for number in range(12)]  # both workers have some
    assert rcpt(site, "198.18.3.4") == put_off()
    assert rcpt(site, networks[0], "x@big.example") == put_off()
    until(lambda: rcpt(site, "198.18.3.5") == "250 2.1.5 Ok", "the stranger has waited")
    until(lambda: rcpt(site, networks[1], "x@big.example") == "250 2.1.5 Ok", "and so has the big one")
    assert {rcpt(site, network, "x@big.example") for network in networks[2:]} == {"250 2.1.5 Ok"}
    assert rcpt(site, "198.19.3.4", "x@big.example") == put_off()  # not one of his
    assert rcpt(site, "198.18.3.4", to="bob") == put_off("bob")
    assert rcpt(site, "198.18.3.4", to="nobody").startswith("550 5.1.1 ")
    site.said(
        f"NOQUEUE: reject: RCPT from unknown[198.18.3.4]: {put_off()}; from=<a@small.example> to=<alice@here.example>"
    )
    site.said("NOQUEUE: info: RCPT from unknown[198.18.3.5]: greylist: came again after ")


def test_who_has_passed_is_known_after_a_restart_and_who_waits_goes_on_waiting(site: BoxSite) -> None:
    assert rcpt(site, "198.18.3.4") == put_off()
    until(lambda: rcpt(site, "198.18.3.4") == "250 2.1.5 Ok", "the stranger has waited")
    assert rcpt(site, "198.18.9.4") == put_off()
    site.stop()
    site.start()
    assert rcpt(site, "198.18.3.4") == "250 2.1.5 Ok"
    until(lambda: rcpt(site, "198.18.9.4") == "250 2.1.5 Ok", "the other one has waited")
    warnings = [line for line in site.log().splitlines() if "warning" in line]
    assert [line for line in warnings if "stood still" not in line] == []  # that is the machine's, not the store's


def test_a_worker_that_dies_takes_nobodys_wait_with_it(site: BoxSite) -> None:
    assert rcpt(site, "198.18.3.4") == put_off()
    until(lambda: rcpt(site, "198.18.3.4") == "250 2.1.5 Ok", "the stranger has waited")
    until(lambda: passed(site) == "1", "the store has it")
    workers = site.children("worker")
    for pid in workers:
        site.box.run("kill", "-9", str(pid))
    until(lambda: len(site.children("worker")) == 2 and not set(workers) & set(site.children("worker")), "new workers")
    assert rcpt(site, "198.18.3.4") == "250 2.1.5 Ok"


def test_somebody_elses_postfix_may_ask(box: Box) -> None:
    box.wipe()
    restrictions = "reject_unauth_destination, check_policy_service inet:127.0.0.1:10041"
    main_cf = "".join(
        line for line in MAIN_CF.splitlines(True) if "restrictions" not in line and "seawall_greylist =" not in line
    )
    box.write("/etc/postfix/main.cf", f"{main_cf}smtpd_recipient_restrictions = {restrictions}\n")
    box.zone(ZONE)
    command = (
        sys.executable,
        "-m",
        "seawall",
        "policy-service",
        "-c",
        "/etc/postfix",
        "--listen",
        "inet:127.0.0.1:10041",
    )
    ours = box.start(*command, "greylist", output="/var/log/policy.log")
    assert box.listens(10041, address="127.0.0.1")
    master = box.start_postfix()
    site = BoxSite.__new__(BoxSite)
    site.box = box
    try:
        assert rcpt(site, "198.18.3.4") == put_off()
        until(lambda: rcpt(site, "198.18.3.4") == "250 2.1.5 Ok", "the stranger has waited")
        assert rcpt(site, "198.18.70.4", "x@big.example") == put_off()
        until(lambda: rcpt(site, "198.18.71.4", "x@big.example") == "250 2.1.5 Ok", "the pool has waited")
    finally:
        box.stop_postfix(master)
        assert box.stop(ours) == 0
