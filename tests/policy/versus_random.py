"""Random restriction lists over random tables, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.policy.versus import Session
from tests.policy.versus_cases import ACCESS_VALUES, CLASSES, CLIENTS, HELOS, RECIPIENTS, SENDERS

NAMES = (
    "permit", "reject", "defer", "defer_if_permit", "defer_if_reject", "permit_mynetworks", "permit_inet_interfaces",
    "reject_unauth_pipelining", "reject_multi_recipient_bounce", "reject_unknown_client_hostname",
    "reject_unknown_reverse_client_hostname", "reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname",
    "reject_unknown_helo_hostname", "reject_non_fqdn_sender", "reject_unknown_sender_domain", "reject_unlisted_sender",
    "reject_non_fqdn_recipient", "reject_unknown_recipient_domain", "reject_unlisted_recipient",
    "reject_unauth_destination", "defer_unauth_destination", "permit_auth_destination", "permit_mx_backup", "myclass",
    "permit_sasl_authenticated", "reject_plaintext_session", "reject_authenticated_sender_login_mismatch",
    "reject_known_sender_login_mismatch", "reject_sender_login_mismatch", "permit_tls_clientcerts", "sleep 0", "nonsense",
    "reject_rbl_client bl.example", "reject_rbl_client bl.example=127.0.0.[4..10]", "permit_dnswl_client bl.example",
    "permit_rhswl_client dbl.example", "reject_rhsbl_client dbl.example", "reject_rhsbl_helo dbl.example",
    "reject_rhsbl_sender dbl.example=127.0.1.4", "reject_rhsbl_recipient dbl.example", "reject_rhsbl_reverse_client dbl.example",
)  # fmt: skip
CHECKS = (
    "check_client_access", "check_reverse_client_hostname_access", "check_helo_access", "check_sender_access",
    "check_recipient_access", "check_client_mx_access", "check_sender_mx_access", "check_sender_ns_access",
    "check_helo_a_access", "check_recipient_mx_access", "check_client_a_access", "check_client_ns_access", "check_helo_ns_access",
    "check_reverse_client_hostname_mx_access", "check_sender_a_access", "check_recipient_a_access", "check_etrn_access",
    "check_sasl_access",
)  # fmt: skip
KEYS = (
    "bot.example", "example", "198.18.7.7", "198.18", "unknown", "friend.example", "here.example", "joe@", "<>", "evil.example",
    "198.18.66.6", "198.18.9", "mx.friend.example", "a@friend.example", "desk.here.example", "10.1.2.3", "relay.example",
)  # fmt: skip
VALUES = tuple(value for value in ACCESS_VALUES if not value.startswith(("HANGUP", "BCC", "hash")))
STEADY = tuple(name for name in RECIPIENTS if "backup" not in name)
"""backup.example has two MX hosts, and name servers shuffle them: what a table says of them depends on the order."""
LISTS = ("client", "helo", "sender", "recipient", "data", "end_of_data", "etrn")
CHANCES = (
    ("soft_bounce", ("yes",)),
    ("unknown_address_reject_code", ("550",)),
    ("smtpd_reject_unlisted_sender", ("yes",)),
    ("smtpd_reject_unlisted_recipient", ("no",)),
    ("smtpd_delay_reject", ("no",)),
    ("unknown_client_reject_code", ("550",)),
    ("unknown_address_tempfail_action", ("defer",)),
    ("smtpd_relay_before_recipient_restrictions", ("yes", "no")),
    ("smtpd_sasl_auth_enable", ("yes",)),
    ("smtpd_sender_login_maps", ("inline:{joe@here.example=joe, a@friend.example=ann}",)),
    ("access_map_reject_code", ("450", "521")),
    ("parent_domain_matches_subdomains", ("relay_domains",)),
    ("recipient_delimiter", ("", "-")),
    (
        "smtpd_dns_reply_filter",
        ("regexp:{{/ IN MX 10 mx.friend/ IGNORE}}", "regexp:{{/ IN A 127/ IGNORE}}", "fail:gone"),
    ),
    ("local_recipient_maps", ("fail:gone", "")),
    ("rbl_reply_maps", ("inline:{ {bl.example=554 5.2.1 listed $$client} }",)),
)
"""Parameters that change what lists say, each set now and then."""


def _table(chance: random.Random) -> str:
    if chance.random() < 0.05:
        return "fail:gone"
    entries = (f"{{ {key} = {chance.choice(VALUES)} }}" for key in chance.sample(KEYS, chance.randint(1, 5)))
    return f"inline:{{ {', '.join(entries)} }}"


def _items(chance: random.Random, stage: str) -> str:
    items = []
    for _ in range(chance.randint(0, 4)):
        if chance.random() < 0.2:
            items.append("warn_if_reject")
        roll = chance.random()
        if roll < 0.35:
            items.append(f"{chance.choice(CHECKS)} {_table(chance)}")
        elif roll < 0.45 and stage not in ("data", "end_of_data"):
            items.append(_table(chance))
        else:
            name = chance.choice(NAMES)
            if name == "reject_unlisted_sender" and stage in ("client", "helo", "etrn", "class"):
                name = "permit"  # before MAIL is judged Postfix goes by what the process' last session left
            items.append(name.upper() if chance.random() < 0.1 and name != "myclass" else name)
    return ", ".join(items)


def random_sessions(seed: int, configurations: int, each: int) -> Iterator[Session]:
    """`each` sessions under each of so many configurations."""
    chance = random.Random(seed)
    for _ in range(configurations):
        settings = {f"smtpd_{stage}_restrictions": _items(chance, stage) for stage in LISTS}
        settings |= CLASSES | {"myclass": _items(chance, "class").replace("myclass", "permit") or "reject"}
        if chance.random() < 0.3:
            # a permit by its bare name would hide the guard behind it
            items = _items(chance, "recipient").replace("permit,", "sleep 0,").removesuffix("permit")
            settings["smtpd_relay_restrictions"] = f"{items}, check_client_access static:OK, reject"
        settings |= {name: chance.choice(values) for name, values in CHANCES if chance.random() < 0.15}
        if settings.get("smtpd_delay_reject") == "no":
            settings["smtpd_client_restrictions"] = ""  # it would be asked of the client that says XCLIENT
        for _ in range(each):
            roll = chance.random()
            yield Session(
                settings,
                client=chance.choice(CLIENTS),
                helo=chance.choice(HELOS),
                sender=chance.choice(SENDERS),
                recipients=tuple(chance.sample(STEADY, chance.randint(1, 3))),
                data=True,
                end=roll < 0.5,
                etrn="relay.example" if roll > 0.95 else "",
                vrfy=chance.choice(STEADY) if 0.9 < roll < 0.95 else "",
                login=chance.choice(("joe", "ann")) if settings.get("smtpd_sasl_auth_enable") and roll < 0.4 else "",
            )
