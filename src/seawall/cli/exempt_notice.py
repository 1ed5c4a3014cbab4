"""`seawall exempt notice`: a letter to the other side's postmaster, with what was seen of his server and what would mend it.

It is drafted on standard output and never sent.  Our own recipients are not in it.
"""

from __future__ import annotations

import sqlite3
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from seawall.cli import exits
from seawall.cli.exempt_journal import sightings
from seawall.cli.exempt_table import Request
from seawall.journal.log_lines import clean
from seawall.policy.exempt import DOOR, GREYLIST, LIMITS, RESTRICTIONS, Key, parse_key
from seawall.policy.exempt_file import path_of
from seawall.policy.exempt_honest import Sighting, What

WIDTH = 76
MOST = 6
"""Names and addresses that are told one by one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, what would mend it, and where that is written."""

    wrong: str
    mend: str
    source: str


_LISTED = Fault(
    "a DNS block list names it",
    "find out why at the list's own site, end the cause, and ask for removal there",
    "RFC 5782",
)
_LISTED_NAME = Fault("a DNS block list names the domain", _LISTED.mend, "RFC 5782 section 2.2")
_LIMIT = Fault(
    "it does more at one time than we allow one client",
    "open fewer connections, and pause between them",
    "RFC 5321 section 4.5.4.1",
)
FAULTS: Mapping[str, Fault] = {
    "reject_unknown_client_hostname": Fault(
        "its address has no name that leads back to the address",
        "let the network's owner (as a rule the provider) set a PTR record for the address to the server's host name, and give "
        "that name an A or AAAA record with the same address",
        "RFC 1912 section 2.1, RFC 7372 section 3.3",
    ),
    "reject_unknown_reverse_client_hostname": Fault(
        "its address has no name at all: there is no PTR record",
        "let the network's owner (as a rule the provider) set a PTR record for the address to the server's host name",
        "RFC 1912 section 2.1",
    ),
    "reject_rbl_client": _LISTED,
    "reject_rhsbl_client": _LISTED_NAME,
    "reject_rhsbl_reverse_client": _LISTED_NAME,
    "reject_rhsbl_helo": _LISTED_NAME,
    "reject_rhsbl_sender": _LISTED_NAME,
    "dnsbl": _LISTED,
    "reject_invalid_helo_hostname": Fault(
        "what it says in HELO or EHLO is no host name and no address",
        "set the name it says to the server's host name (letters, digits, hyphens and dots alone)",
        "RFC 5321 sections 2.3.5 and 4.1.1.1",
    ),
    "reject_non_fqdn_helo_hostname": Fault(
        "the name it says in HELO or EHLO is not fully qualified",
        "set it to the server's full host name, such as mail.example.org (in Postfix smtp_helo_name, in Exchange the FQDN of "
        "the send connector)",
        "RFC 5321 sections 2.3.5 and 4.1.1.1",
    ),
    "reject_unknown_helo_hostname": Fault(
        "DNS knows neither an address nor an MX record for the name it says in HELO or EHLO",
        "give the name an A or AAAA record, or say one that has it",
        "RFC 5321 sections 2.3.5 and 4.1.4",
    ),
    "reject_non_fqdn_sender": Fault(
        "it sends with sender addresses whose domain is not fully qualified",
        "let it write whole domains into MAIL FROM",
        "RFC 5321 section 2.3.5",
    ),
    "reject_unknown_sender_domain": Fault(
        "DNS knows neither an MX nor an address record for the sender's domain, or it takes no mail",
        "publish an MX record for the domain, or send from one that has it: replies and bounces reach nobody now",
        "RFC 5321 sections 2.3.5 and 5.1, RFC 7505",
    ),
    "reject_unverified_sender": Fault(
        "the sender's own mail server does not take mail for the sender's address",
        "send with an address that exists, and let its server take mail from the null sender <>",
        "RFC 5321 sections 4.5.5 and 6.1",
    ),
    "reject_unauth_pipelining": Fault(
        "it sends commands before it can know that it may",
        "let it use PIPELINING only after EHLO has announced it, and wait for the answers to EHLO and DATA",
        "RFC 2920 section 3.1",
    ),
    "reject_multi_recipient_bounce": Fault(
        "it sends one message with the null sender <> to several recipients",
        "send such messages to one recipient each",
        "RFC 5321 section 4.5.5",
    ),
    GREYLIST: Fault(
        "it does not come again as we ask a stranger to, or each time from another network",
        "let it try again after a temporary refusal (4yz), at first after some minutes, for days, and from few addresses",
        "RFC 5321 section 4.5.4.1, RFC 6647",
    ),
    "pregreet": Fault(
        "it speaks before our greeting",
        "let it wait for the 220 line before it says EHLO",
        "RFC 5321 sections 3.1 and 4.3.1",
    ),
    "pipelining": Fault(
        "it sends several commands at once though PIPELINING was not announced",
        "let it wait for each answer",
        "RFC 5321 section 4.3.1, RFC 2920",
    ),
    "non_smtp_command": Fault(
        "it sends lines that are no SMTP, such as header lines outside of a message",
        "look at the program that sends: it does not notice that a command was refused",
        "RFC 5321 section 4.1.1",
    ),
    "bare_newline": Fault(
        "it ends lines with LF alone",
        "let it end every line with CR LF",
        "RFC 5321 section 2.3.8",
    ),
    "connection_count": _LIMIT,
    "connection_rate": _LIMIT,
    "message_rate": _LIMIT,
    "recipient_rate": _LIMIT,
    "new_tls_session_rate": _LIMIT,
}
"""By check, every one that there is."""
EVERY = (*RESTRICTIONS, GREYLIST, *DOOR, *LIMITS)


