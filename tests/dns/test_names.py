"""Client names and host addresses: hosts file first, then DNS, with Postfix's statuses."""

from __future__ import annotations

from collections.abc import Coroutine

import pytest

from seawall.dns.answers import Found, NameStatus, NoSuchName, TryAgain
from seawall.dns.hostnames import is_fqdn, is_hostaddr, is_utf8_hostname, mailhost_address, without_final_dot
from seawall.dns.hosts import Hosts
from seawall.dns.names import ClientNames, Names
from seawall.dns.zone import BadZone, Zone

ZONE = Zone("""\
$TTL 300
1.2.0.192.in-addr.arpa.  PTR good.example.
good.example.            A 192.0.2.1
2.2.0.192.in-addr.arpa.  PTR liar.example.
liar.example.            A 192.0.2.99
3.2.0.192.in-addr.arpa.  PTR nowhere.example.
4.2.0.192.in-addr.arpa.  PTR slow.example.
;!servfail slow.example ANY
;!timeout 5.2.0.192.in-addr.arpa PTR
6.2.0.192.in-addr.arpa.  PTR 192.0.2.6.
7.2.0.192.in-addr.arpa.  CNAME 7.sub.2.0.192.in-addr.arpa.
7.sub.2.0.192.in-addr.arpa. PTR good7.example.
good7.example.           A 192.0.2.7
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR six.example.
six.example.             AAAA 2001:db8::1
*.wild.example.          A 192.0.2.50
deep.in.tree.example.    A 192.0.2.51
short.search.example.    A 192.0.2.52
""")
HOSTS = Hosts("192.0.2.80 desk.example desk # a comment\n192.0.2.81\nnonsense x\n192.0.2.82 Desk.Example\n::1 six6\n")
NAMES = Names(ZONE, HOSTS)
OK, TEMPORARY, PERMANENT, FORGED = NameStatus.OK, NameStatus.TEMPORARY, NameStatus.PERMANENT, NameStatus.FORGED


@pytest.mark.parametrize(
    ("address", "name", "status", "reverse_name", "reverse_status"),
    [
        ("192.0.2.1", "good.example", OK, "good.example", OK),
        ("192.0.2.2", "unknown", FORGED, "liar.example", OK),
        ("192.0.2.3", "unknown", FORGED, "nowhere.example", OK),
        ("192.0.2.4", "unknown", TEMPORARY, "slow.example", OK),
        ("192.0.2.5", "unknown", TEMPORARY, "unknown", TEMPORARY),
        ("192.0.2.6", "unknown", PERMANENT, "unknown", PERMANENT),
        ("192.0.2.7", "good7.example", OK, "good7.example", OK),
        ("192.0.2.9", "unknown", PERMANENT, "unknown", PERMANENT),
        ("2001:db8::1", "six.example", OK, "six.example", OK),
        ("192.0.2.80", "desk.example", OK, "desk.example", OK),
        ("nonsense", "unknown", PERMANENT, "unknown", PERMANENT),
    ],
)
def test_a_client_has_the_name_that_leads_back_to_it(
    address: str, name: str, status: NameStatus, reverse_name: str, reverse_status: NameStatus
) -> None:
    found = client_names(address)

    assert (found.name, found.status) == (name, status)
    assert (found.reverse_name, found.reverse_status) == (reverse_name, reverse_status)


def client_names(address: str) -> ClientNames:
    told: list[ClientNames] = []
    NAMES.tell_names(address, told.append)
    return told[0]


def test_a_name_that_does_not_lead_back_is_worth_a_warning() -> None:
    found: ClientNames = client_names("192.0.2.2")

    assert found.warning == "hostname liar.example does not resolve to address 192.0.2.2"
    gone: ClientNames = client_names("192.0.2.3")
    assert gone.warning.endswith("192.0.2.3: Name or service not known")


def addresses(names: Names, host: str) -> tuple[str, ...] | str:
    answer = names.addresses(host)
    if not isinstance(answer, Found | NoSuchName | TryAgain):
        return "waits or has no data"
    return tuple(record.data for record in answer.records) if isinstance(answer, Found) else type(answer).__name__


def test_hosts_come_from_the_hosts_file_first() -> None:
    assert addresses(NAMES, "desk.example") == ("192.0.2.80", "192.0.2.82")
    assert addresses(NAMES, "DESK") == ("192.0.2.80",)
    assert addresses(NAMES, "good.example.") == ("192.0.2.1",)
    assert addresses(NAMES, "slow.example") == "TryAgain"
    assert addresses(NAMES, "-bad") == "NoSuchName"
    assert addresses(NAMES, "192.0.2.200") == ("192.0.2.200",)
    assert addresses(Names(ZONE, HOSTS, ("AAAA",)), "desk.example") == "NoSuchName"


async def test_short_names_are_searched_for() -> None:
    names = Names(ZONE, Hosts(), search=("other.example", "search.example"))
    answer = names.addresses("short")
    assert isinstance(answer, Coroutine)
    found = await answer

    assert [record.data for record in found.records] == ["192.0.2.52"]


def test_a_zone_knows_wildcards_and_empty_names_between() -> None:
    assert isinstance(ZONE.ask("any.thing.wild.example", "A"), Found)
    assert type(ZONE.ask("in.tree.example", "A")).__name__ == "NoData"
    assert type(ZONE.ask("no.tree.example", "A")).__name__ == "NoSuchName"
    assert type(ZONE.ask("good.example", "MX")).__name__ == "NoData"


def test_what_is_no_zone_is_told() -> None:
    with pytest.raises(BadZone):
        Zone("this is ( no zone")


@pytest.mark.parametrize(
    ("name", "fqdn"),
    [
        ("a.example", True), ("a.example.", True), ("a", False), ("a..", False), ("1.2.3.4", False), ("-a.example", False),
        ("a-.example", False), ("x" * 63 + ".example", True), ("x" * 64 + ".example", False), ("_a.b_c", True),
        ("a.1", True), ("", False), (".", False), ("a." + "b." * 130 + "c", False), ("a.example\n", False),
    ],
)  # fmt: skip
def test_a_full_name_has_a_dot_and_good_labels(name: str, fqdn: bool) -> None:
    assert is_fqdn(name) is fqdn


def test_names_beyond_ascii_count_only_with_smtputf8() -> None:
    assert is_utf8_hostname("bücher.example", utf8=True)
    assert not is_utf8_hostname("bücher.example", utf8=False)
    assert not is_utf8_hostname("a\udcff.example", utf8=True)


def test_addresses_as_postfix_takes_them() -> None:
    assert is_hostaddr("192.0.2.1")
    assert not is_hostaddr("0.1.2.3")
    assert is_hostaddr("0.0.0.0")
    assert not is_hostaddr("1.2.3")
    assert not is_hostaddr("1.2.3.256")
    assert mailhost_address("IPv6:2001:db8::1") == "2001:db8::1"
    assert mailhost_address("2001:db8::1") is None
    assert without_final_dot("a.") == "a"
    assert without_final_dot("a..") == "a.."
