"""Names and values: what nobody knows, what is said twice, what cannot be read, what says the default."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator

from seawall.bounce.when import read_templates
from seawall.cli.lint.rule import ADVICE, ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Site
from seawall.cli.lint.written import assignments_in
from seawall.config.main_cf import read_text
from seawall.config.master_cf import Entry
from seawall.config.names import Names
from seawall.config.registry import OWN_PREFIX, REGISTRY
from seawall.config.registry.templates import OBSOLETE, REPLACED, base_of
from seawall.config.settings import Settings
from seawall.config.source import ConfigTrouble, Location
from seawall.config.support import bad_values, findings

PATHS = re.compile(r"(_directory|_path|_file|_owner|_group)\Z")
PROGRAM_PREFIXES = {
    # program: parameters that it does not read, by their beginnings
    "smtpd": ("smtp_", "lmtp_", "qmgr_", "local_delivery_", "postscreen_"),
    "smtp": ("smtpd_", "lmtp_", "postscreen_", "virtual_mailbox", "mailbox_"),
    "lmtp": ("smtpd_", "postscreen_", "virtual_mailbox"),
    "local": ("smtpd_", "smtp_", "lmtp_", "postscreen_"),
    "virtual": ("smtpd_", "smtp_", "lmtp_", "postscreen_"),
    "pipe": ("smtpd_", "smtp_", "lmtp_", "postscreen_", "local_"),
    "cleanup": ("smtpd_", "smtp_", "lmtp_", "postscreen_"),
    "pickup": ("smtpd_", "smtp_", "lmtp_", "postscreen_"),
    "qmgr": ("smtpd_", "lmtp_", "postscreen_"),
    "bounce": ("smtpd_", "smtp_", "lmtp_", "postscreen_"),
}
READ_ALL_THE_SAME = frozenset(
    {
        "smtpd_tls_loglevel",
        "smtp_bind_address",
        "smtp_bind_address6",
        "smtp_address_preference",
        "smtp_send_xforward_command",
        "smtpd_milters",
    }
)


def unreadable_file(site: Site) -> Iterator[Hit]:
    """A main.cf that does not read is told before there is a site: here nothing is left to find."""
    return iter(())


def broken_lines(site: Site) -> Iterator[Hit]:
    """Lines of main.cf that continue nothing."""
    for warning in site.settings.warnings:
        if not warning.message.startswith("overriding earlier entry"):
            yield Hit(warning.message, warning.location)


def said_twice(site: Site) -> Iterator[Hit]:
    """A parameter that is set twice: the last one counts."""
    first: dict[str, Location] = {}
    for assignment in site.assignments:
        earlier = first.get(assignment.name)
        if earlier is not None:
            last = site.last[assignment.name].location
            what = f"{assignment.name} is set in line {earlier.line} and in line {assignment.location.line}; line {last.line} counts"
            yield Hit(what, assignment.location)
        first[assignment.name] = assignment.location


def scanned(site: Site) -> Names:
    """All names of the configuration."""
    return site.once("names", lambda: Names(site.settings, site.entries))


def unused_names(site: Site) -> Iterator[tuple[Entry | None, str, str, Location | None]]:
    """(entry, name, value, place) of everything that nothing uses."""
    for scope, name, value in scanned(site).unused():
        yield scope.entry, name, value, scope.entry.location if scope.entry else site.main.where(name)


def unknown(site: Site) -> Iterator[Hit]:
    """Names that neither Postfix nor the configuration knows."""
    for _, name, value, where in unused_names(site):
        if name not in REPLACED and name not in OBSOLETE:
            near = next(iter(difflib.get_close_matches(name, REGISTRY, 1, 0.8)), "")
            shown = value if len(value) <= 60 else value[:57] + "..."
            yield Hit(f"unused parameter: {name}={shown}", where, f"did you mean {near}?" if near else "")


def gone(site: Site) -> Iterator[Hit]:
    """Names that Postfix has dropped."""
    for _, name, _, where in unused_names(site):
        if name in REPLACED:
            yield Hit(f"{name} is gone", where, REPLACED[name])


def obsolete(site: Site) -> Iterator[Hit]:
    """Names that Postfix still takes for another."""
    for view, service in site.scopes():
        names = service.overrides if service else view.settings.values
        for name in names:
            if name in OBSOLETE:
                yield Hit(f"{name} is an old name", view.where(name), OBSOLETE[name])


def undefined(site: Site) -> Iterator[Hit]:
    """$name of names that nobody defines, and what else the names' scan says."""
    for warning in scanned(site).warnings:
        if "undefined parameter: " in warning:
            name = warning.rpartition(" ")[2]
            user = next(
                (each for each in site.assignments if re.search(rf"\$[{{(]?{re.escape(name)}\b", each.value)), None
            )
            what = f"{user.name}: ${name} is defined nowhere and stands for nothing" if user else warning
            yield Hit(
                f"{what} (undefined parameter: {name})" if user else what,
                user.location if user else None,
                f"define {name}, or take it out",
            )


def malformed(site: Site) -> Iterator[Hit]:
    """What else the scan of all values says: braces that do not close, names that are only for reading …"""
    for warning in scanned(site).warnings:
        if "undefined parameter: " not in warning and not warning.startswith('open "'):
            found = re.match(r"\w+:(/[^:]*): unused parameter: (\w+)=", warning)
            where = line_of_name(site, found.group(1), found.group(2)) if found else None
            yield Hit(warning, where)


