"""What strangers try: every form of recipient that ever led through somebody, from everybody that they can pretend to be."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

RECIPIENTS = (
    "user@victim.example",
    "user@victim.com",
    "postmaster@victim.example",
    "abuse@victim.example",
    "root@victim.example",
    "user@[203.0.113.9]",
    "user@victim.example.",
    "user%victim.example@here.example",
    "user@victim.example@here.example",
    "victim.example!user@here.example",
    "user%victim.example",
    "victim.example!user",
    "@here.example:user@victim.example",
    "@here.example,@relay.example:user@victim.example",
    '"user@victim.example"@here.example',
    '"user%victim.example"@here.example',
    '"victim.example!user"@here.example',
    "user%victim.example@relay.example",
    "user@victim.example@relay.example",
    "victim.example!user@relay.example",
    "user%victim.example@mail.here.example",
    "user%victim.example%here.example@here.example",
    "user%victim.example@[192.0.2.1]",
    "user@strangerhere.example",
    "user@strangerrelay.example",
    "user@here.example.stranger.example",
    "user@relay.example.stranger.example",
    "user@backup.stranger.example",
)
"""None of them is for us."""
CLIENTS = (
    "XCLIENT NAME=client.stranger.example REVERSE_NAME=client.stranger.example ADDR=203.0.113.66",
    "XCLIENT NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=198.51.100.66",
    "XCLIENT NAME=[UNAVAILABLE] REVERSE_NAME=mail.here.example ADDR=9.10.11.12",
    "XCLIENT NAME=strangerpartner.example REVERSE_NAME=strangerpartner.example ADDR=45.66.77.88",
)
HELOS = ("client.stranger.example", "mail.here.example", "localhost", "[127.0.0.1]", "")
SENDERS = (
    "stranger@stranger.example",
    "",
    "root@here.example",
    "boss@here.example",
    "postmaster@mail.here.example",
    "user@relay.example",
    "boss@partner.example",
)
ZONE = """\
stranger.example. MX 10 mx.stranger.example.
mx.stranger.example. A 203.0.113.99
here.example. MX 10 mail.here.example.
mail.here.example. A 192.0.2.1
relay.example. MX 10 mx.relay.example.
mx.relay.example. A 203.0.113.98
partner.example. MX 10 mx.partner.example.
mx.partner.example. A 203.0.113.97
victim.example. MX 10 mx.victim.example.
mx.victim.example. A 203.0.113.96
victim.com. MX 10 mx.victim.example.
backup.stranger.example. MX 10 mx.stranger.example.
backup.stranger.example. MX 20 mail.here.example.
66.113.0.203.wl.example. A 127.0.0.2
66.100.51.198.wl.example. A 127.0.0.2
client.stranger.example.wl.example. A 127.0.0.2
"""


def sessions() -> Iterator[tuple[list[str], int]]:
    """The lines of each session, and where its recipients begin: a part of all combinations, in which all pairs are."""
    for at, (client, helo, sender) in enumerate(product(CLIENTS, HELOS, SENDERS)):
        if at % 5 == (at // len(SENDERS)) % 5:
            lines = [client, *([f"HELO {helo}"] if helo else []), f"MAIL FROM:<{sender}>"]
            yield [*lines, *(f"RCPT TO:<{recipient}>" for recipient in RECIPIENTS)], len(lines)
