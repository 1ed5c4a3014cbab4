"""Names, domains, networks, smuggling, backscatter: what a site is to the others."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.cli.lint.rule import ADVICE, ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Site
from seawall.cli.lint.written import Word
from seawall.mail.network import parse_network

FQDN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*\.?\Z", re.ASCII)
WIDEST = {32: 8, 128: 16}
"""Prefix lengths below which mynetworks is a mistake: by the width of the address."""
PRIVATE = tuple(
    filter(
        None,
        map(parse_network, ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")),
    )
)


def smuggling(site: Site) -> Iterator[Hit]:
    """Line ends that other servers read otherwise."""
    for view in site.views:
        if view.text("smtpd_forbid_bare_newline").lower() in ("no", "note") and view.is_set(
            "smtpd_forbid_bare_newline"
        ):
            yield Hit(
                f"smtpd_forbid_bare_newline = {view.text('smtpd_forbid_bare_newline')}: mail can be smuggled in behind mail",
                view.where("smtpd_forbid_bare_newline"),
            )
        if view.is_set("smtpd_forbid_unauth_pipelining") and not view.flag("smtpd_forbid_unauth_pipelining"):
            yield Hit(
                "smtpd_forbid_unauth_pipelining = no: mail can be smuggled in behind mail",
                view.where("smtpd_forbid_unauth_pipelining"),
                "smtpd_forbid_unauth_pipelining = yes",
            )


def strict_envelopes(site: Site) -> Iterator[Hit]:
    """strict_rfc821_envelopes."""
    for view in site.mx_views():
        if view.flag("strict_rfc821_envelopes"):
            yield Hit(
                "strict_rfc821_envelopes = yes: refuses clumsy programs of real people, and no bot of today",
                view.where("strict_rfc821_envelopes"),
            )


def no_level(site: Site) -> Iterator[Hit]:
    """compatibility_level is absent."""
    if not site.main.is_set("compatibility_level"):
        yield Hit(
            "compatibility_level is not set: the defaults are those of before 2015, among them an empty smtpd_relay_restrictions",
            None,
        )


def bad_names(site: Site) -> Iterator[Hit]:
    """Names that nobody can answer to."""
    name = site.main.text("myhostname")
    where = site.main.where("myhostname")
    if where is None and site.settings.root:
        return  # the name of the host that this runs on says nothing of the one whose files these are
    if name.lower() in ("localhost", "localhost.localdomain") or name.endswith(
        (".local", ".localdomain", ".lan", ".internal")
    ):
        yield Hit(f"myhostname = {name}: nobody out there knows the name, and many refuse a HELO with it", where)
    elif not FQDN.match(name):
        yield Hit(f"myhostname = {name} is no full domain name", where)
    origin = site.main.text("myorigin")
    if not origin.startswith("/") and "." not in origin and site.main.is_set("myorigin"):
        yield Hit(
            f"myorigin = {origin}: local mail would come from user@{origin}",
            site.main.where("myorigin"),
            "myorigin = $mydomain, or $myhostname",
        )


def banner(site: Site) -> Iterator[Hit]:
    """A greeting without the host's name."""
    for view in site.mx_views():
        first = view.text("smtpd_banner").split(" ")[0]
        if view.is_set("smtpd_banner") and not FQDN.match(first):
            yield Hit(
                f"smtpd_banner begins with {first}: a greeting begins with the host's name (RFC 5321 §4.2)",
                view.where("smtpd_banner"),
                "smtpd_banner = $myhostname ESMTP",
            )


def plain_words(words: tuple[Word, ...]) -> dict[str, Word]:
    """The plain names in a list, tables and files left out."""
    return {word.text.lower(): word for word in words if ":" not in word.text and not word.text.startswith(("/", "!"))}


CLASSES = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")


def two_classes(site: Site) -> Iterator[Hit]:
    """A domain in two classes."""
    lists = {
        name: plain_words(site.placed(name)) for name in CLASSES if site.main.is_set(name) or name == "mydestination"
    }
    for at, first in enumerate(CLASSES):
        for second in CLASSES[at + 1 :]:
            for domain, word in lists.get(second, {}).items():
                if domain in lists.get(first, {}):
                    what = (
                        f"{domain} stands in {first} and in {second}: the first wins, and the other's users are unknown"
                    )
                    instead = (
                        "relay_domains =" if (first, second) == ("mydestination", "relay_domains") else "one of the two"
                    )
                    yield Hit(what, word.location, instead)


