"""sendmail -bs: an SMTP session on standard input, for programs that hand in mail so.  sendmail(1), smtpd(8) STAND-ALONE

It runs as the user who calls it: nothing is judged, nobody logs in, and each message is handed in as any other of his.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import replace

from seawall.config.settings import Settings
from seawall.edge.profile import Profile, Traits, compile_profile
from seawall.intake.received import local_date
from seawall.mail.address import quote_local
from seawall.mail.reply import Reply
from seawall.smtp import events
from seawall.smtp.commands import COMMAND_LIST
from seawall.smtp.events import NEED_DATA, Command, Content, Fault, NeedData
from seawall.smtp.replies import format_reply
from seawall.smtp.server import Server
from seawall.spool.handing_in import FORMAT, Handed, HandedRecipient, checksum, escape, is_clean
from seawall.tables.registry import Tables

HandIn = Callable[[Handed, bytes], Reply]
"""Takes a message and gives the reply to its end; never raises."""

LARGEST_READ = 65536
WHO = "localhost [127.0.0.1]"
"""smtpd(8)'s client where there is no connection."""
STAND_ALONE = {
    "smtpd_tls_security_level": "none",
    "smtpd_tls_wrappermode": "no",
    "smtpd_sasl_auth_enable": "no",
    "smtpd_forbid_bare_newline": "no",
    "smtpd_forbid_unauth_pipelining": "no",
    "smtpd_discard_ehlo_keyword_address_maps": "",
    "smtpd_reject_footer_maps": "",
}
"""What no program on this host is asked for: input may come at once and with LF alone, as from a file."""

OK = Reply(250, "2.0.0", "Ok")
SENDER_OK = Reply(250, "2.1.0", "Ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Ok")
BAD_RECIPIENT = Reply(501, "5.1.3", "Bad recipient address syntax")
TOO_MANY = Reply(452, "4.5.3", "Error: too many recipients")
GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
TOO_BIG = Reply(552, "5.3.4", "Error: message file too big")
NOT_QUEUED = Reply(458, "", "Unable to queue messages")
BYE = Reply(221, "2.0.0", "Bye")
HELP = Reply(214, "2.0.0", f"Commands: {COMMAND_LIST}")


