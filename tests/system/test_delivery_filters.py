"""smtp_dns_reply_filter and lmtp_dns_reply_filter where mail goes on, beside the real Postfix."""

import re

import pytest

from tests.box import Box
from tests.system.box_site import STRANGER, BoxSite
from tests.system.server import until

ZONE = """\
$TTL 60
one.sink.example. A 192.0.2.25
two.sink.example. A 192.0.2.25
mx.example. MX 10 one.sink.example.
mx.example. MX 20 two.sink.example.
"""
WAYS = {
    "lmtp-out": "lmtp:inet:one.sink.example:2525",
    "lmtp-in": "lmtp:inet:two.sink.example:2525",
    "smtp-out": "smtp:[two.sink.example]:2525",
    "smtp-in": "smtp:[one.sink.example]:2525",
    "smtp-mx": "smtp:mx.example:2525",
    "lmtp-mx": "lmtp:inet:mx.example:2525",
}
MAIN_CF = f"""\
compatibility_level = 3.6
myhostname = pop.cape.com
mynetworks = {STRANGER}
mydestination =
relay_domains = static:all
smtpd_peername_lookup = no
inet_protocols = ipv4
transport_maps = inline:{{ {", ".join(f"{{ {name}.example = {way} }}" for name, way in WAYS.items())} }}
lmtp_dns_reply_filter = regexp:/etc/postfix/lmtp-filter
smtp_dns_reply_filter = regexp:/etc/postfix/smtp-filter
"""
FILES = {
    "lmtp-filter": "/^one\\.sink\\.example\\. [0-9]+ IN A / ignore\n",
    "smtp-filter": "/^two\\.sink\\.example\\. [0-9]+ IN A / ignore\n/^mx\\.example\\. .* one\\./ ignore\n",
}
TOLD = re.compile(r"to=<alice@([\w-]+)\.example>, relay=([^,]+), .*? dsn=([\d.]+), status=(.*)")


def fates(site: BoxSite) -> dict[str, tuple[str, ...]]:
    """By domain: relay, DSN and status, without what the sink alone says."""
    for name in WAYS:
        site.accepted("ann@good.example", f"alice@{name}.example", f"to {name}")
    until(lambda: len(TOLD.findall(site.log())) == len(WAYS), "every message has its line")
    return {
        name: (relay, dsn, re.sub(r"sent \(.*", "sent", status))
        for name, relay, dsn, status in TOLD.findall(site.log())
    }


@pytest.mark.peer
def test_records_that_a_filter_takes_are_not_there_for_the_client_that_it_names(box: Box) -> None:
    site = BoxSite(box)
    site.lay_out(MAIN_CF, FILES, ZONE)
    pid = box.start_postfix()
    try:
        theirs = fates(site)
    finally:
        box.stop_postfix(pid)
    site = BoxSite(box)
    site.lay_out(MAIN_CF, FILES, ZONE)
    site.start()
    try:
        ours = fates(site)
    finally:
        site.stop()

    assert ours == theirs
    assert {name for name, (*_, status) in ours.items() if status == "sent"} == {"lmtp-in", "smtp-in"}
