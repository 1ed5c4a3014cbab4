"""Seawall's own parameters: they start with `seawall_`, and `seawall postconf` shows them only where they are named."""

from __future__ import annotations

from seawall.config.parameter import flag, number, text, time

PARAMETERS = (
    text(
        "seawall_ignore_parameters",
        "",
        "Names of parameters that reject, filter, sign, encrypt or divert, are not implemented, and are to be ignored.",
    ),
    number("seawall_workers", "0", "Worker processes that serve SMTP; 0 is one for each processor."),
    text("seawall_event_loop", "uvloop", "The event loop of the processes: uvloop, or asyncio, Python's own."),
    flag(
        "seawall_door",
        "no",
        "Screen strangers before smtpd(8) serves them, by the postscreen_* parameters, where master.cf has no postscreen.",
    ),
    flag("seawall_direct_delivery", "yes", "Write mail for local Maildirs before the 250, without a queue file."),
    text(
        "seawall_journal_checks",
        "none",
        "`refused` keeps with every refusal what each check asked, heard and said, for `seawall explain`; `none` does not.",
        low=1,
    ),
    time("seawall_journal_retention", "14d", "How long the journal store keeps what it was told.", unit="d"),
    number(
        "seawall_policy_service_connections",
        "50",
        "Connections that a worker keeps to one policy service at most; further questions wait for a free one.",
        low=1,
    ),
    text(
        "seawall_policy_service_restrictions",
        "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_non_fqdn_sender, "
        "reject_unknown_sender_domain, reject_non_fqdn_recipient, reject_unauth_pipelining",
        "What `seawall policy-service` checks for somebody else's Postfix, where no restrictions are named with it.",
    ),
    text(
        "seawall_greylist",
        "no",
        "Strangers are put off at RCPT until they come again: `yes`, `no`, only the `suspicious`, or `passive`: learnt only.",
        low=1,
    ),
    time("seawall_greylist_delay", "300s", "How long after its first attempt a stranger's mail is put off.", low=1),
    time(
        "seawall_greylist_retry_window",
        "2d",
        "How long after its first attempt a stranger may come again; later it is new.",
        low=1,
        unit="d",
    ),
    time(
        "seawall_greylist_max_age",
        "35d",
        "How long who has passed is remembered after he was seen last.",
        low=1,
        unit="d",
    ),
    number(
        "seawall_greylist_auto_pass",
        "5",
        "Retries, an hour apart, after which a client's network passes without a wait; 0 is never.",
    ),
    number("seawall_greylist_ipv4_prefix_length", "24", "Bits of an IPv4 client's network.", low=8, high=32),
    number("seawall_greylist_ipv6_prefix_length", "64", "Bits of an IPv6 client's network.", low=16, high=128),
    number(
        "seawall_greylist_triplets",
        "2000000",
        "Triplets that a worker and the store hold at most; those that wait go before those that have passed.",
        low=64,
    ),
    text(
        "seawall_greylist_text",
        "Greylisted, see http://postgrey.schweikert.ch/help/%r.html",
        "What a client hears that is put off; `%s` is the seconds still to wait, `%r` the recipient's domain.",
        low=1,
    ),
    text("seawall_users_file", "", "Hashed passwords for smtpd_sasl_type = seawall, one `name:hash` a line."),
)
