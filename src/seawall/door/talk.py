"""The dialogue with a client that gets no session yet, pure: it is heard, tested, and told to come again.

Every recipient is refused, so no message ever gets here.  The replies are postscreen(8)'s; where they differ from
smtpd(8)'s that is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from seawall.door.screening import Fact, Screening, Test
from seawall.smtp.extensions import SILENT
from seawall.smtp.grammar import escape, printable
from seawall.tables.table import TableTrouble

SAMPLE = 100
"""Bytes of what a client sent that are logged."""
CONNECT, UNIMPLEMENTED = "CONNECT", "UNIMPL"

IN_ORDER = (
    "8BITMIME",
    "AUTH",
    "ETRN",
    "PIPELINING",
    "SIZE",
    "XVERP",
    "VRFY",
    "XCLIENT",
    "XFORWARD",
    "STARTTLS",
    "ENHANCEDSTATUSCODES",
    "DSN",
    "SMTPUTF8",
    "CHUNKING",
    "REQUIRETLS",
)
"""EHLO keywords as the log names them.  ehlo_mask(3)"""


@dataclass(frozen=True, slots=True)
class TalkRules:
    """What the dialogue goes by.  postconf(5) postscreen_*"""

    hostname: str
    command_count: int
    line_length: int
    helo_required: bool
    disable_vrfy: bool
    announces_vrfy: bool
    smtputf8: bool
    size_limit: int
    offers_tls: bool
    requires_tls: bool
    soft_bounce: bool
    discarded: frozenset[str]
    """EHLO keywords that are not announced."""
    discarded_for: Callable[[str], frozenset[str] | None]
    """The same for one client address, None where there is nothing special about it.  May raise TableTrouble."""
    is_forbidden: Callable[[str], bool]
    """A word that no mail client begins a line with."""
    replace: Callable[[str], str | None]
    """postscreen_command_filter.  May raise TableTrouble."""


def soften(reply: str) -> str:
    """The reply as soft_bounce wants it: 4xx where it was 5xx."""
    code = "4" + reply[1:] if reply.startswith("5") else reply
    return code[:4] + "4" + code[5:] if code[4:5] == "5" else code


def is_header(word: str) -> bool:
    """True for a word that opens a message's header.  is_header(3)"""
    name, colon, _ = word.partition(":")
    return bool(colon and name) and all("!" <= letter <= "~" for letter in name)


def is_too_long(line: bytes, limit: int) -> bool:
    """True where `line`, with its line end if it has come, exceeds `limit` bytes; CRs at its end do not count."""
    return len(line) > limit and any(line[at - 1] != 13 for at in range(limit, len(line)))


def extract_address(text: str) -> str:
    """The address in what follows a colon: with or without ``<>``, without its quotes and its route."""
    text = text.lstrip(" ")
    stop = ">" if text.startswith("<") else " "
    letters: list[str] = []
    quoted = False
    rest = iter(text[1:] if stop == ">" else text)
    for letter in rest:
        if letter == stop and not quoted:
            break
        if letter == '"':
            quoted = not quoted
        elif letter == "\\":
            letters.append(next(rest, ""))
        else:
            letters.append(letter)
    address = "".join(letters)
    return address.partition(":")[2] if address.startswith("@") and ":" in address else address


