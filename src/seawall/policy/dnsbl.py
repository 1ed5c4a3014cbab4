"""DNS block and permit lists: which answers count, and the reply that they bring.  postconf(5) reject_rbl_client

An answer that does not come neither refuses nor permits.  Answers are cached by the resolver, and hold for the session;
questions start when the list gets here, never earlier.  A list that lies or is silent is put aside by the watch over it
(`list_watch`), and what a list answers to those whom it does not serve is no entry.  docs/differences.md D-64
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from seawall.config.expand import expand, names_used
from seawall.config.source import ConfigTrouble
from seawall.dns.answers import Answer, Found, TryAgain
from seawall.dns.hostnames import to_ascii
from seawall.dns.reply_filter import BAD_FILTER, DROPS_ALL, Dropped
from seawall.mail.address import is_hostname
from seawall.mail.network import parse_address
from seawall.mail.reply import Reply
from seawall.policy.access import split_status
from seawall.policy.attempt import UNKNOWN, Attempt
from seawall.policy.bench import Bench, Builder, Place, warn
from seawall.policy.by_recipient import AuthDestination
from seawall.policy.domains import ANSWERS, ask, reason_of
from seawall.policy.evaluate import Ask, server_error
from seawall.policy.list_watch import ByteSets as ByteSets
from seawall.policy.list_watch import Heard, Kind, error_prefixes, read
from seawall.policy.list_watching import Watched
from seawall.policy.reasons import Reason
from seawall.policy.stages import CLIENT, fix_status
from seawall.policy.verdict import DUNNO, Act, Verdict
from seawall.tables.table import TableTrouble

TEXT_LIMIT = 500
"""Characters of a list's TXT records that are quoted.  smtpd_check.c RBL_TXT_LIMIT"""

MOST_KNOWN = 100
"""Answers that are remembered for a session.  smtpd_check.c keeps as many for a process."""

