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
)  # fmt: skip
CHECKS = (
    "check_client_access", "check_reverse_client_hostname_access", "check_helo_access", "check_sender_access",
    "check_recipient_access", "check_client_mx_access", "check_sender_mx_access", "check_sender_ns_access",
    "check_helo_a_access", "check_recipient_mx_access",
)  # fmt: skip
KEYS = (
    "bot.example", "example", "198.18.7.7", "198.18", "unknown", "friend.example", "here.example", "joe@", "<>", "evil.example",
    "198.18.66.6", "198.18.9", "mx.friend.example", "a@friend.example", "desk.here.example", "10.1.2.3", "relay.example",
)  # fmt: skip
VALUES = tuple(value for value in ACCESS_VALUES if not value.startswith(("HANGUP", "BCC", "hash")))
STEADY = tuple(name for name in RECIPIENTS if "backup" not in name)
"""backup.example has two MX hosts, and name servers shuffle them: what a table says of them depends on the order."""
LISTS = ("client", "helo", "sender", "recipient", "data")


def _table(chance: random.Random) -> str:
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
        elif roll < 0.45 and stage != "data":
            items.append(_table(chance))
        else:
            name = chance.choice(NAMES)
            if name == "reject_unlisted_sender" and stage in ("client", "helo"):
                name = "permit"  # before MAIL is judged Postfix goes by what the process' last session left
            items.append(name.upper() if chance.random() < 0.1 and name != "myclass" else name)
    return ", ".join(items)


def random_sessions(seed: int, configurations: int, each: int) -> Iterator[Session]:
    """`each` sessions under each of so many configurations."""
    chance = random.Random(seed)
    for _ in range(configurations):
        settings = {f"smtpd_{stage}_restrictions": _items(chance, stage) for stage in LISTS}
        settings |= CLASSES | {"myclass": _items(chance, "recipient").replace("myclass", "permit") or "reject"}
        if chance.random() < 0.2:
            settings["soft_bounce"] = "yes"
        if chance.random() < 0.2:
            settings["unknown_address_reject_code"] = "550"
        if chance.random() < 0.2:
            settings["smtpd_reject_unlisted_sender"] = "yes"
        for _ in range(each):
            yield Session(
                settings,
                client=chance.choice(CLIENTS),
                helo=chance.choice(HELOS),
                sender=chance.choice(SENDERS),
                recipients=tuple(chance.sample(STEADY, chance.randint(1, 3))),
                data=True,
            )
