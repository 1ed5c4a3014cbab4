"""DNS lists that lie in each of the ways while mail flows: nobody is refused by one, and each comes back when it is mended."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("lying lists")]

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.here.example
mydestination = here.example
alias_maps =
local_recipient_maps = inline:{alice=x}
home_mailbox = Maildir/
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
seawall_workers = 2
seawall_dnsbl_watch_interval = 2s
"""
LIES = {
    "all.example": "*.all.example. A 127.0.0.2\n",
    "spares.example": "*.spares.example. A 127.0.0.2\n1.0.0.127.spares.example. TXT spared\n",
    "errors.example": "*.errors.example. A 127.255.255.254\n",
    "silent.example": ";!timeout *.silent.example ANY\n",
}
WHY = {
    "all.example": "(127.0.0.2), which no list has (RFC 5782); it neither refuses nor permits until it answers soundly",
    "spares.example": "(127.0.0.2), which no list has (RFC 5782); it neither refuses nor permits until it answers soundly",
    "errors.example": "it answers 127.255.255.254 about ",
    "silent.example": "it does not answer, and the DNS beside it does",
}
HAS_TEST = "2.0.0.127.all.example. A 127.0.0.2\n"
SOUND = "".join(f"*.19.198.{name}. A 127.0.0.2\n" for name in LIES) + HAS_TEST
CHECKS = " ".join(f"reject_rbl_client {name}" for name in LIES)
AT_RCPT = f"smtpd_recipient_restrictions = reject_unauth_destination {CHECKS}\n"
AT_THE_DOOR = f"""\
seawall_door = yes
postscreen_greet_wait = 1s
postscreen_dnsbl_sites = {" ".join(LIES)}
postscreen_dnsbl_action = enforce
postscreen_dnsbl_min_ttl = 1s
"""


@pytest.fixture(params=[AT_RCPT, AT_THE_DOOR], ids=["smtpd", "door"], scope="module")
def site(request: pytest.FixtureRequest, box: Box) -> Iterator[BoxSite]:
    made = BoxSite(box)
    usual = box.read("/etc/resolv.conf") or b""
    box.write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    made.lay_out(MAIN_CF + request.param, zone=f"$TTL 1\n{SOUND}")
    yield made.start()
    made.stop()
    box.write("/etc/resolv.conf", usual)


def rcpt(site: BoxSite, source: str) -> str:
    """What RCPT says to a client, whatever kind of greeting it had."""
    acts: list[tuple[str, object]] = [("listen", 0.05)]
    for line in ("HELO far.example", "MAIL FROM:<a@small.example>", "RCPT TO:<alice@here.example>"):
        acts += [("send", f"{line}\r\n"), ("expect", 1)]
    return site.box.talk(acts, port=25, source=source, patience=20)[-1].lines[-1]


def rcpts(site: BoxSite, *sources: str) -> list[str]:
    """The same for several at one time."""
    with ThreadPoolExecutor(len(sources)) as pool:
        return list(pool.map(lambda source: rcpt(site, source), sources))


@pytest.mark.parametrize("zone", LIES)
def test_a_list_that_lies_refuses_nobody_and_comes_back_when_it_is_mended(site: BoxSite, zone: str) -> None:
    begun = site.box.log()[1]
    at = list(LIES).index(zone) * 16

    def logged() -> list[str]:
        return [line for line in site.box.log(begun)[0].splitlines() if f"DNS list {zone} " in line]

    site.box.zone(f"$TTL 1\n{LIES[zone]}{'' if zone == 'all.example' else HAS_TEST}")
    # both workers have some, one of them three
    assert rcpts(site, f"198.18.{at}.9") == ["250 2.1.5 Ok"]
    assert rcpts(site, *(f"198.18.{number}.9" for number in range(at + 1, at + 6))) == ["250 2.1.5 Ok"] * 5
    until(lambda: any(WHY[zone] in line for line in logged()), f"{zone} is put aside")
    # where the list is right it does not count either
    assert rcpts(site, *(f"198.19.{number}.9" for number in range(at + 6, at + 9))) == ["250 2.1.5 Ok"] * 3
    site.box.zone(f"$TTL 1\n{SOUND}")

    def is_back() -> bool:
        """The last thing that was said of it, but for its missing test entry, which may be noticed at any time."""
        said = [line for line in logged() if "test entry" not in line]
        return "taken back: it answers soundly, after " in said[-1]

    until(is_back, f"{zone} is taken back")
    until(lambda: rcpt(site, f"198.19.{at + 9}.9")[:10] in ("550 5.7.1 ", "554 5.7.1 "), "it refuses again")
    assert rcpt(site, f"198.18.{at + 10}.9") == "250 2.1.5 Ok"
    aside = [line for line in logged() if " put aside: " in line]
    assert len(aside) <= 2, aside  # once, or once a worker where both found it out at the same moment
    assert "/dnsblog[" in aside[0]
    assert "warning: " in aside[0]


def test_a_list_without_its_test_entry_is_named_once(site: BoxSite) -> None:
    site.box.zone(f"$TTL 1\n{SOUND}")
    site.said("DNS list spares.example does not list 127.0.0.2, the test entry of RFC 5782: ")
    assert site.log().count("DNS list spares.example does not list 127.0.0.2") == 1
    assert "DNS list all.example does not list" not in site.log()
