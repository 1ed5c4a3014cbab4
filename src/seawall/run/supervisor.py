"""master(8): starts the children, hands them sockets and links, watches their beat, replaces, reloads, drains.

The supervisor parses nothing that a client sent.  A reload starts a new generation beside the old one.  Where every
child of it could be built it takes over: the new workers accept from the same sockets, the old ones finish their
sessions with the configuration of their start.  Where one could not, the old generation goes on.
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
from seawall.run.channel import MOST_DESCRIPTORS, Codec, pair, receive_now, send_now

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
    "spawn": "seawall.run.spawn",
    "watcher": "seawall.run.watcher",
}
LINKED = (
    ("worker", "queue-manager"),
    ("worker", "delivery"),
    ("queue-manager", "delivery"),
    ("delivery", "queue-manager"),
    ("worker", "watcher"),
    ("queue-manager", "watcher"),
    ("delivery", "watcher"),
    ("spawn", "watcher"),
)
"""Who asks whom, each over a pair of its own."""
ALONE = frozenset({"queue-manager", "watcher"})
"""Roles of which there is never a second one at work: on reload the old one ends before the new one begins."""
OUTLIVING = frozenset({"worker", "spawn"})
"""Roles that after a reload go on for sessions of before it: a session keeps the commands that it is connected to."""


class State(Enum):
    """Where a child is in its life."""

    STARTING = auto()
    BUILT = auto()
    """It has all that it needs, and waits for its generation, or for the one whose place it takes."""
    BEGINNING = auto()
    READY = auto()
    DRAINING = auto()


AT_WORK = frozenset({State.BEGINNING, State.READY})


@dataclass(slots=True, eq=False)
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
    helper: Child | None = None
    """The neighbour that accepts from its sockets while it is silent."""
    deadline: float = 0.0
    reason: str = ""
    """Its last word, where the configuration cannot be served."""

    @property
    def place(self) -> tuple[str, int]:
        """What it is, whatever its generation."""
        return self.role, self.index


@dataclass(slots=True)
class Plan:
    """What to run: one generation's configuration, and the groups of listening sockets, which outlive generations.

    `local` are the sockets on which the queue manager serves this host's users: they wait where it is being replaced.
    `spawn` are those of spawn(8) services; without any there is no process for them.  `settled` is called once this
    generation serves, and again where the one that was to follow was given up.
    `lock` is a descriptor that every child inherits: the lock on it lasts until the last of them has ended.
    """

    configuration: m.Configuration
    root: str
    directory: str
    user: str
    workers: int
    generation: int = 1
    groups: list[tuple[m.ListenerInfo, list[socket.socket]]] = field(default_factory=list)
    local: list[tuple[m.ListenerInfo, socket.socket]] = field(default_factory=list)
    spawn: list[tuple[m.ListenerInfo, socket.socket]] = field(default_factory=list)
    open_log: Callable[[], int | None] = lambda: None
    settled: Callable[[], None] = lambda: None
    lock: int = -1

    def roles(self) -> list[tuple[str, int]]:
        """The places of its children."""
        workers = [("worker", index) for index in range(self.workers)]
        spawn = [("spawn", 0)] if self.spawn else []
        return [("watcher", 0), ("delivery", 0), *spawn, ("queue-manager", 0), *workers]


class Supervisor:
    """Runs a plan until it is told to stop.  `say(level, text)` is the log; `ready()` is called once all serve."""

    def __init__(self, plan: Plan, say: Callable[[str, str], None], ready: Callable[[], None]) -> None:
        self._plan = plan
        self._next: Plan | None = plan
        """The plan whose children are not all built yet: that of the start, or of a reload."""
        self._last_generation = plan.generation
        self._say = say
        self._ready = ready
        self._serves = False
        self._was_ready = False
        self._reload_wanted = False
        self._children: list[Child] = []
        self._codec: Codec[m.ChannelMessage] = Codec(m.ChannelMessage)
        self._selector = selectors.DefaultSelector()
        self._restarts: dict[tuple[str, int], float] = {}
        self._due: list[tuple[float, str, int]] = []
        self._stopping = False
        self._trouble = ""
        self._reload: Callable[[], Plan | None] = lambda: None

    # ---- life -------------------------------------------------------------------------------------------------

    def run(self, reload: Callable[[], Plan | None]) -> str:
        """Serve until SIGTERM; `reload()` reads the configuration anew, None where it is invalid.

        The result is empty, or why the server could not start.
        """
        self._reload = reload
        wake, signalled = socket.socketpair()
        for end in (wake, signalled):
            end.setblocking(False)
        signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._selector.register(wake, selectors.EVENT_READ, None)
        for role, index in self._plan.roles():
            self._spawn(role, index, self._plan)
        while self._children or not self._stopping:
            for key, _ in self._selector.select(0.25):
                if key.data is None:
                    self._signals(wake.recv(256))
                else:
                    self._hear(key.data)
            self._bury()
            self._tend(time.monotonic())
        signal.set_wakeup_fd(-1)
        return self._trouble

    def _signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP and not self._stopping:
                self._start_reload()

    def _stop(self) -> None:
        """Drain in the order of the journey (`_tend_stop`), so that what workers accepted finds a queue manager."""
        if not self._stopping:
            self._stopping = True
            self._due.clear()
            for _, listener in self._plan.local:
                listener.close()  # who comes once the queue manager has ended is to know at once
            self._say("info", "stopping: waiting for sessions to end")
            self._abandon()

    def _drain(self, child: Child, seconds: float, *, farewell: bool = True) -> None:
        child.state = State.DRAINING
        child.deadline = time.monotonic() + seconds + DEAD
        self._tell(child, m.Drain(seconds, farewell))

    # ---- children ---------------------------------------------------------------------------------------------

    def _spawn(self, role: str, index: int, plan: Plan) -> None:
        ours, theirs = pair()
        process = subprocess.Popen(
            [sys.executable, "-m", MODULES[role], str(theirs.fileno())],
            pass_fds=[theirs.fileno(), *([plan.lock] if plan.lock != -1 else [])],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        now = time.monotonic()
        child = Child(role, index, plan.generation, process, ours, now, now)
        self._children.append(child)
        self._selector.register(ours, selectors.EVENT_READ, child)
        self._send_start(child, plan)

    def _send_start(self, child: Child, plan: Plan) -> None:
        texts = os.memfd_create("seawall-configuration")
        os.write(texts, msgspec.msgpack.encode(plan.configuration))
        log = plan.open_log()
        listeners = {"queue-manager": plan.local, "spawn": plan.spawn}.get(child.role, [])
        if child.role == "worker":
            listeners = [(info, group[child.index]) for info, group in plan.groups]
        start = m.Start(
            version=m.VERSION,
            role=child.role,
            index=child.index,
            workers=plan.workers,
            root=plan.root,
            directory=plan.directory,
            user=plan.user,
            generation=child.generation,
            listeners=tuple(info for info, _ in listeners),
            has_log=log is not None,
        )
        descriptors = [texts, *([log] if log is not None else []), *(each.fileno() for _, each in listeners)]
        self._tell(child, start, descriptors)
        os.close(texts)
        if log is not None:
            os.close(log)

    def _begin(self, child: Child) -> None:
        """Link a child that is built with all who are at work, and let it serve."""
        child.state = State.BEGINNING
        child.started = child.heard = time.monotonic()
        for peer in self._children:
            for asking, serving in ((child, peer), (peer, child)):
                if self._may_ask(asking, serving):
                    self._link(asking, serving)
        self._tell(child, m.Begin())

    def _link(self, asking: Child, serving: Child) -> None:
        ends = pair()
        self._tell(asking, m.Link(serving.role, serving.index, asks=True), [ends[0].fileno()])
        self._tell(serving, m.Link(asking.role, asking.index, asks=False), [ends[1].fileno()])
        for end in ends:
            end.close()

    @staticmethod
    def _may_ask(asking: Child, serving: Child) -> bool:
        """Sessions of an old generation need the new one's services as well: who drains may still ask."""
        at_work = asking.state in AT_WORK or asking.state is State.DRAINING
        return (asking.role, serving.role) in LINKED and serving.state in AT_WORK and at_work

    def _tell(self, child: Child, message: m.ChannelMessage, descriptors: Sequence[int] = ()) -> None:
        try:
            send_now(child.channel, self._codec.encode(message), descriptors[:MOST_DESCRIPTORS])
            for at in range(MOST_DESCRIPTORS, len(descriptors), MOST_DESCRIPTORS):
                more = descriptors[at : at + MOST_DESCRIPTORS]
                send_now(child.channel, self._codec.encode(m.MoreDescriptors()), more)
        except OSError:
            return  # its end is noticed by `_bury`; a child that does not read is silent, and replaced for that

    def _hear(self, child: Child) -> bool:
        """Take one message; False where there is none."""
        if child.channel.fileno() == -1:
            return False
        try:
            data, descriptors = receive_now(child.channel)
        except OSError:
            return False
        for descriptor in descriptors:
            os.close(descriptor)
        if not data:
            self._forget_channel(child)
            return False
        child.heard = time.monotonic()
        try:
            message = self._codec.decode(data)
        except msgspec.DecodeError:
            self._say("warning", f"process {child.role} {child.index} says what it may not; killed")
            child.process.kill()
            return True
        match message:
            case m.Built():
                self._now_built(child)
            case m.Failed():
                child.reason = message.reason
            case m.Ready():
                self._now_ready(child)
            case _:
                pass
        return True

    def _forget_channel(self, child: Child) -> None:
        if child.channel.fileno() != -1:
            self._selector.unregister(child.channel)
            child.channel.close()

    def _now_built(self, child: Child) -> None:
        if child.state is not State.STARTING:
            return
        child.state = State.BUILT
        if self._next is None or child.generation != self._next.generation:
            self._begin(child)
            return
        built = [c for c in self._children if c.generation == child.generation and c.state is State.BUILT]
        if len(built) == len(self._next.roles()):
            self._change_over(self._next)

    def _now_ready(self, child: Child) -> None:
        if child.state is State.BEGINNING:
            child.state = State.READY
        for older in self._others_at(child):
            if older.generation < child.generation and older.state is not State.DRAINING:
                self._drain(older, LONGEST_SESSION if older.role in OUTLIVING else 30.0, farewell=False)
        current = [c for c in self._children if c.generation == self._plan.generation and c.state is State.READY]
        if len(current) == len(self._plan.roles()) and not self._was_ready:
            self._was_ready = True
            self._ready()

    def _others_at(self, child: Child) -> list[Child]:
        return [c for c in self._children if c.place == child.place and c is not child]

    def _bury(self) -> None:
        for child in list(self._children):
            code = child.process.poll()
            if code is None:
                continue
            while self._hear(child):
                pass  # its last words
            self._forget_channel(child)
            self._children.remove(child)
            self._release(child)
            if self._next is not None and child.generation == self._next.generation:
                self._cannot_change_over(child, code)
            elif not self._stopping:
                self._succeed(child, code)

    def _succeed(self, child: Child, code: int) -> None:
        """Let the one that waits for this place begin, or start another."""
        for waiting in self._others_at(child):
            if waiting.state is State.BUILT and waiting.generation == self._plan.generation:
                self._begin(waiting)
                return
        if child.generation == self._plan.generation:
            self._replace_later(child, code)

    def _replace_later(self, child: Child, code: int) -> None:
        """A child that lived is replaced at once; one that dies at once, again and again, less and less often."""
        now = time.monotonic()
        lived = now - child.started
        wait = 0.0 if lived > 5.0 else min(SLOWEST_RESTART, max(0.1, 2 * self._restarts.get(child.place, 0.0)))
        self._restarts[child.place] = wait
        why = f"ended with {_how(code)}" + (f": {child.reason}" if child.reason else "")
        self._say("warning", f"process {child.role} {child.index} (pid {child.process.pid}) {why}; replaced")
        self._due.append((now + wait, *child.place))

    # ---- time -------------------------------------------------------------------------------------------------

    def _tend(self, now: float) -> None:
        for entry in [entry for entry in self._due if entry[0] <= now]:
            self._due.remove(entry)
            place, generation = entry[1:], self._plan.generation
            if not any(c.place == place and c.generation == generation for c in self._children):
                self._spawn(*place, self._plan)
        for child in self._children:
            self._tend_child(child, now)
        if self._stopping:
            self._tend_stop()

    def _tend_child(self, child: Child, now: float) -> None:
        silent = now - child.heard
        match child.state:
            case State.DRAINING:
                if now > child.deadline:
                    child.process.kill()
            case State.STARTING | State.BEGINNING:
                if silent > STARTING:
                    child.process.kill()
            case State.READY if silent > DEAD:
                self._say("warning", f"process {child.role} {child.index} is silent for {silent:.0f} s; killed")
                child.process.kill()
                child.heard = now
            case State.READY if child.role == "worker":
                if silent > SILENT and child.helper is None:
                    self._ask_neighbour(child)
                elif silent <= SILENT:
                    self._release(child)
            case _:
                pass

    def _ask_neighbour(self, child: Child) -> None:
        """Let the next worker accept from a silent one's sockets."""
        others = [c for c in self._children if c.role == "worker" and c.index != child.index and c.state is State.READY]
        if others:
            child.helper = min(others, key=lambda c: (c.index - child.index) % max(1, self._plan.workers))
            groups = self._plan.groups[:MOST_DESCRIPTORS]  # so many ports are helped at once
            infos = tuple(info for info, _ in groups)
            sockets = [group[child.index].fileno() for _, group in groups]
            self._tell(child.helper, m.Adopt(child.index, infos), sockets)

    def _release(self, child: Child) -> None:
        """It is back, or gone: what it accepts, nobody else must."""
        if child.helper is not None:
            self._tell(child.helper, m.Release(child.index))
            child.helper = None

    def _tend_stop(self) -> None:
        for role in ("worker", "queue-manager", "delivery", "spawn", "watcher"):
            here = [child for child in self._children if child.role == role]
            if here:
                for child in here:
                    if child.state is not State.DRAINING or child.deadline > time.monotonic() + 30.0:
                        self._drain(child, 10.0)
                return

    # ---- reload -----------------------------------------------------------------------------------------------

    def _start_reload(self) -> None:
        """Start a generation beside the one that serves; it takes over once every child of it is built."""
        self._reload_wanted = not self._serves
        plan = self._reload() if self._serves else None
        if plan is None:
            return
        self._abandon()
        self._last_generation += 1
        plan.generation = self._last_generation
        self._next = plan
        for role, index in plan.roles():
            self._spawn(role, index, plan)

    def _change_over(self, plan: Plan) -> None:
        """Every child of the new generation can serve: let it."""
        self._plan, self._next = plan, None
        if self._serves:
            self._say("info", "reload: the new configuration is in use")
        self._serves = True
        for child in [c for c in self._children if c.generation == plan.generation]:
            olds = self._others_at(child) if child.role in ALONE else []
            for old in olds:
                self._drain(old, 10.0, farewell=False)  # `_succeed` lets the new one begin
            if not olds:
                self._begin(child)
        for child in [c for c in self._children if c.place not in plan.roles() and c.state is not State.DRAINING]:
            self._drain(child, LONGEST_SESSION, farewell=False)  # the configuration has no services for it any more
        plan.settled()
        if self._reload_wanted:
            self._start_reload()

    def _abandon(self) -> None:
        """Give up a generation that was not built yet."""
        if self._next is not None:
            for child in self._children:
                if child.generation == self._next.generation:
                    child.state, child.deadline = State.DRAINING, 0.0
                    child.process.kill()
            self._next = None
            if self._serves:
                self._plan.settled()

    def _cannot_change_over(self, child: Child, code: int) -> None:
        reason = child.reason or f"process {child.role} {child.index} ended with {_how(code)} before it was ready"
        self._abandon()
        if self._serves:
            self._say("error", f"reload: {reason}; the old configuration stays in use")
        else:
            self._say("fatal", reason)
            self._trouble = reason
            self._stopping = True


def _how(code: int) -> str:
    """An exit code in words."""
    return f"signal {-code}" if code < 0 else f"status {code}"