class Talk:
    """One dialogue.  `feed` takes what came in one go; it is False once there is nothing more to say or hear."""

    __slots__ = ("_discarded", "_line", "_rest", "commands", "helo", "is_encrypted", "protocol", "sender", "where")

    def __init__(self) -> None:
        self._line = b""
        self._rest = b""
        """What came after the command that is being answered."""
        self._discarded: frozenset[str] = frozenset()
        self.commands = 0
        self.helo: str | None = None
        self.sender: str | None = None
        self.protocol = "SMTP"
        self.where = CONNECT
        self.is_encrypted = False

    def feed(self, door: TalkingScreening, data: bytes, now: int) -> bool:
        """More from the client.  False where it is gone, or said STARTTLS."""
        limit = door.talk_rules.line_length
        while data:
            line, end, data = data.partition(b"\n")
            line = self._line + line + end
            if is_too_long(line, limit):
                door.note(Fact.BROKE_RULE, what="COMMAND LENGTH LIMIT", after=self.where)
                door.drop(self.unavailable(door))
                return False
            if not end:
                self._line = line
                return True
            self._line = b""
            self._rest = data
            if not self._take_line(door, line, now):
                return False
            door.be_patient()
        return True

    def run_out(self, door: TalkingScreening) -> None:
        """The client was too slow."""
        door.note(Fact.BROKE_RULE, what="COMMAND TIME LIMIT", after=self.where)
        door.drop(f"421 4.4.2 {door.talk_rules.hostname} Error: timeout exceeded")

    def secured(self) -> None:
        """From here on all is encrypted, and begins anew."""
        self.is_encrypted = True
        self.helo = self.sender = None

    @staticmethod
    def unavailable(door: TalkingScreening) -> str:
        """The word at parting for those who ask too much."""
        return f"421 {door.talk_rules.hostname} Service unavailable - try again later"

    def _take_line(self, door: TalkingScreening, line: bytes, now: int) -> bool:
        if line.endswith(b"\r\n"):
            line = line[:-2]
        else:
            line = line[:-1]
            if door.is_tested(Test.BARE_NEWLINE):
                sample = escape(line[:SAMPLE])
                if not door.breaks(
                    Test.BARE_NEWLINE, now, "521 5.5.1 Protocol error", what="BARE NEWLINE", after=sample
                ):
                    return False
        text = line.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        return self._take_command(door, self._filtered(door, text), now)

    def _filtered(self, door: TalkingScreening, text: str) -> str:
        """The command as postscreen_command_filter wants it.  Octets that are no UTF-8 are not shown to tables."""
        if is_bad_utf8(door, text):
            return text
        try:
            instead = door.talk_rules.replace(text.lstrip(" \t"))
        except TableTrouble:
            return text
        if instead is None:
            return text
        door.note(Fact.SAID, message=f'{{client}}: replacing command "{text[:SAMPLE]}" with "{instead[:SAMPLE]}"')
        return instead

    def _take_command(self, door: TalkingScreening, text: str, now: int) -> bool:
        word, _, arguments = text.lstrip(" ").partition(" ")
        name = word.upper() if word.isascii() else ""
        known = COMMANDS.get(name)
        before, self.where = self.where, name if known is not None else UNIMPLEMENTED
        if known is None and not self._may_be_smtp(door, word, arguments, before, now):
            return False
        if self._rest and name != "BDAT" and door.is_tested(Test.PIPELINING):
            sample = escape(self._rest[:SAMPLE])
            facts = {"what": "COMMAND PIPELINING", "after": printable(word, utf8=False)[:SAMPLE], "sample": sample}
            if not door.breaks(Test.PIPELINING, now, "521 5.5.1 Protocol error", **facts):
                return False
        if name == "RCPT":
            door.reached_recipient(now)
        self.commands += 1
        if self.commands > door.talk_rules.command_count and name != "QUIT":
            door.note(Fact.BROKE_RULE, what="COMMAND COUNT LIMIT", after=before)
            door.drop(self.unavailable(door))
            return False
        if known is None or known.answer is None:
            door.reply("502 5.5.2 Error: command not recognized")
        elif door.talk_rules.requires_tls and not self.is_encrypted and not known.before_tls:
            door.reply("530 5.7.0 Must issue a STARTTLS command first")
        else:
            return known.answer(self, door, arguments)
        return True

    def _may_be_smtp(self, door: TalkingScreening, word: str, arguments: str, before: str, now: int) -> bool:
        """False where the client is gone for a line that no mail client sends."""
        if not door.is_tested(Test.NON_SMTP):
            return True
        if not is_no_smtp(door, word):
            return True
        shown = escape(arguments.encode("utf-8", "surrogateescape")[:SAMPLE])
        facts = {
            "what": "NON-SMTP COMMAND",
            "after": before,
            "sample": f"{printable(word, utf8=False)[:SAMPLE]} {shown}",
        }
        return door.breaks(Test.NON_SMTP, now, "521 5.7.0 Error: I can break rules, too. Goodbye.", **facts)

    # The commands.  Each is True where the dialogue goes on.

    def _helo(self, door: TalkingScreening, arguments: str) -> bool:
        name = first_word(arguments)
        if not name:
            return door.answer("501 Syntax: HELO hostname")
        self.helo, self.sender = name, None
        return door.answer(f"250 {door.talk_rules.hostname}")

    def _ehlo(self, door: TalkingScreening, arguments: str) -> bool:
        name = first_word(arguments)
        if not name:
            return door.answer("501 Syntax: EHLO hostname")
        self.helo, self.sender, self.protocol = name, None, "ESMTP"
        rules = door.talk_rules
        discarded = rules.discarded
        try:
            special = rules.discarded_for(door.address)
        except TableTrouble:
            special = None
        if special is not None and special != discarded:
            discarded = special
            if special and SILENT not in special:
                words = " ".join(keyword for keyword in IN_ORDER if keyword in special)
                door.note(Fact.SAID, message=f"[{door.address}]{door.port}: discarding EHLO keywords: {words}")
        if self.is_encrypted:
            discarded |= {"STARTTLS"}
        self._discarded = discarded
        return door.answer("\n".join(f"250 {line}" for line in offers(rules, discarded)))

    def _starttls(self, door: TalkingScreening, arguments: str) -> bool:
        if first_word(arguments):
            return door.answer("501 5.5.4 Syntax: STARTTLS")
        if self.is_encrypted:
            return door.answer("554 5.5.1 Error: TLS already active")
        if not door.talk_rules.offers_tls or "STARTTLS" in self._discarded:
            return door.answer("502 5.5.1 Error: command not implemented")
        return not door.begin_tls()

    def _mail(self, door: TalkingScreening, arguments: str) -> bool:
        if door.talk_rules.helo_required and self.helo is None:
            return door.answer("503 5.5.1 Error: send HELO/EHLO first")
        if self.sender is not None:
            return door.answer("503 5.5.1 Error: nested MAIL command")
        _, colon, address = arguments.partition(":")
        if not colon:
            return door.answer("501 5.5.4 Syntax: MAIL FROM:<address>")
        self.sender = extract_address(address)
        return door.answer("250 2.1.0 Ok")

    def _rcpt(self, door: TalkingScreening, arguments: str) -> bool:
        if self.sender is None:
            return door.answer("503 5.5.1 Error: need MAIL command")
        _, colon, address = arguments.partition(":")
        if not colon:
            return door.answer("501 5.5.4 Syntax: RCPT TO:<address>")
        reply = door.rcpt_reply
        door.note(
            Fact.REFUSED,
            reply=soften(reply) if door.talk_rules.soft_bounce else reply,
            sender=self.sender,
            recipient=extract_address(address),
            protocol=self.protocol,
            helo=self.helo or "",
        )
        return door.answer(reply)

    def _data(self, door: TalkingScreening, arguments: str) -> bool:
        door.note(Fact.SAID, message="DATA without valid RCPT from {client}")
        if first_word(arguments):
            door.drop("501 5.5.4 Syntax: DATA")
        elif self.sender is None:
            door.drop("503 5.5.1 Error: need RCPT command")
        else:
            door.drop("554 5.5.1 Error: no valid recipients")
        return False

    def _bdat(self, door: TalkingScreening, arguments: str) -> bool:
        door.note(Fact.SAID, message="BDAT without valid RCPT from {client}")
        if "CHUNKING" in self._discarded:
            door.drop("502 5.5.1 Error: command not implemented")
        elif not first_word(arguments):
            door.drop("501 5.5.4 Syntax: BDAT count [LAST]")
        elif self.sender is None:
            door.drop("554 5.5.1 Error: need MAIL command")
        else:
            door.drop("554 5.5.1 Error: no valid recipients")
        return False

    def _rset(self, door: TalkingScreening, arguments: str) -> bool:
        self.sender = None
        return door.answer("250 2.0.0 Ok")

    def _noop(self, door: TalkingScreening, arguments: str) -> bool:
        return door.answer("250 2.0.0 Ok")

    def _vrfy(self, door: TalkingScreening, arguments: str) -> bool:
        if not first_word(arguments):
            return door.answer("501 5.5.4 Syntax: VRFY address")
        if door.talk_rules.disable_vrfy:
            return door.answer("502 5.5.1 VRFY command is disabled")
        return door.answer(door.rcpt_reply)

    def _etrn(self, door: TalkingScreening, arguments: str) -> bool:
        if door.talk_rules.helo_required and self.helo is None:
            return door.answer("503 5.5.1 Error: send HELO/EHLO first")
        if not first_word(arguments):
            return door.answer("500 Syntax: ETRN domain")
        return door.answer("458 Unable to queue messages")

    def _quit(self, door: TalkingScreening, arguments: str) -> bool:
        door.drop("221 2.0.0 Bye")
        return False


