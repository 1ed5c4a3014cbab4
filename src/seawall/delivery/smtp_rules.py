"""What smtp(8) and lmtp(8) need of the configuration, read once; and the TLS contexts that follow from it."""

from __future__ import annotations

import functools
import socket
import ssl
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from seawall.config.settings import ConfigTrouble, Settings


class TlsLevel(IntEnum):
    """smtp_tls_security_level; a higher one demands more."""

    NONE = 0
    MAY = 1
    ENCRYPT = 2
    VERIFY = 3
    """The certificate must be trusted and name the host."""


_LEVELS: Final[Mapping[str, TlsLevel]] = {
    "none": TlsLevel.NONE,
    "may": TlsLevel.MAY,
    "encrypt": TlsLevel.ENCRYPT,
    "verify": TlsLevel.VERIFY,
    "secure": TlsLevel.VERIFY,
}
_VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_SERVICES: Final[Mapping[str, int]] = {"smtp": 25, "smtps": 465, "submissions": 465, "submission": 587, "lmtp": 24}
"""Ports that are known without a services file.  postconf(5) known_tcp_ports"""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; see postconf(5) smtp_connect_timeout and its neighbours."""

    connect: float
    hello: float
    starttls: float
    mail: float
    rcpt: float
    data_init: float
    data_transfer: float
    data_done: float
    quit: float
    reset: float


@dataclass(frozen=True, slots=True)
class ClientRules:
    """The parameters of smtp(8) or, with ``lmtp_``, of lmtp(8)."""

    is_lmtp: bool
    myhostname: str
    helo_name: str
    default_port: str
    always_ehlo: bool
    never_ehlo: bool
    skip_5xx_greeting: bool
    quote_envelope: bool
    line_limit: int
    address_limit: int
    session_limit: int
    fallback_relay: tuple[str, ...]
    relayhost: str
    ignored_keywords: frozenset[str]
    bind: str
    bind6: str
    bind_enforce: bool
    tls: TlsLevel
    tls_wrapper: bool
    skip_quit: bool
    probes_at_data: bool
    """True where a probe asks DATA as well.  postconf(5) smtp_address_verify_target"""
    timeouts: Timeouts


def read_client_rules(settings: Settings, *, lmtp: bool = False) -> ClientRules:
    """The rules of a service that runs smtp(8) or lmtp(8).  Raises ConfigTrouble."""
    prefix = "lmtp_" if lmtp else "smtp_"

    def text(name: str) -> str:
        return settings.text(prefix + name)

    def seconds(name: str) -> float:
        return settings.seconds(prefix + name)

    ignored = settings.words(prefix + ("discard_lhlo_keywords" if lmtp else "discard_ehlo_keywords"))
    return ClientRules(
        is_lmtp=lmtp,
        myhostname=settings.text("myhostname"),
        helo_name=text("lhlo_name" if lmtp else "helo_name"),
        default_port=text("tcp_port"),
        always_ehlo=lmtp or settings.flag("smtp_always_send_ehlo"),
        never_ehlo=not lmtp and settings.flag("smtp_never_send_ehlo"),
        skip_5xx_greeting=settings.flag(prefix + "skip_5xx_greeting"),
        quote_envelope=settings.flag(prefix + "quote_rfc821_envelope"),
        line_limit=settings.number(prefix + "line_length_limit"),
        address_limit=settings.number(prefix + "mx_address_limit"),
        session_limit=settings.number(prefix + "mx_session_limit"),
        fallback_relay=settings.words("lmtp_fallback_relay" if lmtp else "smtp_fallback_relay"),
        relayhost=settings.text("relayhost"),
        ignored_keywords=frozenset(word.upper() for word in ignored),
        bind=text("bind_address"),
        bind6=text("bind_address6").strip("[]"),
        bind_enforce=settings.flag(prefix + "bind_address_enforce"),
        tls=read_tls_level(settings, prefix),
        tls_wrapper=settings.flag(prefix + "tls_wrappermode"),
        skip_quit=settings.flag(prefix + "skip_quit_response"),
        probes_at_data=_probes_at_data(settings, prefix + "address_verify_target"),
        timeouts=Timeouts(
            connect=seconds("connect_timeout"),
            hello=seconds("lhlo_timeout" if lmtp else "helo_timeout"),
            starttls=seconds("starttls_timeout"),
            mail=seconds("mail_timeout"),
            rcpt=seconds("rcpt_timeout"),
            data_init=seconds("data_init_timeout"),
            data_transfer=seconds("data_xfer_timeout"),
            data_done=seconds("data_done_timeout"),
            quit=seconds("quit_timeout"),
            reset=seconds("rset_timeout"),
        ),
    )


def _probes_at_data(settings: Settings, name: str) -> bool:
    """Where a probe ends: after RCPT or after DATA.  Raises ConfigTrouble."""
    word = settings.text(name)
    if word.lower() not in ("rcpt", "data"):
        raise ConfigTrouble(f"bad {name} value: {word}; use rcpt or data", settings.where(name))
    return word.lower() == "data"


def read_tls_level(settings: Settings, prefix: str) -> TlsLevel:
    """smtp_tls_security_level, or what the older parameters say where it is empty.  Raises ConfigTrouble."""
    name = prefix + "tls_security_level"
    word = settings.text(name)
    if not word:
        if settings.flag(prefix + "enforce_tls"):
            return TlsLevel.ENCRYPT
        return TlsLevel.MAY if settings.flag(prefix + "use_tls") else TlsLevel.NONE
    level = _LEVELS.get(word.lower())
    if level is None:
        raise ConfigTrouble(
            f"{name}: level '{word}' is not served; use none, may, encrypt or verify", settings.where(name)
        )
    return level


@functools.lru_cache(maxsize=64)
def port_of(service: str) -> int | None:
    """The number of a TCP port that is a number or a name, None for a name that nobody knows."""
    if service.isascii() and service.isdigit():
        return int(service) if 0 < int(service) < 65536 else None
    known = _SERVICES.get(service.lower())
    if known is not None:
        return known
    try:
        return socket.getservbyname(service, "tcp")
    except OSError:
        return None


def client_context(settings: Settings, prefix: str, level: TlsLevel) -> ssl.SSLContext:
    """The TLS context for a level.  Raises ConfigTrouble where a file that it names cannot be used."""
    mandatory = level >= TlsLevel.ENCRYPT
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = level >= TlsLevel.VERIFY
    context.verify_mode = ssl.CERT_REQUIRED if level >= TlsLevel.VERIFY else ssl.CERT_NONE
    name = prefix + ("tls_mandatory_protocols" if mandatory else "tls_protocols")
    _limit_versions(context, settings, name)
    try:
        # what is offered opportunistically beats clear text, whatever it is
        context.set_ciphers("DEFAULT:!aNULL:!eNULL" if mandatory else "DEFAULT:!eNULL:@SECLEVEL=0")
        authorities = settings.text(prefix + "tls_CAfile"), settings.text(prefix + "tls_CApath")
        if level >= TlsLevel.VERIFY:
            if any(authorities):
                file, directory = (settings.path(path) or None for path in authorities)
                context.load_verify_locations(file, directory)
            else:
                context.load_default_certs()
        certificate = settings.text(prefix + "tls_cert_file")
        if certificate:
            key = settings.text(prefix + "tls_key_file")
            context.load_cert_chain(settings.path(certificate), settings.path(key) or None)
    except (OSError, ssl.SSLError) as trouble:
        raise ConfigTrouble(f"{prefix}tls_*: {trouble}") from trouble
    return context


def _limit_versions(context: ssl.SSLContext, settings: Settings, name: str) -> None:
    """``>=TLSv1.2``, ``<=TLSv1.3``, ``!TLSv1``, or a plain list of versions.  postconf(5) smtp_tls_protocols"""
    allowed = set(_VERSIONS)
    plain: set[str] = set()
    for word in settings.text(name).replace(",", " ").replace(":", " ").split():
        if word.startswith((">=", "<=")):
            bound = _VERSIONS.get(word[2:])
            if bound is None:
                raise ConfigTrouble(f"{name}: unknown protocol: {word[2:]}", settings.where(name))
            allowed &= {
                v for v, number in _VERSIONS.items() if (number >= bound) == (word[0] == ">") or number == bound
            }
        elif word.startswith("!"):
            allowed.discard(word[1:])
        elif word in _VERSIONS:
            plain.add(word)
    numbers = sorted(_VERSIONS[version] for version in (allowed & plain if plain else allowed))
    if not numbers:
        raise ConfigTrouble(f"{name}: no protocol is left", settings.where(name))
    with warnings.catch_warnings():  # the site's choice, also where Python thinks a version too old
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion(numbers[0]), ssl.TLSVersion(numbers[-1])