class StandAlone:
    """One session: `receive` takes what came, `said` is what must be answered, `is_over` tells that it has ended."""

    def __init__(self, profile: Profile, mail_name: str, hand_in: HandIn, clock: Callable[[], float]) -> None:
        self._profile = profile
        self._mail_name = mail_name
        self._hand_in = hand_in
        self._clock = clock
        self._engine = Server(profile.rules)
        self._errors = 0
        self._mail: events.Mail | None = None
        self._recipients: list[HandedRecipient] = []
        self._content: list[bytes] = []
        self.said: list[bytes] = [profile.banner]
        self.is_over = False

    def receive(self, data: bytes) -> None:
        """Commands and content, in pieces of any size."""
        self._engine.receive_data(data)
        while not self.is_over:
            event = self._engine.next_event()
            if event is NEED_DATA:
                break
            self._take(event)

    def time_is_over(self) -> None:
        """Nothing was said for smtpd_timeout."""
        self._end(Reply(421, "4.4.2", f"{self._profile.rules.hostname} Error: timeout exceeded"))

    def _take(self, event: events.Event | NeedData) -> None:
        if isinstance(event, Content):
            self._content.append(event.data)
        elif isinstance(event, events.Bdat):
            self._engine.take_chunk()
        elif isinstance(event, Command):
            self._answer(event, self._reply(event))

    def _answer(self, event: Command, reply: Reply) -> None:
        self.said.append(self._engine.send(reply))
        if reply.code >= 400 or isinstance(event, events.Refused):
            self._errors += 1
        if isinstance(event, events.Quit) or reply.hangs_up or (isinstance(event, events.Refused) and event.hangs_up):
            self.is_over = True
        elif self._errors >= self._profile.limits.hard_errors:
            self._end(Reply(421, "4.7.0", f"{self._profile.rules.hostname} Error: too many errors"))

    def _end(self, reply: Reply) -> None:
        self.said.append(format_reply(reply))
        self.is_over = True

    def _reply(self, event: Command) -> Reply:
        match event:
            case events.Refused():
                return event.reply
            case events.Helo():
                return self._hello(event)
            case events.Mail():
                self._forget()
                self._mail = event
                return SENDER_OK
            case events.Rcpt():
                return self._recipient(event)
            case events.Data():
                return GO_AHEAD
            case events.ChunkRead():
                return Reply(250, "2.0.0", f"Ok: {event.size} bytes")
            case events.EndOfData():
                return self._message(event)
            case events.Vrfy():
                return Reply(252, "2.0.0", event.argument)
            case events.Etrn():
                return NOT_QUEUED  # nor does smtpd(8) in this mode
            case events.Rset():
                self._forget()
                return OK
            case events.Quit():
                return BYE
            case events.Help():
                return HELP
            case _:
                return OK

    def _hello(self, event: events.Helo) -> Reply:
        self._forget()
        if isinstance(event, events.Ehlo):
            return self._profile.ehlo(self._profile.rules.discarded, (), encrypted=False, traits=Traits())
        return self._profile.helo_reply

    def _recipient(self, event: events.Rcpt) -> Reply:
        if not event.recipient:
            return BAD_RECIPIENT
        limit = self._profile.limits.recipients
        if limit and len(self._recipients) >= limit:
            return TOO_MANY
        if not is_clean(event.recipient):
            return BAD_RECIPIENT
        self._recipients.append(HandedRecipient(event.recipient, event.notify, event.orcpt))
        return RECIPIENT_OK

    def _message(self, event: events.EndOfData) -> Reply:
        """Hand it in; what happens to it after that is told by mail."""
        mail, recipients = self._mail, tuple(self._recipients)
        content = self._received().encode("utf-8", "surrogateescape") + b"".join(self._content)
        self._forget()
        if event.fault is not Fault.NONE or mail is None:
            return TOO_BIG
        handed = Handed(
            format=FORMAT,
            recipients=recipients,
            size=len(content),
            checksum=checksum(content),
            sender=escape(mail.sender),
            body=mail.body.value,
            ret=mail.ret.value,
            envid=escape(mail.envid),
            smtputf8=mail.smtputf8,
        )
        reply = self._hand_in(handed, content)
        if reply.code == 250:
            self._errors = 0
            if event.by_chunks:
                reply = replace(reply, text=reply.text.replace("Ok:", f"Ok: {event.size} bytes", 1))
        return reply

    def _received(self) -> str:
        """As smtpd(8) writes it, but for a queue id: the message has none yet."""
        engine, rules = self._engine, self._profile.rules
        mail = self._mail
        protocol = "UTF8SMTP" if mail is not None and mail.smtputf8 else engine.protocol
        by = f"by {rules.hostname} ({self._mail_name}) with {protocol}"
        one = f"\n\tfor <{quote_local(self._recipients[0].address)}>" if len(self._recipients) == 1 else ""
        date = local_date(self._clock())
        return f"Received: from {engine.helo or 'localhost'} ({WHO})\n\t{by}{one};{' ' if one else chr(10) + chr(9)}{date}\n"

    def _forget(self) -> None:
        self._mail = None
        self._recipients = []
        self._content = []


def serve(settings: Settings, hand_in: HandIn, source: int, sink: int) -> None:
    """One session over two descriptors, until QUIT, the input's end, or too many errors.  Raises ConfigTrouble, OSError."""
    alone = settings.with_overrides(STAND_ALONE)
    profile = compile_profile(alone, Tables(settings.root, settings.directory))
    session = StandAlone(profile, settings.text("mail_name"), hand_in, time.time)
    while True:
        wire = b"".join(session.said)
        session.said.clear()
        while wire:
            wire = wire[os.write(sink, wire) :]
        if session.is_over:
            return
        if not select.select([source], [], [], profile.limits.timeout)[0]:
            session.time_is_over()
            continue
        data = os.read(source, LARGEST_READ)
        if not data:
            return
        session.receive(data)
