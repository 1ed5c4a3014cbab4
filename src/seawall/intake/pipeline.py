"""From what was received to the message that rests: envelope, our own headers, header block, body, in this order."""

from __future__ import annotations

import functools
import re

from seawall.clock import Clock
from seawall.intake.body import BodyPass, lines_of
from seawall.intake.checks import Asked, Checking
from seawall.intake.content import Incoming, InFlight
from seawall.intake.envelope import EnvelopeInProgress
from seawall.intake.headers import HeaderPass, Missing
from seawall.intake.mime import MimeReader
from seawall.intake.received import local_date
from seawall.intake.rules import ASKS, Rules, full_name
from seawall.intake.status import Errors, Status
from seawall.journal.record import Journal
from seawall.journal.records.intake import CleanupWarned, ContentAction, MessageId
from seawall.mail.action import Action, What
from seawall.mail.envelope import Envelope, Recipient, Submission
from seawall.mail.headers import block_end, is_header
from seawall.mail.message import Content, Message
from seawall.routing.rewrite import Context

_FROM_LINE = re.compile(rb"(>*From [^\n]*\n)", re.IGNORECASE)
_AFTER_NUL = re.compile(rb"\0[^\n]*")
"""In a header a NUL ends the line, as it does in Postfix; a body keeps it."""