class TalkingScreening(Screening):
    """A screening with whom one can talk."""

    __slots__ = ("talk_rules",)
    talk_rules: TalkRules

    def answer(self, text: str) -> bool:
        """Reply, and go on.  Several lines are parted by LF, each with its code."""
        self.reply(text)
        return True

    def be_patient(self) -> None:
        """The client has its full time again."""

    def begin_tls(self) -> bool:
        """Agree to STARTTLS; False where that cannot be."""
        return not self.answer("454 4.7.0 TLS not available due to local problem")


def first_word(text: str) -> str:
    """The first of the words, which blanks part."""
    return text.strip(" ").partition(" ")[0]


def is_bad_utf8(door: TalkingScreening, text: str) -> bool:
    """True for octets that are no UTF-8, where that matters."""
    return door.talk_rules.smtputf8 and any("\udc80" <= letter <= "\udcff" for letter in text)


def is_no_smtp(door: TalkingScreening, word: str) -> bool:
    """True for a word that no mail client begins a line with."""
    return is_header(word) or is_bad_utf8(door, word) or door.talk_rules.is_forbidden(word)


def offers(rules: TalkRules, discarded: frozenset[str]) -> list[str]:
    """The lines of the reply to EHLO.  No PIPELINING: it is tested for."""
    every = (
        ("SIZE", True, f"SIZE {rules.size_limit}" if rules.size_limit else "SIZE"),
        ("VRFY", rules.announces_vrfy, "VRFY"),
        ("ETRN", True, "ETRN"),
        ("STARTTLS", rules.offers_tls, "STARTTLS"),
        ("ENHANCEDSTATUSCODES", True, "ENHANCEDSTATUSCODES"),
        ("8BITMIME", True, "8BITMIME"),
        ("DSN", True, "DSN"),
        ("SMTPUTF8", rules.smtputf8, "SMTPUTF8"),
        ("CHUNKING", True, "CHUNKING"),
    )
    return [rules.hostname, *(line for word, is_offered, line in every if is_offered and word not in discarded)]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A command that is known here."""

    answer: Callable[[Talk, TalkingScreening, str], bool] | None
    """None where it is known, and not open before a client has passed."""
    before_tls: bool = False


COMMANDS: Mapping[str, Spoken] = MappingProxyType(
    {
        "HELO": Spoken(Talk._helo, before_tls=True),
        "EHLO": Spoken(Talk._ehlo, before_tls=True),
        "STARTTLS": Spoken(Talk._starttls, before_tls=True),
        "XCLIENT": Spoken(None),
        "XFORWARD": Spoken(None),
        "AUTH": Spoken(None),
        "MAIL": Spoken(Talk._mail),
        "RCPT": Spoken(Talk._rcpt),
        "DATA": Spoken(Talk._data),
        "BDAT": Spoken(Talk._bdat),
        "RSET": Spoken(Talk._rset),
        "NOOP": Spoken(Talk._noop, before_tls=True),
        "VRFY": Spoken(Talk._vrfy),
        "ETRN": Spoken(Talk._etrn),
        "QUIT": Spoken(Talk._quit, before_tls=True),
    }
)