def wide_networks(site: Site) -> Iterator[Hit]:
    """mynetworks with half the world in it."""
    for view in site.views:
        for name in ("mynetworks", "smtpd_authorized_xclient_hosts", "smtpd_authorized_xforward_hosts"):
            for word in view.placed(name):
                network = parse_network(word.text.replace("[", "").replace("]", ""))
                if network is None or any(
                    own.contains(network.value, network.width) and own.bits <= network.bits for own in PRIVATE
                ):
                    continue
                if network.bits < WIDEST[network.width]:
                    does = "may relay" if name == "mynetworks" else "may pretend to be anybody"
                    yield Hit(f"{name} holds {word.text}: strangers {does}", word.location)
                elif network.width == 32 and network.bits <= 16 and name == "mynetworks":
                    yield Hit(
                        f"mynetworks holds {word.text}: {1 << (32 - network.bits)} public addresses may relay",
                        word.location,
                    )


def network_style(site: Site) -> Iterator[Hit]:
    """mynetworks_style = class."""
    if site.main.text("mynetworks_style") == "class" and not site.main.is_set("mynetworks"):
        yield Hit(
            "mynetworks_style = class: the whole provider's network may relay",
            site.main.where("mynetworks_style"),
            "mynetworks_style = host, or mynetworks",
        )


def accepts_unknown(site: Site) -> Iterator[Hit]:
    """Domains whose users nobody checks: their mail is taken and comes back to a forged sender."""
    main = site.main
    if main.is_set("local_recipient_maps") and not main.text("local_recipient_maps") and main.words("mydestination"):
        yield Hit(
            "local_recipient_maps is empty: mail for users who do not exist is taken, and bounced to forged senders",
            main.where("local_recipient_maps"),
            "take it out",
        )
    relayed = main.is_set("relay_domains") and main.words("relay_domains")
    checked = any(
        check.present == "reject_unverified_recipient"
        for view in site.views
        for listing in view.listings()
        for check in listing.checks
    )
    if (
        relayed
        and not main.text("relay_recipient_maps")
        and not checked
        and set(main.words("relay_domains")) - set(main.words("mydestination"))
    ):
        yield Hit(
            "relay_domains without relay_recipient_maps: mail for users who do not exist is taken, and bounced to forged senders",
            main.where("relay_domains"),
            "relay_recipient_maps, or reject_unverified_recipient",
        )
    if main.text("luser_relay"):
        yield Hit("luser_relay takes mail for every unknown user", main.where("luser_relay"), "take it out")
    for view in site.mx_views():
        if view.is_set("smtpd_reject_unlisted_recipient") and not view.flag("smtpd_reject_unlisted_recipient"):
            listed = any(
                check.present == "reject_unlisted_recipient" for listing in view.listings() for check in listing.checks
            )
            if not listed:
                yield Hit(
                    "smtpd_reject_unlisted_recipient = no: mail for users who do not exist is taken, and bounced to forged senders",
                    view.where("smtpd_reject_unlisted_recipient"),
                    "smtpd_reject_unlisted_recipient = yes",
                )


def one_protocol(site: Site) -> Iterator[Hit]:
    """No IPv4."""
    words = {word.lower() for word in site.main.words("inet_protocols")}
    if words == {"ipv6"}:
        yield Hit(
            "inet_protocols = ipv6: most of the world's mail servers speak IPv4 alone",
            site.main.where("inet_protocols"),
        )


def untrusted_routing(site: Site) -> Iterator[Hit]:
    """allow_untrusted_routing."""
    for view in site.views:
        if view.flag("allow_untrusted_routing"):
            yield Hit(
                "allow_untrusted_routing = yes: user@elsewhere@here goes elsewhere",
                view.where("allow_untrusted_routing"),
            )


def copies(site: Site) -> Iterator[Hit]:
    """always_bcc."""
    if site.main.text("always_bcc"):
        yield Hit(
            f"always_bcc = {site.main.text('always_bcc')}: every message is copied, bounces too, and a full mailbox there bounces them again",
            site.main.where("always_bcc"),
        )


