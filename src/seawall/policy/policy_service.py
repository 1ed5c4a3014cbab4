"""A policy service as check_policy_service names it: where it is, how long we wait, what it is asked, what it says.

No I/O here: `policy_client` talks to services, `policy_server` is one.  The protocol is lines ``name=value`` with an empty
line at the end, either way.  Postfix SMTPD_POLICY_README, attr_print_plain(3), attr_scan_plain(3), smtpd_check.c
check_policy_service().
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from seawall.config.parameter import read_number, read_time
from seawall.config.registry import REGISTRY
from seawall.config.source import ConfigTrouble
from seawall.mail.envelope import TlsFacts
from seawall.mail.words import group_trouble, split_words, unbrace
from seawall.policy.attempt import Attempt

DEFAULT_ACTION = "451 4.3.5 Server configuration problem"
"""What counts where a default action's own policy service fails as well.  smtpd_check.c check_policy_service()"""
MOST_ANSWER = 102400
"""Bytes of one answer.  Ours, where Postfix has no bound: as many as header_size_limit gives the header of a PREPEND."""
REQUEST = "smtpd_access_policy"

_COUNTED = frozenset({"DATA", "BDAT", "END-OF-MESSAGE"})


class Terms(Protocol):
    """The settings that a service's terms come from."""

    def text(self, name: str) -> str:
        """The expanded value."""
        ...

    def number(self, name: str) -> int:
        """A number."""
        ...

    def seconds(self, name: str) -> float:
        """A time in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """One service with its own terms.  Times in seconds; 0 requests or tries is no limit.

    `argument` is the restriction's argument as written, as warnings about an answer name it; `kind` is inet or unix,
    `where` the rest, as warnings about the connection name it.
    """

    argument: str
    kind: str
    where: str
    timeout: float = 100.0
    max_idle: float = 300.0
    max_ttl: float = 1000.0
    request_limit: int = 0
    try_limit: int = 2
    retry_delay: float = 1.0
    default_action: str = DEFAULT_ACTION
    context: str = ""


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What a service said: an access(5) action, or None where nothing sensible came in time.

    `remarks` are warnings for the log.
    """

    action: str | None
    remarks: tuple[str, ...] = ()


_TERMS: Mapping[str, str] = {
    "default_action": "smtpd_policy_service_default_action",
    "max_idle": "smtpd_policy_service_max_idle",
    "max_ttl": "smtpd_policy_service_max_ttl",
    "policy_context": "smtpd_policy_service_policy_context",
    "request_limit": "smtpd_policy_service_request_limit",
    "retry_delay": "smtpd_policy_service_retry_delay",
    "timeout": "smtpd_policy_service_timeout",
    "try_limit": "smtpd_policy_service_try_limit",
}
"""What may stand in the braces behind a service, and the parameter that it overrides."""


def parse_service(argument: str, values: Terms) -> Service:
    """The service of a restriction's argument: ``inet:host:port``, ``unix:path`` or ``{ service, name = value, … }``.

    ConfigTrouble where Postfix's smtpd(8) would not start.
    """
    words = [argument]
    if argument.startswith("{"):
        inside = unbrace(argument)
        if inside is None:
            raise ConfigTrouble(f"policy service syntax error: {group_trouble(argument)}")
        words = split_words(inside)
        if not words:
            raise ConfigTrouble(f'empty policy service: "{argument}"')
    kind, colon, where = words[0].partition(":")
    if not (kind and colon and where):
        raise ConfigTrouble(f'need service transport:endpoint instead of "{words[0]}"')
    if kind == "local":  # another word for unix wherever unix sockets are
        kind = "unix"
    if kind not in ("inet", "unix"):
        raise ConfigTrouble(f"invalid transport name: {kind} in service: {words[0]}")
    if kind == "inet" and not _has_port(where):
        raise ConfigTrouble(f"policy service {words[0]}: need inet:host:port")
    own = dict(_own_terms(words[1:]))
    return Service(
        argument=argument,
        kind=kind,
        where=where,
        timeout=_seconds("timeout", own, values),
        max_idle=_seconds("max_idle", own, values),
        max_ttl=_seconds("max_ttl", own, values),
        request_limit=_number("request_limit", own, values),
        try_limit=_number("try_limit", own, values),
        retry_delay=_seconds("retry_delay", own, values),
        default_action=own.get("default_action") or values.text("smtpd_policy_service_default_action"),
        context=own.get("policy_context", values.text("smtpd_policy_service_policy_context")),
    )


