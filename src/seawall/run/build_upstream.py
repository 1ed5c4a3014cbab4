"""The doors of a worker that stand alone: the server behind each, and the edge whose sessions are joined with it.

Also what clients of an edge without a door go through where a proxy in front names them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

from seawall.config.settings import Settings
from seawall.eager import within
from seawall.edge.edge import Edge
from seawall.edge.front import FrontEdge
from seawall.edge.proxied import Proxied, read_timeout
from seawall.edge.session import Session
from seawall.policy.judge import Judge
from seawall.run.build import Common
from seawall.upstream.rules import Rules, is_front, read_rules
from seawall.upstream.upstream import Upstream

KNOWN_BY_THEN = 1.0
"""Seconds that the first greeting waits for what the server behind offers."""
AT_RCPT = ("client", "helo", "sender", "relay", "recipient")
"""Lists by which a recipient may be refused; greylisting is at the end of one."""


class Fronts:
    """All of one worker.  Raises ConfigTrouble as services are added."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._rules: dict[int, Rules] = {}
        self._upstreams: dict[int, Upstream] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, position: int, settings: Settings) -> None:
        """A service; nothing where it has no server behind."""
        if is_front(settings):
            self._rules[position] = read_rules(settings, workers=self._common.given.start.workers)

    async def begin(self) -> None:
        """Ask the servers behind what they offer, from now on.  Services with the same rules share one, and its places."""
        common = self._common
        loop = asyncio.get_running_loop()
        every = {rules: Upstream(rules, common.journal, common.clock) for rules in self._rules.values()}
        self._upstreams = {position: every[rules] for position, rules in self._rules.items()}
        self._tasks = [loop.create_task(upstream.learn_always()) for upstream in every.values()]
        for upstream in every.values():
            with contextlib.suppress(TimeoutError):
                await within(upstream.was_asked.wait(), KNOWN_BY_THEN)

    def edge_of(self, position: int, settings: Settings, judge: Judge) -> Callable[..., Edge]:
        """What makes the edge of a service."""
        upstream = self._upstreams.get(position)
        if upstream is None:
            return Edge
        refuses = settings.flag("smtpd_reject_unlisted_recipient") or any(judge.lists[name] for name in AT_RCPT)
        return partial(FrontEdge, upstream, refuses_recipients=refuses)

    def knows_logins(self, position: int) -> bool:
        """Clients may log in at the server behind, as far as is known here."""
        return position in self._upstreams

    def stop(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()


def named_by_proxy(settings: Settings, edge: Edge, session: Callable[[], Session]) -> Callable[[], Session | Proxied]:
    """What makes the protocol of a connection where there is no door."""
    timeout = read_timeout(settings)
    return (lambda: Proxied(edge, session, timeout)) if timeout else session
