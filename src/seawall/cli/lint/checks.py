"""Restriction lists as rules see them: each check with its present name, its argument, and the line where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from seawall.cli.lint.written import Word
from seawall.config.source import Location
from seawall.policy.bench import Argument
from seawall.policy.language import REMOVED, WARN_IF_REJECT
from seawall.policy.order import PRESENT_NAMES, TRAITS, Cost, Trait, cost_of
from seawall.policy.registry import RESTRICTIONS
from seawall.policy.stages import STAGES

NO_TRAIT = Trait(refuses=False)
DEEPEST = 100
"""Classes within classes, as in smtpd_check.c."""
MOST_CHECKS = 1000
"""Checks of one list that are looked at; ours, far beyond any list that a hand wrote."""


class Lists(Protocol):
    """What lists are read from."""

    def placed(self, name: str) -> tuple[Word, ...]:
        """The words of a parameter, each with its line."""
        ...

    def words(self, name: str) -> tuple[str, ...]:
        """The words of a parameter."""
        ...

    def is_set(self, name: str) -> bool:
        """True where it is set."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a list.

    `name` is as written, `present` today's spelling in small letters, or the class's name; `trait` what it can do.
    """

    name: str
    present: str
    argument: str
    location: Location | None
    warns: bool = False
    is_class: bool = False
    is_known: bool = True
    trait: Trait = NO_TRAIT

    @property
    def cost(self) -> Cost:
        """What it costs."""
        return max(self.trait.cost, cost_of(self.present, self.argument))

    @property
    def shown(self) -> str:
        """As a hand would write it."""
        return f"{self.name} {self.argument}".strip()

    @property
    def is_table(self) -> bool:
        """True for an access table."""
        return self.present.startswith("check_") and self.present.endswith("_access")


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: the parameter, its stage (empty for a class), its checks; `dangling` is a warn_if_reject at its end."""

    parameter: str
    stage: str
    checks: tuple[Check, ...]
    dangling: Location | None = None

    @property
    def is_class(self) -> bool:
        """True for a restriction class."""
        return not self.stage


def read_listings(view: Lists) -> tuple[dict[str, Listing], dict[str, Listing]]:
    """(lists by stage, classes by name) of one view."""
    names = [name for name in view.words("smtpd_restriction_classes") if view.is_set(name)]
    classes: dict[str, Listing] = {}
    for name in names:
        classes[name] = read_listing(name, "", view.placed(name), frozenset(names))
    traits = class_traits(classes)
    classes = {name: with_traits(listing, traits) for name, listing in classes.items()}
    lists = {
        short: with_traits(read_listing(stage.parameter, short, view.placed(stage.parameter), frozenset(names)), traits)
        for short, stage in STAGES.items()
    }
    return lists, classes


def read_listing(parameter: str, stage: str, words: tuple[Word, ...], classes: frozenset[str]) -> Listing:
    """The checks of one list, as policy/language compiles them."""
    checks: list[Check] = []
    at, warns = 0, False
    dangling: Location | None = None
    access = STAGES[stage].access if stage else ""
    while at < len(words) and len(checks) < MOST_CHECKS:
        if words[at].text.lower() == WARN_IF_REJECT:
            warns, dangling = True, words[at].location
            at += 1
            continue
        check, taken = read_check(words[at:], access, classes)
        checks.append(replace(check, warns=warns))
        at += taken
        warns, dangling = False, None
    return Listing(parameter, stage, tuple(checks), dangling)


def read_check(words: tuple[Word, ...], access: str, classes: frozenset[str]) -> tuple[Check, int]:
    """The check that begins with the first word, and how many words it takes."""
    word = words[0]
    if ":" in word.text:
        name = access or "check_access"
        return Check(name, name, word.text, word.location, trait=TRAITS.get(name, NO_TRAIT)), 1
    low = word.text.lower()
    restriction = RESTRICTIONS.get(low)
    present = PRESENT_NAMES.get(low, low)
    if restriction is None:
        is_class = word.text in classes
        known = is_class or low in REMOVED
        return Check(word.text, word.text, "", word.location, is_class=is_class, is_known=known), 1
    takes = restriction.argument is not Argument.NONE
    argument = words[1].text if takes and len(words) > 1 else ""
    return Check(word.text, present, argument, word.location, trait=TRAITS.get(present, NO_TRAIT)), 1 + takes


def class_traits(classes: Mapping[str, Listing]) -> dict[str, Trait]:
    """What each class can do: what any of its members can, up to the one that ends it.  A circle can do nothing more."""
    known: dict[str, Trait] = {}

    def trait_of(name: str, depth: int) -> Trait:
        if name in known or depth > DEEPEST:
            return known.get(name, NO_TRAIT)
        known[name] = total = NO_TRAIT
        for check in classes[name].checks:
            trait = trait_of(check.name, depth + 1) if check.is_class else check.trait
            total = Trait(
                cost=max(total.cost, trait.cost, check.cost),
                permits=total.permits or trait.permits,
                refuses=total.refuses or trait.refuses,
                ends=trait.ends and not check.warns,
                needs=max(total.needs, trait.needs),
            )
            if total.ends:
                break
        known[name] = total
        return total

    return {name: trait_of(name, 0) for name in classes}


def with_traits(listing: Listing, traits: Mapping[str, Trait]) -> Listing:
    """The list with what its classes can do."""
    checks = tuple(replace(each, trait=traits[each.name]) if each.is_class else each for each in listing.checks)
    return replace(listing, checks=checks)


def pairs(listing: Listing) -> Iterator[tuple[tuple[Check, ...], Check]]:
    """(all before it, check) of each check."""
    for at, check in enumerate(listing.checks):
        yield listing.checks[:at], check
