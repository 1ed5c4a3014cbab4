"""check_*_access: restrictions that ask a table, each with its own key and search order.  access(5), postconf(5)"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from seawall.dns.answers import Answer as DnsAnswer
from seawall.dns.answers import Found, NoData, NoSuchName, Resource
from seawall.dns.hostnames import is_hostaddr, mailhost_address, to_ascii
from seawall.mail.address import quote_local
from seawall.mail.words import split_words, unbrace
from seawall.policy.access import TROUBLE, judge_value
from seawall.policy.attempt import UNKNOWN, Attempt
from seawall.policy.bench import Bench, Builder, Place, warn
from seawall.policy.by_sender import no_sasl
from seawall.policy.domains import addresses, ask, host_reason, is_null_mx, reason_of
from seawall.policy.evaluate import Answer, Ask, lookup_error, server_error
from seawall.policy.facts import host_addresses
from seawall.policy.stages import (
    CERTIFICATE,
    CLIENT,
    ETRN,
    HELO,
    RECIPIENT,
    REVERSE_CLIENT,
    SASL_USER,
    SENDER,
    Stage,
    client_of,
    etrn_domain_of,
    helo_of,
    recipient_of,
    reverse_name_of,
    sender_of,
)
from seawall.policy.verdict import DUNNO, Act, Verdict
from seawall.routing.route import Route
from seawall.tables.search import ACCESS_MAP, Form, Key, Way, domain_keys, network_keys
from seawall.tables.table import TableTrouble

_PLAIN = re.compile(r"[A-Za-z0-9_+=-]+(?:\.[A-Za-z0-9_+=-]+)*@[^@]*\Z")
"""An address that needs no quotes, or is all the same to a pattern."""
_FORM = Form.EXTERNAL_FIRST


class AccessTable:
    """One table as a check uses it: where to look, and what its answers mean at this place."""

    def __init__(self, bench: Bench, place: Place, reply_class: str, reply_name: Callable[[Attempt], str]) -> None:
        inside = unbrace(place.argument)
        words = split_words(inside) if inside is not None else [place.argument]
        self.title = words[0] if words else ""
        self.options = tuple(words[1:])
        self._bench = bench
        self._maps = bench.facts.maps(self.title, place.name)
        self._has_strings = any(table.fixed for table in self._maps.tables)
        self._stage: Stage = replace(place.stage, reply_class=reply_class, reply_name=reply_name)
        self._delimiters = bench.values.text("recipient_delimiter")
        self._parents = "smtpd_access_maps" in bench.values.words("parent_domain_matches_subdomains")
        self._ways = ACCESS_MAP | (Way.PARENTS if self._parents else Way.DOT_PARENTS)

    def name(self, attempt: Attempt) -> str:
        """What is judged."""
        return self._stage.reply_name(attempt)

    def domain_keys(self, name: str) -> Iterator[Key]:
        """A host name and its parents; an address that stands for a name has none."""
        if is_hostaddr(name):
            return iter((Key(name),))
        return domain_keys(name, self._parents)

    async def ask(self, attempt: Attempt, keys: Iterator[Key], shown: str) -> Verdict | None:
        """The verdict of the first key that the table knows, or None."""
        try:
            found = await self._maps.find_first(keys)
        except TableTrouble:
            return await self._trouble(attempt, shown)
        return None if found is None else await self._judge(attempt, found[0], shown)

    async def ask_host(self, attempt: Attempt, name: str, address: str) -> Verdict | None:
        """By name, then by address.  smtpd_check.c check_namadr_access()"""
        verdict = await self.ask(attempt, self.domain_keys(name), name)
        return verdict if verdict is not None else await self.ask(attempt, network_keys(address), address)

    async def ask_mail(self, attempt: Attempt, address: str) -> Verdict | None:
        """By address, domain and user.  access(5) EMAIL ADDRESS PATTERNS"""
        try:
            if not self._has_strings and _PLAIN.match(address):  # patterns are asked for whole addresses only
                answer = self._maps.lookup(address)
                value = answer if answer is None or isinstance(answer, str) else await answer
            else:
                found = await self._maps.find_address(address, delimiters=self._delimiters, ways=self._ways, form=_FORM)
                value = None if found is None else found[0]
        except TableTrouble:
            return await self._trouble(attempt, quote_local(address))
        return None if value is None else await self._judge(attempt, value, address)

    async def _trouble(self, attempt: Attempt, shown: str) -> Verdict:
        warn(attempt, f'{self.title} lookup error for "{shown}"')
        return await self._judge(attempt, TROUBLE, shown)

    async def _judge(self, attempt: Attempt, value: str, shown: str) -> Verdict:
        answer = judge_value(self._bench, self._stage, attempt, self.title, value, shown)
        return answer if isinstance(answer, Verdict) else await answer


def check_client_access(bench: Bench, place: Place) -> Ask:
    """By client name and its parents, then by address and its networks."""
    table = AccessTable(bench, place, CLIENT, client_of)

    async def ask_client(attempt: Attempt) -> Verdict:
        return await table.ask_host(attempt, attempt.name, attempt.address) or DUNNO

    return ask_client


def check_reverse_client_hostname_access(bench: Bench, place: Place) -> Ask:
    """By the name that nobody confirmed: it may refuse, never permit."""
    table = AccessTable(bench, place, REVERSE_CLIENT, reverse_name_of)

    async def ask_reverse(attempt: Attempt) -> Verdict:
        verdict = await table.ask_host(attempt, attempt.reverse_name, attempt.address) or DUNNO
        return forbid_permit(attempt, place.name, verdict, attempt.reverse_name)

    return ask_reverse


def check_helo_access(bench: Bench, place: Place) -> Ask:
    """By the HELO name and its parents."""
    return _by_name(bench, place, HELO, helo_of, lambda attempt: attempt.helo)


def check_etrn_access(bench: Bench, place: Place) -> Ask:
    """By the ETRN domain and its parents."""
    return _by_name(bench, place, ETRN, etrn_domain_of, lambda attempt: attempt.etrn_domain or None)


def _by_name(
    bench: Bench,
    place: Place,
    reply_class: str,
    reply_name: Callable[[Attempt], str],
    name_of: Callable[[Attempt], str | None],
) -> Ask:
    table = AccessTable(bench, place, reply_class, reply_name)

    async def ask_name(attempt: Attempt, name: str) -> Verdict:
        return await table.ask(attempt, table.domain_keys(name), name) or DUNNO

    def ask_table(attempt: Attempt) -> Answer:
        name = name_of(attempt)
        return DUNNO if name is None else ask_name(attempt, name)

    return ask_table


def check_sender_access(bench: Bench, place: Place) -> Ask:
    """By sender address; the null sender has a key of its own.  postconf(5) smtpd_null_access_lookup_key"""
    table = AccessTable(bench, place, SENDER, sender_of)
    facts = bench.facts
    null_key = bench.values.text("smtpd_null_access_lookup_key")

    async def ask_sender(attempt: Attempt) -> Verdict:
        if attempt.sender is None:
            return DUNNO
        if not attempt.sender:
            return await table.ask(attempt, iter((Key(null_key),)), null_key) or DUNNO
        found = facts.route(attempt.sender, attempt.recipient or "")
        route = found if isinstance(found, Route) else await found
        if route.has_failed:
            return lookup_error(attempt.sender, route.error)
        return await table.ask_mail(attempt, route.recipient) or DUNNO

    return ask_sender


def check_recipient_access(bench: Bench, place: Place) -> Ask:
    """By recipient address.  An address with routing inside is never permitted by it."""
    table = AccessTable(bench, place, RECIPIENT, recipient_of)
    facts = bench.facts
    trusts_routes = bench.values.flag("allow_untrusted_routing")

    async def ask_recipient(attempt: Attempt) -> Verdict:
        if attempt.recipient is None:
            return DUNNO
        found = facts.route(attempt.recipient, attempt.sender or "")
        route = found if isinstance(found, Route) else await found
        if route.has_failed:
            return lookup_error(attempt.recipient, route.error)
        verdict = await table.ask_mail(attempt, route.recipient)
        if verdict is None:
            return DUNNO
        if verdict.act is Act.PERMIT and route.is_routed and not trusts_routes:
            return DUNNO
        return verdict

    return ask_recipient


def check_sasl_access(bench: Bench, place: Place) -> Ask:
    """By login name."""
    if not bench.values.flag("smtpd_sasl_auth_enable"):
        return no_sasl(place.name)

    def login(attempt: Attempt) -> str:
        return "".join(letter if letter.isprintable() else "_" for letter in attempt.sasl_username)

    table = AccessTable(bench, place, SASL_USER, login)

    async def ask_login(attempt: Attempt) -> Verdict:
        user = attempt.sasl_username
        return (await table.ask(attempt, iter((Key(user),)), user) or DUNNO) if user else DUNNO

    return ask_login


_CERTIFICATE_KEYS = ("cert_fingerprint", "pubkey_fingerprint")


def check_ccert_access(bench: Bench, place: Place) -> Ask:
    """By the fingerprints of the client's certificate and of its key.  `search_order` may turn or shorten that."""

    def common_name(attempt: Attempt) -> str:
        return attempt.tls.peer_subject if attempt.tls is not None else ""

    table = AccessTable(bench, place, CERTIFICATE, common_name)
    order = _search_order(table.options)
    asks_for_one = bench.values.flag("smtpd_tls_ask_ccert")

    async def ask_certificate(attempt: Attempt) -> Verdict:
        tls = attempt.tls
        if order is None:
            warn(attempt, f"See earlier parsing error messages for '{place.argument}")
            return server_error(place.argument)
        if tls is None or not (tls.peer_fingerprint or tls.peer_key_fingerprint):
            if not asks_for_one:
                warn(attempt, 'check_ccert_access is requested, but "smtpd_tls_ask_ccert = no"')
            return DUNNO
        prints = {"cert_fingerprint": tls.peer_fingerprint, "pubkey_fingerprint": tls.peer_key_fingerprint}
        for kind in order:
            key = prints[kind]
            verdict = await table.ask(attempt, iter((Key(key),)), key) if key else None
            if verdict is not None and verdict is not DUNNO:
                return verdict
        return DUNNO

    return ask_certificate


