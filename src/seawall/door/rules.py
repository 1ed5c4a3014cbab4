"""What the door of one service goes by, compiled once.  postconf(5) postscreen_*, docs/differences.md D-50"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seawall.config.parameter import read_time
from seawall.config.registry import REGISTRY
from seawall.config.settings import ConfigTrouble, Settings
from seawall.door.access_list import ACCESS_LIST, AccessList
from seawall.door.dnsbl_score import UNNAMED, ScoreRules, parse_sites
from seawall.door.screening import Action, ScreenRules, TestRules
from seawall.door.talk import TalkRules
from seawall.policy.dnsbl import unescape
from seawall.policy.footer import Footers, compile_footer
from seawall.smtp.extensions import parse_discarded
from seawall.tables.match import AddressList
from seawall.tables.registry import Tables
from seawall.tables.table import Table, TableTrouble

MODEST, STRONG = 0.7, 0.9
"""Shares of postscreen_pre_queue_limit at which stress ends and begins.  postscreen(8) has the same."""


@dataclass(frozen=True, slots=True)
class Patiences:
    """Seconds that a client is given, plain or under stress."""

    greet_wait: float
    command_time: float
    starttls: float


@dataclass(frozen=True, slots=True)
class DoorRules:
    """Everything about one door."""

    screen: ScreenRules
    talk: TalkRules
    scores: ScoreRules
    access: AccessList
    mynetworks: AddressList
    backup: AddressList
    """Our addresses at which clients are let past; at the others nobody is.  postscreen_allowlist_interfaces"""
    footers: Footers
    teaser: bytes
    greeting: str
    plain: Patiences
    stressed: Patiences
    most_screened: int
    """Clients that a worker screens at one time; 0 is no limit."""
    stress_begins: int
    stress_ends: int
    proxy_timeout: float
    """Seconds in which a proxy must name the client; 0 where there is none in front."""
    remembers: bool
    """Clients that passed are remembered."""
    is_own: bool
    """seawall_door: a client that must not pass gets a session all the same, where it may log in."""


def compile_rules(settings: Settings, tables: Tables, warn: Callable[[str], None], *, workers: int) -> DoorRules:
    """Raises ConfigTrouble, TableUnsupported.  A worker has its share of what is counted for all clients together."""
    limit = settings.number("postscreen_pre_queue_limit")
    share = -(-limit // workers)
    mynetworks = tables.address_list(settings.text("mynetworks"), title="mynetworks")
    teaser = settings.text("postscreen_greet_banner")
    return DoorRules(
        screen=_screen(settings),
        talk=_talk(settings, tables),
        scores=_scores(settings, tables),
        access=AccessList(settings.text(ACCESS_LIST), mynetworks, tables, warn),
        mynetworks=mynetworks,
        backup=tables.address_list(
            settings.text("postscreen_allowlist_interfaces"), title="postscreen_allowlist_interfaces"
        ),
        footers=Footers(
            compile_footer(_followed(settings, "postscreen_reject_footer")),
            tables.maps(settings.text("postscreen_reject_footer_maps"), title="postscreen_reject_footer_maps"),
            frozenset(unescape(_followed(settings, "postscreen_expansion_filter"))),
        ),
        teaser=f"220-{teaser}\r\n".encode("utf-8", "surrogateescape") if teaser else b"",
        greeting=f"220 {settings.text('smtpd_banner')}",
        plain=_patiences(settings, ""),
        stressed=_patiences(settings, "yes"),
        # a limit that nobody wrote down is that of processes, and no process is needed here
        most_screened=share if settings.is_set("postscreen_pre_queue_limit") else 0,
        stress_begins=max(1, int(STRONG * share)),
        stress_ends=int(MODEST * share),
        proxy_timeout=_proxy_timeout(settings),
        remembers=bool(settings.text("postscreen_cache_map")),
        is_own=settings.text("process_name") != "postscreen",
    )


def _patiences(settings: Settings, stress: str) -> Patiences:
    under = settings.with_overrides({"stress": stress})
    starttls = read_time(REGISTRY["smtpd_starttls_timeout"], under.text("postscreen_starttls_timeout"))
    return Patiences(under.seconds("postscreen_greet_wait"), under.seconds("postscreen_command_time_limit"), starttls)


def _proxy_timeout(settings: Settings) -> float:
    """postscreen's parameters; for seawall_door smtpd's will do as well, for it stands where that would."""
    own = () if settings.text("process_name") == "postscreen" else ("smtpd",)
    for program in (*own, "postscreen"):
        name = f"{program}_upstream_proxy_protocol"
        protocol = settings.text(name)
        if protocol not in ("", "haproxy"):
            raise ConfigTrouble(f"unsupported {name} value: {protocol}", settings.where(name))
        if protocol:
            return settings.seconds(f"{program}_upstream_proxy_timeout")
    return 0.0


def _followed(settings: Settings, name: str) -> str:
    """The value of a parameter that may hold ``$``: only where it is one name alone that is followed."""
    value = settings.text(name)
    while value.startswith("$") and value[1:] in settings.names():
        value = settings.text(value[1:])
    return value


def _action(settings: Settings, name: str) -> Action:
    value = settings.text(name).lower()
    try:
        return Action("ignore" if value == "continue" else value)
    except ValueError:
        raise ConfigTrouble(f"bad {name} value: {settings.text(name)}", settings.where(name)) from None


def _screen(settings: Settings) -> ScreenRules:
    def test(name: str, is_on: bool, ttl: str = "") -> TestRules:
        return TestRules(
            is_on,
            _action(settings, f"postscreen_{name}_action"),
            int(settings.seconds(ttl or f"postscreen_{name}_ttl")),
        )

    return ScreenRules(
        tests=(
            test("greet", bool(settings.text("postscreen_greet_banner"))),
            test("dnsbl", bool(settings.text("postscreen_dnsbl_sites").strip()), "postscreen_dnsbl_min_ttl"),
            test("pipelining", settings.flag("postscreen_pipelining_enable")),
            test("non_smtp_command", settings.flag("postscreen_non_smtp_command_enable")),
            test("bare_newline", settings.flag("postscreen_bare_newline_enable")),
        ),
        denylist=_action(settings, "postscreen_denylist_action"),
        threshold=settings.number("postscreen_dnsbl_threshold"),
        allow_threshold=settings.number("postscreen_dnsbl_allowlist_threshold"),
        connections=settings.number("postscreen_client_connection_count_limit"),
        respectful=settings.flag("respectful_logging"),
    )


def _scores(settings: Settings, tables: Tables) -> ScoreRules:
    name = "postscreen_dnsbl_sites"
    try:
        sites = parse_sites(settings.text(name))
    except ConfigTrouble as trouble:
        raise ConfigTrouble(trouble.message, settings.where(name)) from trouble
    spec = settings.text("postscreen_dnsbl_reply_map")
    return ScoreRules(
        sites=sites,
        name_of=_names(tables.open(spec)) if spec else str,
        least_ttl=int(settings.seconds("postscreen_dnsbl_min_ttl")),
        most_ttl=int(settings.seconds("postscreen_dnsbl_max_ttl")),
        timeout=settings.seconds("postscreen_dnsbl_timeout"),
        is_watched=settings.flag("seawall_dnsbl_watch"),
    )


def _names(table: Table) -> Callable[[str], str]:
    def name_of(domain: str) -> str:
        try:
            answer = at_once(table, domain)
        except TableTrouble:
            return UNNAMED
        return domain if answer is None else answer

    return name_of


def let_go(answer: object) -> None:
    """An answer that will not be waited for."""
    close = getattr(answer, "close", None)
    if close is not None:
        close()


def at_once(table: Table, key: str) -> str | None:
    """The answer of a table that need not wait.  Raises TableTrouble where it must."""
    answer = table.lookup(key)
    if answer is None or isinstance(answer, str):
        return answer
    let_go(answer)
    raise TableTrouble(table.name, "a table that answers at once is needed here")


def _talk(settings: Settings, tables: Tables) -> TalkRules:
    offers, requires = _tls_level(settings)
    discarded, _ = parse_discarded(settings.words("postscreen_discard_ehlo_keywords"))
    command_filter = settings.text("postscreen_command_filter")
    spec = settings.text("postscreen_discard_ehlo_keyword_address_maps")
    maps = tables.maps(spec, title="postscreen_discard_ehlo_keyword_address_maps")

    def discarded_for(address: str) -> frozenset[str] | None:
        for table in maps.tables:
            words = at_once(table, address)
            if words is not None:
                return parse_discarded(words.replace(",", " ").split())[0]
        return None

    filtering = tables.open(command_filter) if command_filter else None
    return TalkRules(
        hostname=settings.text("myhostname"),
        command_count=settings.number("postscreen_command_count_limit"),
        line_length=settings.number("line_length_limit"),
        helo_required=settings.flag("postscreen_helo_required"),
        disable_vrfy=settings.flag("postscreen_disable_vrfy_command"),
        announces_vrfy=not settings.flag("disable_vrfy_command"),  # as postscreen_smtpd.c has it
        smtputf8=settings.flag("smtputf8_enable"),
        size_limit=settings.number("message_size_limit"),
        offers_tls=offers,
        requires_tls=requires,
        soft_bounce=settings.flag("soft_bounce"),
        discarded=discarded,
        discarded_for=discarded_for if spec else lambda address: None,
        is_forbidden=_forbidden(settings, tables),
        replace=lambda line: None if filtering is None else at_once(filtering, line),
    )


def _forbidden(settings: Settings, tables: Tables) -> Callable[[str], bool]:
    """A list that cannot tell at once says no: this is no critical feature."""
    name = "postscreen_forbidden_commands"
    words = tables.string_list(settings.text(name), title=name)

    def is_forbidden(word: str) -> bool:
        try:
            found = words.test(word)
        except TableTrouble:
            return False
        if isinstance(found, bool):
            return found
        let_go(found)
        return False

    return is_forbidden


def _tls_level(settings: Settings) -> tuple[bool, bool]:
    """(STARTTLS is offered, TLS is required)."""
    level = settings.text("postscreen_tls_security_level").lower()
    if not level:
        requires = settings.flag("postscreen_enforce_tls")
        return requires or settings.flag("postscreen_use_tls"), requires
    if level not in ("none", "may", "encrypt", "fingerprint", "verify", "secure"):
        where = settings.where("postscreen_tls_security_level")
        raise ConfigTrouble(f'Invalid TLS level "{level}"', where)
    return level != "none", level not in ("none", "may")
