"""master(8): starts the children, hands them sockets and links, watches their beat, replaces, reloads, drains.

The supervisor parses nothing that a client sent.  A reload starts a new generation beside the old one: the new
workers accept from the same sockets, the old ones finish their sessions with the configuration of their start.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec

from seawall.run import messages as m
from seawall.run.channel import Codec, pair, receive_now, send_now

SILENT = 2.0
"""Seconds without a beat after which a neighbour accepts as well (docs/design.md, Processes)."""
DEAD = 5.0
"""Seconds without a beat after which a child is killed and replaced."""
STARTING = 60.0
"""Seconds that a child may take to be ready; map files of a million keys are read in this time."""
LONGEST_SESSION = 3600.0
"""Seconds that sessions of the generation before a reload may last."""
SLOWEST_RESTART = 10.0
"""Seconds between restarts of a child that dies at once, at most."""

MODULES = {
    "worker": "seawall.run.worker",
    "queue-manager": "seawall.run.queue_manager",
    "delivery": "seawall.run.delivery",
    "watcher": "seawall.run.watcher",
}
LINKED = (
    ("worker", "queue-manager"),
    ("worker", "delivery"),
    ("queue-manager", "delivery"),
    ("worker", "watcher"),
    ("queue-manager", "watcher"),
    ("delivery", "watcher"),
)
"""Which children have a pair of their own."""
ALONE = frozenset({"queue-manager", "watcher"})
"""Roles of which there is never a second one: on reload the old one ends before the new one starts."""


class State(Enum):
    """Where a child is in its life."""

    STARTING = auto()
    READY = auto()
    DRAINING = auto()


@dataclass(slots=True)
class Child:
    """One child as the supervisor sees it."""

    role: str
    index: int
    generation: int
    process: subprocess.Popen[bytes]
    channel: socket.socket
    started: float
    heard: float
    state: State = State.STARTING
    neighbour_helps: bool = False
    deadline: float = 0.0


@dataclass(slots=True)
class Plan:
    """What to run: one generation's configuration, and the groups of listening sockets, which outlive generations."""

    configuration: m.Configuration
    root: str
    directory: str
    user: str
    workers: int
    generation: int = 1
    groups: list[tuple[m.ListenerInfo, list[socket.socket]]] = field(default_factory=list)
    open_log: Callable[[], int | None] = lambda: None