def no_dns(site: Site) -> Iterator[Hit]:
    """disable_dns_lookups, smtpd_peername_lookup."""
    if site.main.flag("disable_dns_lookups") and not site.main.text("relayhost"):
        yield Hit(
            "disable_dns_lookups = yes without a relayhost: MX records are not asked for",
            site.main.where("disable_dns_lookups"),
            "disable_dns_lookups = no",
        )
    for view in site.mx_views():
        named = next(
            (
                check
                for listing in view.listings()
                for check in listing.checks
                if check.present.startswith(
                    ("reject_unknown_client", "reject_unknown_reverse", "reject_rhsbl_client", "check_reverse_client")
                )
            ),
            None,
        )
        if view.is_set("smtpd_peername_lookup") and not view.flag("smtpd_peername_lookup") and named is not None:
            yield Hit(
                f"smtpd_peername_lookup = no: {named.shown} sees every client as unknown",
                view.where("smtpd_peername_lookup"),
                "smtpd_peername_lookup = yes",
            )


def hears_nobody(site: Site) -> Iterator[Hit]:
    """A server for strangers that listens on loopback."""
    if (
        set(site.main.words("inet_interfaces")) & {"loopback-only", "localhost", "127.0.0.1"}
        and len(site.main.words("inet_interfaces")) == 1
    ):
        foreign = [
            word
            for word in site.placed("relay_domains")
            + site.placed("virtual_alias_domains")
            + site.placed("virtual_mailbox_domains")
            if word.location
        ]
        if foreign:
            yield Hit(
                "inet_interfaces is loopback alone, and yet there are domains to take mail for",
                site.main.where("inet_interfaces"),
                "inet_interfaces = all",
            )


def noisy(site: Site) -> Iterator[Hit]:
    """notify_classes that mail the postmaster about every bot."""
    loud = {"bounce", "2bounce", "delay", "policy", "protocol", "data"} & {
        word.lower() for word in site.main.words("notify_classes")
    }
    if loud & {"policy", "protocol", "bounce"} and site.main.is_set("notify_classes"):
        yield Hit(
            f"notify_classes has {', '.join(sorted(loud & {'policy', 'protocol', 'bounce'}))}: a message to the postmaster for every bot",
            site.main.where("notify_classes"),
            "notify_classes = resource, software",
        )


RULES = (
    Rule(
        "smuggling",
        ERROR,
        "A line end that one server takes for the end of a message and the next does not lets a stranger forge mail from anybody.",
        "smtpd_forbid_bare_newline = normalize",
        smuggling,
    ),
    Rule(
        "strict-envelopes",
        ADVICE,
        "Small programs and old devices write addresses without brackets; bots write them well.",
        "take it out",
        strict_envelopes,
    ),
    Rule(
        "compatibility-level",
        WARNING,
        "Defaults depend on it; without it an upgrade keeps those of long ago.",
        "compatibility_level = 3.6",
        no_level,
    ),
    Rule(
        "hostname",
        WARNING,
        "Other servers look the name up, and refuse what they cannot find.",
        "myhostname = the name that the address's PTR record gives",
        bad_names,
    ),
    Rule(
        "banner", WARNING, "Clients read the first word as the host's name.", "smtpd_banner = $myhostname ESMTP", banner
    ),
    Rule("two-classes", WARNING, "A domain belongs to one class.", "one of the two", two_classes),
    Rule(
        "networks-wide",
        ERROR,
        "mynetworks may relay, and XCLIENT hosts may be anybody: that is for hosts that one knows.",
        "the hosts that are meant",
        wide_networks,
    ),
    Rule(
        "networks-style-class",
        ERROR,
        "The class of an address has meant nothing since 1993.",
        "mynetworks_style = host",
        network_style,
    ),
    Rule(
        "accepts-unknown-users",
        WARNING,
        "What is refused at RCPT costs nothing; what is bounced later hits somebody whose address was forged, and lists name the server for it.",
        "refuse at RCPT",
        accepts_unknown,
    ),
    Rule("protocols-narrow", WARNING, "Who cannot be reached cannot send.", "inet_protocols = all", one_protocol),
    Rule(
        "untrusted-routing",
        ERROR,
        "A backup server passes such addresses on, and relays.",
        "allow_untrusted_routing = no",
        untrusted_routing,
    ),
    Rule(
        "always-bcc",
        ADVICE,
        "A copy of everything is a store of everybody's mail.",
        "sender_bcc_maps or recipient_bcc_maps for whom it is meant",
        copies,
    ),
    Rule("dns-off", WARNING, "Without the DNS neither destinations nor clients have names.", "ask the DNS", no_dns),
    Rule("hears-nobody", WARNING, "Strangers cannot connect.", "inet_interfaces = all", hears_nobody),
    Rule(
        "notify-noisy",
        ADVICE,
        "Under a flood the postmaster's mailbox floods too.",
        "notify_classes = resource, software",
        noisy,
    ),
)
