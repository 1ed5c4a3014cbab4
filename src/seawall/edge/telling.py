"""How a session tells the journal: in order, and never before the client's name is known."""

from __future__ import annotations

from typing import Any

from seawall.clock import Clock
from seawall.edge.wire import Wire
from seawall.journal.record import Journal
from seawall.journal.records.edge import ClientRecord, Complained, Connected, Judged, Remarked
from seawall.policy.attempt import Attempt
from seawall.policy.trace import checks_of
from seawall.policy.verdict import JUDGED, Act, Remark, Verdict


class Telling(Wire):
    """A connection with a name.  What it has to tell waits until `introduce`."""

    __slots__ = (
        "_clock",
        "_journal",
        "_service",
        "_unsaid",
        "client_address",
        "client_name",
        "client_port",
        "is_naming",
        "number",
    )

    def __init__(self, journal: Journal, clock: Clock, number: int, service: str) -> None:
        super().__init__()
        self._journal = journal
        self._clock = clock
        self.number = number
        self._service = service
        self._unsaid: list[tuple[float, type[ClientRecord], dict[str, Any]]] | None = []
        self.client_name = ""
        self.client_address = ""
        self.client_port = ""
        self.is_naming = False
        """The question for the name is under way."""

    @property
    def client(self) -> str:
        """``name[address]``."""
        port = f":{self.client_port}" if self.client_port else ""
        return f"{self.client_name}[{self.client_address}]{port}"

    def write(self, kind: type[ClientRecord], **facts: Any) -> None:
        """One fact.  ``{client}`` in a message becomes the client's name and address."""
        at = self._clock.now()
        if self._unsaid is not None:
            self._unsaid.append((at, kind, facts))
        else:
            self._write(at, kind, facts)

    def _write(self, at: float, kind: type[ClientRecord], facts: dict[str, Any]) -> None:
        if "message" in facts and "{client}" in facts["message"]:
            facts["message"] = facts["message"].replace("{client}", self.client)
        facts["at"] = at
        facts["number"] = self.number
        facts["service"] = self._service
        facts["name"] = self.client_name
        facts["address"] = self.client_address
        facts["port"] = self.client_port
        self._journal.write(kind(**facts))

    def complain(self, message: str) -> None:
        """A warning."""
        self.write(Complained, message=message)

    def introduce(self, started: float, **facts: Any) -> None:
        """The name is known: the connection is told, then what happened since."""
        unsaid, self._unsaid = self._unsaid, None
        self._write(started, Connected, facts)
        for at, kind, told in unsaid or ():
            self._write(at, kind, told)

    def pass_on_remarks(self, attempt: Attempt, verdict: Verdict) -> None:
        """What the checks of a step want in the log.  The reason goes with the refusal."""
        for remark in attempt.remarks:
            if remark.what == "warning":
                self.complain(remark.text)
                continue
            if remark.what == JUDGED:
                self._keep_checks(attempt, remark)
                continue
            is_refusal = remark.what == "reject" and verdict.act is Act.REJECT
            self.write(
                Remarked,
                what=remark.what,
                where=remark.where,
                message=remark.text,
                queue_id=attempt.queue_id,
                sender=attempt.sender,
                recipient=attempt.recipient,
                protocol=attempt.protocol,
                helo=attempt.helo,
                sasl_username=attempt.sasl_username,
                reason=verdict.reason if is_refusal else remark.reason,
                evidence=verdict.evidence if is_refusal else remark.evidence,
                checks=checks_of(attempt) if is_refusal else "",
            )
        attempt.remarks.clear()

    def _keep_checks(self, attempt: Attempt, remark: Remark) -> None:
        """What was asked before a command that goes on."""
        self.write(
            Judged,
            where=remark.where,
            message=remark.text,
            queue_id=attempt.queue_id,
            sender=attempt.sender,
            recipient=attempt.recipient,
            helo=attempt.helo,
            sasl_username=attempt.sasl_username,
            checks=checks_of(attempt),
        )

    def remark(self, attempt: Attempt, what: str, where: str, message: str, **more: Any) -> None:
        """A line in the form of a check's, from the protocol itself."""
        self.write(
            Remarked,
            what=what,
            where=where,
            message=message,
            queue_id=attempt.queue_id,
            sender=attempt.sender,
            recipient=attempt.recipient,
            protocol=attempt.protocol,
            helo=attempt.helo,
            sasl_username=attempt.sasl_username,
            **more,
        )
