"""A session as simple as can be: it agrees to everything that the engine tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from seawall.mail.reply import Reply
from seawall.smtp import events
from seawall.smtp.events import NEED_DATA, Event
from seawall.smtp.rules import Rules
from seawall.smtp.server import Server

HOST = "mail.example.com"
AGREED = {
    "DATA": Reply(354, "", "End data with <CR><LF>.<CR><LF>"),
    "QUIT": Reply(221, "2.0.0", "Bye"),
    "AUTH": Reply(334, "", "VXNlcm5hbWU6"),
}
OK = Reply(250, "2.0.0", "Ok")
Judge = Callable[[events.Command], Reply | None]


def agree(event: events.Command) -> Reply | None:
    return None


def play(
    data: Iterable[bytes], rules: Rules, judge: Judge = agree, server: Server | None = None
) -> list[str | bytes | Event]:
    """What happens: events, content glued together, and the replies as lines."""
    engine = server or Server(rules)
    found: list[str | bytes | Event] = []
    for part in data:
        engine.receive_data(part)
        while (event := engine.next_event()) is not NEED_DATA:
            assert not isinstance(event, events.NeedData)
            if isinstance(event, events.Content):
                if found and isinstance(found[-1], bytes):
                    found[-1] += event.data
                else:
                    found.append(event.data)
            elif isinstance(event, events.Command):
                found.append(event)
                found += answer(engine, event, judge)
    return found


def answer(engine: Server, event: events.Command, judge: Judge) -> list[str | bytes | Event]:
    reply = event.reply if isinstance(event, events.Refused) else judge(event)
    if isinstance(event, events.Bdat):
        if reply is None:
            engine.take_chunk()
        else:
            engine.refuse_chunk(reply)
        return []
    if reply is None:
        reply = AGREED.get(event.verb, OK) if not isinstance(event, events.AuthLine) else Reply(235, "2.7.0", "Ok")
    return [engine.send(reply).decode("utf-8", "surrogateescape").rstrip("\r\n")]


def replies(found: list[str | bytes | Event]) -> list[str]:
    return [each for each in found if isinstance(each, str)]


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([octet]) for octet in data]
