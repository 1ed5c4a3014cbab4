"""The queue: when mail is tried, how much at once, how long.  qmgr(8), showq(8), flush(8), pickup(8)"""

from __future__ import annotations

from seawall.config.parameter import flag, number, text, time

PARAMETERS = (
    time("bounce_queue_lifetime", "5d", "How long a bounce is tried; 0 is once.", high=8640000, unit="d"),
    number("default_delivery_slot_cost", "5"),
    number("default_delivery_slot_discount", "50", high=100),
    number("default_delivery_slot_loan", "3"),
    text("default_delivery_status_filter"),
    number(
        "default_destination_concurrency_failed_cohort_limit", "1", "Failures in a row after which a destination rests."
    ),
    number("default_destination_concurrency_limit", "20", "Deliveries to one destination at the same time."),
    text(
        "default_destination_concurrency_negative_feedback",
        "1",
        low=1,
    ),
    text(
        "default_destination_concurrency_positive_feedback",
        "1",
        low=1,
    ),
    time("default_destination_rate_delay", "0s"),
    number("default_destination_recipient_limit", "50", "Recipients in one delivery."),
    number("default_extra_recipient_limit", "1000"),
    text("default_filter_nexthop"),
    number("default_minimum_delivery_slots", "3"),
    number("default_recipient_limit", "20000"),
    time("default_recipient_refill_delay", "5s", low=1),
    number("default_recipient_refill_limit", "100", low=1),
    time("default_transport_rate_delay", "0s"),
    text("defer_transports", "", "Transports whose mail waits until it is flushed."),
    flag("destination_concurrency_feedback_debug", "no"),
    text("fast_flush_domains", "$relay_domains", "Domains whose waiting mail ETRN may ask for."),
    time("fast_flush_purge_time", "7d", low=1, unit="d"),
    time("fast_flush_refresh_time", "12h", low=1, unit="h"),
    number("hash_queue_depth", "1", low=1),
    text("hash_queue_names", "deferred, defer", low=1),
    time("in_flow_delay", "1s", high=10),
    number("initial_destination_concurrency", "5", "The concurrency that a destination begins with.", low=1),
    number("local_destination_concurrency_limit", "2", "Deliveries to one local user at the same time."),
    number("local_destination_recipient_limit", "1", "Recipients in one local delivery: one."),
    time("maximal_backoff_time", "4000s", "The longest pause between two tries.", low=1),
    time("maximal_queue_lifetime", "5d", "How long mail is tried before it is returned.", high=8640000, unit="d"),
    time(
        "minimal_backoff_time",
        "300s",
        "The shortest pause between two tries, and how long an unreachable destination rests.",
        low=1,
    ),
    time("qmgr_clog_warn_time", "300s"),
    time("qmgr_daemon_timeout", "1000s", low=1),
    number("qmgr_fudge_factor", "100", low=10, high=100),
    time("qmgr_ipc_timeout", "60s", low=1),
    number("qmgr_message_active_limit", "20000", "Messages in memory.", low=1),
    number("qmgr_message_recipient_limit", "20000", low=1),
    number("qmgr_message_recipient_minimum", "10", low=1),
    number("queue_minfree", "0", "Free bytes that the queue's file system must have for a new message."),
    time("queue_run_delay", "300s", "How often waiting mail is looked through.", low=1),
    time("transport_retry_time", "60s", low=1),
)
