"""The session of a rehearsal: settings that change between lines, a judge made anew when they do, one attempt.

The language is that of Postfix's own restriction tests (smtpd_check.c main()); docs/design.md section 9 has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from seawall.config.host import LOOPBACK
from seawall.config.settings import ConfigTrouble, Settings
from seawall.dns.answers import Asks
from seawall.dns.resolv_conf import read_resolv_conf
from seawall.dns.resolver import Resolver
from seawall.mail.envelope import TlsFacts
from seawall.mail.words import split_words
from seawall.policy.attempt import UNKNOWN, Attempt, NameStatus
from seawall.policy.bench import Unserved
from seawall.policy.judge import Judge
from seawall.policy.stages import STAGES
from seawall.policy.verdict import Act, Remark, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from seawall.tables.table import TableUnsupported

EMPTY = """
compatibility_level = 3.6
smtpd_delay_reject = yes
smtpd_relay_before_recipient_restrictions = no
inet_protocols = ipv4
mynetworks =
relay_domains =
alias_maps =
local_recipient_maps =
smtpd_relay_restrictions =
virtual_alias_maps =
virtual_alias_domains =
virtual_mailbox_domains =
"""
"""What a rehearsal starts from where no configuration is named: all lists and maps empty."""

BAD_COMMAND = "bad command"
BLANKS = " \t\r\n"
SHORT_NAMES: Mapping[str, str] = {f"{name}_restrictions": stage.parameter for name, stage in STAGES.items()}
"""``client_restrictions`` for ``smtpd_client_restrictions``, and so on."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one line brought: the answer, and what the server would have logged."""

    answer: str
    log: tuple[str, ...] = ()


class Rehearsal:
    """Plays one line after the other.  What a line sets stays for those after it."""

    def __init__(self, settings: Settings | None = None, dns: Asks | None = None) -> None:
        self.settings = settings or Settings.from_text(EMPTY, host=LOOPBACK)
        self._dns = dns
        self._classes: tuple[str, ...] = ()
        self._judge: Judge | None = None
        self._tables: Tables | None = None
        self.attempt = Attempt(
            address="127.0.0.1", name="localhost", reverse_name="localhost", protocol="SMTP", where="CONNECT"
        )

    async def play(self, line: str) -> Answered | None:
        """The answer to a line, None for one that asks nothing (a comment, a blank line)."""
        words = split_words(line, BLANKS)
        if not words or line.startswith("#"):
            return None
        command = COMMANDS.get(words[0].lower())
        try:
            if command is not None and len(words) - 1 in command.words:
                answer = await command.play(self, words[1:])
            elif len(words) == 2:
                answer = self._set(words[0].lower(), words[1])
            else:
                answer = BAD_COMMAND
        except (ConfigTrouble, Unserved, TableUnsupported) as trouble:
            answer = str(trouble)
        log = tuple(format_remark(self.attempt, remark) for remark in self.attempt.remarks)
        self.attempt.remarks.clear()
        self.attempt.recipient = None
        return Answered(answer, log)

    def forget_answers(self) -> None:
        """Ask DNS anew from here on."""
        if isinstance(self._dns, Resolver):
            self._dns.flush()

    def close(self) -> None:
        """Give up questions that are still out."""
        if isinstance(self._dns, Resolver):
            self._dns.close()

    @property
    def judge(self) -> Judge:
        """The judge of the settings as they are now."""
        if self._judge is None:
            tables = self._tables = Tables(self.settings.root, self.settings.directory)
            if self._dns is None:
                self._dns = Resolver(read_resolv_conf())
            facts = WorldFacts(self.settings, tables, Routing(self.settings, tables), self._dns)
            self._judge = Judge(self.settings, facts, needs_guard=False)
            self._warn(tables)
        return self._judge

    def _warn(self, tables: Tables) -> None:
        for text in tables.warnings:
            self.attempt.remarks.append(Remark("warning", self.attempt.where, text))
        tables.warnings.clear()

    def change(self, overrides: Mapping[str, str]) -> None:
        """Other settings from here on.  ConfigTrouble for a value that its parameter does not take."""
        settings = self.settings.with_overrides(overrides)
        for name in overrides:
            settings.check(name)
        self.settings = settings
        self._judge = None

    def _set(self, name: str, value: str) -> str:
        """A main.cf parameter, or a list by its short name."""
        if name == "msg_verbose":
            return "OK"
        parameter = SHORT_NAMES.get(name, name)
        if parameter not in self.settings.names():
            return BAD_COMMAND
        self.change({parameter: FLAGS.get(value, value) if is_flag(self.settings, parameter) else value})
        return "OK"

    async def heard(self, step: Callable[[Attempt], Verdict | Awaitable[Verdict]]) -> str:
        """The verdict of one step in words."""
        answer = step(self.attempt)
        verdict = answer if isinstance(answer, Verdict) else await answer
        if self._tables is not None:
            self._warn(self._tables)
        if verdict.act is not Act.REJECT:
            return "OK"
        return verdict.reply.line() if verdict.reply is not None else "(connection closed)"


