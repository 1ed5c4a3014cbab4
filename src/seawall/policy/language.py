"""The restriction language: a list's text made into checks with their arguments bound.

Pure.  A mistake does not stop the compiler: Postfix finds it when the evaluation gets there, warns, and answers
451 4.3.5 Server configuration error; what stands before it still counts.  smtpd_check.c generic_checks().
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from seawall.config.source import ConfigTrouble
from seawall.mail.words import split_words
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Argument, Bench, Place, Registry, Restriction, warn
from seawall.policy.evaluate import Ask, Item, Items, evaluate, server_error
from seawall.policy.exempting import sparing
from seawall.policy.stages import Stage
from seawall.policy.verdict import DUNNO, Verdict
from seawall.tables.table import TableUnsupported

WARN_IF_REJECT = "warn_if_reject"
GUARDS = (
    "reject_unauth_destination",
    "defer_unauth_destination",
    "reject",
    "defer",
    "defer_if_permit",
    "check_relay_domains",
)
"""One of these must stand in the relay or the recipient list.  smtpd_check.c rcpt_required"""

OURS = "reject_sender_login_mismatch"
"""A class that Postfix defines itself; classes are compared with case."""

REMEMBERED = 1000
"""Lists out of tables that are kept compiled.  Ours: more different ones than any sane table holds."""

Watch: TypeAlias = Callable[[Item, Stage], Item]
"""Puts an observer before a check."""

REMOVED: Mapping[str, str] = {
    "permit_naked_ip_address": '"permit_mynetworks" or "permit_sasl_authenticated"',
    "check_relay_domains": '"reject_unauth_destination"',
    "reject_maps_rbl": '"reject_rbl_client domain-name"',
}
"""Names that Postfix 3.9 took away: a warning and 451 4.3.5, as there."""


class Compiler:
    """Compiles the lists of one configuration.  `bench` is asked for once it exists: it holds this compiler itself."""

    def __init__(
        self, registry: Registry, classes: Mapping[str, str], bench: Callable[[], Bench], watch: Watch | None = None
    ) -> None:
        self._registry = registry
        self._watch = watch
        self._classes = classes
        self._bench = bench
        self._values: dict[tuple[str, str], Items] = {}
        self._members: dict[tuple[str, str], Items] = {}
        self._waiting: list[tuple[tuple[str, str], Stage]] = []
        self.problems: list[str] = []

    def compile(self, text: str, stage: Stage) -> Items:
        """The checks of a list, in order.  Mistakes are items that answer 451, and are kept in `problems`.

        Raises TableUnsupported for a table that this release lacks.
        """
        items = tuple(self._items(split_words(text), stage))
        while self._waiting:  # the classes that were met on the way; they may name each other
            key, where = self._waiting.pop()
            self._members[key] = tuple(self._items(split_words(self._classes[key[0]]), where))
        return items

    def compile_value(self, text: str, stage: Stage) -> Items:
        """The same for a list that a table gave, remembered: such values come again and again.  Never raises."""
        key = (text, stage.parameter + stage.reply_class)
        items = self._values.get(key)
        if items is None:
            if len(self._values) >= REMEMBERED:
                self._values.clear()
            try:
                items = self.compile(text, stage)
            except (ConfigTrouble, TableUnsupported) as trouble:
                items = (Item(text, self._broken(str(trouble)), stage.reply_name),)
            self._values[key] = items
        return items

    def _items(self, words: list[str], stage: Stage) -> Iterator[Item]:
        """The checks of a list's words, watched where somebody wants that."""
        items = self._plain_items(words, stage)
        return items if self._watch is None else (self._watch(item, stage) for item in items)

    def _plain_items(self, words: list[str], stage: Stage) -> Iterator[Item]:
        at, warns = 0, False
        while at < len(words):
            word = words[at]
            if word.lower() == WARN_IF_REJECT:
                warns = True
                at += 1
                continue
            name, taken = word, 1
            if ":" in word:
                if not stage.access:
                    yield Item(word, self._broken(_bare_table(stage, word)), stage.reply_name, warns)
                    return
                name, taken = stage.access, 0
            restriction = None if _is_misspelt(name) else self._registry.get(name.lower())
            if restriction is None:
                yield Item(name, self._other(name, stage), stage.reply_name, warns)
                at += taken
            else:
                argument = words[at + taken] if at + taken < len(words) else ""
                if restriction.argument is not Argument.NONE:
                    taken += 1
                follows = words[at + taken] if at + taken < len(words) else ""
                ask = self._build(restriction, Place(stage, name, argument, follows))
                shown = name if restriction.argument is Argument.NONE else f"{name} {argument}"
                spares = sparing(self._bench().facts, name, argument)
                yield Item(shown, ask, stage.reply_name, warns, spares)
                at += taken
            warns = False

    def _build(self, restriction: Restriction, place: Place) -> Ask:
        """The check, or the item that says what is wrong with its argument."""
        name, argument = place.name, place.argument
        match restriction.argument:
            case Argument.TABLE if ":" not in argument:
                shown = argument or "(null)"
                return self._broken(f'restriction {name.lower()}: bad argument "{shown}": need maptype:mapname')
            case Argument.SERVICE if ":" not in argument:
                return self._broken(f"restriction {name.lower()} must be followed by transport:server")
            case Argument.NUMBER if not (argument.isascii() and argument.isdigit()):
                return self._broken(f"restriction {name.lower()} must be followed by number")
            case Argument.DOMAIN if not argument:
                return self._skipped(f"restriction {name} requires domain name argument")
            case _:
                return restriction.build(self._bench(), place)

    def _other(self, name: str, stage: Stage) -> Ask:
        """A restriction class, or a name that nobody knows."""
        if name in self._classes:
            return self._class(name, stage)
        removed = REMOVED.get(name.lower())
        if removed is not None:
            return self._broken(
                f'support for restriction "{name.lower()}" has been removed in Postfix 3.9; instead, specify {removed}'
            )
        return self._broken(f'unknown smtpd restriction: "{name}"')

    def _class(self, name: str, stage: Stage) -> Ask:
        """A class has members of its own for each place, because bare tables and texts differ there."""
        key = (name, stage.parameter + stage.reply_class)
        if key not in self._members:
            self._members[key] = ()
            self._waiting.append((key, stage))
        return lambda attempt: evaluate(self._members[key], attempt, self._bench().manner)

    def _broken(self, problem: str) -> Ask:
        self.problems.append(problem)
        verdict = server_error(problem)

        def ask_broken(attempt: Attempt) -> Verdict:
            warn(attempt, problem)
            return verdict

        return ask_broken

    def _skipped(self, problem: str) -> Ask:
        self.problems.append(problem)

        def ask_skipped(attempt: Attempt) -> Verdict:
            warn(attempt, problem)
            return DUNNO

        return ask_skipped


def _is_misspelt(name: str) -> bool:
    """True for a name in other letters than its own where that matters: to Postfix it names a class.  smtpd_check_init()"""
    return name != OURS and name.lower() == OURS


def _bare_table(stage: Stage, word: str) -> str:
    return (
        "specify one of (check_client_access, check_reverse_client_hostname_access, check_helo_access, "
        f"check_sender_access, check_recipient_access, check_etrn_access) before {stage.reply_class} "
        f'restriction "{word}"'
    )


def has_guard(text: str, classes: Mapping[str, str], depth: int = 0) -> bool:
    """True where the list refuses by default somewhere before a bare permit: it is no open relay by oversight."""
    words = iter(split_words(text))
    for word in words:
        low = word.lower()
        if low == WARN_IF_REJECT:
            next(words, None)
        elif low == "permit":
            return False
        elif low in GUARDS or (word in classes and depth < 100 and has_guard(classes[word], classes, depth + 1)):
            return True
    return False
