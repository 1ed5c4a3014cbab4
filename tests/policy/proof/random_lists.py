"""Random restriction lists over small tables, the same for the same seed; and all sessions that could tell them apart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

from seawall.policy.attempt import UNKNOWN, NameStatus
from seawall.policy.proof.session import Client, Recipient, Session
from seawall.policy.proof.stranger import DOMAIN

NAMES = (
    "permit", "reject", "defer_if_permit", "defer_if_reject", "permit_mynetworks", "permit_inet_interfaces",
    "reject_unauth_pipelining", "reject_unknown_client_hostname", "reject_unknown_reverse_client_hostname",
    "reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "reject_unknown_helo_hostname",
    "reject_non_fqdn_sender", "reject_unknown_sender_domain", "reject_unlisted_sender", "reject_non_fqdn_recipient",
    "reject_unknown_recipient_domain", "reject_unlisted_recipient", "permit_auth_destination",
    "permit_sasl_authenticated", "reject_multi_recipient_bounce", "permit_dnswl_client wl.example",
    "reject_rbl_client bl.example", "myclass",
)  # fmt: skip
GUARDS = ("reject_unauth_destination", "reject_unauth_destination", "defer_unauth_destination", "reject", "defer")
CHECKS = (
    "check_client_access", "check_reverse_client_hostname_access", "check_helo_access", "check_sender_access",
    "check_recipient_access", "check_sender_mx_access", "check_helo_a_access", "check_recipient_ns_access",
)  # fmt: skip
KEYS = (
    "here.example", "boss@here.example", "boss@", "<>", "partner.example", "sub.partner.example", "unknown", "com", "192.168",
    "198", "victim.com", "postmaster@", "user@victim.org", "localhost", "mail.here.example",
)  # fmt: skip
VALUES = (
    "OK", "OK", "OK", "DUNNO", "REJECT", "REJECT no", "450 later", "permit", "reject", "reject_unauth_destination", "DEFER_IF_PERMIT",
    "DEFER_IF_REJECT", "DISCARD", "HOLD", "RELAY", "7", "permit_mynetworks, permit", "myclass", "FILTER smtp:[203.0.113.1]",
    "reject_non_fqdn_sender, permit",
)  # fmt: skip
EXPRESSIONS = (
    "/@here\\.example$$/", "/^boss@/", "/partner/", "/\\.com$$/", "/./", "/^(postmaster|abuse)@/", "/^mail\\./", "/@(a|b)+\\.org/",
    "/^[0-9.]+$$/", "!/example/",
)  # fmt: skip
HELOS = (None, "client.stranger.example", "x", "localhost", "here.example", "mail.here.example", "partner.example",
         "sub.partner.example", "stranger.com", "unknown", "com", "mail.stranger.org", "7", "198.1.1.1")  # fmt: skip
LOCALS = ("stranger", "boss", "postmaster", "user", "mail.x")
DOMAINS = (DOMAIN, "here.example", "partner.example", "sub.partner.example", "x.partner.example", "victim.com", "victim.org",
           "victim.example", "x.here.example", "mail.here.example", "a.org", "partner.com", "localhost.com")  # fmt: skip


def _table(chance: random.Random) -> str:
    if chance.random() < 0.3:
        rules = (f"{{ {chance.choice(EXPRESSIONS)} {chance.choice(VALUES)} }}" for _ in range(chance.randint(1, 3)))
        return f"regexp:{{ {', '.join(rules)} }}"
    if chance.random() < 0.1:
        return f"static:{{ {chance.choice(VALUES)} }}"
    entries = (f"{{ {key} = {chance.choice(VALUES)} }}" for key in chance.sample(KEYS, chance.randint(1, 4)))
    return f"inline:{{ {', '.join(entries)} }}"


def _items(chance: random.Random, most: int) -> list[str]:
    items = []
    for _ in range(chance.randint(0, most)):
        prefix = "warn_if_reject " if chance.random() < 0.1 else ""
        if chance.random() < 0.7:
            items.append(f"{prefix}{chance.choice(CHECKS)} {_table(chance)}")
        else:
            items.append(prefix + chance.choice(NAMES))
    return items


def random_settings(chance: random.Random) -> dict[str, str]:
    """One configuration's lists, a guard somewhere among them."""
    lists = {
        f"smtpd_{stage}_restrictions": _items(chance, chance.choice((0, 0, 1)))
        for stage in ("client", "helo", "sender", "data")
    }
    for stage in ("relay", "recipient"):
        lists[f"smtpd_{stage}_restrictions"] = _items(chance, 3)
    guarded = lists[chance.choice(("smtpd_relay_restrictions", "smtpd_recipient_restrictions"))]
    guarded.insert(chance.randint((len(guarded) + 1) // 2, len(guarded)), chance.choice(GUARDS))
    members = [item.replace("myclass", "permit") for item in _items(chance, 2)] or ["permit"]
    return {
        **{name: ", ".join(items) for name, items in lists.items()},
        "smtpd_restriction_classes": "myclass",
        "myclass": ", ".join(members),
        "smtpd_delay_reject": chance.choice(("yes", "yes", "no")),
        "smtpd_helo_required": chance.choice(("yes", "no")),
        "soft_bounce": chance.choice(("yes", "no", "no")),
    }


def sessions(chance: random.Random, count: int) -> Iterator[Session]:
    """Some of all that strangers could say."""
    clients = [
        Client("203.0.113.66", "client.stranger.example"),
        Client("198.51.100.66", "client.stranger.example"),
        Client("203.0.113.66", UNKNOWN, NameStatus.PERMANENT),
        Client("203.0.113.66", "stranger.com"),
        Client("203.0.113.66", "mail.stranger.org"),
        Client("203.0.113.66", "mail.partner.stranger.com"),
        Client("203.0.113.66", UNKNOWN, NameStatus.FORGED, reverse_name="partner.example"),
        Client("203.0.113.66", UNKNOWN, NameStatus.FORGED, reverse_name="mail.here.example"),
    ]
    senders = ["", *(f"{local}@{domain}" for local, domain in product(LOCALS, DOMAINS))]
    recipients = [f"{local}@{domain}" for local, domain in product(LOCALS, DOMAINS)]
    for _ in range(count):
        yield Session(
            chance.choice(clients),
            chance.choice(HELOS),
            chance.choice(senders),
            Recipient(chance.choice(recipients)),
            count=chance.choice((1, 1, 2)),
        )
