"""Everything that sessions of one configuration need, compiled once: plain, and a second time under stress.

A session looks nothing up by name.  postconf(5) smtpd_*
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from seawall.config.settings import ConfigTrouble, Settings
from seawall.mail.probe_sender import ProbeSender
from seawall.mail.reply import Reply
from seawall.policy.dnsbl import unescape
from seawall.policy.footer import Footers, compile_footer
from seawall.routing.probe_sender import probe_sender_of
from seawall.smtp.end_of_data import BareNewline
from seawall.smtp.extensions import SILENT, ehlo_lines, format_ehlo, parse_discarded
from seawall.smtp.grammar import printable
from seawall.smtp.replies import ReadyReply, format_reply, ready
from seawall.smtp.rules import Rules
from seawall.tables.combined import may_wait
from seawall.tables.match import AddressList, DomainList
from seawall.tables.registry import Tables
from seawall.tables.search import Maps
from seawall.tables.table import Table, TableTrouble
from seawall.tls import TlsTrouble, server_context


class Tests(Protocol):
    """A list of words and tables that a word is held against."""

    def test(self, text: str) -> bool | Awaitable[bool]:
        """True where it is in the list."""
        ...


@dataclass(frozen=True, slots=True)
class Traits:
    """What a client may because of who it is.  Known once its name is."""

    xclient: bool = False
    xforward: bool = False
    verp: bool = False
    no_auth: bool = False
    """smtpd_sasl_exceptions_networks: AUTH is not offered."""
    bare_newlines: bool = False
    """smtpd_forbid_bare_newline_exclusions"""
    discarded: frozenset[str] | None = None
    """smtpd_discard_ehlo_keyword_address_maps, where it knows the client."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers that a session counts against, and times in seconds."""

    timeout: float
    starttls_timeout: float
    per_request_deadline: bool
    min_data_rate: int
    error_sleep: float
    soft_errors: int
    hard_errors: int
    junk_commands: int
    recipients: int
    overshoot: int


@dataclass(frozen=True, slots=True)
class ClientLists:
    """Lists that name clients."""

    xclient: AddressList
    xforward: AddressList
    verp: AddressList
    no_auth: AddressList
    bare_newlines: AddressList
    discard_maps: Maps | None
    flushed: DomainList
    """fast_flush_domains"""

    @property
    def matter_at_ehlo(self) -> bool:
        """True where the reply to EHLO cannot be made before the client's name is known."""
        return bool(self.xclient or self.xforward or self.verp or self.no_auth or self.discard_maps is not None)


@dataclass(frozen=True, slots=True)
class Profile:
    """One configuration of smtpd(8), ready for use."""

    rules: Rules
    limits: Limits
    lists: ClientLists
    banner: bytes
    helo_reply: ReadyReply
    service: str
    stress: str
    delays_reject: bool
    needs_name_early: bool
    """Something before RCPT depends on the client's name: the greeting waits for it."""
    asks_names: bool
    port_logging: bool
    soft_bounce: bool
    footers: Footers
    broken_auth: bool
    allow_min_user: bool
    sasl_type: str
    tls: ssl.SSLContext | None
    tls_is_wrapped: bool
    tls_log_level: int
    requires_certificate: bool
    probe_sender: ProbeSender
    warnings: tuple[str, ...] = ()
    dresses: bool = False
    """Refusals are changed before they are said: soft_bounce, smtpd_reject_footer."""
    _ehlo: dict[tuple[frozenset[str], tuple[str, ...], bool, bool, bool, bool], ReadyReply] = field(
        default_factory=dict
    )

    def ehlo(
        self, discarded: frozenset[str], mechanisms: tuple[str, ...], encrypted: bool, traits: Traits
    ) -> ReadyReply:
        """The reply to EHLO; made once for each kind of client."""
        key = (discarded, mechanisms, encrypted, traits.xclient, traits.xforward, traits.verp)
        made = self._ehlo.get(key)
        if made is None:
            rules = self.rules
            wire = format_ehlo(
                ehlo_lines(
                    rules.hostname,
                    discarded,
                    size=rules.message_size_limit,
                    vrfy=not rules.disable_vrfy,
                    starttls=rules.offers_tls and not encrypted,
                    mechanisms=mechanisms,
                    broken_auth=self.broken_auth,
                    verp=traits.verp,
                    xclient=traits.xclient,
                    xforward=traits.xforward,
                    smtputf8=rules.smtputf8,
                )
            )
            made = self._ehlo[key] = ReadyReply(250, "", rules.hostname, wire)
        return made