FLAGS: Mapping[str, str] = {"0": "no", "1": "yes"}
"""Postfix's test driver says yes and no in numbers."""


def is_flag(settings: Settings, name: str) -> bool:
    """True for a parameter that is yes or no."""
    return settings.text(name).lower() in ("yes", "no")


def format_remark(attempt: Attempt, remark: Remark) -> str:
    """A remark as smtpd(8) logs it.  smtpd_check.c log_whatsup()"""
    if remark.what == "warning":
        return f"warning: {remark.text}"
    parts = [f"{attempt.queue_id or 'NOQUEUE'}: {remark.what}: {remark.where} from {attempt.client}: {remark.text};"]
    if attempt.sender is not None:
        parts.append(f"from=<{attempt.sender}>")
    if attempt.recipient is not None:
        parts.append(f"to=<{attempt.recipient}>")
    parts.append(f"proto={attempt.protocol}")
    if attempt.helo is not None:
        parts.append(f"helo=<{attempt.helo}>")
    return " ".join(parts)


def _bare(address: str) -> str:
    """``<a@b>`` without its brackets."""
    return address[1:].removesuffix(">") if address.startswith("<") else address


async def _client(rehearsal: Rehearsal, words: list[str]) -> str:
    attempt = rehearsal.attempt
    status = NameStatus.TEMPORARY if words[0] == UNKNOWN else NameStatus.OK
    if len(words) == 3:
        try:
            status = NameStatus(int(words[2]))
        except ValueError:
            return BAD_COMMAND
    attempt.name = attempt.reverse_name = words[0]
    attempt.name_status = attempt.reverse_name_status = status
    attempt.address = words[1]
    attempt.where = "CONNECT"
    return await rehearsal.heard(rehearsal.judge.client_list)


async def _helo(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.attempt.helo = words[0]
    rehearsal.attempt.where = "HELO"
    return await rehearsal.heard(rehearsal.judge.helo_list)


async def _mail(rehearsal: Rehearsal, words: list[str]) -> str:
    attempt = rehearsal.attempt
    attempt.sender = _bare(words[0])
    attempt.recipient_count = 0
    attempt.actions.clear()
    attempt.where = "MAIL"
    return await rehearsal.heard(rehearsal.judge.sender_list)


async def _rcpt(rehearsal: Rehearsal, words: list[str]) -> str:
    attempt = rehearsal.attempt
    attempt.recipient = _bare(words[0])
    attempt.where = "RCPT"
    answer = await rehearsal.heard(rehearsal.judge.rcpt)
    attempt.recipient_count += answer == "OK"
    return answer


async def _data(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.attempt.where = "DATA"
    return await rehearsal.heard(rehearsal.judge.data)


async def _end_of_data(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.attempt.where = "END-OF-MESSAGE"
    return await rehearsal.heard(rehearsal.judge.end_of_data)


async def _etrn(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.attempt.etrn_domain = words[0]
    rehearsal.attempt.where = "ETRN"
    return await rehearsal.heard(rehearsal.judge.etrn)


async def _rewrite(rehearsal: Rehearsal, words: list[str]) -> str:
    return await rehearsal.heard(rehearsal.judge.rewrite_context)


async def _restriction_class(rehearsal: Rehearsal, words: list[str]) -> str:
    name, *members = split_words(words[0])
    known = rehearsal.settings.words("smtpd_restriction_classes")
    classes = known if name in known else (*known, name)
    rehearsal.change({"smtpd_restriction_classes": " ".join(classes), name: " ".join(members)})
    return "OK"


async def _flush(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.forget_answers()
    return "OK"


async def _fingerprint(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.attempt.tls = TlsFacts("", "", 0, 0, peer_fingerprint=words[0], peer_key_fingerprint=words[0])
    return "OK"


@dataclass(frozen=True, slots=True)
class Command:
    """A line's meaning, and how many words may follow its first one."""

    play: Callable[[Rehearsal, list[str]], Awaitable[str]]
    words: tuple[int, ...]


COMMANDS: Mapping[str, Command] = {
    "client": Command(_client, (2, 3)),
    "data": Command(_data, (0,)),
    "end_of_data": Command(_end_of_data, (0,)),
    "etrn": Command(_etrn, (1,)),
    "fingerprint": Command(_fingerprint, (1,)),
    "flush_dnsxl_cache": Command(_flush, (0,)),
    "helo": Command(_helo, (1,)),
    "mail": Command(_mail, (1,)),
    "rcpt": Command(_rcpt, (1,)),
    "restriction_class": Command(_restriction_class, (1,)),
    "rewrite": Command(_rewrite, (0,)),
}
"""Every command but the setting of parameters."""
