"""seawall_upstream and what belongs to it, read once."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.config.settings import ConfigTrouble, Settings
from seawall.upstream.naming import Manner

UPSTREAM = "seawall_upstream"
OVERRIDES = {
    # what a session in front must not decide, because the server behind does
    "message_size_limit": "0",
    "disable_vrfy_command": "no",
    "smtpd_sasl_auth_enable": "no",
    "smtpd_tls_security_level": "none",
    "smtpd_authorized_xforward_hosts": "",
    "smtpd_authorized_verp_clients": "",
}
IF_UNSET = {"smtpd_relay_restrictions": "", "smtpd_reject_unlisted_recipient": "no"}
"""The same, unless main.cf says so itself."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Where the server behind is, how it is told of clients, and how long things may take, in seconds."""

    host: str
    """An address or name; empty for a socket of the file system."""
    port: int
    path: str
    manner: Manner
    connections: int
    wait: float
    connect: float
    patience: float
    refresh: float
    hostname: str

    @property
    def place(self) -> str:
        """How the log names it."""
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"


def is_front(settings: Settings) -> bool:
    """True where this service is the door alone."""
    return bool(settings.text(UPSTREAM))


def in_front(settings: Settings) -> Settings:
    """The settings by which sessions in front of another server go; as they were where there is none behind."""
    if not is_front(settings):
        return settings
    unset = {name: value for name, value in IF_UNSET.items() if not settings.is_set(name)}
    return settings.with_overrides({**OVERRIDES, **unset})


def read_rules(settings: Settings, *, workers: int) -> Rules:
    """The rules for one worker, which has its share of the places.  Raises ConfigTrouble."""
    where = settings.where(UPSTREAM)
    if settings.flag("smtpd_tls_wrappermode"):
        raise ConfigTrouble(f"{UPSTREAM}: not with smtpd_tls_wrappermode: leave that port to the server behind", where)
    host, port, path = parse_place(settings, settings.text(UPSTREAM))
    return Rules(
        host=host,
        port=port,
        path=path,
        manner=_manner(settings),
        connections=max(1, settings.number("seawall_upstream_connections") // workers),
        wait=settings.seconds("seawall_upstream_wait"),
        connect=settings.seconds("seawall_upstream_connect_timeout"),
        patience=settings.seconds("seawall_upstream_timeout"),
        refresh=settings.seconds("seawall_upstream_refresh"),
        hostname=settings.text("myhostname"),
    )


def parse_place(settings: Settings, text: str) -> tuple[str, int, str]:
    """(host, port, path) of ``127.0.0.1:10025``, ``[::1]:10025``, ``unix:/path``.  Raises ConfigTrouble."""
    if text.startswith("unix:"):
        path = text[len("unix:") :]
        if not path.startswith("/"):
            path = f"{settings.text('queue_directory').rstrip('/')}/{path}"
        return "", 0, settings.path(path)
    host, _, port = text.removeprefix("inet:").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise ConfigTrouble(
            f"{UPSTREAM} = {text}: host:port, [address]:port or unix:path is meant", settings.where(UPSTREAM)
        )
    return host, int(port), ""


def _manner(settings: Settings) -> Manner:
    name = "seawall_upstream_protocol"
    word = settings.text(name)
    try:
        return Manner(word)
    except ValueError:
        meant = ", ".join(each.value for each in Manner)
        raise ConfigTrouble(f"{name} = {word}: one of {meant} is meant", settings.where(name)) from None