def compile_profile(settings: Settings, tables: Tables) -> Profile:
    """The profile of a configuration (with `stress` set or not: that is the caller's override).

    TLS keys are read here.  Raises ConfigTrouble for values that smtpd(8) would not start with.
    """
    wrapped = settings.flag("smtpd_tls_wrappermode")
    offers, requires = _tls_level(settings)
    context, warnings = _tls_context(settings, offers or wrapped, requires or wrapped)
    lists = _client_lists(settings, tables)
    rules = _rules(settings, tables, offers or wrapped, requires or wrapped)
    footers = Footers(
        compile_footer(settings.text("smtpd_reject_footer")),
        tables.maps(settings.text("smtpd_reject_footer_maps"), title="smtpd_reject_footer_maps"),
        frozenset(unescape(settings.text("smtpd_expansion_filter"))),
    )
    delays = settings.flag("smtpd_delay_reject")
    hostname = rules.hostname
    log_level = settings.text("smtpd_tls_loglevel")
    _, unknown = parse_discarded(settings.words("smtpd_discard_ehlo_keywords"))
    warnings += tuple(f'unknown EHLO keyword "{word}" in smtpd_discard_ehlo_keywords' for word in unknown)
    return Profile(
        rules=rules,
        limits=_limits(settings),
        lists=lists,
        banner=format_reply(Reply(220, "", settings.text("smtpd_banner"))),
        helo_reply=ready(250, "", hostname),
        service=settings.text("syslog_name") if settings.is_set("syslog_name") else "",
        stress=settings.text("stress"),
        delays_reject=delays,
        needs_name_early=not delays or lists.matter_at_ehlo or rules.bare_newline is BareNewline.REJECT,
        asks_names=settings.flag("smtpd_peername_lookup"),
        port_logging=settings.flag("smtpd_client_port_logging"),
        soft_bounce=settings.flag("soft_bounce"),
        footers=footers,
        broken_auth=settings.flag("broken_sasl_auth_clients"),
        allow_min_user=settings.flag("allow_min_user"),
        sasl_type=settings.text("smtpd_sasl_type"),
        tls=context,
        tls_is_wrapped=wrapped,
        tls_log_level=int(log_level) if log_level.isdigit() else 0,
        requires_certificate=requires and settings.flag("smtpd_tls_req_ccert"),
        probe_sender=probe_sender_of(settings),
        warnings=warnings,
        dresses=settings.flag("soft_bounce") or bool(footers),
    )


def _tls_level(settings: Settings) -> tuple[bool, bool]:
    """(STARTTLS is offered, TLS is required).  smtpd_tls_security_level, and its two older spellings."""
    level = settings.text("smtpd_tls_security_level").lower()
    if not level:
        requires = settings.flag("smtpd_enforce_tls")
        return requires or settings.flag("smtpd_use_tls"), requires
    known = {"none": (False, False), "may": (True, False)}
    stronger = ("encrypt", "fingerprint", "verify", "secure")
    if level not in known and level not in stronger:
        raise ConfigTrouble(f'Invalid TLS level "{level}"', settings.where("smtpd_tls_security_level"))
    return known.get(level, (True, True))


def _tls_context(settings: Settings, wanted: bool, mandatory: bool) -> tuple[ssl.SSLContext | None, tuple[str, ...]]:
    """Without a usable certificate the server starts all the same, and answers STARTTLS with 454."""
    if not wanted:
        return None, ()
    try:
        return server_context(settings, mandatory=mandatory), ()
    except TlsTrouble as trouble:
        return None, (str(trouble),)


def _client_lists(settings: Settings, tables: Tables) -> ClientLists:
    def clients(name: str) -> AddressList:
        return tables.address_list(settings.text(name), title=name)

    maps = settings.text("smtpd_discard_ehlo_keyword_address_maps")
    return ClientLists(
        xclient=clients("smtpd_authorized_xclient_hosts"),
        xforward=clients("smtpd_authorized_xforward_hosts"),
        verp=clients("smtpd_authorized_verp_clients"),
        no_auth=clients("smtpd_sasl_exceptions_networks"),
        bare_newlines=clients("smtpd_forbid_bare_newline_exclusions"),
        discard_maps=tables.maps(maps) if maps else None,
        flushed=tables.domain_list(settings.text("fast_flush_domains"), title="fast_flush_domains"),
    )


