"""Children that act as a user for good: they run a command, or open and read a list of destinations.

The spawner is a process of its own without threads, started before the delivery process has any.  It forks a child
for every request; the child gives up every other identity before it opens or runs anything, and a child that only
reads shuts itself off from all other files (Landlock).  The spawner waits for it, kills it and its offspring when its
time is over, and tells how it ended.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import resource
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from seawall.linux.identity import Identity, IdentityTrouble, become
from seawall.linux.landlock import restrict_to_reading
from seawall.mail.rfc822 import addresses, parse

LINE_LIMIT: Final = 2048
"""Characters of a line of a list; what is longer is read in parts.  postconf(5) line_length_limit"""
LIST_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a list that are read at most; our choice: the largest list a site would still keep in one file."""
REQUEST_LIMIT: Final = 192 * 1024
_META_FREE: Final = frozenset(b"1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t")
"""Characters of a command that needs no shell.  exec_command(3)"""


class RunCommand(msgspec.Struct, frozen=True, tag=True):
    """Run a command with the first descriptor as standard input and the second as output and error.

    `words` are run as they are; with `shell` they are the command line's one word, run through `shell`'s words or,
    where that is empty, as exec_command(3) does: without a shell where it needs none.  `file_limit` in bytes, 0 for
    none; `seconds` until it is killed.
    """

    number: int
    uid: int
    gid: int
    words: tuple[bytes, ...]
    environment: dict[bytes, bytes]
    directory: bytes
    seconds: float
    is_line: bool = False
    shell: tuple[bytes, ...] = ()
    file_limit: int = 0
    umask: int = 0o077


class ReadList(msgspec.Struct, frozen=True, tag=True):
    """Read the destinations of a .forward or :include: file and write them (`ListContent`) to the second descriptor."""

    number: int
    uid: int
    gid: int
    path: bytes
    seconds: float


class ListContent(msgspec.Struct, frozen=True):
    """The addresses of a list in internal form, in order; `trouble` tells why it could not be read."""

    entries: tuple[bytes, ...] = ()
    trouble: str = ""


class Ended(msgspec.Struct, frozen=True):
    """How a child ended: `status` as waitpid(2) gives it."""

    number: int
    status: int
    timed_out: bool = False


Request: TypeAlias = RunCommand | ReadList


def read_destinations(path: bytes) -> ListContent:
    """Parse a list: lines of comma separated addresses, ``#`` at the start of a line is a comment.  local(8)"""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return ListContent(trouble="not a regular file")
            if status.st_mode & stat.S_IWOTH:
                return ListContent(trouble="world writable")
            data = file.read(LIST_LIMIT + 1)
    except OSError as trouble:
        return ListContent(trouble=os.strerror(trouble.errno or 0))
    if len(data) > LIST_LIMIT:
        return ListContent(trouble=f"more than {LIST_LIMIT} bytes")
    entries: list[bytes] = []
    for line in data.split(b"\n"):
        for start in range(0, len(line), LINE_LIMIT):
            part = line[start : start + LINE_LIMIT]
            if not part.startswith(b"#"):
                text = part.decode("utf-8", "surrogateescape")
                entries += (a.internal.encode("utf-8", "surrogateescape") for a in addresses(parse(text)))
    return ListContent(tuple(entries))


def _exec(request: RunCommand) -> None:
    """Never returns but by an exception."""
    if not request.is_line:
        os.execvpe(request.words[0], request.words, request.environment)
    line = request.words[0]
    if request.shell:
        os.execvpe(request.shell[0], (*request.shell, line), request.environment)
    if line.strip(b" \t") and not set(line) - _META_FREE:
        words = line.split()
        try:
            os.execvpe(words[0], words, request.environment)
        except FileNotFoundError:
            if b"/" in words[0]:
                raise
    os.execve(b"/bin/sh", (b"sh", b"-c", line), request.environment)


