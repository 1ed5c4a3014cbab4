"""Restriction lists: what is never reached, what says nothing new, what works only by chance, what comes too late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seawall.cli.lint.checks import Check, Listing, pairs
from seawall.cli.lint.rule import ADVICE, ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Site, View
from seawall.config.source import Location
from seawall.policy.language import REMOVED, WARN_IF_REJECT
from seawall.policy.order import PRESENT_NAMES, Cost, Needs
from seawall.policy.registry import RESTRICTIONS

IMPLIES: Mapping[str, tuple[str, ...]] = {
    # a check: those of which it can find nothing more where it stands behind them
    "reject_unknown_reverse_client_hostname": ("reject_unknown_client_hostname",),
    "reject_non_fqdn_helo_hostname": ("reject_unknown_helo_hostname",),
    "defer_unauth_destination": ("reject_unauth_destination",),
    "reject_unauthenticated_sender_login_mismatch": ("reject_sender_login_mismatch",),
    "reject_authenticated_sender_login_mismatch": ("reject_sender_login_mismatch",),
    "reject_known_sender_login_mismatch": ("reject_sender_login_mismatch",),
    "reject_unlisted_recipient": ("reject_unverified_recipient",),
}
GUARDS = ("reject_unauth_destination", "defer_unauth_destination")
STEPS = {"client": Needs.CLIENT, "helo": Needs.HELO, "sender": Needs.SENDER, "etrn": Needs.HELO}
STEP_OF = {
    Needs.HELO: "smtpd_helo_restrictions",
    Needs.SENDER: "smtpd_sender_restrictions",
    Needs.RECIPIENT: "smtpd_recipient_restrictions",
}
KNOWN_OF = {Needs.HELO: "the HELO name", Needs.SENDER: "the sender", Needs.RECIPIENT: "the recipient"}


def line_of(location: Location | None) -> str:
    """``line 7``, or where it is no line."""
    return f"line {location.line}" if location else "the default"


def every_list(site: Site) -> Iterator[tuple[View, Listing]]:
    """Every list and class of every view."""
    for view in site.views:
        for listing in view.listings():
            yield view, listing


def unknown(site: Site) -> Iterator[Hit]:
    """Words that are no restriction and no class."""
    for _, listing in every_list(site):
        for check in listing.checks:
            if not check.is_known:
                near = nearest(check.name)
                what = f"{listing.parameter}: unknown restriction {check.name}: who gets there hears 451 4.3.5"
                yield Hit(what, check.location, f"did you mean {near}?" if near else "")


def nearest(name: str) -> str:
    """The restriction that is spelled most like it, if any is."""
    import difflib

    return next(iter(difflib.get_close_matches(name.lower(), [*RESTRICTIONS], 1, 0.75)), "")


def removed(site: Site) -> Iterator[Hit]:
    """Restrictions that are gone."""
    for _, listing in every_list(site):
        for check in listing.checks:
            instead = REMOVED.get(check.name.lower())
            if instead and not check.is_class:
                what = f"{listing.parameter}: {check.name} is gone since Postfix 3.9: who gets there hears 451 4.3.5"
                yield Hit(what, check.location, instead.replace('"', ""))


def old_names(site: Site) -> Iterator[Hit]:
    """Old spellings."""
    for _, listing in every_list(site):
        for check in listing.checks:
            present = PRESENT_NAMES.get(check.name.lower())
            if present and not check.is_class:
                yield Hit(f"{listing.parameter}: {check.name} is an old spelling", check.location, present)


def unreachable(site: Site) -> Iterator[Hit]:
    """What stands behind the end of a list."""
    for _, listing in every_list(site):
        for before, check in pairs(listing):
            end = next((each for each in before if each.trait.ends and not each.warns), None)
            if end is not None:
                what = f"{listing.parameter}: {check.shown} is never asked: {end.shown} ({line_of(end.location)}) ends the list"
                yield Hit(what, check.location)


def last_permit(site: Site) -> Iterator[Hit]:
    """A permit at the end, which the end means anyway."""
    for _, listing in every_list(site):
        last = listing.checks[-1] if listing.checks else None
        if last is not None and last.present == "permit" and not listing.is_class and len(listing.checks) > 1:
            yield Hit(f"{listing.parameter}: permit at the end of a list says what the end says", last.location)


def duplicates(site: Site) -> Iterator[Hit]:
    """The same check twice in one list."""
    for _, listing in every_list(site):
        for before, check in pairs(listing):
            same = [each for each in before if (each.present, each.argument) == (check.present, check.argument)]
            if (
                same
                and not same[0].warns
                and check.is_known
                and not check.present.startswith(("reject_rbl", "reject_rhsbl"))
            ):
                what = f"{listing.parameter}: {check.shown} stands here twice ({line_of(same[0].location)})"
                yield Hit(what, check.location)


def again(site: Site) -> Iterator[Hit]:
    """Checks that an earlier list has asked, of at least the same clients.  All of them are asked at RCPT."""
    for view in site.views:
        asked: dict[tuple[str, str], tuple[Listing, Check, frozenset[str]]] = {}
        for stage in ("client", "helo", "sender", "relay", "recipient"):
            listing = view.lists[stage]
            for before, check in pairs(listing):
                passed = frozenset(each.shown for each in before if each.trait.permits)
                earlier = asked.get((check.present, check.argument))
                if not check.trait.refuses or check.trait.permits or check.trait.ends or check.is_class or check.warns:
                    continue
                if earlier is not None and earlier[0] is not listing and earlier[2] <= passed:
                    what = f"{listing.parameter}: {check.shown} was asked in {earlier[0].parameter} ({line_of(earlier[1].location)}) already"
                    yield Hit(what, check.location)
                asked.setdefault((check.present, check.argument), (listing, check, passed))


def implied(site: Site) -> Iterator[Hit]:
    """Checks that an earlier one makes idle."""
    for view, listing in every_list(site):
        for before, check in pairs(listing):
            earlier = next((e for e in before if e.present in IMPLIES.get(check.present, ()) and not e.warns), None)
            if earlier is not None:
                what = f"{listing.parameter}: {check.shown} finds nothing that {earlier.shown} ({line_of(earlier.location)}) let pass"
                yield Hit(what, check.location)
            elif check.present == "reject_unauth_pipelining" and view.flag("smtpd_forbid_unauth_pipelining"):
                what = f"{listing.parameter}: {check.shown}: smtpd_forbid_unauth_pipelining = yes (the default since Postfix 3.9) hangs up on such clients before"
                yield Hit(what, check.location)
            elif check.present == "reject_unknown_recipient_domain" and any(e.present in GUARDS for e in before):
                what = f"{listing.parameter}: {check.shown} behind reject_unauth_destination: only domains of ours come here, and those it passes"
                yield Hit(what, check.location)


def dangling(site: Site) -> Iterator[Hit]:
    """warn_if_reject with nothing behind it."""
    for _, listing in every_list(site):
        if listing.dangling is not None:
            yield Hit(f"{listing.parameter}: {WARN_IF_REJECT} stands before nothing", listing.dangling)


def only_warns(site: Site) -> Iterator[Hit]:
    """Checks that are still on trial."""
    for _, listing in every_list(site):
        for check in listing.checks:
            if check.warns and check.trait.refuses:
                yield Hit(
                    f"{listing.parameter}: {check.shown} is on trial: it logs, and refuses nobody", check.location
                )


def bare_defer(site: Site) -> Iterator[Hit]:
    """defer_if_permit and defer by themselves: everybody is put off."""
    for view, listing in every_list(site):
        if listing.is_class or view.name.startswith("reject"):
            continue
        for before, check in pairs(listing):
            if check.present == "defer_if_permit" and not check.warns:
                yield Hit(
                    f"{listing.parameter}: {check.shown}: whoever would be let in is put off instead", check.location
                )
            elif check.present == "defer" and not check.warns and not any(each.trait.permits for each in before):
                yield Hit(
                    f"{listing.parameter}: {check.shown}: nothing before it permits, so everybody is put off",
                    check.location,
                )


def needs_delay(site: Site) -> Iterator[Hit]:
    """Checks in a list that comes before what they ask about; they work because refusals wait for RCPT."""
    yield from early(site, delays=True)


def dead_without_delay(site: Site) -> Iterator[Hit]:
    """The same where nothing waits."""
    yield from early(site, delays=False)


def early(site: Site, *, delays: bool) -> Iterator[Hit]:
    """Checks that know too little in their list, in views that delay or do not."""
    for view in site.views:
        if view.flag("smtpd_delay_reject") is not delays:
            continue
        for stage, step in STEPS.items():
            for check in view.lists[stage].checks if stage in view.lists and stage != "etrn" else ():
                if not check.is_class and step < check.trait.needs <= Needs.RECIPIENT:
                    right = STEP_OF[check.trait.needs]
                    how = (
                        "works only because smtpd_delay_reject = yes"
                        if delays
                        else "does nothing, because smtpd_delay_reject = no"
                    )
                    what = f"{view.lists[stage].parameter}: {check.shown} asks about {KNOWN_OF[check.trait.needs]}, which comes later: it {how}"
                    yield Hit(what, check.location, f"move it to {right}")


def recipients_at_data(site: Site) -> Iterator[Hit]:
    """Checks of the recipient where there may be several."""
    for view in site.views:
        for stage in ("data", "end_of_data"):
            for check in view.lists[stage].checks:
                if check.trait.needs == Needs.RECIPIENT and not check.is_class:
                    what = f"{view.lists[stage].parameter}: {check.shown} is passed over for a message with several recipients"
                    yield Hit(what, check.location, "move it to smtpd_recipient_restrictions")


def undefined_class(site: Site) -> Iterator[Hit]:
    """Classes without a definition."""
    for view in site.views:
        for word in view.placed("smtpd_restriction_classes"):
            if not view.is_set(word.text) or not view.words(word.text):
                yield Hit(
                    f"restriction class {word.text} has no definition",
                    word.location,
                    f"{word.text} = a list of restrictions",
                )


def idle_class(site: Site) -> Iterator[Hit]:
    """Classes that no list names, or that a restriction of that name hides.  Tables may name them too."""
    for view in site.views:
        used = {check.name for listing in view.listings() for check in listing.checks}
        has_tables = any(
            check.is_table or check.trait.cost is Cost.SERVICE for lists in view.listings() for check in lists.checks
        )
        for word in view.placed("smtpd_restriction_classes"):
            if word.text.lower() in RESTRICTIONS:
                yield Hit(
                    f"restriction class {word.text} has a restriction's name: the restriction is meant, never the class",
                    word.location,
                    "another name",
                )
            elif word.text not in used and not has_tables:
                yield Hit(f"restriction class {word.text} is used nowhere", word.location, "take it out")


RULES = (
    Rule(
        "restriction-unknown",
        ERROR,
        "A word that is no restriction answers 451 4.3.5 to whoever gets there.",
        "correct the word",
        unknown,
    ),
    Rule(
        "restriction-removed",
        ERROR,
        "The restriction no longer exists; it answers 451 4.3.5.",
        "its successor",
        removed,
    ),
    Rule(
        "restriction-old-name",
        ADVICE,
        "The old spelling still works; today's says what it does.",
        "today's spelling",
        old_names,
    ),
    Rule(
        "unreachable-check",
        WARNING,
        "permit, reject and defer end a list.",
        "take it out, or put it before the end",
        unreachable,
    ),
    Rule(
        "last-permit",
        ADVICE,
        "At the end of a list mail goes on to the next list by itself; an end that can be seen is easily taken for more.",
        "take it out",
        last_permit,
    ),
    Rule("duplicate-check", ADVICE, "What was asked once is answered.", "take one out", duplicates),
    Rule(
        "asked-again",
        ADVICE,
        "All lists up to the recipient's are asked at RCPT: the second answer is the first one.",
        "take one out",
        again,
    ),
    Rule(
        "implied-check", ADVICE, "An earlier check has already refused whomever this one would.", "take it out", implied
    ),
    Rule(
        "warn-if-reject-dangling",
        WARNING,
        "warn_if_reject speaks of the check behind it.",
        "take it out, or put the check behind it",
        dangling,
    ),
    Rule(
        "warn-if-reject",
        ADVICE,
        "A check on trial costs what it costs and refuses nobody.",
        "take warn_if_reject out once the log has convinced you",
        only_warns,
    ),
    Rule(
        "defers-everybody",
        WARNING,
        "A deferral without a condition puts off all mail that gets there.",
        "take it out",
        bare_defer,
    ),
    Rule(
        "works-by-delay",
        ADVICE,
        "Refusals wait for RCPT by default; the day that somebody sets smtpd_delay_reject = no, this check is gone without a word.",
        "the list of its own step",
        needs_delay,
    ),
    Rule(
        "dead-without-delay",
        WARNING,
        "Without smtpd_delay_reject a list is asked at its own step, when what comes later is not known.",
        "the list of its own step",
        dead_without_delay,
    ),
    Rule(
        "recipient-at-data",
        WARNING,
        "At DATA there may be several recipients, and then no single one is asked about.",
        "smtpd_recipient_restrictions",
        recipients_at_data,
    ),
    Rule(
        "class-undefined",
        ERROR,
        "A class is a list by its own name; without one the server does not start.",
        "define it",
        undefined_class,
        stops=True,
    ),
    Rule("class-idle", ADVICE, "What nobody names does nothing.", "take it out", idle_class),
)
