"""What local(8) needs of the configuration, read once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seawall.config.expand import expand, split_macros
from seawall.config.settings import ConfigTrouble, Settings
from seawall.delivery.mbox import Locking
from seawall.delivery.point import Point, Rights
from seawall.linux.users import User

_USES_EXTENSION = re.compile(r"\$(?:extension\b|\{\s*extension\s*\}|\(\s*extension\s*\))")
_SEPARATORS = re.compile(r"[, \t\r\n]+")


def read_locking(settings: Settings, parameter: str) -> Locking:
    """How mailboxes are locked: mailbox_delivery_lock for local(8), virtual_mailbox_lock for virtual(8)."""
    return Locking(
        styles=settings.words(parameter),
        attempts=settings.number("deliver_lock_attempts"),
        delay=settings.seconds("deliver_lock_delay"),
        stale=settings.seconds("stale_lock_time"),
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """The parameters of local(8), by their own names where they are plain; see postconf(5) for each."""

    delimiters: str
    owner_request_special: bool
    original_header: bool
    expand_owner_alias: bool
    reset_owner_alias: bool
    frozen_delivered_to: bool
    require_home_directory: bool
    propagate: frozenset[str]
    commands_from: frozenset[str]
    files_from: frozenset[str]
    delivered_header: frozenset[str]
    forward_path: tuple[str, ...]
    forward_filter: str
    command_filter: str
    command_directory: str
    directory_filter: str
    command_shell: tuple[bytes, ...]
    command_seconds: float
    export: tuple[str, ...]
    home_mailbox: str
    mail_spool_directory: str
    mailbox_command: str
    mailbox_transport: str
    fallback_transport: str
    luser_relay: str
    mailbox_size_limit: int
    strict_ownership: bool
    locking: Locking
    default_rights: Rights


def read_rules(settings: Settings, default_user: User) -> Rules:
    """The rules of one configuration; `default_user` is who default_privs names.  Raises ConfigTrouble."""
    if default_user.uid == 0 or default_user.gid == 0:
        raise ConfigTrouble(f"default_privs: {default_user.name}: privileged user", settings.where("default_privs"))

    def words(name: str) -> frozenset[str]:
        return frozenset(settings.words(name))

    spool = settings.text("mail_spool_directory")
    return Rules(
        delimiters=settings.text("recipient_delimiter"),
        owner_request_special=settings.flag("owner_request_special"),
        original_header=settings.flag("enable_original_recipient"),
        expand_owner_alias=settings.flag("expand_owner_alias"),
        reset_owner_alias=settings.flag("reset_owner_alias"),
        frozen_delivered_to=settings.flag("frozen_delivered_to"),
        require_home_directory=settings.flag("require_home_directory"),
        propagate=words("propagate_unmatched_extensions"),
        commands_from=words("allow_mail_to_commands"),
        files_from=words("allow_mail_to_files"),
        delivered_header=words("prepend_delivered_header"),
        forward_path=tuple(_SEPARATORS.split(settings.text("forward_path").strip(", \t\r\n")))
        if settings.text("forward_path").strip(", \t\r\n")
        else (),
        forward_filter=settings.text("forward_expansion_filter"),
        command_filter=settings.text("command_expansion_filter"),
        command_directory=settings.text("command_execution_directory"),
        directory_filter=settings.text("execution_directory_expansion_filter"),
        command_shell=tuple(word.encode() for word in settings.text("local_command_shell").split()),
        command_seconds=settings.seconds("command_time_limit"),
        export=settings.words("export_environment"),
        home_mailbox=settings.text("home_mailbox"),
        mail_spool_directory=settings.path(spool) if spool else "",
        mailbox_command=settings.text("mailbox_command"),
        mailbox_transport=settings.text("mailbox_transport"),
        fallback_transport=settings.text("fallback_transport"),
        luser_relay=settings.text("luser_relay"),
        mailbox_size_limit=settings.number("mailbox_size_limit"),
        strict_ownership=settings.flag("strict_mailbox_ownership"),
        locking=read_locking(settings, "mailbox_delivery_lock"),
        default_rights=Rights.of(default_user),
    )


@dataclass(frozen=True, slots=True)
class Expanded:
    """The outcome of a local expansion: `undefined` where a name without ``?`` had no value."""

    text: str
    undefined: bool
    used_extension: bool


_ATTRIBUTES: Mapping[str, Callable[[Point], str | None]] = {
    "user": lambda point: point.user,
    "home": lambda point: point.rights.home,
    "shell": lambda point: point.rights.shell,
    "domain": lambda point: point.domain,
    "local": lambda point: point.local,
    "mailbox": lambda point: point.local,
    "recipient": lambda point: point.address,
    "extension": lambda point: point.extension,
    "recipient_delimiter": lambda point: point.delimiter,
}
"""What ``$name`` stands for in forward_path, luser_relay and command_execution_directory.  local_expand(3)"""


def censored(text: str, allowed: str) -> str:
    """`text` with every character that is not in `allowed` replaced by an underscore; all pass where that is empty."""
    if not allowed:
        return text
    return "".join(letter if letter in allowed else "_" for letter in text)


def expand_for(pattern: str, point: Point, allowed: str = "") -> Expanded:
    """A pattern with the attributes of one delivery put in; values are `censored` and not expanded again.

    Raises ConfigTrouble for a pattern that cannot be parsed.
    """

    def lookup(name: str) -> str | None:
        attribute = _ATTRIBUTES.get(name)
        value = attribute(point) if attribute is not None else None
        return None if value is None else censored(value, allowed).replace("$", "$$")

    macros = [inside.strip() for is_macro, inside in split_macros(pattern) if is_macro]
    undefined = any(name.isidentifier() and lookup(name) is None for name in macros)
    return Expanded(expand(pattern, lookup), undefined, bool(_USES_EXTENSION.search(pattern)))