class Supervisor:
    """Runs a plan until it is told to stop.  `say(level, text)` is the log; `ready()` is called once all serve."""

    def __init__(self, plan: Plan, say: Callable[[str, str], None], ready: Callable[[], None]) -> None:
        self._plan = plan
        self._say = say
        self._ready = ready
        self._was_ready = False
        self._children: list[Child] = []
        self._codec: Codec[m.ChannelMessage] = Codec(m.ChannelMessage)
        self._selector = selectors.DefaultSelector()
        self._restarts: dict[tuple[str, int], float] = {}
        self._due: list[tuple[float, str, int]] = []
        self._stopping = False
        self._stop_deadline = 0.0
        self._reload: Callable[[], Plan | None] = lambda: None

    # ---- life -------------------------------------------------------------------------------------------------

    def run(self, reload: Callable[[], Plan | None]) -> int:
        """Serve until SIGTERM; `reload()` reads the configuration anew, None where it is invalid."""
        self._reload = reload
        wake, signalled = socket.socketpair()
        for end in (wake, signalled):
            end.setblocking(False)
        signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._selector.register(wake, selectors.EVENT_READ, None)
        for role, index in self._roles():
            self._spawn(role, index)
        while self._children or self._due or not self._stopping:
            for key, _ in self._selector.select(0.25):
                if key.data is None:
                    self._signals(wake.recv(256))
                else:
                    self._hear(key.data)
            self._bury()
            self._tend(time.monotonic())
        signal.set_wakeup_fd(-1)
        return 0

    def _roles(self) -> list[tuple[str, int]]:
        workers = [("worker", index) for index in range(self._plan.workers)]
        return [("watcher", 0), ("delivery", 0), ("queue-manager", 0), *workers]

    def _signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP and not self._stopping:
                self._start_reload()

    def _stop(self) -> None:
        """Drain in the order of the journey: workers first, so that what they accepted finds a queue manager."""
        if not self._stopping:
            self._stopping = True
            self._due.clear()
            self._say("info", "stopping: waiting for sessions to end")
            self._drain_role("worker", 10.0)

    def _drain_role(self, role: str, seconds: float) -> None:
        for child in self._children:
            if child.role == role:
                self._drain(child, seconds)

    def _drain(self, child: Child, seconds: float, *, farewell: bool = True) -> None:
        child.state = State.DRAINING
        child.deadline = time.monotonic() + seconds + DEAD
        self._tell(child, m.Drain(seconds, farewell))

    # ---- children ---------------------------------------------------------------------------------------------

    def _spawn(self, role: str, index: int) -> None:
        ours, theirs = pair()
        process = subprocess.Popen(
            [sys.executable, "-m", MODULES[role], str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        now = time.monotonic()
        child = Child(role, index, self._plan.generation, process, ours, now, now)
        self._children.append(child)
        self._selector.register(ours, selectors.EVENT_READ, child)
        self._send_start(child)
        for peer in list(self._children):
            if peer is not child and self._are_linked(child, peer):
                self._link(child, peer)

    def _send_start(self, child: Child) -> None:
        plan = self._plan
        texts = os.memfd_create("seawall-configuration")
        os.write(texts, msgspec.msgpack.encode(plan.configuration))
        log = plan.open_log()
        groups = plan.groups if child.role == "worker" else []
        listeners = [group[child.index] for _, group in groups]
        start = m.Start(
            version=m.VERSION,
            role=child.role,
            index=child.index,
            workers=plan.workers,
            root=plan.root,
            directory=plan.directory,
            user=plan.user if child.role != "delivery" else "",
            generation=child.generation,
            listeners=tuple(info for info, _ in groups),
            has_log=log is not None,
        )
        descriptors = [texts, *([log] if log is not None else []), *(each.fileno() for each in listeners)]
        self._tell(child, start, descriptors)
        os.close(texts)
        if log is not None:
            os.close(log)

    @staticmethod
    def _are_linked(one: Child, other: Child) -> bool:
        if State.DRAINING in (one.state, other.state):
            return False
        return (one.role, other.role) in LINKED or (other.role, one.role) in LINKED

    def _link(self, one: Child, other: Child) -> None:
        ends = pair()
        self._tell(one, m.Link(other.role, other.index), [ends[0].fileno()])
        self._tell(other, m.Link(one.role, one.index), [ends[1].fileno()])
        for end in ends:
            end.close()

    def _tell(self, child: Child, message: m.ChannelMessage, descriptors: Sequence[int] = ()) -> None:
        try:
            send_now(child.channel, self._codec.encode(message), descriptors)
        except OSError:
            return  # its end is noticed by `_bury`; a child that does not read is silent, and replaced for that

    def _hear(self, child: Child) -> None:
        try:
            data, descriptors = receive_now(child.channel)
        except OSError:
            return
        for descriptor in descriptors:
            os.close(descriptor)
        if not data:
            self._selector.unregister(child.channel)
            child.channel.close()
            return
        child.heard = time.monotonic()
        match self._codec.decode(data):
            case m.Ready():
                self._now_ready(child)
            case _:
                pass

    def _now_ready(self, child: Child) -> None:
        if child.state is State.STARTING:
            child.state = State.READY
        for older in self._children:
            if (older.role, older.index) == (child.role, child.index) and older.generation < child.generation:
                self._drain(older, LONGEST_SESSION if older.role == "worker" else 30.0, farewell=False)
        current = [c for c in self._children if c.generation == self._plan.generation and c.state is State.READY]
        if len(current) == len(self._roles()) and not self._was_ready:
            self._was_ready = True
            self._ready()

    def _bury(self) -> None:
        for child in list(self._children):
            code = child.process.poll()
            if code is None:
                continue
            self._children.remove(child)
            if child.channel.fileno() != -1:
                self._selector.unregister(child.channel)
                child.channel.close()
            successor = any((c.role, c.index) == (child.role, child.index) for c in self._children)
            if self._stopping or successor:
                continue
            if child.state is State.DRAINING:
                self._spawn(child.role, child.index)
            else:
                self._replace_later(child, code)

    def _replace_later(self, child: Child, code: int) -> None:
        """A child that lived is replaced at once; one that dies at once, again and again, less and less often."""
        if code == 78 and not self._was_ready:
            self._say("fatal", f"{child.role} {child.index} cannot start; see the message above")
            self._stopping = True
            for other in self._children:
                other.process.kill()
            return
        now = time.monotonic()
        place = (child.role, child.index)
        lived = now - child.started
        wait = 0.0 if lived > 5.0 else min(SLOWEST_RESTART, max(0.1, 2 * self._restarts.get(place, 0.0)))
        self._restarts[place] = wait
        how = f"signal {-code}" if code < 0 else f"status {code}"
        self._say("warning", f"process {child.role} {child.index} (pid {child.process.pid}) ended with {how}; replaced")
        self._due.append((now + wait, *place))

    # ---- time -------------------------------------------------------------------------------------------------

    def _tend(self, now: float) -> None:
        for entry in [entry for entry in self._due if entry[0] <= now]:
            self._due.remove(entry)
            self._spawn(entry[1], entry[2])
        for child in self._children:
            self._tend_child(child, now)
        if self._stopping:
            self._tend_stop()

    def _tend_child(self, child: Child, now: float) -> None:
        silent = now - child.heard
        if child.state is State.DRAINING:
            if now > child.deadline:
                child.process.kill()
        elif child.state is State.STARTING:
            if silent > STARTING:
                child.process.kill()
        elif silent > DEAD:
            self._say("warning", f"process {child.role} {child.index} is silent for {silent:.0f} s; killed")
            child.process.kill()
            child.heard = now
        elif child.role == "worker" and (silent > SILENT) != child.neighbour_helps:
            self._neighbour(child, helps=silent > SILENT)

    def _neighbour(self, child: Child, *, helps: bool) -> None:
        """Let the next worker accept from a silent one's sockets, or end that."""
        child.neighbour_helps = helps
        others = [c for c in self._children if c.role == "worker" and c.index != child.index and c.state is State.READY]
        if not others:
            return
        neighbour = min(others, key=lambda c: (c.index - child.index) % max(1, self._plan.workers))
        if helps:
            infos = tuple(info for info, _ in self._plan.groups)
            sockets = [group[child.index].fileno() for _, group in self._plan.groups]
            self._tell(neighbour, m.Adopt(child.index, infos), sockets)
        else:
            self._tell(neighbour, m.Release(child.index))

    def _tend_stop(self) -> None:
        for roles in (("worker",), ("queue-manager",), ("delivery",), ("watcher",)):
            here = [child for child in self._children if child.role in roles]
            if here:
                for child in here:
                    if child.state is not State.DRAINING:
                        self._drain(child, 10.0)
                return

    # ---- reload -----------------------------------------------------------------------------------------------

    def _start_reload(self) -> None:
        plan = self._reload()
        if plan is None:
            return
        plan.generation = self._plan.generation + 1
        plan.groups = self._plan.groups
        plan.workers = self._plan.workers
        self._plan = plan
        self._say("info", "reload: configuration read")
        for role, index in self._roles():
            olds = [c for c in self._children if (c.role, c.index) == (role, index) and c.state is not State.DRAINING]
            if role in ALONE and olds:
                for old in olds:
                    self._drain(old, 10.0)  # `_bury` starts the next one
            else:
                self._spawn(role, index)
