"""smtpd(8)'s part of anvil(8): what one client may do in a time unit, and what it hears beyond that.

A client that is exempt (smtpd_client_event_limit_exceptions) is looked up only when a limit is passed or a status line
would name it: then its name is known, or worth waiting for (docs/differences.md D-60).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from seawall.config.settings import Settings
from seawall.dns.names import UNKNOWN
from seawall.mail.reply import Reply
from seawall.policy.exempt import Exempts
from seawall.policy.exempting import confirmed_name
from seawall.policy.rates import CONNECTION_COUNT, CONNECTION_RATE, Client, Event, Rates, aggregate
from seawall.policy.reasons import Reason
from seawall.tables.match import AddressList
from seawall.tables.table import TableTrouble

if TYPE_CHECKING:
    from seawall.edge.arrival import Arrival

PARAMETERS: Mapping[Event, str] = MappingProxyType(
    {
        Event.CONNECTION: "smtpd_client_connection_rate_limit",
        Event.MESSAGE: "smtpd_client_message_rate_limit",
        Event.RECIPIENT: "smtpd_client_recipient_rate_limit",
        Event.NEW_TLS: "smtpd_client_new_tls_session_rate_limit",
        Event.AUTH: "smtpd_client_auth_rate_limit",
    }
)
_WARNINGS: Mapping[Event, str] = MappingProxyType(
    {
        Event.CONNECTION: "Connection rate limit exceeded",
        Event.MESSAGE: "Message delivery request rate limit exceeded",
        Event.RECIPIENT: "Recipient address rate limit exceeded",
        Event.NEW_TLS: "New TLS session rate limit exceeded",
        Event.AUTH: "AUTH command rate limit exceeded",
    }
)
_TOO_MANY: Mapping[Event, str] = MappingProxyType(
    {
        Event.MESSAGE: "450 4.7.1 Error: too much mail from",
        Event.RECIPIENT: "450 4.7.1 Error: too many recipients from",
        Event.AUTH: "450 4.7.1 Error: too many AUTH commands from",
    }
)
_CHECKS: Mapping[Event, str] = MappingProxyType(
    {
        Event.CONNECTION: "connection_rate",
        Event.MESSAGE: "message_rate",
        Event.RECIPIENT: "recipient_rate",
        Event.NEW_TLS: "new_tls_session_rate",
        Event.AUTH: "",  # it guards passwords: nobody is exempt
    }
)
"""What `seawall exempt` calls them."""
_CONNECTION = int(Event.CONNECTION)


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The limits of one service; 0 is none."""

    connections: int
    rates: Mapping[Event, int]
    ipv4_bits: int
    ipv6_bits: int


def compile_client_limits(settings: Settings) -> ClientLimits:
    """postconf(5) smtpd_client_*_limit"""
    return ClientLimits(
        connections=settings.number("smtpd_client_connection_count_limit"),
        rates=MappingProxyType({event: settings.number(name) for event, name in PARAMETERS.items()}),
        ipv4_bits=settings.number("smtpd_client_ipv4_prefix_length"),
        ipv6_bits=settings.number("smtpd_client_ipv6_prefix_length"),
    )


