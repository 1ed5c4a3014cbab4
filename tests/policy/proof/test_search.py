"""The answers: for both configurations of the thread, for what cannot be listed, for big tables, and who counts as a stranger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from seawall.config.host import LOOPBACK, Host
from seawall.config.settings import Settings
from seawall.mail.network import Network, parse_network
from seawall.policy.proof.search import Finding, Kind, examine
from seawall.policy.proof.stranger import is_everybodys, strangers_in
from tests.policy.proof.relay_cases import BASE

COMMANDS = {"smtp": "smtp", "relay": "smtp", "local": "local", "error": "error"}
TLS = {"smtpd_tls_security_level": "may", "smtpd_tls_ask_ccert": "yes"}


def answer(values: Mapping[str, str], host: Host = LOOPBACK) -> Finding:
    text = "".join(f"{name} = {value}\n" for name, value in {**BASE, **values}.items())
    return examine(Settings.from_text(text, host=host), COMMANDS)


def parts_of(finding: Finding) -> list[tuple[str, ...]]:
    return [tuple(one.part for one in hole.said) for hole in finding.holes]


RELAY = "smtpd_relay_restrictions"


def test_a_policy_service_and_tables_that_cannot_be_listed_are_named_each() -> None:
    checks = "check_sender_access pgsql:/x, check_client_access proxy:mysql:/y, check_policy_service unix:private/p"

    finding = answer({RELAY: f"permit_mynetworks, {checks}, reject_unauth_destination"})

    assert finding.kind is Kind.DEPENDS
    assert parts_of(finding) == [("pgsql:/x",), ("proxy:mysql:/y",), ("unix:private/p",)]


def test_parts_that_only_relay_together_are_named_together() -> None:
    relay = "check_policy_service unix:private/p, reject_unauth_destination"

    finding = answer({RELAY: relay, "smtpd_recipient_restrictions": "check_sender_access ldap:/x, reject"})

    assert [set(parts) for parts in parts_of(finding)] == [{"ldap:/x", "unix:private/p"}]


def test_what_cannot_be_listed_does_not_matter_behind_the_guard() -> None:
    checks = "check_policy_service unix:private/p, check_sender_access pgsql:/x, permit"

    assert answer({RELAY: f"reject_unauth_destination, {checks}"}).kind is Kind.PROVED


@pytest.mark.parametrize("kind", ["check_sender_mx_access", "check_reverse_client_hostname_access"])
def test_a_table_whose_ok_is_an_error_opens_nothing(kind: str) -> None:
    assert answer({RELAY: f"{kind} pgsql:/x, reject_unauth_destination"}).kind is Kind.PROVED


def test_a_pipe_into_a_listed_table_says_only_what_stands_there() -> None:
    good = "check_sender_access pipemap:{pgsql:/x,inline:{a=REJECT,b=DUNNO}}, reject_unauth_destination"
    bad = "check_sender_access pipemap:{pgsql:/x,inline:{a=REJECT,b=OK}}, reject_unauth_destination"

    assert answer({RELAY: good}).kind is Kind.PROVED
    assert answer({RELAY: bad}).kind is Kind.DEPENDS


def test_a_file_that_cannot_be_read_counts_as_one_that_cannot_be_listed() -> None:
    finding = answer({RELAY: "check_sender_access hash:/no/such/file, reject_unauth_destination"})

    assert finding.kind is Kind.DEPENDS
    assert "No such file" in finding.holes[0].reasons[0]


def test_an_expression_for_which_no_text_is_found_is_a_condition() -> None:
    finding = answer({RELAY: r"check_sender_access regexp:{ {/^(.)\1\1@/ OK} }, reject_unauth_destination"})

    assert finding.kind is Kind.DEPENDS
    assert finding.holes[0].reasons == ("line 1: no text was found that its expression matches",)


def test_the_tables_that_could_open_the_way_are_marked_in_the_proof() -> None:
    relay = "check_sender_access inline:{a@b.example=REJECT}, reject_unauth_destination, check_helo_access static:OK"

    finding = answer({RELAY: relay})

    assert finding.kind is Kind.PROVED
    opens = {table.name: table.opens for table in finding.tables if table.digest}
    assert opens["inline:{a@b.example=REJECT}"]
    assert not opens["static:OK"]
    assert all(len(table.digest) == 64 for table in finding.tables if table.digest)


def test_lists_of_ours_that_cannot_be_listed_are_trusted_and_named() -> None:
    finding = answer({"relay_domains": "mysql:/x", "mynetworks": "127.0.0.0/8, pgsql:/y"})

    assert finding.kind is Kind.PROVED
    assert finding.trusted == (("mynetworks", "pgsql:/y"), ("relay_domains", "mysql:/x"))


def test_a_list_in_a_file_that_cannot_be_read_hides_no_hole() -> None:
    values = {
        "mynetworks": "127.0.0.0/8, /no/such/file",
        RELAY: "permit_mynetworks, check_helo_access static:OK, reject",
    }

    finding = answer(values)

    assert finding.kind is Kind.RELAYS
    assert finding.holes[0].unread == (("mynetworks", "/no/such/file"),)


def test_private_networks_are_named_because_nat_may_hide_strangers_there() -> None:
    assert answer({"mynetworks": "127.0.0.0/8, 172.16.0.0/12"}).trusted == (("mynetworks", "172.16.0.0/12"),)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({RELAY: "permit_tls_all_clientcerts, reject", "tls_append_default_CA": "yes"}, Kind.RELAYS),
        ({RELAY: "permit_tls_all_clientcerts, reject", "smtpd_tls_CAfile": "/etc/ssl/certs/ca.crt"}, Kind.RELAYS),
        ({RELAY: "permit_tls_all_clientcerts, reject", "smtpd_tls_CAfile": "/etc/postfix/ours.pem"}, Kind.PROVED),
        ({RELAY: "permit_tls_clientcerts, reject", "relay_clientcerts": "static:all"}, Kind.RELAYS),
        ({RELAY: "permit_tls_clientcerts, reject", "relay_clientcerts": "inline:{AA:BB=x}"}, Kind.PROVED),
        ({RELAY: "check_ccert_access static:OK, reject"}, Kind.RELAYS),
        ({RELAY: "check_ccert_access static:OK, reject", "smtpd_tls_ask_ccert": "no"}, Kind.PROVED),
        ({RELAY: "reject_plaintext_session, check_helo_access static:OK, reject"}, Kind.RELAYS),
    ],
)
def test_certificates_permit_strangers_only_where_anybody_has_one(values: Mapping[str, str], kind: Kind) -> None:
    assert answer({**TLS, **values}).kind is kind


@pytest.mark.parametrize(
    ("mynetworks", "protocols", "kind"),
    [
        ("[::]/0", "all", Kind.RELAYS),
        ("[2000::]/3", "all", Kind.RELAYS),
        ("[::]/0", "ipv4", Kind.PROVED),
        ("[2001:db8:1::]/48", "all", Kind.PROVED),
        ("!203.0.113.0/24, 0.0.0.0/0", "ipv4", Kind.RELAYS),
        ("169.254.0.0/16, 100.64.0.0/10", "ipv4", Kind.PROVED),
    ],
)
def test_networks_by_family(mynetworks: str, protocols: str, kind: Kind) -> None:
    assert answer({"mynetworks": mynetworks, "inet_protocols": protocols}).kind is kind


def test_the_class_of_an_address_is_more_than_ours() -> None:
    host = Host("vps.example.net", (Network(0x7F000001, 8, 32), Network(0x2D420708, 20, 32)))
    values = {name: value for name, value in BASE.items() if name != "mynetworks"}
    for style, kind in (("class", Kind.RELAYS), ("subnet", Kind.PROVED), ("host", Kind.PROVED)):
        text = "".join(f"{name} = {value}\n" for name, value in values.items()) + f"mynetworks_style = {style}\n"

        assert examine(Settings.from_text(text, host=host), COMMANDS).kind is kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"mydestination": "static:all"}, Kind.PROVED),
        ({"mydestination": "static:all", "local_transport": "smtp:"}, Kind.RELAYS),
        ({RELAY: "check_helo_access static:OK, reject", "default_transport": "error:no mail goes out"}, Kind.PROVED),
        ({RELAY: "check_helo_access static:OK, reject", "default_transport": "relay:[hub.here.example]"}, Kind.RELAYS),
    ],
)
def test_mail_relays_only_where_it_leaves(values: Mapping[str, str], kind: Kind) -> None:
    assert answer(values).kind is kind


def test_one_ok_among_a_hundred_thousand_entries_is_found(tmp_path: Path) -> None:
    senders = "".join(f"u{n}@d{n % 997}.example {'OK' if n == 77777 else f'REJECT {n}'}\n" for n in range(100000))
    recipients = "".join(f"user{n}@here.example OK\n" for n in range(30000)) + "partner@far.example OK\n"
    (tmp_path / "senders").write_text(senders)
    (tmp_path / "recipients").write_text(recipients)

    for check, name in (("check_sender_access", "senders"), ("check_recipient_access", "recipients")):
        assert answer({RELAY: f"{check} texthash:{tmp_path}/{name}, reject"}).kind is Kind.RELAYS


def test_strangers_are_outside_of_what_is_listed_closely_and_inside_of_what_is_not() -> None:
    networks = [[parse_network(text)] for text in ("203.0.113.0/24", "8.0.0.0/8", "198.51.100.66/32")]
    listed = [[network for network in source if network is not None] for source in networks]

    found = strangers_in(listed, ipv6=False)

    assert "203.0.113.66" not in found
    assert "198.51.100.66" not in found
    assert any(address.startswith("8.") for address in found)
    assert not any(address.startswith(("10.", "127.", "192.168.")) for address in found)


def test_a_registrys_domain_is_everybodys() -> None:
    everybodys = ["com", ".de", "co.uk", "com.au", "example"]
    somebodys = ["example.com", "localhost", "bbc.co.uk", "mailhost", "x.de"]

    assert [is_everybodys(name) for name in (*everybodys, *somebodys)] == [True] * 5 + [False] * 5
