"""A proxy in front says who the client is before anything else: then the session begins, as if the client itself had come.

postconf(5) smtpd_upstream_proxy_protocol, haproxy's PROXY protocol 1 and 2, docs/differences.md D-69
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from seawall.config.settings import ConfigTrouble, Settings
from seawall.journal.record import Warned
from seawall.mail.reply import Reply
from seawall.smtp.grammar import escape
from seawall.smtp.proxy_header import LONGEST_BLOCK, BadProxyHeader, parse_proxy_header

if TYPE_CHECKING:
    from seawall.edge.edge import Edge
    from seawall.edge.session import Session

PROTOCOL, TIMEOUT = "smtpd_upstream_proxy_protocol", "smtpd_upstream_proxy_timeout"
SHOWN = 400
"""Bytes of a header that is none which the log shows; ours, Postfix shows all of it."""


def read_timeout(settings: Settings) -> float:
    """Seconds that a proxy may take to name the client, 0 where there is none.  Raises ConfigTrouble."""
    protocol = settings.text(PROTOCOL)
    if protocol not in ("", "haproxy"):
        raise ConfigTrouble(f"unsupported {PROTOCOL} value: {protocol}", settings.where(PROTOCOL))
    return settings.seconds(TIMEOUT) if protocol else 0.0


class Proxied(asyncio.Protocol):
    """A connection until it is known whose it is.  It is a `Patient`."""

    __slots__ = ("_edge", "_header", "_session", "_transport", "bucket", "deadline")

    def __init__(self, edge: Edge, session: Callable[[], Session], timeout: float) -> None:
        self._edge = edge
        self._session = session
        self._transport: asyncio.Transport | None = None
        self._header = b""
        self.bucket = 0
        self.deadline = edge.monotonic() + timeout

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A proxy is here."""
        self._transport = cast(asyncio.Transport, transport)
        self._edge.patience.watch(self)

    def data_received(self, data: bytes) -> None:
        """The header, in pieces where it comes so; what follows it is the client's."""
        self._header += data
        try:
            header = parse_proxy_header(self._header)
        except BadProxyHeader as trouble:
            self._blame(f"{trouble}: {escape(self._header[:SHOWN])}")
            return
        if header is None:
            if len(self._header) > LONGEST_BLOCK:
                self._blame(f"missing protocol header terminator: {escape(self._header[:SHOWN])}")
            return
        session = self._session()
        session.ends = header.ends
        transport = self._hand_over(session)
        if transport is None:
            return
        session.connection_made(transport)
        rest = self._header[header.length :]
        if rest:
            session.data_received(rest)

    def eof_received(self) -> bool:
        """It says no more."""
        self._blame("EOF")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._transport is None:
            return
        self._transport = None
        self._edge.patience.forget(self)

    def run_out(self) -> None:
        """It takes too long."""
        self._blame("timeout error")

    def _hand_over(self, session: Session) -> asyncio.Transport | None:
        transport, self._transport = self._transport, None
        self._edge.patience.forget(self)
        if transport is None or transport.is_closing():
            return None
        transport.set_protocol(session)
        return transport

    def _blame(self, text: str) -> None:
        """It does not say who the client is.  smtpd(8) names the proxy as the client then, and closes."""
        edge = self._edge
        edge.journal.write(Warned(at=edge.clock.now(), source="smtpd", message=f"haproxy read: {text}"))
        session = self._session()
        transport = self._hand_over(session)
        if transport is not None:
            session.transport = transport
            session.opened(Reply(421, "4.3.0", f"{edge.profile.rules.hostname} Server local error"))
