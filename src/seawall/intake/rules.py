"""All that one configuration says about receiving, compiled once and shared by its messages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from seawall.config.settings import Settings
from seawall.intake.checks import Part, open_checks
from seawall.intake.envelope import EnvelopeRules
from seawall.intake.headers import HeaderRules
from seawall.intake.mapping import AddressMaps
from seawall.intake.received import ReceivedHeaders
from seawall.mail.envelope import Submission
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables

INTERNAL = "internal"
"""In `Submission.extra`: mail of our own making (reports, what local(8) forwards)."""
ASKS = "asks"
"""In `Submission.extra`: sendmail -bv asks how delivery would go."""
FULL_NAME = "fullname="
"""Opens an entry of `Submission.extra` with the submitter's full name, for a From: that is missing."""

_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS: Mapping[str, str] = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unescaped(text: str) -> bytes:
    """A parameter's value with C escapes (``\\0``, ``\\r``) turned into the bytes they mean.  unescape(3)"""

    def byte(found: re.Match[str]) -> str:
        if found.group(1):
            return chr(int(found.group(1), 8) & 0xFF)
        return _LETTERS.get(found.group(2), found.group(2))

    return _ESCAPE.sub(byte, text).encode("latin-1", "replace")


def spool_directory(settings: Settings) -> str:
    """Where large messages lie while they come in: the spool's file system.

    That is the folder in which they will rest, where mail_owner may write; the nearest one above it while there is none.
    """
    directory = settings.path(settings.text("queue_directory")) + "/seawall/queue"
    while not os.path.isdir(directory) and len(directory) > 1:
        directory = os.path.dirname(directory)
    return directory


class Rules:
    """The rules of receiving.  ConfigTrouble, with file and line, for a value that makes no sense."""

    def __init__(self, settings: Settings, routing: Routing, tables: Tables) -> None:
        maps = AddressMaps(settings, routing, tables)
        overrides = settings.words("receive_override_options")
        self.envelope = EnvelopeRules(settings, routing.rewriter, maps)
        self.headers = HeaderRules(settings, routing.rewriter, maps)
        self.received = ReceivedHeaders(
            settings.text("myhostname"),
            settings.text("mail_name"),
            tls_header=settings.flag("smtpd_tls_received_header"),
            ask_certificate=settings.flag("smtpd_tls_ask_ccert"),
            sasl_header=settings.flag("smtpd_sasl_authenticated_header"),
        )
        self.checks = {} if "no_header_body_checks" in overrides else open_checks(settings, tables)
        self.reads_mime = not settings.flag("disable_mime_input_processing")
        self.nesting_limit = settings.number("mime_nesting_limit")
        self.boundary_limit = settings.number("mime_boundary_length_limit")
        self.body_limit = settings.number("body_checks_size_limit")
        self.line_limit = settings.number("line_length_limit")
        self.filters_internal = settings.words("internal_mail_filter_classes") != ()
        self.content_filter = settings.text("content_filter")
        self.message_limit = settings.number("message_size_limit")
        self.queue_minfree = settings.number("queue_minfree")
        self.replaces_cr = settings.flag("cleanup_replace_stray_cr_lf")
        self.stripped = unescaped(settings.text("message_strip_characters"))
        self.refused = unescaped(settings.text("message_reject_characters"))
        self.detects_utf8 = settings.flag("smtputf8_enable") and not {"sendmail", "all"}.isdisjoint(
            settings.words("smtputf8_autodetect_classes")
        )
        self.directory = spool_directory(settings)
        self.direct = settings.flag("seawall_direct_delivery") and not (
            self.checks or self.content_filter or settings.words("defer_transports") or self.refused
        )

    @property
    def checks_body(self) -> bool:
        """True where the body has to be looked at line by line."""
        return Part.BODY in self.checks or (
            self.reads_mime and (Part.MIME in self.checks or Part.NESTED in self.checks)
        )

    def is_internal(self, submission: Submission) -> bool:
        """True for mail of our own making."""
        origin = submission.origin
        return INTERNAL in submission.extra or not (origin.client_address or origin.submitted_by)

    def is_filtered(self, submission: Submission) -> bool:
        """True where content checks look at the mail.  postconf(5) internal_mail_filter_classes"""
        return self.filters_internal or not self.is_internal(submission)


def full_name(submission: Submission) -> str:
    """The submitter's full name, or the empty string."""
    for entry in submission.extra:
        if entry.startswith(FULL_NAME):
            return entry.removeprefix(FULL_NAME)
    return ""
