"""DNS block and permit lists: gone, misread, asked through the wrong resolver, or asked twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from seawall.cli.lint.rule import ADVICE, ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Site
from seawall.config.source import ConfigTrouble, Location
from seawall.mail.network import Network, parse_address, parse_network
from seawall.policy.dnsbl import ByteSets, parse_reply_filter
from seawall.policy.list_status import CODES, DEAD, LISTING, MERGED, PAID, REGISTER, SCORES, ListStatus, status_of

PUBLIC_RESOLVERS = (
    ("Google", "8.8.8.8/32 8.8.4.4/32 2001:4860:4860::/48"),
    ("Cloudflare", "1.1.1.0/24 1.0.0.0/24 2606:4700:4700::/48"),
    ("Quad9", "9.9.9.0/24 149.112.112.0/24 2620:fe::/48"),
    ("OpenDNS", "208.67.222.0/24 208.67.220.0/24 2620:119::/32"),
    ("Level 3", "4.2.2.0/29 209.244.0.0/24"),
    ("AdGuard", "94.140.14.0/23 2a10:50c0::/32"),
    ("CleanBrowsing", "185.228.168.0/23"),
    ("Yandex", "77.88.8.0/24"),
    ("Verisign", "64.6.64.0/23"),
    ("DNS4EU", "86.54.11.0/24"),
)
"""Who answers everybody's questions, and on which networks."""