def _search_order(options: tuple[str, ...]) -> tuple[str, ...] | None:
    """``{ search_order = cert_fingerprint, pubkey_fingerprint }``, or ``search_order=…`` in one word; None where it is
    neither.  map_search_create(3)"""
    order: tuple[str, ...] = _CERTIFICATE_KEYS
    for option in options:
        inside = unbrace(option)
        name, equals, value = (inside if inside is not None else option).partition("=")
        order = tuple(split_words(value))
        if not (equals and order) or name.strip() != "search_order" or not set(order) <= set(_CERTIFICATE_KEYS):
            return None
    return order


def forbid_permit(attempt: Attempt, name: str, verdict: Verdict, target: str) -> Verdict:
    """What a stranger's DNS says must not permit: that is a mistake in the table.  smtpd_check.c forbid_allowlist()"""
    if verdict.act is not Act.PERMIT or attempt.pending.discards:
        return verdict
    warn(attempt, f"restriction {name} returns OK for {target}")
    warn(attempt, "this is not allowed for security reasons")
    warn(attempt, "use DUNNO instead of OK if you want to make an exception")
    return server_error(name)


def server_access(
    kind: str, reply_class: str, reply_name: Callable[[Attempt], str], target: Callable[[Attempt], str | None]
) -> Builder:
    """The builder of a check on the MX or NS hosts of a name, or (`kind` A) on its own addresses.

    `target` gives the name, host or mail address; None where there is nothing to check.
    """

    def build(bench: Bench, place: Place) -> Ask:
        check = _ServerAccess(bench, AccessTable(bench, place, reply_class, reply_name), kind, reply_class)

        async def ask_servers(attempt: Attempt, name: str) -> Verdict:
            verdict = await check.judge(attempt, name) or DUNNO
            return forbid_permit(attempt, place.name, verdict, name)

        def ask_table(attempt: Attempt) -> Verdict | Awaitable[Verdict]:
            name = target(attempt)
            return ask_servers(attempt, name) if name else DUNNO

        return ask_table

    return build


