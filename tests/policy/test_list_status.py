"""policy/list_status: what is known of DNS lists is data, each row with its source."""

import re

from seawall.policy.list_status import (
    ALIVE,
    CODES,
    DEAD,
    LISTING,
    MERGED,
    PAID,
    REGISTER,
    SCORES,
    known_lists,
    status_of,
)


def test_every_row_is_whole_and_has_a_source() -> None:
    lists = known_lists()
    assert len(lists) >= 60
    for zone, row in lists.items():
        assert zone == row.zone == zone.lower().strip(".")
        assert row.kind in ("addresses", "domains", "both", "good addresses", "good domains")
        assert row.status in (ALIVE, CODES, DEAD, LISTING, MERGED, PAID, REGISTER, SCORES)
        assert re.fullmatch(r"(\d{4}(-\d\d(-\d\d)?)?)?", row.since), zone
        assert row.errors in ("", "127.255.255", "127.0.0.1", "127.0.0.255")
        assert not row.within or row.within in lists
        assert row.note and len(row.source) > 10, zone


def test_the_gone_lists_are_more_than_thirty() -> None:
    assert sum(row.status in (DEAD, LISTING) for row in known_lists().values()) > 30


def test_a_zone_is_found_by_the_longest_name_that_holds_it() -> None:
    assert status_of("dul.dnsbl.sorbs.net") is known_lists()["sorbs.net"]
    assert status_of("DUL.dnsbl.SORBS.net.=127.0.0.10") is known_lists()["sorbs.net"]
    assert status_of("key.zen.dq.spamhaus.net=127.0.0.[2..11]") is known_lists()["zen.dq.spamhaus.net"]
    assert status_of("zen.spamhaus.org") is known_lists()["zen.spamhaus.org"]
    assert status_of("xsorbs.net") is None
    assert status_of("") is None
