"""The queue manager's parameters, read once from a configuration.  qmgr(8), postconf(5)"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seawall.config.master_cf import Service
from seawall.config.settings import Settings
from seawall.journal.records.delivery import NOT_CACHED, PROBED
from seawall.spool.scheduler import Timing, TransportLimits


@dataclass(frozen=True, slots=True)
class Rules:
    """What the manager goes by.  Times are seconds."""

    timing: Timing
    queue_run_delay: float
    active_limit: int
    defer_transports: frozenset[str]
    message_size_limit: int
    double_bounce_sender: str
    limits: Mapping[str, TransportLimits]
    """By transport; `limits_of` has an answer for the others too."""
    programs: Mapping[str, str]
    """The program that stands behind a transport, for its log lines."""
    log_names: Mapping[str, str]
    """syslog_name of the transports that have one of their own."""
    default_limits: TransportLimits
    probe_words: Mapping[type, str]
    """The words after ``status=`` in a probe's log line."""

    def limits_of(self, transport: str) -> TransportLimits:
        """What applies to a transport."""
        return self.limits.get(transport, self.default_limits)

    def program_of(self, transport: str) -> str:
        """``smtp`` for the transport ``relay``, as master.cf has it."""
        return self.programs.get(transport, transport)


def _limits(settings: Settings, transport: str, processes: int) -> TransportLimits:
    def number(what: str) -> int:
        return settings.number(f"{transport}_{what}")

    initial = number("initial_destination_concurrency")
    concurrency = number("destination_concurrency_limit")
    return TransportLimits(
        concurrency=concurrency,
        initial=min(initial, concurrency) if concurrency else initial,
        recipients=number("destination_recipient_limit"),
        processes=processes,
        failed_cohorts=float(settings.text(f"{transport}_destination_concurrency_failed_cohort_limit") or 1),
    )


def rules_of(settings: Settings, services: Iterable[Service]) -> Rules:
    """The rules of a configuration; `services` are its master.cf.  Raises ConfigTrouble."""
    transports = [service for service in services if service.type == "unix"]
    return Rules(
        timing=Timing(
            minimal_backoff_time=settings.seconds("minimal_backoff_time"),
            maximal_backoff_time=settings.seconds("maximal_backoff_time"),
            maximal_queue_lifetime=settings.seconds("maximal_queue_lifetime"),
            bounce_queue_lifetime=settings.seconds("bounce_queue_lifetime"),
            delay_warning_time=settings.seconds("delay_warning_time"),
        ),
        queue_run_delay=settings.seconds("queue_run_delay"),
        active_limit=settings.number("qmgr_message_active_limit"),
        defer_transports=frozenset(settings.words("defer_transports")),
        message_size_limit=settings.number("message_size_limit"),
        double_bounce_sender=settings.text("double_bounce_sender"),
        limits={service.name: _limits(settings, service.name, service.maxproc) for service in transports},
        programs={service.name: os.path.basename(service.command) for service in transports},
        log_names={
            service.name: service.settings(settings).text("syslog_name")
            for service in transports
            if "syslog_name" in service.overrides
        },
        default_limits=_limits(settings, "default", settings.number("default_process_limit")),
        probe_words=PROBED if settings.flag("address_verify_negative_cache") else NOT_CACHED,
    )