class _ServerAccess:
    """Look at the hosts behind a name.  smtpd_check.c check_server_access()"""

    def __init__(self, bench: Bench, table: AccessTable, kind: str, reply_class: str) -> None:
        self._facts = bench.facts
        self._table = table
        self._kind = kind
        self._class = reply_class

    async def judge(self, attempt: Attempt, name: str) -> Verdict | None:
        """The first verdict that a host's name or one of its addresses brings."""
        domain = name.rpartition("@")[2]
        if domain.startswith("["):
            literal = mailhost_address(domain[1:-1]) if domain.endswith("]") and self._kind != "NS" else None
            return None if literal is None else await self._table.ask(attempt, network_keys(literal), literal)
        for host in await self._hosts(attempt, to_ascii(domain) or domain, name):
            verdict = await self._judge_host(attempt, host)
            if verdict is not None:
                return verdict
        return None

    async def _hosts(self, attempt: Attempt, domain: str, name: str) -> tuple[str, ...]:
        """The hosts: a name without MX is its own, a name without NS has its parents'."""
        if self._kind == "A":
            return (domain,)
        answer = await ask(self._facts, domain, self._kind)
        if _is_absent(answer) and self._kind == "MX":
            return (domain,)
        asked = domain
        while _is_absent(answer) and "." in asked[:-1]:
            asked = asked.partition(".")[2]
            answer = await ask(self._facts, asked, self._kind)
        if not isinstance(answer, Found):
            shown = name if _is_absent(answer) else asked
            warn(attempt, f"Unable to look up {self._kind} host for {shown}: {reason_of(answer)}")
            return ()
        return tuple(_host(record) for record in answer.records if not is_null_mx(record))

    async def _judge_host(self, attempt: Attempt, host: str) -> Verdict | None:
        if is_hostaddr(host):
            return await self._table.ask(attempt, network_keys(host), host)
        if self._kind != "A":
            verdict = await self._table.ask(attempt, self._table.domain_keys(host), host)
            if verdict is not None:
                return verdict
        answer: DnsAnswer = await addresses(self._facts, host)
        if not isinstance(answer, Found) and self._kind != "A":
            where = f"{self._kind} host {host} for {self._class} {self._table.name(attempt)}"
            warn(attempt, f"Unable to look up {where}: {host_reason(answer)}")
        for address in host_addresses(answer):
            verdict = await self._table.ask(attempt, network_keys(address), address)
            if verdict is not None:
                return verdict
        return None


def _is_absent(answer: DnsAnswer) -> bool:
    """True where DNS has no such record, as against records that nobody can use and answers that did not come."""
    return isinstance(answer, NoSuchName) or (isinstance(answer, NoData) and not answer.malformed)


def _host(record: Resource) -> str:
    return record.data


def known_name(attempt: Attempt) -> str | None:
    """The client's confirmed name."""
    return attempt.name if attempt.name.lower() != UNKNOWN else None


def known_reverse_name(attempt: Attempt) -> str | None:
    """The client's unconfirmed name."""
    return attempt.reverse_name if attempt.reverse_name.lower() != UNKNOWN else None
