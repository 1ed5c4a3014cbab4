"""What the sender and the postmaster are told.  bounce(8), defer(8), trace(8)"""

from __future__ import annotations

from seawall.config.parameter import flag, number, text, time

PARAMETERS = (
    text("2bounce_notice_recipient", "postmaster", "Who gets bounces that cannot be returned.", low=1),
    flag("backwards_bounce_logfile_compatibility", "yes"),
    text("bounce_notice_recipient", "postmaster", "Who gets copies of bounces that notify_classes asks for.", low=1),
    text("bounce_service_name", "bounce", low=1),
    number("bounce_size_limit", "50000", "Bytes of the original that a bounce carries.", low=1),
    text("bounce_template_file", "", "The texts of bounces."),
    flag("confirm_delay_cleared", "no"),
    text("default_verp_delimiters", "+=", "The characters of a VERP sender.", low=2, high=2),
    text(
        "delay_notice_recipient", "postmaster", "Who gets copies of delay warnings that notify_classes asks for.", low=1
    ),
    time("delay_warning_time", "0h", "The age at which a sender is told that his mail waits; 0 is never.", unit="h"),
    flag("disable_verp_bounces", "no"),
    text("double_bounce_sender", "double-bounce", "The sender of mail that must not bounce.", low=1),
    flag("enable_threaded_bounces", "no", "A bounce has References: and In-Reply-To:."),
    text("error_notice_recipient", "postmaster", low=1),
    text("internal_mail_filter_classes", "", "Kinds of mail of our own making that the content checks look at."),
    text("notify_classes", "resource, software", "Kinds of trouble that the postmaster gets mail about."),
    text("verp_delimiter_filter", "-=+", "The characters that VERP delimiters may be.", low=1),
)
