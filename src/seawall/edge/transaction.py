"""The message that a session is handing over: from MAIL to the end of its content, or until it is forgotten."""

from __future__ import annotations

from seawall.journey import Intake, Reception
from seawall.mail.envelope import Origin, Recipient, Submission
from seawall.policy.attempt import Attempt
from seawall.smtp.events import Mail, Rcpt


class Transaction:
    """One MAIL.  `reception` exists from the first accepted recipient on.  postconf(5) smtpd_delay_open_until_valid_rcpt"""

    __slots__ = ("_applied", "first_recipient", "is_finishing", "mail", "overshoot", "reception")

    def __init__(self, mail: Mail) -> None:
        self.mail = mail
        self.reception: Reception | None = None
        self.first_recipient: str | None = None
        self.overshoot = 0
        """Recipients refused because there were too many."""
        self.is_finishing = False
        """Handed over: from here on the message is intake's, whatever the client does."""
        self._applied = 0

    def open(self, intake: Intake, attempt: Attempt, protocol: str, *, is_local: bool) -> Reception:
        """Let intake know of the message.  `protocol` is the RFC 3848 word."""
        mail = self.mail
        self.reception = intake.open(
            Submission(
                origin=Origin(
                    client_name=attempt.name,
                    client_address=attempt.address,
                    client_port=attempt.port,
                    reverse_name=attempt.reverse_name,
                    helo=attempt.helo or "",
                    protocol=protocol,
                    server_address=attempt.server_address,
                    server_port=attempt.server_port,
                    tls=attempt.tls,
                    sasl_method=attempt.sasl_method,
                    sasl_username=attempt.sasl_username,
                    sasl_sender=attempt.sasl_sender,
                    is_local=is_local,
                ),
                sender=mail.sender,
                size=mail.size,
                body=mail.body,
                smtputf8=mail.smtputf8,
                ret=mail.ret,
                envid=mail.envid,
                extra=(f"verp={mail.verp}",) if mail.verp else (),
            )
        )
        return self.reception

    def add(self, event: Rcpt, attempt: Attempt) -> None:
        """A recipient that was let in."""
        if self.reception is None:
            return
        # RFC 3461 §5.2.1: without ORCPT it is the address as the client wrote it
        orcpt = event.orcpt or f"rfc822;{event.argument.strip().removeprefix('<').removesuffix('>')}"
        self.reception.add_recipient(
            Recipient(event.recipient, original=event.recipient, orcpt=orcpt, notify=event.notify)
        )
        attempt.recipient_count += 1
        if self.first_recipient is None:
            self.first_recipient = event.recipient
        self.apply(attempt)

    def apply(self, attempt: Attempt) -> None:
        """Hand on what checks want done with the message, each once."""
        if self.reception is None or len(attempt.actions) == self._applied:
            return
        for action in attempt.actions[self._applied :]:
            self.reception.apply(action)
        self._applied = len(attempt.actions)

    def abort(self) -> None:
        """Forget the message, unless it is intake's already."""
        if self.reception is not None and not self.is_finishing:
            self.reception.abort()
        self.reception = None