class Counting:
    """Counts the clients of one service.  `now` is wall time for status lines, `monotonic` what rates go by."""

    def __init__(
        self,
        limits: ClientLimits,
        exempt: AddressList,
        rates: Rates,
        service: str,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        exemptions: Exempts | None = None,
    ) -> None:
        self.limits = limits
        self._exempt = exempt
        self._rates = rates
        self._service = service
        self._now = now
        self._monotonic = monotonic
        self._exemptions = exemptions
        self._has_limit = frozenset(event for event, most in limits.rates.items() if most > 0)
        self.has_limits = bool(self._has_limit - {Event.CONNECTION, Event.NEW_TLS})
        """Commands are counted."""
        self._connection_limit = limits.rates[Event.CONNECTION]

    def connect(self, session: Arrival) -> bool:
        """Count a connection; True where it is one too many, unless the client is exempt."""
        limits = self.limits
        address = session.client_address
        if not address:
            return False
        who = aggregate(address, limits.ipv4_bits, limits.ipv6_bits)
        rates = self._rates
        client = session.counted = rates.connect(f"{self._service}:{who}", self._monotonic(), session.started)
        count, rate = client.connections, client.done[_CONNECTION]
        if rate > rates.most_connections:
            self._note(session, client, CONNECTION_RATE, rate)
        if count > rates.most_at_once:
            self._note(session, client, CONNECTION_COUNT, count)
        return 0 < limits.connections < count or 0 < self._connection_limit < rate

    def disconnect(self, session: Arrival) -> None:
        """The client is gone."""
        if session.counted is not None:
            self._rates.disconnect(session.counted)
            session.counted = None

    async def refuse_connection(self, session: Arrival) -> Reply | None:
        """What the client hears instead of the greeting; None where it is exempt."""
        client = session.counted
        if client is None or await self._is_exempt(session):
            return None
        count, rate = client.connections, self._rates.rate(client, Event.CONNECTION)
        is_count, is_rate = 0 < self.limits.connections < count, 0 < self._connection_limit < rate
        said = "421 4.7.0 Error: too many connections"
        if is_count and not self._spares(session, "connection_count", said):
            session.complain(
                f"Connection concurrency limit exceeded: {count} from {{client}} for service {self._service}"
            )
        elif (is_rate or not is_count) and not self._spares(session, _CHECKS[Event.CONNECTION], said):
            session.complain(self._warning(Event.CONNECTION, rate))
        else:
            return None
        hostname = session.profile.rules.hostname
        return Reply(421, "4.7.0", f"{hostname} Error: too many connections from {session.attempt.address}")

    def limits_event(self, event: Event) -> bool:
        """True where `event` has a limit at all."""
        return event in self._has_limit

    async def count(self, session: Arrival, event: Event) -> int:
        """Count `event`: the number in the time unit where it is over the limit, else 0."""
        client = session.counted
        if client is None or await self._is_exempt(session):
            return 0
        number = self._rates.count(client, event, self._monotonic())
        self._note(session, client, f"{event.word} rate", number)
        return number if number > self.limits.rates[event] else 0

    async def refuse(self, session: Arrival, event: Event) -> Reply | None:
        """Count `event`; the refusal where it is one too many."""
        number = await self.count(session, event)
        if not number or self._spares(session, _CHECKS[event], _TOO_MANY[event]):
            return None
        session.complain(self._warning(event, number))
        code, status, text = _TOO_MANY[event].split(" ", 2)
        return Reply(int(code), status, f"{text} {session.attempt.address}")

    def has_too_many_tls(self, session: Arrival) -> bool:
        """True where the client has begun more TLS sessions than it may."""
        client, most = session.counted, self.limits.rates[Event.NEW_TLS]
        return client is not None and 0 < most < self._rates.rate(client, Event.NEW_TLS)

    async def refuse_starttls(self, session: Arrival) -> Reply | None:
        """The refusal of STARTTLS where the client has begun more TLS sessions than it may."""
        if not self.has_too_many_tls(session) or await self._is_exempt(session):
            return None
        if self._spares(session, _CHECKS[Event.NEW_TLS], "454 4.7.0 Error: too many new TLS sessions"):
            return None
        session.complain(f"Refusing STARTTLS request from {{client}} for service {self._service}")
        return Reply(454, "4.7.0", f"Error: too many new TLS sessions from {session.client}")

    async def refuse_tls(self, session: Arrival) -> Reply | None:
        """Count a TLS session; the word at parting where it is one too many."""
        number = await self.count(session, Event.NEW_TLS)
        if not number or self._spares(session, _CHECKS[Event.NEW_TLS], "421 4.7.0 Error: too many new TLS sessions"):
            return None
        session.complain(self._warning(Event.NEW_TLS, number))
        hostname = session.profile.rules.hostname
        return Reply(421, "4.7.0", f"{hostname} Error: too many new TLS sessions from {session.client}")

    def _spares(self, session: Arrival, check: str, said: str) -> bool:
        """True for a client that is exempt from a limit (seawall_exempt_file); the log tells what it would have heard."""
        attempt, exemptions = session.attempt, self._exemptions
        if exemptions is None or not check:
            return False
        entry = exemptions.find(attempt.address, confirmed_name(attempt), check)
        if entry is None:
            return False
        evidence = (entry.key.text, check, entry.reason)
        message = f"{said}; {entry.reason}"
        session.remark(attempt, "exempt", session.where, message, reason=Reason.EXEMPT, evidence=evidence)
        return True

    def _warning(self, event: Event, number: int) -> str:
        return f"{_WARNINGS[event]}: {number} from {{client}} for service {self._service}"

    def _note(self, session: Arrival, client: Client, what: str, number: int) -> None:
        """For the status lines; who is exempt by address is not named there."""
        if not self._rates.is_greatest(what, number):
            return
        try:
            found = self._exempt.test(session.client_name or UNKNOWN, session.client_address)
        except TableTrouble:
            return
        if isinstance(found, Awaitable):
            _leave(found)
        elif not found:
            self._rates.note(what, number, client.ident, self._now())

    async def _is_exempt(self, session: Arrival) -> bool:
        """smtpd_client_event_limit_exceptions, and who may say XCLIENT: it speaks for others.  smtpd_proto()"""
        await session.know()
        attempt = session.attempt
        if session.traits.xclient:
            return True
        try:
            found = self._exempt.test(attempt.name, attempt.address)
            return found if isinstance(found, bool) else await found
        except TableTrouble:
            return False


def _leave(answer: object) -> None:
    """An answer that will not be waited for."""
    close = getattr(answer, "close", None)
    if close is not None:
        close()