def line_of_name(site: Site, file: str, name: str) -> Location | None:
    """Where a database table's own file sets a parameter."""
    try:
        text = read_text(site.settings.path(file))
    except ConfigTrouble:
        return None
    return next((each.location for each in assignments_in(text, file) if each.name == name), None)


def unreadable(site: Site) -> Iterator[Hit]:
    """Values that cannot be read as what they should be, or lie beyond their bounds."""
    troubles = tuple(bad_values(site.settings, site.services))
    is_set = any(trouble.location for trouble in troubles)
    for trouble in troubles:
        if trouble.location or not is_set:  # a default that is bad only because it is made from a bad value
            yield Hit(trouble.message, trouble.location)


def same_as_default(site: Site) -> Iterator[Hit]:
    """What main.cf says and Postfix would do anyway; paths apart, which packages write."""
    for name in site.settings.values:
        known = REGISTRY.get(name)
        if (
            known is None
            or PATHS.search(name)
            or name
            in (
                "compatibility_level",
                "myhostname",
                "mydomain",
                "mynetworks",
                "inet_interfaces",
                "inet_protocols",
                "mydestination",
                "myorigin",
                "relayhost",
                "recipient_delimiter",
            )
        ):
            continue
        if is_same(site.settings, name) and not is_overridden(site, name):
            yield Hit(f"{name} = {short(site.settings, name)} is the default", site.main.where(name))


def is_same(settings: Settings, name: str) -> bool:
    """True where the value is written like the default, or comes to the same as one that computes nothing."""
    default, raw = settings.default(name), settings.raw(name)
    if default is None:
        return False
    return raw.split() == default.split() or ("$" not in default and settings_text(settings, name) == default)


def settings_text(settings: Settings, name: str) -> str | None:
    """The expanded value; None for one that cannot be read."""
    try:
        return settings.text(name)
    except ConfigTrouble:
        return None


def is_overridden(site: Site, name: str) -> bool:
    """True where a service says otherwise, so that main.cf may well say it too."""
    return any(name in service.overrides for service in site.services)


def short(settings: Settings, name: str) -> str:
    """The value as it stands, cut."""
    raw = " ".join(settings.raw(name).split())
    return raw if len(raw) <= 60 else raw[:57] + "..."


def templates(site: Site) -> Iterator[Hit]:
    """A bounce_template_file that does not read: bounce(8) goes on with the built-in texts."""
    try:
        read_templates(site.settings)
    except ConfigTrouble as trouble:
        yield Hit(trouble.message, trouble.location)


def not_served(site: Site) -> Iterator[Hit]:
    """What is asked for, and not done, and must be."""
    for finding in findings(site.settings, site.services):
        if finding.stops:
            yield Hit(finding.what(), finding.location, finding.remedy)


def ignored(site: Site) -> Iterator[Hit]:
    """What is asked for, and not done."""
    for finding in findings(site.settings, site.services):
        if not finding.stops:
            yield Hit(finding.what(), finding.location, finding.remedy)


def unread_override(site: Site) -> Iterator[Hit]:
    """-o for a parameter that the program never reads."""
    for service in site.services:
        program = os.path.basename(service.command)
        for name in service.overrides:
            own = bool(base_of(name)) or name.startswith(OWN_PREFIX) or name in READ_ALL_THE_SAME
            if name in REGISTRY and not own and name.startswith(PROGRAM_PREFIXES.get(program, ("\0",))):
                what = f"{service.name}/{service.type}: -o {name}: {program} does not read it"
                yield Hit(what, service.location)


MAIN_UNREADABLE = Rule(
    "main-unreadable",
    ERROR,
    "A line is name = value, or goes on with the one before it by white space.",
    "correct the line",
    unreadable_file,
    stops=True,
)

RULES = (
    MAIN_UNREADABLE,
    Rule(
        "main-line",
        WARNING,
        "A line that begins with white space goes on with the line before it; before the first there is none.",
        "no white space at its beginning",
        broken_lines,
    ),
    Rule(
        "set-twice",
        WARNING,
        "The last one counts, without a word; who edits the first sees no effect.",
        "take one out",
        said_twice,
    ),
    Rule(
        "name-unknown",
        WARNING,
        "Nothing reads it: a name that is misspelled, or of another program.",
        "correct the name, or take it out",
        unknown,
    ),
    Rule("name-gone", WARNING, "Postfix has dropped it.", "what has taken its place", gone),
    Rule("name-obsolete", ADVICE, "The old name still works, as the default of the new one.", "the new name", obsolete),
    Rule(
        "name-undefined", WARNING, "A $name without a value is an empty text.", "define it, or take it out", undefined
    ),
    Rule("value-malformed", WARNING, "What does not read counts as if it were not there.", "correct it", malformed),
    Rule("value-unreadable", ERROR, "The program that reads it stops.", "correct the value", unreadable, stops=True),
    Rule(
        "same-as-default",
        ADVICE,
        "Without it, a better default of a later release would reach you.",
        "take it out",
        same_as_default,
    ),
    Rule(
        "bounce-template",
        WARNING,
        "Until it is corrected the built-in texts serve.",
        "correct the file; until then the built-in texts serve",
        templates,
    ),
    Rule(
        "not-served",
        ERROR,
        "It rejects, filters, signs, encrypts or diverts mail, and Seawall does not do it: so it does not start.",
        "take it out, or put its name into seawall_ignore_parameters",
        not_served,
        stops=True,
    ),
    Rule("not-acted-on", ADVICE, "Seawall does not do it, and mail goes on without it.", "", ignored),
    Rule(
        "override-unread",
        WARNING,
        "A service reads its own program's parameters.",
        "take it out, or put it where it is read",
        unread_override,
    ),
)
