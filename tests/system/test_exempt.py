"""Exemptions in a running server: added, seen within a second, used, told, counted and ended, without a restart."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("exempt")]

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.here.example
mydestination = here.example
alias_maps =
local_recipient_maps = inline:{alice=x}
home_mailbox = Maildir/
mynetworks = 127.0.0.0/8
smtpd_client_restrictions = reject_unknown_client_hostname
smtpd_helo_restrictions = reject_non_fqdn_helo_hostname
seawall_workers = 2
seawall_greylist = yes
"""
DOOR = """\
seawall_door = yes
postscreen_greet_wait = 1s
postscreen_greet_action = enforce
"""
ADDRESS = "198.18.40.7"  # has no name
NO_PTR = f"450 4.7.25 Client host rejected: cannot find your hostname, [{ADDRESS}]"
FILE = "/etc/postfix/seawall.exempt"


@pytest.fixture
def site(box: Box) -> Iterator[BoxSite]:
    made = BoxSite(box)
    box.remove(FILE)
    yield made
    made.stop()
    box.remove(FILE)


def rcpt(site: BoxSite, helo: str = "far.example", to: str = "alice@here.example") -> str:
    """What RCPT says."""
    acts: list[tuple[str, object]] = [("expect", 1)]
    for line in (f"HELO {helo}", "MAIL FROM:<a@small.example>", f"RCPT TO:<{to}>"):
        acts += [("send", f"{line}\r\n"), ("expect", 1)]
    return site.box.talk(acts, port=25, source=ADDRESS, patience=20)[-1].lines[-1]


def exempt(site: BoxSite, *words: str) -> str:
    """What `seawall exempt` says."""
    ran = site.box.run(sys.executable, "-m", "seawall", "exempt", *words)
    assert ran.code == 0, ran.err
    return ran.out


def test_an_exemption_counts_within_a_second_and_ends_as_soon(site: BoxSite) -> None:
    site.lay_out(MAIN_CF)
    site.start()
    assert rcpt(site) == NO_PTR
    exempt(site, "add", "198.18.40.0/24", "reject_unknown_client_hostname", "--reason", "no PTR yet", "--by", "ann")
    until(lambda: rcpt(site).startswith("450 4.2.0 "), "only greylisting is left")
    site.said(f"NOQUEUE: exempt: RCPT from unknown[{ADDRESS}]: {NO_PTR}; no PTR yet; from=<a@small.example>")
    exempt(site, "add", "198.18.40.7", "greylist", "--reason", "comes from many")
    until(lambda: rcpt(site) == "250 2.1.5 Ok", "nothing is left")
    assert rcpt(site, to="x@victim.example").startswith("454 4.7.1 ")  # it relays no more than others
    assert rcpt(site, helo="short").startswith("504 5.5.2 ")  # and other checks have their say

    def uses() -> dict[str, int]:
        told = json.loads(exempt(site, "list", "--json"))
        return {each["key"]: each["uses"] for each in told["entries"]}

    until(lambda: min((uses()[key] or 0 for key in ("198.18.40.0/24", "198.18.40.7")), default=0) > 0, "it is counted")
    assert "used " in exempt(site, "list")
    site.box.write(FILE, (site.box.read(FILE) or b"") + b"nonsense\n")
    site.said(
        f"{FILE}, line 6: a line is: key checks added=DATE until=DATE by=WHO reason; the copy read before stays in use"
    )
    assert rcpt(site) == "250 2.1.5 Ok"
    site.box.write(FILE, (site.box.read(FILE) or b"").removesuffix(b"nonsense\n"))
    letter = exempt(site, "notice", "198.18.40.0/24")
    assert f"unknown[{ADDRESS}]" in letter
    assert "PTR record" in letter
    assert "alice" not in letter
    exempt(site, "remove", "198.18.40.0/24")
    until(lambda: rcpt(site) == NO_PTR, "it is over")


def test_the_door_knows_who_is_exempt(site: BoxSite) -> None:
    site.lay_out(MAIN_CF.replace("seawall_greylist = yes", "seawall_greylist = no") + DOOR)
    exempt(site, "add", "198.18.40.0/24", "reject_unknown_client_hostname", "--reason", "no PTR yet")
    site.start()

    def early() -> str:
        acts: list[tuple[str, object]] = [("send", "HELO far.example\r\n"), ("listen", 2.5)]
        for line in ("MAIL FROM:<a@small.example>", "RCPT TO:<alice@here.example>"):
            acts += [("send", f"{line}\r\n"), ("expect", 1)]
        return site.box.talk(acts, port=25, source=ADDRESS, patience=20)[-1].lines[-1]

    assert early() == "550 5.5.1 Protocol error"
    exempt(site, "add", "198.18.40.0/24", "pregreet", "--reason", "speaks too soon")
    until(lambda: early() == "250 2.1.5 Ok", "it is exempt")
    site.said(": 550 5.5.1 Protocol error; speaks too soon")
    assert f"NOQUEUE: exempt: CONNECT from [{ADDRESS}]:" in site.log()
