"""A session as the lines of a rehearsal: `seawall rehearse -c DIR SCRIPT` answers its ``rcpt`` with OK.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble
from seawall.dns.answers import Found
from seawall.mail.words import split_words
from seawall.policy.attempt import NameStatus
from seawall.policy.proof.doors import PARAMETERS, Door
from seawall.policy.proof.search import Hole
from seawall.policy.proof.session import Client


def script_of(door: Door, main: Settings, hole: Hole) -> tuple[str, ...]:
    """The lines, comments among them."""
    session = hole.session
    lines = [f"# {door.name}"]
    lines.extend(_settings(door, main))
    for parameter in dict.fromkeys(name for name, _ in hole.unread):
        unread = {text for name, text in hole.unread if name == parameter}
        words = split_words(_value(door.settings, parameter))
        lines.append(f"{parameter} {','.join(word for word in words if word.lstrip('!') not in unread) or ','}")
    lines.extend(_assumptions(hole))
    lines.extend(_client(session.client))
    if session.tls is not None:
        if session.tls.peer_fingerprint:
            lines.append(f"fingerprint {session.tls.peer_fingerprint}")
        lines.append("assume tls trusted" if session.tls.peer_trusted else "assume tls")
    if session.helo is not None:
        lines.append(f"helo {session.helo}")
    lines.append(f"mail {session.sender or '<>'}")
    lines.extend([f"rcpt {session.recipient.address}"] * session.count)
    if any(_has_list(door.settings, name) for name in ("smtpd_data_restrictions", "smtpd_end_of_data_restrictions")):
        lines.extend(("data", "end_of_data"))
    return tuple(lines)


def _has_list(settings: Settings, name: str) -> bool:
    return bool(settings.words(name))


def _settings(door: Door, main: Settings) -> Iterator[str]:
    """What master.cf, or stress, sets otherwise than main.cf."""
    classes = door.settings.words("smtpd_restriction_classes")
    if classes:
        for name in classes:
            if _value(door.settings, name) != _value(main, name):
                value = _one_word(_value(door.settings, name)).replace("$", "$$")
                yield f"restriction_class {name},{value}"
    overrides = {**door.overrides, **({"stress": "yes"} if door.stress else {})}
    for name in sorted({*overrides, *(_changed(door, main) if door.stress or overrides else ())}):
        if name in classes or name == "smtpd_restriction_classes" or not _known(main, name):
            continue
        value = _one_word(_value(door.settings, name))
        yield f"{name} {value}"


def _changed(door: Door, main: Settings) -> Iterator[str]:
    for name in PARAMETERS:
        if _value(door.settings, name) != _value(main, name):
            yield name


def _known(main: Settings, name: str) -> bool:
    return name in main.names()


def _value(settings: Settings, name: str) -> str:
    try:
        return settings.text(name)
    except ConfigTrouble:
        return ""


def _one_word(value: str) -> str:
    """A list as one word: commas for blanks, braces as they are; a comma alone is the empty list."""
    return ",".join(split_words(value)) or ","


def _assumptions(hole: Hole) -> Iterator[str]:
    said = {one.part for one in hole.said}
    for name in hole.absent:
        if name not in said:
            yield f"assume {name}"
    for name in hole.silent:
        if name not in said:
            yield f"assume {name} DUNNO"
    for one in hole.said:
        if one.is_service:
            yield f"assume {one.part} {one.value}"
        for key in one.keys:
            yield f"assume {one.part} {key} {one.value}"
    for (name, kind), answer in hole.dns.items():
        for record in answer.records if isinstance(answer, Found) else ():
            yield f"assume dns {name} {kind} {f'{record.preference} ' if kind == 'MX' else ''}{record.data}"


def _client(client: Client) -> Iterator[str]:
    if client.via:
        yield f"# a stranger says by {client.via} that he is this client"
    code = "" if client.name_status is NameStatus.OK else f" {client.name_status.value}"
    yield f"client {client.name} {client.address}{code}"
    if client.reverse_name:
        yield f"assume reverse {client.reverse_name}"
    if client.login:
        yield f"assume login {client.login}"
