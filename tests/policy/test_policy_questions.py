"""What a policy service is asked, byte by byte: the same sessions before the real Postfix and before Seawall."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from seawall.config.settings import Settings
from seawall.mail.envelope import TlsFacts
from seawall.policy.attempt import Attempt
from seawall.policy.policy_service import ATTRIBUTES, format_question, parse_service
from tests.box import Box

SERVICE = "inet:127.0.0.1:7777"
LISTS = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data", "etrn")
MAIN_CF = f"""\
compatibility_level = 3.6
myhostname = mail.here.example
mydestination = here.example
alias_maps =
local_recipient_maps =
mynetworks = 127.0.0.0/8
smtpd_authorized_xclient_hosts = 198.18.0.0/15
smtpd_delay_reject = no
smtpd_tls_security_level = may
smtpd_tls_key_file = /etc/postfix/key.pem
smtpd_tls_cert_file = /etc/postfix/cert.pem
smtpd_client_connection_count_limit = 0
fast_flush_domains = here.example
disable_vrfy_command = no
{
    "".join(
        f"smtpd_{name}_restrictions = check_policy_service {{ {SERVICE}, policy_context=in-{name} }}" + chr(10)
        for name in LISTS
    )
}
smtpd_relay_restrictions = check_policy_service {{ {
    SERVICE
}, {{ policy_context = as relay }} }}, reject_unauth_destination
"""
ZONE = "4.3.18.198.in-addr.arpa. PTR client.good.example.\nclient.good.example. A 198.18.3.4\n"
NEW = ("tls_sni=", "compatibility_level=", "mail_version=")
"""Attributes that Postfix 3.7 does not send yet."""
DIFFERENT = re.compile(r"^(client_port|queue_id|instance|encryption_cipher|encryption_keysize)=.+$", re.MULTILINE)

CONTENT = ["Subject: x", "", "text"]
SESSIONS: Mapping[str, Sequence[str]] = {
    "plain": ["HELO bot.example", "MAIL FROM:<a@good.example>", "RCPT TO:<joe@here.example>", "DATA", "*", "QUIT"],
    "extended": [
        "EHLO [198.18.3.4]",
        "MAIL FROM:<> SIZE=12345",
        "RCPT TO:<Joe+tag@Here.Example>",
        'RCPT TO:<"joe ann"@here.example>',
        "DATA",
        "*",
        "MAIL FROM:<@relay.example:a%b@good.example> BODY=8BITMIME",
        "RSET",
        "VRFY joe@here.example",
        "ETRN here.example",
        "QUIT",
    ],
    "chunks": ["EHLO bot.example", "MAIL FROM:<a@good.example>", "RCPT TO:<joe>", "BDAT 3 LAST\r\nx\r", "QUIT"],
    "proxied": [
        "EHLO bot.example",
        "XCLIENT NAME=liar.example ADDR=198.18.9.9 PORT=4711 HELO=said.example PROTO=SMTP LOGIN=joe "
        "DESTADDR=192.0.2.77 DESTPORT=26 REVERSE_NAME=rev.example",
        "HELO after.example",
        "MAIL FROM:<a@good.example>",
        "RCPT TO:<joe@here.example>",
        "XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1",
        "MAIL FROM:<a@good.example>",
        "RCPT TO:<joe@here.example>",
        "QUIT",
    ],
    "secured": [
        "EHLO bot.example",
        "STARTTLS",
        "EHLO bot.example",
        "MAIL FROM:<a@good.example> AUTH=<>",
        "RCPT TO:<joe@here.example>",
        "QUIT",
    ],
}


def acts_of(lines: Sequence[str]) -> list[tuple[str, Any]]:
    acts: list[tuple[str, Any]] = [("expect", 1)]
    for line in lines:
        if line == "*":
            acts.append(("send", "".join(f"{text}\r\n" for text in (*CONTENT, "."))))
        else:
            acts.append(("send", f"{line}\r\n"))
        acts.append(("listen", 0.05))
        if line == "STARTTLS":
            acts.append(("starttls", ""))
    return acts


def lay_out(box: Box) -> None:
    box.wipe()
    box.write("/etc/postfix/main.cf", MAIN_CF)
    box.ask("certificate", directory="/etc/postfix", name="mail.here.example")
    box.zone(ZONE)
    box.policy(SERVICE, "")


def asked(box: Box) -> dict[str, list[str]]:
    """The questions of each session, with what differs from run to run masked."""
    found = {}
    box.policy_asked(SERVICE)
    for name, lines in SESSIONS.items():
        box.talk(acts_of(lines), port=25, source="198.18.3.4")
        texts = [DIFFERENT.sub(r"\1=*", text.decode()) for text in box.policy_asked(SERVICE)]
        found[name] = [text for text in texts if "client_address=192.0.2.1\n" not in text]  # who only looked
    return found


@pytest.fixture
def heard(box: Box) -> Iterator[tuple[dict[str, list[str]], dict[str, list[str]]]]:
    """What Postfix asked, and what Seawall did."""
    lay_out(box)
    master = box.start_postfix()
    theirs = asked(box)
    box.stop_postfix(master)
    lay_out(box)
    pid = box.start_seawall()
    ours = asked(box)
    box.stop(pid)
    yield theirs, ours


@pytest.mark.peer
def test_every_question_is_postfix_own_to_the_byte(heard: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    theirs, ours = heard
    for name in SESSIONS:
        older = ["".join(f"{line}\n" for line in one.splitlines() if not line.startswith(NEW)) for one in ours[name]]
        assert older == theirs[name], name
        assert all(one.splitlines()[-2].startswith("compatibility_level=3.6") for one in ours[name])
    assert sum(map(len, theirs.values())) > 30


def test_the_attributes_stand_in_the_order_of_postfix_3_12() -> None:
    names = [
        line.partition("=")[0] for line in format_question(Attempt("198.18.3.4"), "", "3.6", "3.12.0").splitlines()
    ]

    assert names == [
        "request", "protocol_state", "protocol_name", "client_address", "client_name", "client_port",
        "reverse_client_name", "server_address", "server_port", "helo_name", "sender", "recipient", "recipient_count",
        "queue_id", "instance", "size", "etrn_domain", "stress", "sasl_method", "sasl_username", "sasl_sender",
        "ccert_subject", "ccert_issuer", "ccert_fingerprint", "ccert_pubkey_fingerprint", "encryption_protocol",
        "encryption_cipher", "encryption_keysize", "tls_sni", "policy_context", "compatibility_level", "mail_version", "",
    ]  # fmt: skip


def test_names_of_a_certificate_are_told_as_xtext_and_only_where_somebody_vouches_for_them() -> None:
    tls = TlsFacts("TLSv1.3", "X", 256, 256, peer_subject="J\u00f6rg + Co", peer_issuer="CA", peer_trusted=True)
    told = format_question(Attempt("198.18.3.4", tls=tls), "", "", "").splitlines()
    assert "ccert_subject=J+C3+B6rg+20+2B+20Co" in told
    assert "ccert_issuer=CA" in told
    doubtful = TlsFacts("TLSv1.3", "X", 256, 256, peer_subject="J", peer_issuer="CA", peer_fingerprint="AB:CD")
    told = format_question(Attempt("198.18.3.4", tls=doubtful), "", "", "").splitlines()
    assert "ccert_subject=" in told
    assert "ccert_fingerprint=AB:CD" in told


def test_a_value_cannot_pass_for_an_attribute() -> None:
    attempt = Attempt("198.18.3.4", helo="x\nsasl_username=root\n\nrequest=y", sender="a\0b")
    told = format_question(attempt, "", "", "")

    assert told.count("\n") == len(ATTRIBUTES) + 4
    assert "helo_name=x?sasl_username=root??request=y\nsender=a?b\n" in told


def test_a_service_has_terms_of_its_own() -> None:
    settings = Settings.from_text("smtpd_policy_service_timeout = 7s\nsmtpd_policy_service_policy_context = all\n")
    plain = parse_service("unix:private/x", settings)
    own = parse_service(
        "{ inet:h:1, timeout=2m, { default_action = 450 4.7.1 x }, try_limit=5 policy_context= }", settings
    )

    assert (plain.kind, plain.where, plain.timeout, plain.context) == ("unix", "private/x", 7.0, "all")
    assert (own.kind, own.where, own.timeout, own.context, own.try_limit) == ("inet", "h:1", 120.0, "", 5)
    assert own.default_action == "450 4.7.1 x"
