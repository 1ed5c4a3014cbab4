"""master.cf: lines that do not read, services that lack, twice or ask for what is not there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from seawall.cli.lint.rule import ADVICE, ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Site
from seawall.config.master_cf import CHROOT, COMMAND, SERVICE, TYPE, Entry, Service
from seawall.config.registry.unsupported import PROGRAMS, SERVED_PROGRAMS

NEEDED = {
    "cleanup": "no mail could be taken in",
    "rewrite": "no address could be resolved",
    "qmgr": "no mail would be delivered",
    "bounce": "nobody would hear of mail that failed",
    "defer": "nobody would hear of mail that waits",
    "pickup": "local mail would stay where sendmail left it",
    "tlsmgr": "TLS sessions would have no random numbers",
    "anvil": "no client could be counted",
}
SINGLE = ("pickup", "qmgr", "tlsmgr", "anvil", "scache", "postscreen")
TRANSPORTS = (
    "local_transport",
    "virtual_transport",
    "relay_transport",
    "default_transport",
    "mailbox_transport",
    "fallback_transport",
    "error_transport",
)
KNOWN_PROGRAMS = SERVED_PROGRAMS | PROGRAMS.keys() | {"master"}
CHROOT_FILES = ("etc/resolv.conf", "etc/services", "etc/localtime", "etc/nsswitch.conf")


def broken(site: Site) -> Iterator[Hit]:
    """The first line that is no service."""
    if site.master_trouble is not None:
        hint = ""
        if "field count" not in site.master_trouble.message and "-o" in site.master_trouble.message:
            hint = "-o name=value without blanks, or -o { name = value }"
        yield Hit(site.master_trouble.message, site.master_trouble.location, hint)


def twice(site: Site) -> Iterator[Hit]:
    """Two services of one name and type."""
    seen: dict[str, Entry] = {}
    for entry in site.entries:
        earlier = seen.setdefault(entry.name, entry)
        if earlier is not entry:
            what = f"{entry.name} stands here a second time (line {earlier.location.line}): Postfix warns and takes the last"
            yield Hit(what, entry.location)


def lacking(site: Site) -> Iterator[Hit]:
    """Services without which Postfix does not work."""
    if not site.has_master or site.master_trouble is not None:
        return
    have = {entry.fields[SERVICE] for entry in site.entries}
    for name, consequence in NEEDED.items():
        if name not in have:
            yield Hit(
                f"there is no service {name}: {consequence}", None, f"the line of {name} of the standard master.cf"
            )


def not_single(site: Site) -> Iterator[Hit]:
    """Programs that must be alone."""
    for service in site.services:
        program = os.path.basename(service.command)
        if program in SINGLE and service.maxproc != 1:
            limit = "no limit" if service.maxproc == 0 else f"a limit of {service.maxproc}"
            yield Hit(f"{service.name}/{service.type}: {program} with {limit}: there may be only one", service.location)


def commands(site: Site) -> Iterator[tuple[Service, str, str]]:
    """(service, program, its words as one text)."""
    for service in site.services:
        yield service, os.path.basename(service.command), " ".join(service.arguments)


def as_whom(site: Site) -> Iterator[Hit]:
    """pipe and spawn without a user, or as root."""
    for service, program, text in commands(site):
        if program not in ("pipe", "spawn"):
            continue
        user = re.search(r"(?:\A|\s)user=(\S+)", text)
        if user is None:
            yield Hit(f"{service.name}/{service.type}: {program} needs user=", service.location)
        elif user.group(1).partition(":")[0] in ("root", "postfix", "0"):
            yield Hit(
                f"{service.name}/{service.type}: {program} refuses to run commands as {user.group(1)}", service.location
            )
        if "argv=" not in text:
            yield Hit(
                f"{service.name}/{service.type}: {program} needs argv=", service.location, "argv=/path/to/command"
            )


def no_transport(site: Site) -> Iterator[Hit]:
    """Transports that master.cf does not have."""
    if site.master_trouble is not None:
        return
    have = {entry.fields[SERVICE] for entry in site.entries if entry.fields[TYPE] in ("unix", "fifo", "pass")}
    for name in TRANSPORTS:
        wanted = site.main.text(name).partition(":")[0].strip()
        if (
            wanted
            and re.fullmatch(r"[\w.-]+", wanted)
            and wanted not in have
            and (site.main.is_set(name) or site.has_master)
        ):
            yield Hit(
                f"{name} = {site.main.text(name)}: master.cf has no service {wanted}: its mail waits until it is too old",
                site.main.where(name),
            )


def chroot_lacks(site: Site) -> Iterator[Hit]:
    """Chrooted services whose cage lacks files.  Seawall runs nothing in a chroot."""
    queue = site.main.text("queue_directory")
    caged = [
        entry
        for entry in site.entries
        if entry.fields[CHROOT] == "y" and os.path.basename(entry.fields[COMMAND]) in ("smtp", "lmtp", "smtpd")
    ]
    if not caged or not queue.startswith("/") or not os.path.isdir(site.settings.path(queue)):
        return
    missing = [name for name in CHROOT_FILES if not os.path.exists(site.settings.path(f"{queue}/{name}"))]
    if "etc/resolv.conf" in missing or "etc/services" in missing:
        yield Hit(f"{caged[0].name} runs in {queue}, which lacks {', '.join(missing)}", caged[0].location)


def unknown_program(site: Site) -> Iterator[Hit]:
    """Commands that Postfix does not have."""
    for entry in site.entries:
        program = os.path.basename(entry.fields[COMMAND])
        if program not in KNOWN_PROGRAMS and "/" not in entry.fields[COMMAND]:
            yield Hit(f"{entry.name}: Postfix has no program {entry.fields[COMMAND]}", entry.location)


RULES = (
    Rule(
        "master-unreadable",
        ERROR,
        "master(8) stops at the first line that it cannot read.",
        "correct the line",
        broken,
        stops=True,
    ),
    Rule("service-twice", WARNING, "Of two services of one name and type only one runs.", "take one out", twice),
    Rule(
        "service-lacking",
        ADVICE,
        "Postfix's standard services need each other; Seawall does without these lines.",
        "the standard line",
        lacking,
    ),
    Rule(
        "service-not-single",
        WARNING,
        "The program keeps what it knows in memory: two of them know half each.",
        "a process limit of 1",
        not_single,
    ),
    Rule(
        "command-user",
        ERROR,
        "A command for mail runs as a user of its own, never as root or postfix.",
        "user= an account of its own",
        as_whom,
    ),
    Rule(
        "transport-missing",
        ERROR,
        "Mail for a transport that is not there is put off until it is too old.",
        "the service in master.cf, or another transport",
        no_transport,
    ),
    Rule(
        "chroot-lacks-files",
        WARNING,
        "In its cage a client finds no name servers and no port numbers.",
        "copy the files, or n in the chroot column",
        chroot_lacks,
    ),
    Rule("program-unknown", ERROR, "master(8) tries to start it again and again.", "correct the name", unknown_program),
)
