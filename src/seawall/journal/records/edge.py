"""Facts of a session with a client, and how smtpd(8) words them."""

from __future__ import annotations

from typing import ClassVar

from seawall.journal.record import Record
from seawall.mail.address import quote_local

NO_QUEUE = "NOQUEUE"
"""Stands for the queue id while there is none."""


class ClientRecord(Record, frozen=True, tag=True, kw_only=True):
    """What every fact of a session knows: whose session it is.

    `port` is set where postconf(5) smtpd_client_port_logging wants it in the log.
    """

    program: ClassVar[str] = "smtpd"
    name: str
    address: str
    port: str = ""

    @property
    def client(self) -> str:
        """``name[address]``, with ``:port`` where it is wanted."""
        return f"{self.name}[{self.address}]:{self.port}" if self.port else f"{self.name}[{self.address}]"


class Connected(ClientRecord, frozen=True, tag=True, kw_only=True):
    """A client is here, and its name is known."""

    reverse_name: str = ""
    server_address: str = ""
    server_port: str = ""

    def text(self) -> str:
        """``connect from name[address]``."""
        return f"connect from {self.client}"


class Disconnected(ClientRecord, frozen=True, tag=True, kw_only=True):
    """A session is over.  `commands` is (name, succeeded, in all) for each command that was seen.

    `seconds` is how long it lasted, `replies` how it ended: the code of the last reply.
    """

    commands: tuple[tuple[str, int, int], ...] = ()
    bare_newlines: bool = False
    seconds: float = 0.0
    last_code: int = 0

    def text(self) -> str:
        """``disconnect from name[address] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4``."""
        words, good, total = "", 0, 0
        for name, succeeded, seen in self.commands:
            good += succeeded
            total += seen
            ratio = seen if succeeded == seen else f"{succeeded}/{seen}"
            words += f" {name.lower()}={ratio}"
        every = f"{good}/{total}" if good != total or not total else str(good)
        notes = " notes=bare_lf" if self.bare_newlines else ""
        return f"disconnect from {self.client}{words} commands={every}{notes}"


class Remarked(ClientRecord, frozen=True, tag=True, kw_only=True):
    """A check has something to say: a refusal, or what it did beside its verdict.

    Addresses are in internal form here and in external form in the line (postconf(5) info_log_addr_form).
    `what` and `where` are Postfix's words (``reject``, ``RCPT``), `message` begins with the reply of a refusal.
    `reason` and `evidence` are the judge's, `sasl_username` the session's; they are not in the line.  Nor are `checks`:
    what was asked before a refusal, as `seawall.policy.trace` tells it, where seawall_journal_checks wants that.
    """

    what: str
    where: str
    message: str
    queue_id: str = ""
    sender: str | None = None
    recipient: str | None = None
    protocol: str = ""
    helo: str | None = None
    sasl_username: str = ""
    reason: str = ""
    evidence: tuple[str, ...] = ()
    checks: str = ""

    def text(self) -> str:
        """``NOQUEUE: reject: RCPT from name[address]: 554 5.7.1 …; from=<a> to=<b> proto=ESMTP helo=<h>``."""
        sender, recipient = self.sender, self.recipient
        told = "" if sender is None else f" from=<{sender and quote_local(sender)}>"
        if recipient is not None:
            told += f" to=<{recipient and quote_local(recipient)}>"
        if self.protocol:
            told += f" proto={self.protocol}"
        if self.helo is not None:
            told += f" helo=<{self.helo}>"
        queue_id = self.queue_id or NO_QUEUE
        return f"{queue_id}: {self.what}: {self.where} from {self.client}: {self.message};{told}"


class Judged(ClientRecord, frozen=True, tag=True, kw_only=True):
    """A command was judged and goes on: what was asked before, as `Remarked` has it.  seawall_journal_checks = all"""

    is_logged: ClassVar[bool] = False
    where: str
    message: str
    queue_id: str = ""
    sender: str | None = None
    recipient: str | None = None
    helo: str | None = None
    sasl_username: str = ""
    checks: str = ""

    def text(self) -> str:
        """``NOQUEUE: judged: RCPT from name[address]: goes on``, for `seawall explain`."""
        return f"{self.queue_id or NO_QUEUE}: judged: {self.where} from {self.client}: {self.message}"


class Opened(ClientRecord, frozen=True, tag=True, kw_only=True):
    """The first recipient of a message was accepted: from here on the message has a queue id."""

    queue_id: str
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str = ""
    original_queue_id: str = ""
    original_client: str = ""

    def text(self) -> str:
        """``ID: client=name[address], sasl_method=PLAIN, sasl_username=ann``."""
        facts = (
            ("sasl_method", self.sasl_method),
            ("sasl_username", self.sasl_username),
            ("sasl_sender", self.sasl_sender),
            ("orig_queue_id", self.original_queue_id),
            ("orig_client", self.original_client),
        )
        return f"{self.queue_id}: client={self.client}" + "".join(f", {name}={value}" for name, value in facts if value)


class Aborted(ClientRecord, frozen=True, tag=True, kw_only=True):
    """A session ended out of turn.

    `cause` is ``lost connection``, ``timeout`` or ``too many errors``; `after` the last command; `size` counts
    content bytes where content was being sent, else it is None.
    """

    cause: str
    after: str
    size: int | None = None
    queue_id: str = ""

    def text(self) -> str:
        """``lost connection after DATA (12 bytes) from name[address]``."""
        size = "" if self.size is None else f" ({self.size} bytes)"
        return f"{self.cause} after {self.after}{size} from {self.client}"


class Pipelined(ClientRecord, frozen=True, tag=True, kw_only=True):
    """The client sent more where it must wait for our answer."""

    after: str
    sample: str

    def text(self) -> str:
        """``improper command pipelining after EHLO from name[address]: MAIL FROM:…``."""
        return f"improper command pipelining after {self.after} from {self.client}: {self.sample}"


class Informed(ClientRecord, frozen=True, tag=True, kw_only=True):
    """A line about a session that no other record has; `message` is the whole line."""

    message: str

    def text(self) -> str:
        """The message."""
        return self.message


class Complained(ClientRecord, frozen=True, tag=True, kw_only=True):
    """A warning about a session; `message` is what follows ``warning:``."""

    level: ClassVar[str] = "warning"
    message: str

    def text(self) -> str:
        """``warning: message``."""
        return f"warning: {self.message}"


class TlsEstablished(ClientRecord, frozen=True, tag=True, kw_only=True):
    """A TLS handshake succeeded.  Logged from smtpd_tls_loglevel 1 on."""

    protocol: str
    cipher: str
    bits: int
    algorithm_bits: int
    trust: str = "Anonymous"
    """``Anonymous``, ``Untrusted`` or ``Trusted``."""

    def text(self) -> str:
        """``Anonymous TLS connection established from name[address]: TLSv1.3 with cipher … (256/256 bits)``."""
        return (
            f"{self.trust} TLS connection established from {self.client}: {self.protocol} with cipher {self.cipher} "
            f"({self.bits}/{self.algorithm_bits} bits)"
        )


class AuthFailed(ClientRecord, frozen=True, tag=True, kw_only=True):
    """An authentication was refused.  The password is in no record."""

    level: ClassVar[str] = "warning"
    mechanism: str
    why: str
    username: str = ""

    def text(self) -> str:
        """``warning: name[address]: SASL LOGIN authentication failed: reason, sasl_username=ann``."""
        username = self.username or "(unavailable)"
        return (
            f"warning: {self.client}: SASL {self.mechanism[:100]} authentication failed: {self.why}, "
            f"sasl_username={username[:100]}"
        )
