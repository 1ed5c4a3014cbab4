"""The closed set of reasons: every verdict that refuses or defers carries one, for statistics, cost and explain."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why, as a slug.  New checks add theirs here."""

    ACCESS_TABLE = "access-table"
    BAD_ADDRESS = "bad-address"
    BARE_NEWLINE = "bare-newline"
    BOUNCE_TO_MANY = "bounce-to-many"
    CLIENT_NAME_UNKNOWN = "client-name-unknown"
    CONFIGURATION = "configuration-error"
    DEFER_REQUESTED = "defer-requested"
    DOMAIN_UNKNOWN = "domain-unknown"
    DOMAIN_UNCLEAR = "domain-unclear"
    DOMAIN_TAKES_NO_MAIL = "domain-takes-no-mail"
    DNS_LISTED = "dns-listed"
    EXEMPT = "exempt"
    GREYLISTED = "greylisted"
    HANGUP = "hangup"
    HELO_INVALID = "helo-invalid"
    HELO_NOT_FQDN = "helo-not-fqdn"
    HELO_UNKNOWN = "helo-unknown"
    HELO_UNCLEAR = "helo-unclear"
    LOOKUP_FAILED = "lookup-failed"
    MX_UNCLEAR = "mx-unclear"
    NO_ROOM = "no-room"
    NOT_FQDN = "address-not-fqdn"
    NOT_OWNER = "sender-not-owned"
    PIPELINING = "pipelining"
    PLAINTEXT = "plaintext-session"
    POLICY_SERVICE = "policy-service"
    REJECT_ALL = "reject-all"
    RELAY_DENIED = "relay-denied"
    REVERSE_NAME_UNKNOWN = "reverse-name-unknown"
    TOO_LARGE = "message-too-large"
    UNDELIVERABLE = "undeliverable"
    UNVERIFIED = "address-unverified"
    USER_UNKNOWN = "user-unknown"
    VERIFY_FAILED = "verification-failed"
