"""AUTH: the client's side of an authentication as lines, ours as challenges.  RFC 4954, smtpd_sasl_proto(3)

Where the site's smtpd_sasl_type is cyrus, ``=`` for an empty initial response is no base64, as in Postfix.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from seawall.edge.login import Challenge, Failure, Step, Success
from seawall.journal.records.edge import AuthFailed
from seawall.mail.reply import Reply
from seawall.smtp.events import Auth, AuthLine
from seawall.smtp.grammar import printable

if TYPE_CHECKING:
    from seawall.edge.session import Session

SUCCESSFUL = Reply(235, "2.7.0", "Authentication successful")
ABORTED = Reply(501, "5.7.0", "Authentication aborted")
NOT_ENABLED = Reply(503, "5.5.1", "Error: authentication not enabled")
NO_REASON = "(reason unavailable)"
_BAD_INITIAL: Mapping[str, str] = MappingProxyType({"cyrus": "another step is needed in authentication"})
_BAD_CONTINUED: Mapping[str, str] = MappingProxyType({"cyrus": "bad protocol / cancel"})
"""What the libraries behind smtpd_sasl_type say of base64 that is none; the others say it plainly."""


def _decode(text: str) -> bytes | None:
    """Base64 as RFC 4648 has it; None where it is none."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None


async def auth(session: Session, event: Auth) -> Reply | None:
    """Begin.  ``=`` stands for an initial response that is empty."""
    login = session.edge.login
    await session.know()
    if login is None or not login.mechanisms(session.engine.is_encrypted):
        return NOT_ENABLED
    session.mechanism = printable(event.mechanism)
    kind = session.edge.profile.sasl_type
    initial = None
    if event.initial is not None:
        initial = b"" if event.initial == "=" and kind != "cyrus" else _decode(event.initial)
        if initial is None:
            return _failed(session, Failure(_BAD_INITIAL.get(kind, "Invalid base64 data in initial response")))
    exchange = login.start(event.mechanism, initial, session.attempt)
    session.exchange = exchange
    answer = exchange.first()
    return _told(session, answer if isinstance(answer, Challenge | Success | Failure) else await answer)


async def auth_line(session: Session, event: AuthLine) -> Reply | None:
    """The answer to a challenge."""
    exchange = session.exchange
    if event.text == "*":
        session.complain(f"{{client}}: SASL {session.mechanism} authentication aborted")
        _close(session)
        return ABORTED
    response = _decode(event.text)
    if exchange is None or response is None:
        kind = session.edge.profile.sasl_type
        return _failed(session, Failure(_BAD_CONTINUED.get(kind, "Invalid base64 data in continued response")))
    answer = exchange.step(response)
    return _told(session, answer if isinstance(answer, Challenge | Success | Failure) else await answer)


def _told(session: Session, step: Step) -> Reply:
    if isinstance(step, Challenge):
        return Reply(334, "", base64.b64encode(step.data).decode("ascii"))
    if isinstance(step, Failure):
        return _failed(session, step)
    _close(session)
    session.attempt.sasl_method = session.mechanism
    session.attempt.sasl_username = printable(step.username)
    session.engine.is_authenticated = True
    return SUCCESSFUL


def _failed(session: Session, failure: Failure) -> Reply:
    _close(session)
    reason = failure.reason or NO_REASON
    session.write(AuthFailed, mechanism=session.mechanism, why=reason, username=printable(failure.username))
    if failure.is_temporary:
        return Reply(454, "4.7.0", f"Temporary authentication failure: {reason}")
    return Reply(535, "5.7.8", f"Error: authentication failed: {reason}")


def _close(session: Session) -> None:
    if session.exchange is not None:
        session.exchange.close()
        session.exchange = None