class Pipeline:
    """One message's way in.  `errors` tells what went wrong, `copied` whether a blind copy was added."""

    def __init__(
        self,
        rules: Rules,
        submission: Submission,
        queue_id: str,
        arrived: float,
        recipients: tuple[Recipient, ...],
        actions: tuple[Action, ...],
        *,
        journal: Journal,
        clock: Clock,
        flight: InFlight,
    ) -> None:
        self._rules = rules
        self._submission = submission
        self._queue_id = queue_id
        self._arrived = arrived
        self._recipients = recipients
        self._actions = actions
        self._journal = journal
        self._clock = clock
        self._flight = flight
        self._asked = Asked()
        self._rewritten: Incoming | None = None
        self._is_8bit = False
        self._smtputf8 = submission.smtputf8
        self.errors = Errors()
        self._internal = rules.is_internal(submission)
        self._filtered = rules.is_filtered(submission)
        self._envelope = EnvelopeInProgress(rules.envelope, self.errors, copies=not self._internal)

    @property
    def copied(self) -> bool:
        """True where somebody gets a blind copy."""
        return self._envelope.copied

    @property
    def _is_lost(self) -> bool:
        """True once the message will not be kept, so that no more work goes into it."""
        return bool(self.errors) or self._asked.discard

    def close(self) -> None:
        """Free what the checked copy of the content holds."""
        if self._rewritten is not None:
            self._rewritten.close()

    async def run(self, incoming: Incoming, *, refused: bool) -> Message | None:
        """The message, or None where it is to be discarded; nothing of it counts where `errors` has any."""
        prepended, copies = self._act()
        await self._envelope.set_sender(self._submission.sender)
        for recipient in self._recipients:
            await self._envelope.add(recipient)
        if self.errors:  # the content is not looked at any more, as in Postfix
            return None
        if refused:
            checking = self._checking()
            checking.log_content("reject", checking.refuse("disallowed character"))
            return None
        content = await self._content(incoming, prepended, copies)
        await self._envelope.finish(copies)
        if not self.errors and not self._asked.discard and not self._envelope.recipients:
            self.errors.add(Status.NO_RECIPIENT)
        if self._is_lost:
            return None
        return Message(self._queue_id, self._arrived, self._finished_envelope(), content)

    def _act(self) -> tuple[bytes, list[str]]:
        """Carry out what policy asked for: the headers to put first, and the addresses of copies."""
        headers: list[bytes] = []
        if not self._internal:
            self._asked.filter = self._rules.content_filter
        for action in self._actions:
            if action.what is What.HOLD:
                self._asked.hold = True
            elif action.what is What.DISCARD:
                self._asked.discard = True
            elif action.what is What.FILTER:
                self._asked.filter = action.value
            elif action.what is What.REDIRECT:
                self._asked.redirect = action.value
            elif action.what is What.PREPEND:
                line = action.value.encode("utf-8", "surrogateescape")
                if is_header(line):
                    headers.append(line + b"\n")
        copies = [action.value for action in self._actions if action.what is What.BCC]
        return b"".join(headers), copies

    def _checking(self) -> Checking:
        return Checking(self._rules.checks, self.errors, self._asked, log=self._log, warn=self._warn)

    def _warn(self, message: str) -> None:
        self._journal.write(CleanupWarned(at=self._clock.now(), queue_id="", message=message))

    def _log(self, action: str, part: str, content: str, note: str) -> None:
        origin = self._submission.origin
        client = f"{origin.client_name or 'unknown'}[{origin.client_address}]" if origin.client_address else "local"
        self._journal.write(
            ContentAction(
                at=self._clock.now(),
                queue_id=self._queue_id,
                action=action,
                part=part,
                content=content,
                origin=client,
                sender=self._envelope.sender,
                recipient=self._envelope.last,
                protocol=origin.protocol,
                helo=origin.helo,
                note=note,
            )
        )

    async def _content(self, incoming: Incoming, prepended: bytes, copies: list[str]) -> Content:
        """Headers and body as they will rest."""
        rules = self._rules
        block, rest = self._split(incoming)
        checking = self._checking() if self._filtered and rules.checks else None
        mime = None
        if checking is not None and rules.reads_mime:
            mime = MimeReader(nesting_limit=rules.nesting_limit, boundary_limit=rules.boundary_limit)
        passing = HeaderPass(
            rules.headers,
            self.errors,
            context=self._context(),
            maps_addresses=rules.envelope.maps_addresses,
            checking=checking,
            mime=mime,
        )
        head = await passing.run(prepended + self._received() + block)
        if not self._is_lost:
            date = functools.partial(local_date, self._arrived)
            head += passing.missing(Missing(self._queue_id, self._envelope.sender, date, full_name(self._submission)))
        self._tell_ids(passing)
        self._is_8bit = passing.facts.is_8bit
        if not self._smtputf8 and rules.detects_utf8 and self._submission.origin.submitted_by:
            self._smtputf8 = not head.isascii()
        if checking is None or not rules.checks_body:
            content = incoming.content(head + rest)
        else:
            content = await self._checked_content(incoming, checking, mime, head, rest)
        if checking is not None:
            copies.extend(checking.copies)
        return content

    def _split(self, incoming: Incoming) -> tuple[bytes, bytes]:
        """(header block, what memory has of the rest, its blank line first).

        A mailbox's From line becomes a header, as smtpd(8) does it; text that starts with a blank is all body.
        """
        head = incoming.head()
        if head[:1] in (b"F", b"f", b">"):
            kept = []
            while found := _FROM_LINE.match(head):
                kept.append(b"X-Mailbox-Line: " + found.group(1))
                head = head[found.end() :]
            head = b"".join([*kept, head])
        if head and not incoming.spilled and not head.endswith(b"\n"):
            head += b"\n"
        end = block_end(head)
        block, rest = head[:end], head[end:]
        if b"\0" in block:
            block = _AFTER_NUL.sub(b"", block)
        is_cut = bool(incoming.spilled) and b"\n" not in rest and (is_header(rest) or rest.startswith((b" ", b"\t")))
        if rest and not rest.startswith(b"\n") and not is_cut:
            rest = b"\n" + rest
        return block, rest

    def _context(self) -> Context | None:
        """Whose domain completes addresses in headers; None where they are left alone.

        postconf(5) local_header_rewrite_clients, remote_header_rewrite_domain.  What local(8) forwards keeps the
        context in which it came.
        """
        if self._submission.origin.is_local:
            return Context.LOCAL
        return Context.REMOTE if self._rules.headers.remote_context else None

    def _received(self) -> bytes:
        """Our Received:.  A sole recipient is named; several are not, because some may be blind copies."""
        origin = self._submission.origin
        sole = ""
        if len(self._recipients) == 1 and origin.client_address:
            sole = self._recipients[0].original or self._recipients[0].address
        text = self._rules.received.header(origin, self._queue_id, self._arrived, sole)
        return text.encode("utf-8", "surrogateescape")

    def _tell_ids(self, passing: HeaderPass) -> None:
        """The line with the message id, which log readers follow a message by."""
        ids = passing.facts.message_ids
        if not self._is_lost and not any(not resent for resent, _ in ids):
            ids = [*ids, (False, "<>")]
        for resent, value in ids:
            self._journal.write(
                MessageId(at=self._clock.now(), queue_id=self._queue_id, message_id=value, resent=resent)
            )

    async def _checked_content(
        self, incoming: Incoming, checking: Checking, mime: MimeReader | None, head: bytes, rest: bytes
    ) -> Content:
        """A copy of the content whose every body line went by the checks.  Raises OSError."""
        rules = self._rules
        target = self._rewritten = Incoming(rules.directory, self._flight)
        target.write(head + rest[:1])
        if mime is not None:
            mime.end_of_headers(proper=True)
        walk = BodyPass(
            checking,
            mime,
            target,
            line_limit=rules.line_limit,
            body_limit=rules.body_limit,
            header_limit=rules.headers.size_limit,
        )
        await walk.run(lines_of(incoming, rest[1:]))
        if target.trouble is not None:
            raise target.trouble
        return target.content(target.head())

    def _finished_envelope(self) -> Envelope:
        submission, asked = self._submission, self._asked
        return Envelope(
            sender=self._envelope.sender,
            recipients=tuple(self._envelope.recipients),
            origin=submission.origin,
            body="8BITMIME" if self._is_8bit else submission.body.value,
            smtputf8=self._smtputf8,
            ret=submission.ret.value,
            envid=submission.envid,
            filter=asked.filter,
            redirect=asked.redirect,
            hold=asked.hold,
            is_report=self._internal and not submission.sender,
            asks=ASKS in submission.extra,
        )
