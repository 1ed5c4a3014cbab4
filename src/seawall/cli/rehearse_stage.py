"""The session of a rehearsal: settings that change between lines, a judge made anew when they do, one attempt.

The language is that of Postfix's own restriction tests (smtpd_check.c main()); `seawall rehearse --help` has it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from seawall.cli.rehearse_assume import FORM, assume
from seawall.config.host import LOOPBACK
from seawall.config.parameter import Kind
from seawall.config.settings import ConfigTrouble, Settings, parameter_of
from seawall.dns.answers import Asks
from seawall.dns.resolv_conf import read_resolv_conf
from seawall.dns.resolver import Resolver
from seawall.journal.records.edge import Remarked
from seawall.mail.envelope import TlsFacts
from seawall.mail.verified import Standing, Verified
from seawall.mail.words import split_words
from seawall.policy.attempt import UNKNOWN, Attempt, NameStatus
from seawall.policy.judge import Judge
from seawall.policy.proof.assumed import Assumed
from seawall.policy.stages import STAGES
from seawall.policy.trace import Trace
from seawall.policy.traced import TracedJudge
from seawall.policy.verdict import Act, Remark, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.parameters import main_cf_of
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
seawall_dnsbl_watch = no
"""
"""What a rehearsal starts from where no configuration is named: all lists and maps empty."""

BAD_COMMAND = "bad command"
BLANKS = " \t\r\n\v\f"
MOST_WORDS = 4
"""Whoever writes a longer line than any command is told what there is."""
_MACRO = re.compile(r"\$[({]?([A-Za-z0-9_]*)")
SHORT_NAMES: Mapping[str, str] = {f"{name}_restrictions": stage.parameter for name, stage in STAGES.items()}
"""``client_restrictions`` for ``smtpd_client_restrictions``, and so on."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one line brought: the answer, and what the server would have logged."""

    answer: str
    log: tuple[str, ...] = ()


class Rehearsal:
    """Plays one line after the other.  What a line sets stays for those after it."""

    def __init__(self, settings: Settings | None = None, dns: Asks | None = None, trace: Trace | None = None) -> None:
        """`dns` answers instead of the resolver; `trace` is told of every check."""
        self.settings = settings or Settings.from_text(EMPTY, host=LOOPBACK)
        self._dns = dns
        self._trace = trace
        self._judge: Judge | None = None
        self.assumed = Assumed()
        self.open_tables()
        self.accepted: str | None = None
        """The first recipient of the message that was not refused."""
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
                answer = self._set(words[0], words[1])
            else:
                answer = usage() if len(words) > MOST_WORDS else BAD_COMMAND
        except (ConfigTrouble, TableUnsupported) as trouble:
            answer = str(trouble)
        log = tuple(format_remark(self.attempt, remark) for remark in self.attempt.remarks)
        self.attempt.remarks.clear()
        self.attempt.recipient = None
        return Answered(answer, log)

    def forget_answers(self) -> None:
        """Ask DNS anew from here on."""
        self.attempt.pending.known.clear()
        if isinstance(self._dns, Resolver):
            self._dns.flush()

    def open_tables(self) -> None:
        """Begin anew with tables and judge: what is assumed of them has changed."""
        self._tables = Tables(
            self.settings.root,
            self.settings.directory,
            main_cf=main_cf_of(self.settings),
            types=self.assumed.types(),
        )
        self._judge = None

    def close(self) -> None:
        """Give up questions that are still out."""
        if isinstance(self._dns, Resolver):
            self._dns.close()
        if self._tables is not None:
            self._tables.close()

    @property
    def judge(self) -> Judge:
        """The judge of the settings as they are now."""
        if self._judge is None:
            if self._dns is None:
                self._dns = Resolver(read_resolv_conf())
            routing = Routing(self.settings, self._tables)
            dns = self.assumed.dns(self._dns)
            world = WorldFacts(self.settings, self._tables, routing, dns, tell=self._tell, verifier=_taken_for_good)
            trace, registry = self._trace, self.assumed.registry()
            self._judge = (
                Judge(self.settings, world, needs_guard=False, registry=registry)
                if trace is None
                else TracedJudge(self.settings, world, trace, needs_guard=False, registry=registry)
            )
            self._warn()
        return self._judge

    def _tell(self, what: str, text: str) -> None:
        self.attempt.remarks.append(Remark(what, self.attempt.where, text))

    def _warn(self) -> None:
        for text in self._tables.warnings:
            self._tell("warning", text)
        self._tables.warnings.clear()

    def change(self, overrides: Mapping[str, str]) -> None:
        """Other settings from here on.  ConfigTrouble for a value that its parameter does not take."""
        settings = self.settings.with_overrides(overrides)
        for name in overrides:
            settings.check(name)
        self.settings = settings
        self._judge = None

    def _set(self, name: str, value: str) -> str:
        """A main.cf parameter, a list by its short name, or the members of a class."""
        if name.lower() == "msg_verbose":
            return "OK"
        is_class = name in self.settings.words("smtpd_restriction_classes")
        parameter = name if is_class else SHORT_NAMES.get(name.lower(), name.lower())
        if not is_class and parameter not in self.settings.names():
            return BAD_COMMAND
        kind = getattr(parameter_of(parameter), "kind", Kind.TEXT)
        if kind is Kind.FLAG:
            value = FLAGS.get(value, value)
        elif kind is not Kind.RAW:
            value = self.literal(value)
        self.change({parameter: value})
        return "OK"

    def literal(self, value: str) -> str:
        """A value for main.cf in which a dollar that names no parameter (``$1`` of a pattern) is a dollar."""
        names = self.settings.names()
        return _MACRO.sub(lambda found: found[0] if found[1] in names else f"$${found[0][1:]}", value)

    async def heard(self, step: Callable[[Attempt], Verdict | Awaitable[Verdict]]) -> str:
        """The verdict of one step in words."""
        answer = step(self.attempt)
        verdict = answer if isinstance(answer, Verdict) else await answer
        self._warn()
        if verdict.act is not Act.REJECT:
            return "OK"
        return verdict.reply.line() if verdict.reply is not None else "(connection closed)"