def _bare_newline(settings: Settings) -> BareNewline:
    value = settings.text("smtpd_forbid_bare_newline").lower()
    if value == "yes":
        return BareNewline.NORMALIZE
    try:
        return BareNewline(value)
    except ValueError:
        where = settings.where("smtpd_forbid_bare_newline")
        raise ConfigTrouble(f"bad parameter value: 'smtpd_forbid_bare_newline = {value}'", where) from None


def _rules(settings: Settings, tables: Tables, offers: bool, requires: bool) -> Rules:
    number, flag, text = settings.number, settings.flag, settings.text
    discarded, _ = parse_discarded(settings.words("smtpd_discard_ehlo_keywords"))
    command_filter, noop_commands = text("smtpd_command_filter"), text("smtpd_noop_commands")
    return Rules(
        hostname=text("myhostname"),
        helo_required=flag("smtpd_helo_required"),
        strict_envelopes=flag("strict_rfc821_envelopes"),
        smtputf8=flag("smtputf8_enable"),
        strict_smtputf8=flag("strict_smtputf8"),
        line_length_limit=number("line_length_limit"),
        message_size_limit=number("message_size_limit"),
        bare_newline=_bare_newline(settings),
        bare_newline_code=number("smtpd_forbid_bare_newline_reject_code"),
        forbid_unauth_pipelining=flag("smtpd_forbid_unauth_pipelining"),
        disable_vrfy=flag("disable_vrfy_command"),
        discarded=discarded,
        sasl=flag("smtpd_sasl_auth_enable"),
        auth_needs_tls=flag("smtpd_tls_auth_only") or requires,
        offers_tls=offers,
        requires_tls=requires,
        response_limit=number("smtpd_sasl_response_limit"),
        verp_filter=text("verp_delimiter_filter"),
        default_verp=text("default_verp_delimiters"),
        is_noop=_member(tables, noop_commands, "smtpd_noop_commands") if noop_commands.strip() else None,
        is_forbidden=_member(tables, text("smtpd_forbidden_commands"), "smtpd_forbidden_commands"),
        command_filter=_filter(at_once(tables.open(command_filter), "smtpd_command_filter"))
        if command_filter
        else None,
    )


def _limits(settings: Settings) -> Limits:
    number, seconds = settings.number, settings.seconds
    return Limits(
        timeout=seconds("smtpd_timeout"),
        starttls_timeout=seconds("smtpd_starttls_timeout"),
        per_request_deadline=settings.flag("smtpd_per_request_deadline"),
        min_data_rate=number("smtpd_min_data_rate"),
        error_sleep=seconds("smtpd_error_sleep_time"),
        soft_errors=number("smtpd_soft_error_limit"),
        hard_errors=number("smtpd_hard_error_limit"),
        junk_commands=number("smtpd_junk_command_limit"),
        recipients=number("smtpd_recipient_limit"),
        overshoot=number("smtpd_recipient_overshoot_limit"),
    )


def _member(tables: Tables, value: str, title: str) -> Callable[[str], bool]:
    """Whether a command word is in a list.  A list that cannot tell at once says no: these are no critical features."""
    listed = tables.string_list(value, title=title)
    for pattern in listed.patterns:
        if pattern.table is not None:
            at_once(pattern.table, title)
    if not value.strip():
        return _nobody
    members: Tests = listed

    def is_member(word: str) -> bool:
        try:
            found = members.test(word if word.isascii() else printable(word))
        except TableTrouble:
            return False
        if isinstance(found, bool):
            return found
        _discard(found)
        return False

    return is_member


def at_once(table: Table, title: str) -> Table:
    """A table that a command cannot wait for must not be on another server.  docs/differences.md D-24"""
    if may_wait(table):
        raise ConfigTrouble(f"{title}: {table.name} asks another server, and no command can wait for that: use a file")
    return table


def _nobody(word: str) -> bool:
    return False


def _discard(answer: object) -> None:
    """An answer that will not be waited for."""
    close = getattr(answer, "close", None)
    if close is not None:
        close()


def _filter(table: Table) -> Callable[[str], str | None]:
    """smtpd_command_filter: only tables that answer at once make sense here, as in Postfix (pcre, regexp)."""

    def replace(line: str) -> str | None:
        answer = table.lookup(line)
        if answer is None or isinstance(answer, str):
            return answer
        _discard(answer)
        raise TableTrouble(table.name, "smtpd_command_filter needs a table that answers at once")

    return replace


def without_silence(discarded: Iterable[str]) -> tuple[str, ...]:
    """The words that the log names when keywords are taken away; empty where they are taken in silence."""
    words = sorted(discarded)
    return () if SILENT in words else tuple(words)