STUB = "127.0.0.53"
"""systemd-resolved(8): it asks those of another file."""
ERROR_ANSWERS = {"127.255.255": "127.255.255.254", "127.0.0.1": "127.0.0.1", "127.0.0.255": "127.0.0.255"}
"""An answer that stands for each kind of error in the data."""
FILTERS = {
    "zen.spamhaus.org": "127.0.0.[2..11]",
    "sbl-xbl.spamhaus.org": "127.0.0.[2..9]",
    "sbl.spamhaus.org": "127.0.0.[2;3;9]",
    "xbl.spamhaus.org": "127.0.0.[4..7]",
    "pbl.spamhaus.org": "127.0.0.[10;11]",
    "zen.dq.spamhaus.net": "127.0.0.[2..11]",
    "dbl.spamhaus.org": "127.0.1.[2..99]",
    "dbl.dq.spamhaus.net": "127.0.1.[2..99]",
    "uribl.com": "127.0.0.2",
    "hostkarma.junkemailfilter.com": "127.0.0.2",
    "list.dnswl.org": "127.0.[0..255].[1..3]",
    "b.barracudacentral.org": "127.0.0.2",
    "swl.spamhaus.org": "127.0.2.[2..3]",
    "dnswl.spfbl.net": "127.0.0.[2..3]",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to a DNS list: the restriction, the list as written, what is known of it, and where it stands.

    `weighs` is True for postscreen's sites, which only add to a score.
    """

    name: str
    argument: str
    status: ListStatus | None
    location: Location | None
    weighs: bool = False

    @property
    def shown(self) -> str:
        """As written."""
        return f"{self.name} {self.argument}"

    @property
    def domain(self) -> str:
        """The zone."""
        return self.argument.partition("=")[0].lower().rstrip(".")

    @property
    def permits(self) -> bool:
        """True for a restriction that lets in."""
        return self.name.startswith("permit_")

    @property
    def wants(self) -> str:
        """addresses or domains: what the restriction looks up."""
        by_address = ("reject_rbl_client", "permit_dnswl_client", "postscreen_dnsbl_sites")
        return "addresses" if self.name in by_address else "domains"

    def counts(self, answer: str) -> bool:
        """True where the answer would be taken for a hit."""
        _, equals, pattern = self.argument.partition("=")
        if not equals:
            return True
        try:
            sets: ByteSets = parse_reply_filter(pattern)
        except ConfigTrouble:
            return False
        return all(int(byte) in good for byte, good in zip(answer.split("."), sets, strict=True))


def asked(site: Site) -> tuple[Asked, ...]:
    """Every question to a DNS list, each place once."""
    return site.once("asked", lambda: find_asked(site))


def find_asked(site: Site) -> tuple[Asked, ...]:
    """The same, looked for."""
    found: dict[tuple[str, str, Location | None], Asked] = {}
    for view in site.views:
        for listing in view.listings():
            for check in listing.checks:
                if check.present.startswith(("reject_rbl", "reject_rhsbl", "permit_dnswl", "permit_rhswl")):
                    status = status_of(check.argument)
                    each = Asked(check.present, check.argument, status, check.location)
                    found.setdefault((each.name, each.argument, each.location), each)
    has_door = site.main.flag("seawall_door")
    if has_door or any(os.path.basename(service.command) == "postscreen" for service in site.services):
        for word in site.placed("postscreen_dnsbl_sites"):
            argument = word.text.partition("*")[0]
            each = Asked("postscreen_dnsbl_sites", argument, status_of(argument), word.location, weighs=True)
            found.setdefault((each.name, each.argument, each.location), each)
    return tuple(found.values())


def with_status(site: Site, *statuses: str) -> Iterator[tuple[Asked, ListStatus]]:
    """The questions to lists of some state."""
    for each in asked(site):
        if each.status is not None and each.status.status in statuses:
            yield each, each.status


def since(status: ListStatus) -> str:
    """`` since 2024-06-05``, where the date is known."""
    return f" since {status.since}" if status.since else ""


def dead(site: Site) -> Iterator[Hit]:
    """Lists that answer nothing."""
    for each, status in with_status(site, DEAD):
        yield Hit(f"{each.shown}: {status.zone} is dead{since(status)}: {status.note} ({status.source})", each.location)


def listing_all(site: Site) -> Iterator[Hit]:
    """Dead lists that answered every question with a hit."""
    for each, status in with_status(site, LISTING):
        what = f"{each.shown}: {status.zone} is dead{since(status)}: {status.note} ({status.source})"
        yield Hit(what, each.location)


def merged(site: Site) -> Iterator[Hit]:
    """Lists that went into another."""
    for each, status in with_status(site, MERGED):
        what = f"{each.shown}: {status.zone} is no list of its own any more{since(status)}: {status.note} ({status.source})"
        yield Hit(what, each.location, f"{each.name} {suggest(status.within)}, once")


def registered(site: Site) -> Iterator[Hit]:
    """Lists that answer those whom they know."""
    for each, status in with_status(site, REGISTER, PAID):
        instead = "take it out unless you subscribe" if status.status == PAID else "register, or take it out"
        yield Hit(f"{each.shown}: {status.note} ({status.source})", each.location, instead)


def for_scores(site: Site) -> Iterator[Hit]:
    """Lists that are no reason to refuse."""
    for each, status in with_status(site, SCORES):
        if not each.weighs:
            yield Hit(f"{each.shown}: {status.note} ({status.source})", each.location)


def suggest(zone: str) -> str:
    """``zone=filter`` where the filter is known."""
    return f"{zone}={FILTERS[zone]}" if zone in FILTERS else zone


def misread(each: Asked) -> str:
    """The error answer that would be taken for a hit; empty where none would."""
    answer = ERROR_ANSWERS.get(each.status.errors, "") if each.status else ""
    return answer if answer and each.counts(answer) else ""


def unfiltered(site: Site) -> Iterator[Hit]:
    """Lists whose errors look like hits, asked without a filter."""
    through = public_resolver(site)
    for each in asked(site):
        status, answer = each.status, misread(each)
        if status is None or status.status in (DEAD, LISTING, MERGED, REGISTER, PAID):
            continue
        zone = each.domain if each.domain in FILTERS else status.zone
        pattern = FILTERS.get(zone, "127.0.0.[2..254]")
        if answer and not through:
            effect = "everybody is permitted" if each.permits else "everybody is refused"
            what = f"{each.shown}: its error answers ({answer}) count as hits: then {effect} ({status.source})"
            yield Hit(what, each.location, f"{each.name} {each.domain}={pattern}")
        elif not answer and status.status == CODES and "=" not in each.argument:
            yield Hit(
                f"{each.shown}: {status.note} ({status.source})", each.location, f"{each.name} {each.domain}={pattern}"
            )


def name_servers(site: Site, file: str) -> Iterator[str]:
    """The name servers of a resolv.conf(5); none where it cannot be read."""
    try:
        with open(site.settings.path(file), encoding="utf-8", errors="replace") as text:
            lines = text.read(1 << 16).split("\n")
    except (OSError, ValueError):
        return
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            yield words[1].partition("%")[0]


def resolvers(site: Site) -> Iterator[tuple[str, str]]:
    """(address, whose it is) of each public resolver that is asked, be it by systemd-resolved in between."""
    servers = list(name_servers(site, "/etc/resolv.conf"))
    if STUB in servers:
        servers.extend(name_servers(site, "/run/systemd/resolve/resolv.conf"))
    for server in servers:
        address = parse_address(server)
        for whose, networks in PUBLIC_RESOLVERS:
            known = filter(None, map(parse_network, networks.split()))
            if address is not None and any(holds(network, address) for network in known):
                yield server, whose


def holds(network: Network, address: tuple[int, int]) -> bool:
    """True where the address lies in the network."""
    return network.contains(*address)


def public_resolver(site: Site) -> str:
    """``8.8.8.8 (Google)``, where the DNS is asked through everybody's resolver."""
    return next((f"{address} ({whose})" for address, whose in resolvers(site)), "")


def through_public(site: Site) -> Iterator[Hit]:
    """Lists that give a public resolver an error, which the filter rightly ignores."""
    through = public_resolver(site)
    for each in asked(site) if through else ():
        if each.status is not None and each.status.errors and not misread(each) and each.status.status != LISTING:
            what = f"{each.shown}: asked through {through}, it answers with an error and never finds anybody"
            yield Hit(f"{what} ({each.status.source})", each.location)


def refuses_all(site: Site) -> Iterator[Hit]:
    """The same without a filter: every client is a hit."""
    through = public_resolver(site)
    for each in asked(site) if through else ():
        answer = misread(each)
        if answer and each.status is not None:
            effect = "permits" if each.permits else "refuses"
            what = f"{each.shown}: asked through {through}, it answers {answer} to everything and so {effect} everybody"
            zone = each.domain if each.domain in FILTERS else each.status.zone
            yield Hit(f"{what} ({each.status.source})", each.location, f"a resolver of one's own, and {suggest(zone)}")


def wrong_kind(site: Site) -> Iterator[Hit]:
    """Domains asked of a list of addresses, and the other way round; the good refused and the bad permitted."""
    for each in asked(site):
        status = each.status
        if status is None or status.status in (DEAD, LISTING, PAID):
            continue
        if status.holds not in ("both", each.wants):
            right = "reject_rhsbl_sender" if status.holds == "domains" else "reject_rbl_client"
            if each.permits:
                right = "permit_rhswl_client" if status.holds == "domains" else "permit_dnswl_client"
            what = f"{each.shown}: {status.zone} lists {status.holds}, and is asked about {each.wants}"
            yield Hit(what, each.location, f"{right} {each.argument}")
        elif status.lists_the_good and not each.permits and not each.weighs:
            what = f"{each.shown}: {status.zone} lists the good, and would have them refused"
            yield Hit(what, each.location, f"permit_dnswl_client {suggest(status.zone)}")
        elif each.permits and not status.lists_the_good and status.status != CODES:
            yield Hit(f"{each.shown}: {status.zone} lists the bad, and would let them in", each.location, "take it out")


def twice(site: Site) -> Iterator[Hit]:
    """Lists that another list in use holds already, or that are asked twice."""
    every = [each for each in asked(site) if not each.weighs]
    seen: dict[tuple[str, str], Asked] = {}
    for each in every:
        earlier = seen.setdefault((each.name, each.argument.lower()), each)
        if earlier is not each and earlier.location != each.location:
            place = f"line {earlier.location.line}" if earlier.location else "before"
            yield Hit(f"{each.shown}: asked already ({place})", each.location, "once")
        within = each.status.within if each.status is not None else ""
        whole = next((other for other in every if within and other.domain == within and other.name == each.name), None)
        if whole is not None and whole is not each and each.status is not None and each.status.status != MERGED:
            yield Hit(
                f"{each.shown}: {within}, which is asked too, holds all of it", each.location, f"only {suggest(within)}"
            )


RULES = (
    Rule(
        "dnsbl-lists-everybody",
        ERROR,
        "A dead list whose domain answers every question with a hit refuses all mail.",
        "take it out now",
        listing_all,
    ),
    Rule(
        "dnsbl-dead",
        WARNING,
        "A dead list catches nobody, costs a question for each client, and may one day answer with a hit for everybody.",
        "take it out",
        dead,
    ),
    Rule("dnsbl-merged", WARNING, "The list lives on as a part of another.", "ask the other", merged),
    Rule(
        "dnsbl-register",
        ADVICE,
        "The list answers only those whom it knows; strangers hear nothing or an error.",
        "register",
        registered,
    ),
    Rule(
        "dnsbl-for-scores",
        WARNING,
        "By its own makers' word the list names many who send real mail.",
        "take it out, or give it a small weight in postscreen_dnsbl_sites",
        for_scores,
    ),
    Rule(
        "dnsbl-no-filter",
        WARNING,
        "The list answers more than yes: without a reply filter its errors and grades count as hits.",
        "give the filter",
        unfiltered,
    ),
    Rule(
        "dnsbl-public-resolver",
        WARNING,
        "Lists do not answer public resolvers, because they cannot tell who asks.",
        "a resolver of one's own (unbound on 127.0.0.1) in /etc/resolv.conf",
        through_public,
    ),
    Rule(
        "dnsbl-refuses-all",
        ERROR,
        "Through a public resolver the list answers an error to every question, and without a filter that is a hit.",
        "a resolver of one's own, and a filter",
        refuses_all,
    ),
    Rule(
        "dnsbl-wrong-kind",
        WARNING,
        "A list answers only what it lists: addresses or domains, the bad or the good.",
        "ask it what it knows",
        wrong_kind,
    ),
    Rule(
        "dnsbl-twice", ADVICE, "A question more for each client, and no client more that is caught.", "ask once", twice
    ),
)