def _close_all_above(lowest: int) -> None:
    os.closerange(lowest, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _child(request: Request, descriptors: list[int]) -> int:
    """The life of a child; its exit code where it does not become a command.  Output goes to the second descriptor."""
    os.setsid()
    source, target = descriptors
    os.dup2(source, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    _close_all_above(3)
    for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        become(Identity(request.uid, request.gid))
    except IdentityTrouble as trouble:
        os.write(2, f"4.3.0 {trouble}\n".encode())
        return 75
    if isinstance(request, ReadList):
        with contextlib.suppress(OSError):
            restrict_to_reading(os.fsdecode(request.path))
        content = msgspec.msgpack.encode(read_destinations(request.path))
        view = memoryview(content)
        while view:
            view = view[os.write(1, view) :]
        return 0
    os.umask(request.umask)
    if request.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request.file_limit, request.file_limit))
    doing = f"cannot change directory to {os.fsdecode(request.directory)}"
    try:
        os.chdir(request.directory)
        doing = f"execvp {os.fsdecode(request.words[0])}"
        _exec(request)
    except OSError as trouble:
        os.write(2, f"local: fatal: {doing}: {os.strerror(trouble.errno or 0)}\n".encode("utf-8", "surrogateescape"))
    return 75


@dataclass(slots=True)
class _Running:
    """A child under way."""

    number: int
    pid: int
    deadline: float
    timed_out: bool = False


@dataclass(slots=True)
class _Spawner:
    """The spawner's own loop: one socket to the delivery process, one pidfd for each child."""

    link: socket.socket
    running: dict[int, _Running] = field(default_factory=dict)
    poller: select.poll = field(default_factory=select.poll)

    def serve(self) -> None:
        """Until the delivery process is gone; then its children are killed."""
        self.poller.register(self.link.fileno(), select.POLLIN)
        while True:
            nearest = min((child.deadline for child in self.running.values()), default=None)
            wait = None if nearest is None else max(0.0, nearest - time.monotonic()) * 1000
            for descriptor, _ in self.poller.poll(wait):
                if descriptor != self.link.fileno():
                    self._reap(descriptor)
                elif not self._take_request():
                    for child in self.running.values():
                        _kill_group(child.pid)
                    return
            now = time.monotonic()
            for child in self.running.values():
                if child.deadline <= now:
                    child.timed_out = True
                    child.deadline = now + 1  # once more, in case offspring forked while it was being killed
                    _kill_group(child.pid)

    def _take_request(self) -> bool:
        data, ancillary, _, _ = self.link.recvmsg(REQUEST_LIMIT, socket.CMSG_SPACE(2 * array.array("i").itemsize))
        if not data:
            return False
        descriptors = array.array("i")
        for level, kind, part in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(part[: len(part) - len(part) % descriptors.itemsize])
        request: Request = msgspec.msgpack.decode(data, type=RunCommand | ReadList)
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = _child(request, list(descriptors))
            finally:
                os._exit(code)
        for descriptor in descriptors:
            os.close(descriptor)
        watch = os.pidfd_open(pid)
        fcntl.fcntl(watch, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        self.running[watch] = _Running(request.number, pid, time.monotonic() + request.seconds)
        self.poller.register(watch, select.POLLIN)
        return True

    def _reap(self, watch: int) -> None:
        child = self.running.pop(watch)
        self.poller.unregister(watch)
        os.close(watch)
        _, status = os.waitpid(child.pid, 0)
        _kill_group(child.pid) if child.timed_out else None
        with contextlib.suppress(OSError):
            self.link.send(msgspec.msgpack.encode(Ended(child.number, status, child.timed_out)))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _nothing() -> None:
    """Nothing to give up."""


def start_spawner(prepare: Callable[[], None] = _nothing) -> socket.socket:
    """Fork the spawner; the delivery process's end of the socket to it.

    Call this before any thread or event loop exists.  `prepare` is the first that the spawner does: giving up what it
    does not need of root's power.  The spawner ends when that socket is closed.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST_LIMIT * 2)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:
        code = 70
        try:
            ours.close()
            prepare()
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _Spawner(theirs).serve()
            code = 0
        finally:
            os._exit(code)
    theirs.close()
    return ours


def clean_environment(present: Mapping[str, str], keep: tuple[str, ...]) -> dict[str, str]:
    """The environment of a command: what export_environment names (``NAME`` or ``NAME=value``), and a safe PATH."""
    made: dict[str, str] = {}
    for word in keep:
        name, equals, value = word.partition("=")
        if equals:
            made[name] = value
        elif name in present:
            made[name] = present[name]
    made["PATH"] = "/usr/bin:/bin"  # _PATH_DEFPATH
    return made
