"""seawall_greylist = suspicious beside a door: whom DNS lists weigh too little to refuse must come again, nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.system.box_site import BoxSite

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("lying lists")]

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.here.example
mydestination = here.example
alias_maps =
local_recipient_maps = inline:{alice=x}
home_mailbox = Maildir/
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = reject_unauth_destination
seawall_workers = 2
seawall_door = yes
seawall_greylist = suspicious
postscreen_greet_wait = 1s
postscreen_dnsbl_sites = bl.example
postscreen_dnsbl_threshold = 3
postscreen_dnsbl_action = enforce
"""
CLIENTS = {"198.18.3.4": "mx.good.example", "198.18.3.9": "mx.listed.example"}
ZONE = "9.3.18.198.bl.example. A 127.0.0.2\n" + "".join(
    f"{'.'.join(reversed(address.split('.')))}.in-addr.arpa. PTR {name}.\n{name}. A {address}\n"
    for address, name in CLIENTS.items()
)


@pytest.fixture
def site(box: Box) -> Iterator[BoxSite]:
    made = BoxSite(box)
    made.lay_out(MAIN_CF, zone=ZONE)
    yield made.start()
    made.stop()


def rcpt(site: BoxSite, source: str) -> str:
    acts: list[tuple[str, object]] = [("listen", 0.05)]
    for line in ("HELO far.example", "MAIL FROM:<a@small.example>", "RCPT TO:<alice@here.example>"):
        acts += [("send", f"{line}\r\n"), ("expect", 1)]
    return site.box.talk(acts, port=25, source=source, patience=20)[-1].lines[-1]


def test_whom_lists_weigh_a_little_is_put_off_and_the_others_are_not(site: BoxSite) -> None:
    assert rcpt(site, "198.18.3.4") == "250 2.1.5 Ok"
    put_off = "450 4.2.0 <alice@here.example>: Recipient address rejected: Greylisted, see "
    assert rcpt(site, "198.18.3.9").startswith(put_off)
    assert rcpt(site, "198.18.3.9").startswith(put_off)  # known to the door by now, and weighed again all the same
    assert site.log().count("addr 198.18.3.9 listed by domain bl.example as 127.0.0.2") <= 2
    site.said("PASS NEW [198.18.3.9]")
