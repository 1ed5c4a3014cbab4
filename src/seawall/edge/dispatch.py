"""Which handler takes which event: the whole table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from seawall.edge import commands_auth, commands_mail, commands_plain, commands_proxy, data
from seawall.policy.rates import Event
from seawall.smtp import events

Handler = Callable[[Any, Any], Any]
"""Gets the session and the event; gives a Reply, a coroutine of one, or None where it has seen to the reply itself."""

HANDLERS: Mapping[type[events.Command], Handler] = MappingProxyType(
    {
        events.Helo: commands_plain.helo,
        events.Ehlo: commands_plain.helo,
        events.Mail: commands_mail.mail,
        events.Rcpt: commands_mail.rcpt,
        events.Data: data.data,
        events.Bdat: data.bdat,
        events.ChunkRead: data.chunk_read,
        events.EndOfData: data.end_of_data,
        events.Rset: commands_plain.rset,
        events.Noop: commands_plain.noop,
        events.Vrfy: commands_mail.vrfy,
        events.Etrn: commands_mail.etrn,
        events.Quit: commands_plain.quit_session,
        events.Help: commands_plain.help_text,
        events.StartTls: commands_plain.starttls,
        events.Auth: commands_auth.auth,
        events.AuthLine: commands_auth.auth_line,
        events.XClient: commands_proxy.xclient,
        events.XForward: commands_proxy.xforward,
        events.Refused: commands_plain.refused,
    }
)

CONTINUING: frozenset[type[events.Command]] = frozenset({events.ChunkRead, events.EndOfData, events.AuthLine})
"""Events that belong to a command that was counted already."""
UNLIKE_OTHERS: frozenset[type[events.Command]] = CONTINUING | {events.Refused, events.Noop}
"""Events that are not simply counted under their verb."""


COUNTED: Mapping[str, Event] = MappingProxyType(
    {"MAIL": Event.MESSAGE, "RCPT": Event.RECIPIENT, "VRFY": Event.RECIPIENT, "AUTH": Event.AUTH}
)
"""Commands that smtpd_client_*_rate_limit count, those with a mistake in them included."""
_OUT_OF_PLACE = frozenset({502, 503, 530})
"""Replies to commands that may not come now: they are not counted."""


def counted_as(event: events.Command) -> Event | None:
    """What a command is counted for, None for most."""
    if event.__class__ is events.AuthLine:
        return None
    if isinstance(event, events.Refused):
        return None if event.goes_on or event.reply.code in _OUT_OF_PLACE else COUNTED.get(event.command)
    return COUNTED.get(event.verb)
