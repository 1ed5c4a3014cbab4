"""The switch of docs/in-front.md and the way back, word for word, on a Debian host with a Postfix that has maps and restrictions."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("front")]

DOC = Path(__file__).parents[2] / "docs/in-front.md"
SWITCH, SERVE, BACK = re.findall(r"```sh\n(.*?)```", DOC.read_text(), re.DOTALL)
MAIN_CF = """\
compatibility_level = 3.6
myhostname = mx.example
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination = example.com
local_recipient_maps = hash:/etc/postfix/people
alias_maps =
home_mailbox = Maildir/
smtpd_client_restrictions = check_client_access cidr:/etc/postfix/clients
smtpd_recipient_restrictions = check_recipient_access hash:/etc/postfix/recipients
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
virtual_alias_maps = hash:/etc/postfix/virtual
"""
MAPS = {
    "people": "alice x\n",
    "clients": "198.18.7.7 REJECT go away\n",
    "recipients": "shy@example.com REJECT not today\n",
    "virtual": "info@example.com alice@example.com\nshy@example.com alice\n",
}
STRANGER, UNWANTED = "198.18.3.4", "198.18.7.7"


@pytest.fixture
def site(box: Box) -> Iterator[BoxSite]:
    made = BoxSite(box)
    yield made
    made.stop()


def verdicts(site: BoxSite, text: str) -> list[str]:
    """What strangers hear of Postfix's restrictions and maps: last replies."""
    return [
        site.submit("a@b.example", "info@example.com", text)[-1][:4],
        site.submit("a@b.example", "shy@example.com", text)[-1],
        site.submit("a@b.example", "nobody@example.com", text)[-1],
        site.submit("a@b.example", "x@far.example", text)[-1],
        site.submit("a@b.example", "alice@example.com", text, source=UNWANTED)[-1],
    ]


def test_the_switch_and_the_way_back(site: BoxSite) -> None:
    box = site.box
    site.lay_out(MAIN_CF, MAPS)
    postfix = box.start_postfix()
    before = verdicts(site, "before")
    box.run("sh", "-ec", SWITCH)
    assert SERVE == "seawall serve -c /etc/seawall\n"
    site.pid = box.start_seawall("-c", "/etc/seawall")
    site.said("127.0.0.1:10025 answers, and offers ")
    assert verdicts(site, "switched") == before
    assert f"from client.good.example (unknown [{STRANGER}])" in site.arrives("alice", "switched")
    assert f"NOQUEUE: reject: RCPT from unknown[{UNWANTED}]: 554 5.7.1 <unknown[{UNWANTED}]>: Client host" in site.log()
    site.stop()
    box.run("sh", "-ec", BACK)
    until(lambda: box.listens(25, timeout=1), "Postfix is back at port 25")
    assert verdicts(site, "back again") == before
    site.arrives("alice", "back again")
    box.stop_postfix(postfix)
