"""The stages that restriction lists belong to: how each names what it rejects, and which access check is its default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seawall.policy.attempt import Attempt

CLIENT = "Client host"
REVERSE_CLIENT = "Unverified Client host"
CERTIFICATE = "Client certificate"
SASL_USER = "SASL login name"
HELO = "Helo command"
SENDER = "Sender address"
RECIPIENT = "Recipient address"
ETRN = "Etrn command"
DATA = "Data command"
END_OF_DATA = "End-of-data"


@dataclass(frozen=True, slots=True)
class Stage:
    """One list's place in the session.

    `parameter` is its main.cf name; `reply_class` what a refusal calls the thing refused (``Sender address``);
    `reply_name` gives the thing itself; `access` is what a bare ``type:table`` stands for, empty where it is an error.
    """

    parameter: str
    reply_class: str
    reply_name: Callable[[Attempt], str]
    access: str = ""


def client_of(attempt: Attempt) -> str:
    """``name[address]``."""
    return attempt.client


def reverse_name_of(attempt: Attempt) -> str:
    """The unconfirmed client name."""
    return attempt.reverse_name


def helo_of(attempt: Attempt) -> str:
    """The HELO name."""
    return attempt.helo or ""


def sender_of(attempt: Attempt) -> str:
    """The MAIL FROM address."""
    return attempt.sender or ""


def recipient_of(attempt: Attempt) -> str:
    """The RCPT TO address."""
    return attempt.recipient or ""


def etrn_domain_of(attempt: Attempt) -> str:
    """The ETRN domain."""
    return attempt.etrn_domain


STAGES: Mapping[str, Stage] = {
    "client": Stage("smtpd_client_restrictions", CLIENT, client_of, "check_client_access"),
    "helo": Stage("smtpd_helo_restrictions", HELO, helo_of, "check_helo_access"),
    "sender": Stage("smtpd_sender_restrictions", SENDER, sender_of, "check_sender_access"),
    "relay": Stage("smtpd_relay_restrictions", RECIPIENT, recipient_of, "check_recipient_access"),
    "recipient": Stage("smtpd_recipient_restrictions", RECIPIENT, recipient_of, "check_recipient_access"),
    "data": Stage("smtpd_data_restrictions", DATA, lambda attempt: "DATA"),
    "end_of_data": Stage("smtpd_end_of_data_restrictions", END_OF_DATA, lambda attempt: "END-OF-MESSAGE"),
    "etrn": Stage("smtpd_etrn_restrictions", ETRN, etrn_domain_of, "check_etrn_access"),
}
"""By the short names that `seawall rehearse` uses."""

# x.1.N means an address; where it is no address that is refused, or the other one, the detail is corrected.
# Postfix smtpd_dsn_fix(3); RFC 3463 §3.2.
_SENDER_DETAILS: Mapping[str, str] = {
    "1.1": "1.7",
    "1.2": "1.8",
    "1.3": "1.7",
    "1.4": "1.7",
    "1.5": "1.0",
    "1.6": "1.7",
    "1.7": "1.7",
    "1.8": "1.8",
}
_RECIPIENT_DETAILS: Mapping[str, str] = {"1.7": "1.3", "1.8": "1.2"}


def fix_status(status: str, reply_class: str) -> str:
    """`status` with its detail made to fit what is refused: a sender's code for senders, none for clients and commands."""
    level, _, detail = status.partition(".")
    if not detail.startswith("1."):
        return status
    if reply_class == SENDER:
        return f"{level}.{_SENDER_DETAILS.get(detail, detail)}"
    if reply_class == RECIPIENT:
        return f"{level}.{_RECIPIENT_DETAILS.get(detail, detail)}"
    return f"{level}.0.0"