@dataclass(slots=True)
class Case:
    """What the journal has of one client and one check."""

    check: str
    number: int = 0
    first: float = 0.0
    last: float = 0.0
    said: str = ""
    zones: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class File:
    """All that goes into the letter."""

    key: Key
    cases: dict[str, Case] = field(default_factory=dict)
    clients: dict[str, None] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    helos: dict[str, None] = field(default_factory=dict)
    domains: dict[str, None] = field(default_factory=dict)
    is_exempt: bool = False

    def take(self, sighting: Sighting) -> None:
        """One fact, if it is about this client."""
        if not self.key.matches(sighting.address, sighting.name.lower()):
            return
        for into, text in (
            (self.clients, f"{sighting.name or 'unknown'}[{sighting.address}]"),
            (self.names, sighting.name),
            (self.helos, sighting.helo),
            (self.domains, (sighting.sender or "").rpartition("@")[2]),
        ):
            if text and len(into) <= MOST:
                into[text] = None
        if sighting.what in (What.REFUSED, What.SPARED):
            for each in sighting.checks():
                self._count(each, sighting)

    def _count(self, each: str, sighting: Sighting) -> None:
        check, _, zone = each.partition("=")
        case = self.cases.setdefault(check, Case(check, first=sighting.at))
        case.number += 1
        case.first, case.last = min(case.first, sighting.at), max(case.last, sighting.at)
        case.said = sighting.said.rpartition(";")[0] if sighting.what is What.SPARED else sighting.said
        zone = zone or sighting.list_name
        if zone:
            case.zones[zone] = None


def notice(request: Request) -> int:
    """Draft the letter."""
    key = parse_key(request.options.key)
    file, knows = File(key), True
    try:
        for sighting in sightings(request.settings):
            file.take(sighting)
    except (sqlite3.Error, OSError):
        knows = False
    if path_of(request.settings):
        for entry in request.entries()[1]:
            if entry.key == key:
                file.is_exempt = file.is_exempt or not entry.is_expired(request.now)
                for check in entry.checks:
                    name, _, zone = check.partition("=")
                    if name in FAULTS:
                        case = file.cases.setdefault(name, Case(name))
                        case.zones.update({zone: None} if zone else {})
    lines = [clean(line) for line in letter(file, request, knows)]
    told: dict[str, object] = {
        "to": postmaster(file),
        "key": key.text,
        "faults": [as_dict(case) for case in file.cases.values()],
        "text": "\n".join(lines),
    }
    request.say(told, *lines)
    return exits.OK if file.cases else exits.NOINPUT