_BYTE = re.compile(r"\d{1,3}|\[[0-9.;]+\]")
_RANGE = re.compile(r"(\d{1,3})(?:\.\.(\d{1,3}))?")
_REPLY = re.compile(r"([45]\d\d) (.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS: Mapping[str, str] = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def parse_reply_filter(text: str) -> ByteSets:
    """``127.0.[0..2].[1;3;5..7]`` as four sets of byte values.  ConfigTrouble for anything else.  ip_match(3)"""
    sets: list[frozenset[int]] = []
    at = 0
    while len(sets) < 4:
        found = _BYTE.match(text, at)
        if not found or (sets and text[at - 1] != "."):
            break
        ranges = [_RANGE.fullmatch(word) for word in found.group().strip("[]").split(";")]
        bounds = [(int(r.group(1)), int(r.group(2) or r.group(1))) for r in ranges if r is not None]
        if len(bounds) != len(ranges) or any(not low <= high <= 255 for low, high in bounds):
            break
        sets.append(frozenset(value for low, high in bounds for value in range(low, high + 1)))
        at = found.end() + 1
    if len(sets) != 4 or at <= len(text):
        raise ConfigTrouble(f'RBL reply error: bad address pattern: "{text}"')
    return tuple(sets)


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry: the text that goes with it, empty where there is none."""

    text: str


class DnsList:
    """One list: ``domain`` or ``domain=d.d.d.d``."""

    def __init__(self, bench: Bench, argument: str, kind: Kind) -> None:
        self.argument = argument
        self.domain, equals, pattern = argument.partition("=")
        self._filter = parse_reply_filter(pattern) if equals else None
        self._facts = bench.facts
        is_watched = bench.values.flag("seawall_dnsbl_watch")
        self._watched = bench.facts.watched(self.domain, kind, self._filter) if is_watched else None
        self._errors = error_prefixes(self.domain) if is_watched else ()

    async def find_address(self, attempt: Attempt, address: str) -> Listed | TryAgain | None:
        """The entry of a client address."""
        if parse_address(address) is None:
            return None
        labels = ipaddress.ip_address(address).reverse_pointer.rsplit(".", 2)[0]
        return await self._find(attempt, address, f"{labels}.{self.domain}")

    async def find_domain(self, attempt: Attempt, what: str) -> Listed | TryAgain | None:
        """The entry of a domain, or of a mail address's domain; names that end in a number are not asked for."""
        domain = what.rpartition("@")[2]
        if not domain or domain.startswith("[") or domain.rpartition(".")[2].isdigit():
            return None
        name = to_ascii(domain) or domain
        return await self._find(attempt, name, f"{name}.{self.domain}") if is_hostname(name) else None

    async def _find(self, attempt: Attempt, what: str, query: str) -> Listed | TryAgain | None:
        if self._watched is not None and self._watched.is_aside:
            return None
        answer = await self._ask(attempt, query, "A")
        heard = read(answer, self._errors, (self._filter,))
        if heard is Heard.ERROR:
            answer = self._error_of(attempt, query, answer)
        elif isinstance(answer, TryAgain):
            warn(attempt, f"{query}: RBL lookup error: {_why(query, answer)}")
        if self._watched is not None and not await self._is_believed(self._watched, what, heard, answer):
            return None
        if isinstance(answer, TryAgain):
            return answer
        if heard is not Heard.HIT:
            return None
        texts = await self._ask(attempt, query, "TXT")
        if isinstance(texts, Dropped):
            warn(attempt, f"{query}: TXT lookup error: {DROPS_ALL}")
        return Listed(_joined([r.data for r in texts.records]) if isinstance(texts, Found) else "")

    async def _ask(self, attempt: Attempt, query: str, kind: str) -> Answer:
        """Once a session, whatever the answer's TTL: it is the same client at each recipient.  Trouble is asked anew."""
        known = attempt.pending.known
        kept = known.get((query, kind))
        if isinstance(kept, ANSWERS):
            return kept
        answer = await ask(self._facts, query, kind)
        if len(known) < MOST_KNOWN and not isinstance(answer, TryAgain):
            known[query, kind] = answer
        return answer

    def _error_of(self, attempt: Attempt, query: str, answer: Answer) -> TryAgain:
        """The list will not serve us: that is no entry, and nothing is known."""
        data = answer.records[0].data if isinstance(answer, Found) else ""
        warn(attempt, f"{query}: the DNS list answers with an error: {data}")
        return TryAgain(data)

    async def _is_believed(self, watched: Watched, what: str, heard: Heard, answer: Answer) -> bool:
        """Tell the watch what was heard; False where the list is aside by now."""
        if not isinstance(answer, Dropped):  # what our own filter took is nothing that the list said
            watched.heard(heard, what, answer.reason if isinstance(answer, TryAgain) else "")
        if heard is not Heard.HIT:
            return not watched.is_aside
        believed = watched.believes()
        return believed if isinstance(believed, bool) else await believed


def _why(query: str, answer: TryAgain) -> str:
    """What the resolver says of a question that it could not answer.  dns_lookup(3)"""
    if answer.reason in (DROPS_ALL, BAD_FILTER):
        return f"Error looking up name={query} type=A: {answer.reason}"
    return f"Host or domain name not found. Name service error for name={query} type=A: {reason_of(answer)}"


def _joined(texts: list[str]) -> str:
    """All TXT records, with `` / `` between them, up to the limit; what ASCII cannot print becomes a blank."""
    joined = ""
    for at, raw in enumerate(texts):
        text = "".join(chr(byte) if 32 <= byte < 127 else " " for byte in raw.encode("utf-8", "surrogateescape"))
        room = TEXT_LIMIT - len(joined)
        if room <= 0:
            break
        joined += text[:room]
        if at < len(texts) - 1 and TEXT_LIMIT - len(joined) > 3:
            joined += " / "
    return joined


def unescape(text: str) -> str:
    """C escapes of a parameter.  unescape(3)"""

    def one(found: re.Match[str]) -> str:
        word = found.group(1)
        return chr(int(word, 8) & 0xFF) if word[0] in "01234567" else _LETTERS.get(word, word)

    return _ESCAPE.sub(one, text)


class ListReply:
    """The reply of a list, made from its template.  postconf(5) default_rbl_reply, rbl_reply_maps"""

    def __init__(self, bench: Bench) -> None:
        self._maps = bench.facts.maps(bench.values.text("rbl_reply_maps"), "rbl_reply_maps")
        self._default = bench.values.text("default_rbl_reply")
        self._code = str(bench.values.number("maps_rbl_reject_code"))
        self._host = bench.values.text("myhostname")
        self._safe = frozenset(unescape(bench.values.text("smtpd_expansion_filter")))

    async def judge(self, attempt: Attempt, dns_list: DnsList, listed: Listed, what: str, reply_class: str) -> Verdict:
        """The refusal."""
        try:
            template = await self._maps.find(dns_list.argument)
        except TableTrouble as trouble:
            warn(attempt, f'{trouble.table} lookup error for "{dns_list.argument}"')
            return server_error(str(trouble))
        values = {
            "rbl_code": self._code,
            "rbl_domain": dns_list.domain,
            "rbl_reason": listed.text,
            "rbl_txt": listed.text,
            "rbl_what": what,
            "rbl_class": reply_class,
            **session_values(attempt, self._host),
        }
        text = None if template is None else self._expand(attempt, template, values, dns_list.argument)
        if text is None:
            text = self._expand(attempt, self._default, values, dns_list.argument) or ""
        found = _REPLY.match(text)
        if not found:
            warn(attempt, f"rbl response code configuration error: {text}")
            reply = Reply(450, "4.7.1", "Service unavailable")
        else:
            status, rest = split_status(found.group(2), "4.7.1")
            reply = Reply(int(found.group(1)), fix_status(status, reply_class), rest or "Service unavailable")
        return Verdict(Act.REJECT, reply, Reason.DNS_LISTED, (dns_list.argument, what, listed.text))

    def _expand(self, attempt: Attempt, template: str, values: Mapping[str, str], argument: str) -> str | None:
        """The template with its names replaced, None where it is no template; strange characters become ``_``."""
        try:
            unknown = [name for name in names_used(template) if name not in values]
            if not unknown:
                return expand(template, lambda name: self._clean(values[name]))
        except ConfigTrouble:
            unknown = []
        for name in unknown:
            warn(attempt, f'unknown macro name "{name}" in expansion request')
        warn(attempt, f"rbl_reject_reply: bad rbl reply template for domain {argument}: {template}")
        return None

    def _clean(self, value: str) -> str:
        cleaned = "".join(letter if letter in self._safe else "_" for letter in value)
        return cleaned.replace("$", "$$")  # values are not templates


def session_values(attempt: Attempt, host: str) -> dict[str, str]:
    """What templates may name of a session; `host` is our name.  smtpd_expand(3)"""
    values = {
        "client": attempt.client,
        "client_address": attempt.address,
        "client_name": attempt.name,
        "client_port": attempt.port,
        "reverse_client_name": attempt.reverse_name,
        "helo_name": attempt.helo or "",
        "server_name": host,
    }
    for name, address in (("sender", attempt.sender), ("recipient", attempt.recipient)):
        local, at, domain = (address or "").rpartition("@")
        user = local if at else domain
        empty = "" if address is None else "<>"
        values[name] = address or empty
        values[f"{name}_name"] = user or empty
        values[f"{name}_domain"] = domain if at else ""
    return values


def reject_rbl_client(bench: Bench, place: Place) -> Ask:
    """The client's address is in a block list."""
    dns_list, reply = DnsList(bench, place.argument, Kind.ADDRESSES), ListReply(bench)

    async def ask_list(attempt: Attempt) -> Verdict:
        found = await dns_list.find_address(attempt, attempt.address)
        if not isinstance(found, Listed):
            return DUNNO
        return await reply.judge(attempt, dns_list, found, attempt.address, CLIENT)

    return ask_list


def reject_rhsbl(reply_class: str, target: Callable[[Attempt], str | None]) -> Builder:
    """The builder of a check whether a domain is in a block list; `target` gives the domain or address, or None."""

    def build(bench: Bench, place: Place) -> Ask:
        dns_list, reply = DnsList(bench, place.argument, Kind.DOMAINS), ListReply(bench)

        async def ask_list(attempt: Attempt, what: str) -> Verdict:
            found = await dns_list.find_domain(attempt, what)
            return (
                await reply.judge(attempt, dns_list, found, what, reply_class) if isinstance(found, Listed) else DUNNO
            )

        def ask_if_there(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
            what = target(attempt)
            return ask_list(attempt, what) if what else DUNNO

        return ask_if_there

    return build


class _Permits:
    """Permit lists: never for mail that would be relayed, and no answer means that a refusal must wait."""

    def __init__(self, bench: Bench, place: Place, kind: Kind) -> None:
        self.list = DnsList(bench, place.argument, kind)
        self._bench = bench
        self._name = place.name
        self._destination = AuthDestination(bench)

    async def may_permit(self, attempt: Attempt) -> bool | Verdict:
        """False for a recipient that is not ours to take."""
        if attempt.where != "RCPT" or attempt.recipient is None:
            return True
        return await self._destination.allows(attempt.recipient, attempt.sender)

    def judge(self, attempt: Attempt, found: Listed | TryAgain | None, what: str) -> Verdict:
        """What an entry, or its absence, means."""
        if isinstance(found, TryAgain):
            reply = Reply(450, "4.7.1", f"<{what}>: {CLIENT} rejected: Service unavailable")
            return Verdict(Act.DEFER_IF_REJECT, reply, Reason.DNS_LISTED, (self.list.argument,))
        return self._bench.permit(attempt, self._name, CLIENT, attempt.client) if found is not None else DUNNO


def permit_dnswl_client(bench: Bench, place: Place) -> Ask:
    """The client's address is in a permit list."""
    permits = _Permits(bench, place, Kind.ADDRESSES)

    async def ask_list(attempt: Attempt) -> Verdict:
        allowed = await permits.may_permit(attempt)
        if allowed is not True:
            return allowed if isinstance(allowed, Verdict) else DUNNO
        found = await permits.list.find_address(attempt, attempt.address)
        return permits.judge(attempt, found, attempt.address)

    return ask_list


def permit_rhswl_client(bench: Bench, place: Place) -> Ask:
    """The client's confirmed name is in a permit list."""
    permits = _Permits(bench, place, Kind.DOMAINS)

    async def ask_list(attempt: Attempt) -> Verdict:
        if attempt.name.lower() == UNKNOWN:
            return DUNNO
        allowed = await permits.may_permit(attempt)
        if allowed is not True:
            return allowed if isinstance(allowed, Verdict) else DUNNO
        return permits.judge(attempt, await permits.list.find_domain(attempt, attempt.name), attempt.name)

    return ask_list
