"""Running a command with a message as its input, and reading its end: sysexits(3), output, signals.  pipe_command(3)"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from seawall.config.settings import ConfigTrouble
from seawall.delivery.aliases import fail_to_owner
from seawall.delivery.children import ChildTrouble, Ending
from seawall.delivery.content import pieces
from seawall.delivery.lists import CONFIGURATION
from seawall.delivery.point import Point
from seawall.delivery.rules import censored, expand_for
from seawall.delivery.spawner import RunCommand, clean_environment
from seawall.delivery.trouble import StoreTrouble
from seawall.delivery.work import Work, with_default_rights

EXITS: Final[Mapping[int, tuple[str, str]]] = {
    64: ("5.3.0", "command line usage error"),
    65: ("5.6.0", "data format error"),
    66: ("5.3.0", "cannot open input"),
    67: ("5.1.1", "user unknown"),
    68: ("5.1.2", "host name unknown"),
    69: ("5.3.0", "service unavailable"),
    70: ("5.3.0", "internal software error"),
    71: ("4.3.0", "system resource problem"),
    72: ("5.3.0", "critical OS file missing"),
    73: ("5.2.0", "can't create user output file"),
    74: ("5.3.0", "input/output error"),
    75: ("4.3.0", "temporary failure"),
    76: ("5.5.0", "remote error in protocol"),
    77: ("5.7.0", "permission denied"),
    78: ("5.3.5", "local configuration error"),
}
"""What an exit code says to the sender.  sysexits(3), Postfix sys_exits.c"""

_STATUS_TEXT = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?:\s+(.*))?\Z", re.DOTALL)
"""Output that a command may begin with to choose the status itself.  pipe(8)"""


def printable(output: bytes) -> str:
    """A command's output as one line: tabs and line ends become blanks, other control characters underscores."""
    text = output.decode("utf-8", "replace").translate({9: " ", 10: " "})
    return "".join(letter if letter.isprintable() else "_" for letter in text)


def judge(ending: Ending, command: str) -> tuple[str, str, str] | None:
    """(status, text, diagnostic) of a command that failed, None for success."""
    output = printable(ending.output)
    tail = f". Command output: {output}" if output else ""
    if ending.timed_out:
        return "5.3.0", f'Command time limit exceeded: "{command}"{tail}', output
    if ending.signal:
        return "4.3.0", f'Command died with signal {ending.signal}: "{command}"{tail}', output
    if ending.code == 0:
        return None
    chosen = _STATUS_TEXT.match(output)
    if chosen is not None and not chosen.group(1).startswith("2"):
        return chosen.group(1), chosen.group(2) or "", chosen.group(2) or ""
    if ending.code in EXITS:
        status, text = EXITS[ending.code]
        return status, text + tail, output or text
    return "5.3.0", f'Command died with status {ending.code}: "{command}"{tail}', output


def command_environment(work: Work, point: Point) -> dict[str, str]:
    """What a command of local(8) may know of its message, censored by command_expansion_filter."""
    origin = work.job.envelope.origin
    told: dict[str, str | None] = {
        "HOME": point.rights.home,
        "LOGNAME": point.user,
        "USER": point.user,
        "SENDER": point.sender,
        "RECIPIENT": point.address,
        "LOCAL": point.local,
        "SHELL": point.rights.shell,
        "DOMAIN": point.domain,
        "EXTENSION": point.extension,
        "ORIGINAL_RECIPIENT": point.original or None,
        "CLIENT_HOSTNAME": origin.client_name or None,
        "CLIENT_ADDRESS": origin.client_address or None,
        "CLIENT_HELO": origin.helo or None,
        "CLIENT_PROTOCOL": origin.protocol or None,
        "SASL_METHOD": origin.sasl_method or None,
        "SASL_SENDER": origin.sasl_sender or None,
        "SASL_USERNAME": origin.sasl_username or None,
        "ENVID": work.job.envelope.envid or None,
    }
    rules = work.parts.rules
    made = clean_environment(work.parts.environment, rules.export)
    made.update((name, censored(value, rules.command_filter)) for name, value in told.items() if value is not None)
    return made


def as_bytes(environment: Mapping[str, str]) -> dict[bytes, bytes]:
    """An environment as the kernel takes it; a value with a NUL in it is left out."""
    return {
        name.encode("utf-8", "surrogateescape"): value.encode("utf-8", "surrogateescape")
        for name, value in environment.items()
        if "\0" not in value
    }


async def deliver_command(work: Work, point: Point, command: str) -> bool:
    """Deliver to a command line of an alias, a .forward or mailbox_command.  local(8) command.c"""
    if not work.first_time("command", f"{point.user}:{point.rights.uid}", command):
        return False
    if work.job.is_probe:
        return work.sent(point, f"delivers to command: {command}")
    point = with_default_rights(work, point)
    rules = work.parts.rules
    try:
        directory = expand_for(rules.command_directory, point, rules.directory_filter).text
    except ConfigTrouble as trouble:
        work.warn(f"bad parameter value syntax for command_execution_directory: {trouble}")
        return work.fail(point, "4.3.5", CONFIGURATION)
    if not work.parts.writers.borrower.can_be(point.rights.identity):
        own = work.parts.writers.borrower.own_uid
        return work.fail(point, "4.3.0", f"cannot run a command as uid {point.rights.uid}: started as uid {own}")
    request = RunCommand(
        number=0,
        uid=point.rights.uid,
        gid=point.rights.gid,
        words=(command.encode("utf-8", "surrogateescape"),),
        environment=as_bytes(command_environment(work, point)),
        directory=(directory or "/").encode("utf-8", "surrogateescape"),
        seconds=rules.command_seconds,
        is_line=True,
        shell=rules.command_shell,
        file_limit=rules.mailbox_size_limit,
    )
    head = work.head(replace(point), "command", opening=True)
    try:
        ending = await work.parts.children.run(request, itertools.chain((head,), pieces(work.job.content)))
    except StoreTrouble as trouble:
        return work.fail(point, trouble.status, trouble.text)
    except (ChildTrouble, OSError) as trouble:
        return work.fail(point, "4.3.0", f"Delivery failed: {trouble}")
    verdict = judge(ending, command)
    if verdict is not None:
        return await fail_to_owner(work, point, *verdict)
    return work.sent(point, f"delivered to command: {command}")
