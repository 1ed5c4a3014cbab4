"""The file of exemptions (seawall_exempt_file): what does not read, what is over, what is too much."""

from __future__ import annotations

from collections.abc import Iterator

from seawall.cli.exempt_journal import Uses, read_uses
from seawall.cli.lint.rule import ADVICE, ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Site
from seawall.config.source import ConfigTrouble, Location
from seawall.policy.exempt import ALL, Entry, parse_entries
from seawall.policy.exempt_file import PARAMETER, read_text

UNUSED_DAYS = 30
"""Days after which an exemption that never counted is worth a look.  Ours."""


def read(site: Site) -> tuple[str, tuple[Entry, ...], tuple[ConfigTrouble, ...]]:
    """(the file as the configuration names it, its entries, what does not read)."""
    return site.once("exempt", lambda: _read(site))


def _read(site: Site) -> tuple[str, tuple[Entry, ...], tuple[ConfigTrouble, ...]]:
    shown = site.main.text(PARAMETER)
    if not shown:
        return "", (), ()
    try:
        return shown, *parse_entries(read_text(site.settings.path(shown)), shown)
    except OSError as trouble:
        return shown, (), (ConfigTrouble(f"{shown}: {trouble.strerror}", site.main.where(PARAMETER)),)
    except ValueError:
        return shown, (), (ConfigTrouble(f"{shown} is no UTF-8 text", Location(shown, 1)),)


def unreadable(site: Site) -> Iterator[Hit]:
    """Lines that are no exemption."""
    for trouble in read(site)[2]:
        yield Hit(trouble.message, trouble.location)


def wide(site: Site) -> Iterator[Hit]:
    """More than one sender's network, or everything for a whole domain of names."""
    shown, entries, _ = read(site)
    for entry in entries:
        if entry.key.is_wide:
            yield Hit(f"{entry.key.text} is wider than one sender's network", Location(shown, entry.line))
        elif entry.checks == (ALL,) and entry.key.text.startswith("."):
            yield Hit(f"every host below {entry.key.text} is exempt from all checks", Location(shown, entry.line))


def expired(site: Site) -> Iterator[Hit]:
    """Entries that count no more."""
    shown, entries, _ = read(site)
    for entry in entries:
        if entry.is_expired(site.now):
            what = f"the exemption of {entry.key.text} ended on {entry.until} ({entry.reason})"
            yield Hit(what, Location(shown, entry.line))


def unused(site: Site) -> Iterator[Hit]:
    """Entries that the journal has never seen count."""
    shown, entries, _ = read(site)
    old = [entry for entry in entries if site.now >= _since(entry) and not entry.is_expired(site.now)]
    uses = _uses(site) if old else None
    for entry in old if uses is not None else ():
        if uses is not None and entry.key.text not in uses:
            what = f"the exemption of {entry.key.text} has not counted once as far as the journal goes ({entry.reason})"
            yield Hit(what, Location(shown, entry.line))


def _since(entry: Entry) -> float:
    return (entry.added.toordinal() - 719163 + UNUSED_DAYS) * 86400.0  # days from year 1 to 1970


def _uses(site: Site) -> dict[str, Uses] | None:
    try:
        return read_uses(site.settings)
    except ConfigTrouble:
        return None


RULES = (
    Rule(
        "exempt-line",
        ERROR,
        "The server goes by the copy of the file that it read before, and after a restart nobody is exempt.",
        "correct the line; `seawall exempt list` says when the file reads",
        unreadable,
    ),
    Rule(
        "exempt-wide",
        WARNING,
        "Whoever else is there passes the same checks.",
        "name the sender's own network, and the checks that it fails",
        wide,
    ),
    Rule(
        "exempt-expired",
        ADVICE,
        "It counts no more.",
        "seawall exempt remove --expired; or add it again, if the other side still has not mended it",
        expired,
    ),
    Rule(
        "exempt-unused",
        ADVICE,
        "Nobody needs it, or its key is not the one by which the sender comes.",
        "look with seawall exempt suggest which network it comes from, or remove it",
        unused,
    ),
)