def _taken_for_good(address: str, patience: float) -> Verified:
    """A rehearsal sends no probes: every address would take mail, as in Postfix's test driver."""
    return Verified(Standing.DELIVERABLE, "not asked")


FLAGS: Mapping[str, str] = {"0": "no", "1": "yes"}
"""Postfix's test driver says yes and no in numbers."""


def format_remark(attempt: Attempt, remark: Remark) -> str:
    """A remark as smtpd(8) logs it.  smtpd_check.c log_whatsup()"""
    if remark.what == "warning":
        return f"warning: {remark.text}"
    if not remark.what:
        return remark.text
    return Remarked(
        at=0.0,
        name=attempt.name,
        address=attempt.address,
        what=remark.what,
        where=remark.where,
        message=remark.text,
        queue_id=attempt.queue_id,
        sender=attempt.sender,
        recipient=attempt.recipient,
        protocol=attempt.protocol,
        helo=attempt.helo,
    ).text()


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
    rehearsal.accepted = None
    attempt.actions.clear()
    attempt.where = "MAIL"
    return await rehearsal.heard(rehearsal.judge.sender_list)


async def _rcpt(rehearsal: Rehearsal, words: list[str]) -> str:
    attempt = rehearsal.attempt
    attempt.recipient = _bare(words[0])
    attempt.where = "RCPT"
    answer = await rehearsal.heard(rehearsal.judge.rcpt)
    if answer == "OK":
        attempt.recipient_count += 1
        rehearsal.accepted = rehearsal.accepted or attempt.recipient
    return answer


async def _data(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.attempt.where = "DATA"
    rehearsal.attempt.recipient = rehearsal.accepted
    return await rehearsal.heard(rehearsal.judge.data)


async def _end_of_data(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.attempt.where = "END-OF-MESSAGE"
    rehearsal.attempt.recipient = rehearsal.accepted
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
    rehearsal.change({"smtpd_restriction_classes": " ".join(classes), name: rehearsal.literal(" ".join(members))})
    return "OK"


async def _flush(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.forget_answers()
    return "OK"


async def _fingerprint(rehearsal: Rehearsal, words: list[str]) -> str:
    rehearsal.attempt.tls = TlsFacts("", "", 0, 0, peer_fingerprint=words[0], peer_key_fingerprint=words[0])
    return "OK"


@dataclass(frozen=True, slots=True)
class Command:
    """A line's meaning, how many words may follow its first one, and which."""

    play: Callable[[Rehearsal, list[str]], Awaitable[str]]
    words: tuple[int, ...]
    form: str = ""


COMMANDS: Mapping[str, Command] = {
    "assume": Command(assume, tuple(range(1, 20)), FORM),
    "client": Command(_client, (2, 3), "<name> <address> [<code>]"),
    "helo": Command(_helo, (1,), "<hostname>"),
    "mail": Command(_mail, (1,), "<address>"),
    "rcpt": Command(_rcpt, (1,), "<address>"),
    "data": Command(_data, (0,)),
    "end_of_data": Command(_end_of_data, (0,)),
    "etrn": Command(_etrn, (1,), "<domain>"),
    "rewrite": Command(_rewrite, (0,)),
    "fingerprint": Command(_fingerprint, (1,), "<fingerprint>"),
    "restriction_class": Command(_restriction_class, (1,), "<name>,<restrictions>"),
    "flush_dnsxl_cache": Command(_flush, (0,)),
}
"""Every command but the setting of parameters."""


def usage() -> str:
    """What lines there are."""
    lines = [f"{name} {command.form}".rstrip() for name, command in COMMANDS.items()]
    lines += [f"{name} <restrictions>" for name in SHORT_NAMES]
    return "Commands...\n" + "\n".join(f"\t{line}" for line in (*lines, "<parameter> <value>"))