def as_dict(case: Case) -> dict[str, object]:
    """A fault for JSON."""
    fault = FAULTS[case.check]
    return {
        "check": case.check,
        "number": case.number,
        "first": case.first or None,
        "last": case.last or None,
        "wrong": fault.wrong,
        "mend": fault.mend,
        "source": fault.source,
        "listed_in": list(case.zones),
    }


def postmaster(file: File) -> str:
    """To whom: the client's own domain where its name is known, else the sender's.  RFC 5321 section 4.5.1"""
    name = file.key.text.strip(".") if file.key.network is None else next(iter(file.names), "")
    if name:
        parent = name.partition(".")[2]
        return f"postmaster@{parent if file.key.network is not None or parent.count('.') else name}"
    domain = next((each for each in file.domains if "." in each), "")
    return f"postmaster@{domain}" if domain else ""


def letter(file: File, request: Request, knows: bool) -> Iterator[str]:
    """The lines."""
    settings = request.settings
    host, domain = settings.text("myhostname"), settings.text("mydomain")
    who = postmaster(file)
    yield f"To: {who or '(nobody is known: ask the owner of the network, whois)'}"
    yield f"From: postmaster@{domain}"
    yield f"Subject: Your mail server {next(iter(file.names), '') or file.key.text} and {host}"
    yield ""
    yield "Dear postmaster,"
    yield ""
    if not file.cases:
        where = "in our journal" if knows else "(there is no journal to read)"
        yield from filled(f"nothing that {file.key.text} should change was found {where}.")
        return
    yield from filled(
        f"your mail server writes to our users at {host}. Some of what it does makes servers such as ours refuse its mail, or put "
        "it off. We believe that it is honest, so please take this as help: other sites will refuse it too."
    )
    yield ""
    yield from facts(file)
    for number, case in enumerate(file.cases.values(), 1):
        yield ""
        yield from fault_in_words(number, case)
    yield ""
    grace = "For the time being we let it pass all the same; that has an end. " if file.is_exempt else ""
    yield from filled(f"{grace}Thank you for looking into it; an answer to this address reaches a person.")
    yield ""
    yield f"The postmaster of {domain}"


def facts(file: File) -> Iterator[str]:
    """Who it is about."""
    for title, texts in (
        ("Your server", [*file.clients] or [file.key.text]),
        ("It says HELO", [*file.helos]),
        ("It sends for", [*file.domains]),
    ):
        if texts:
            yield from listed(title, texts)


def listed(title: str, texts: Sequence[str]) -> Iterator[str]:
    """``Your server:    a[192.0.2.1], …``"""
    more = ", and others" if len(texts) > MOST else ""
    yield from filled(f"{title + ':':<15}{', '.join(texts[:MOST])}{more}", "", " " * 15)


def fault_in_words(number: int, case: Case) -> Iterator[str]:
    """What is wrong, since when, and what would mend it."""
    fault = FAULTS[case.check]
    zones = f" ({', '.join(case.zones)})" if case.zones else ""
    yield from filled(f"{number}. {fault.wrong[0].upper()}{fault.wrong[1:]}{zones}.", "", "   ")
    if case.number:
        first, last = (time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at)) for at in (case.first, case.last))
        span = f"on {first}" if case.number == 1 else f"{case.number} times, from {first} to {last}"
        yield from filled(f"Seen {span}.", "   ", "   ")
    if case.said:
        yield from filled(f"What it heard, or would have: {without_people(case.said)}", "   ", "   ")
    yield from filled(f"What to change: {fault.mend}. See {fault.source}.", "   ", "   ")


def without_people(said: str) -> str:
    """A refusal without the address of our recipient, which begins it in brackets."""
    words = said.split(" ")
    return " ".join(word for word in words if not (word.startswith("<") and "@" in word and word.endswith(">:")))


def filled(text: str, first: str = "", other: str = "") -> list[str]:
    """The text in lines."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=other, break_long_words=False, break_on_hyphens=False
    )