def split_endpoint(where: str) -> tuple[str, str]:
    """(host, port) of ``host:port``, ``[address]:port`` or a bare port; no host is this one.  host_port(3)"""
    if where.startswith("["):
        host, _, port = where[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = where.rpartition(":")
    return host or "localhost", port


def _has_port(where: str) -> bool:
    port = split_endpoint(where)[1]
    return bool(port) and (not port.isdigit() or 0 < int(port) < 65536)


def _own_terms(words: list[str]) -> Iterator[tuple[str, str]]:
    """``name=value`` and ``{ name = value }``.  attr_override(3)"""
    for word in words:
        inside = unbrace(word) if word.startswith("{") else word
        name, equals, value = (inside or "").partition("=")
        name = name.strip()
        if not equals or name not in _TERMS:
            raise ConfigTrouble(
                f'policy service: "{word}" is none of {", ".join(f"{term}=" for term in sorted(_TERMS))}'
            )
        yield name, value.strip()


def _seconds(term: str, own: Mapping[str, str], values: Terms) -> float:
    return read_time(REGISTRY[_TERMS[term]], own[term]) if term in own else values.seconds(_TERMS[term])


def _number(term: str, own: Mapping[str, str], values: Terms) -> int:
    return read_number(REGISTRY[_TERMS[term]], own[term]) if term in own else values.number(_TERMS[term])


# What a service is asked


def format_question(attempt: Attempt, context: str, level: str, version: str) -> str:
    """The attributes of a session, in Postfix's order, ready to send.

    `context` is the service's policy_context, `level` compatibility_level, `version` mail_version.
    """
    lines = [f"{name}={value(attempt)}" for name, value in ATTRIBUTES]
    text = "\n".join((*lines, f"policy_context={context}", f"compatibility_level={level}", f"mail_version={version}"))
    if text.count("\n") != len(lines) + 2 or "\0" in text:  # a value may not pass for an attribute
        lines = [line.replace("\n", "?").replace("\0", "?") for line in lines]
        return format_lines(
            (*lines, f"policy_context={context}", f"compatibility_level={level}", f"mail_version={version}")
        )
    return f"{text}\n\n"


def format_lines(lines: tuple[str, ...]) -> str:
    """Attributes and the empty line behind them."""
    return "".join(f"{line}\n" for line in (*lines, ""))


def _quoted_name(name: str, tls: TlsFacts) -> str:
    """A name out of a certificate that somebody vouches for, as xtext.  RFC 3461 §4"""
    if not tls.peer_trusted:
        return ""
    return "".join(
        chr(byte) if 33 <= byte <= 126 and byte != 0x2B else f"+{byte:02X}"
        for byte in name.encode("utf-8", "surrogateescape")
    )


def _of_tls(value: Callable[[TlsFacts], str], otherwise: str = "") -> Callable[[Attempt], str]:
    return lambda attempt: otherwise if attempt.tls is None else value(attempt.tls)


ATTRIBUTES: tuple[tuple[str, Callable[[Attempt], str]], ...] = (
    ("request", lambda attempt: REQUEST),
    ("protocol_state", lambda attempt: "DATA" if attempt.where == "BDAT" else attempt.where),
    ("protocol_name", lambda attempt: attempt.protocol),
    ("client_address", lambda attempt: attempt.address),
    ("client_name", lambda attempt: attempt.name),
    ("client_port", lambda attempt: attempt.port),
    ("reverse_client_name", lambda attempt: attempt.reverse_name),
    ("server_address", lambda attempt: attempt.server_address),
    ("server_port", lambda attempt: attempt.server_port),
    ("helo_name", lambda attempt: attempt.helo or ""),
    ("sender", lambda attempt: attempt.sender or ""),
    ("recipient", lambda attempt: attempt.recipient or ""),
    ("recipient_count", lambda attempt: str(attempt.recipient_count if attempt.where in _COUNTED else 0)),
    ("queue_id", lambda attempt: attempt.queue_id),
    ("instance", lambda attempt: attempt.instance),
    ("size", lambda attempt: str(attempt.size)),
    ("etrn_domain", lambda attempt: attempt.etrn_domain),
    ("stress", lambda attempt: attempt.stress),
    ("sasl_method", lambda attempt: attempt.sasl_method),
    ("sasl_username", lambda attempt: attempt.sasl_username),
    ("sasl_sender", lambda attempt: attempt.sasl_sender),
    ("ccert_subject", _of_tls(lambda tls: _quoted_name(tls.peer_subject, tls))),
    ("ccert_issuer", _of_tls(lambda tls: _quoted_name(tls.peer_issuer, tls))),
    ("ccert_fingerprint", _of_tls(lambda tls: tls.peer_fingerprint)),
    ("ccert_pubkey_fingerprint", _of_tls(lambda tls: tls.peer_key_fingerprint)),
    ("encryption_protocol", _of_tls(lambda tls: tls.protocol)),
    ("encryption_cipher", _of_tls(lambda tls: tls.cipher)),
    ("encryption_keysize", _of_tls(lambda tls: str(tls.bits), "0")),
    ("tls_sni", _of_tls(lambda tls: tls.sni)),
)
"""What a session is told by, in Postfix 3.12's order; policy_context, compatibility_level and mail_version follow."""


# What it says


class AnswerTrouble(Exception):
    """The answer makes no sense: the text is Postfix's warning, empty where Postfix has none."""


class AnswerReader:
    """One answer, as it comes in.  attr_scan_plain(3)

    >>> reader = AnswerReader("private/policy")
    >>> reader.feed(b"action=DUN"), reader.feed(b"NO\\n\\n")
    (None, 'DUNNO')
    """

    __slots__ = ("_action", "_name", "_rest", "_seen", "is_clean")

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""
        self._seen = 0
        self._action: bytes | None = None
        self.is_clean = False
        """True where nothing followed the answer: the connection may be used again."""

    def feed(self, data: bytes) -> str | None:
        """The action once the empty line is there, None before.  Raises AnswerTrouble."""
        self._seen += len(data)
        if self._seen > MOST_ANSWER:
            raise AnswerTrouble(f"answer of more than {MOST_ANSWER} bytes from {self._name}")
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for at, line in enumerate(lines):
            if not line:
                self.is_clean = at == len(lines) - 1 and not self._rest
                return self._finished()
            name, equals, value = line.partition(b"=")
            if name != b"action" or self._action is not None:
                continue
            if not equals:
                raise AnswerTrouble(f"missing value for string attribute action from {self._name}")
            self._action = value
        return None

    def end(self) -> AnswerTrouble:
        """The connection ended before the answer did."""
        if not self._seen:
            return AnswerTrouble("")
        name, equals, _ = self._rest.partition(b"=")
        what = "value" if equals and name == b"action" and self._action is None else "name"
        return AnswerTrouble(f"premature end-of-input on {self._name} while reading input attribute {what}")

    def _finished(self) -> str:
        if self._action is None:
            raise AnswerTrouble(f"missing attribute action in input from {self._name}")
        return self._action.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def is_utf8(text: str) -> bool:
    """False for a text that came as other bytes than UTF-8."""
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)
