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
    flag("seawall_direct_delivery", "yes", "Write mail for local Maildirs before the 250, without a queue file."),
    time("seawall_journal_retention", "14d", "How long the journal store keeps what it was told.", unit="d"),
    text("seawall_users_file", "", "Hashed passwords for smtpd_sasl_type = seawall, one `name:hash` a line."),
)
