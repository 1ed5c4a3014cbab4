"""One command with a connection as its standard input, output and error: forked, given up every other right, executed.

spawn_command(3)
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Mapping

from seawall.linux.identity import IdentityTrouble, become
from seawall.run.spawn_services import SpawnService

MASK = 0o077
"""The mask for new files that every Postfix daemon has."""
RESET = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
LONGEST_REASON = 4096


def start_command(service: SpawnService, connection: int) -> tuple[int, int, int]:
    """Fork and execute; the process id, its pidfd, and the descriptor from which `reason_of` reads.

    For a process without threads.  Raises OSError where there can be no more processes or descriptors.
    """
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        code = 1
        try:
            os.write(3, _become_command(service, connection, writing))
        finally:
            os._exit(code)
    os.close(writing)
    try:
        return pid, os.pidfd_open(pid), reading
    except OSError:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def reason_of(descriptor: int) -> str:
    """Why a command that has ended was never executed; empty where it was.  Closes the descriptor."""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(LONGEST_REASON).decode("utf-8", "surrogateescape")


def _become_command(service: SpawnService, connection: int, telling: int) -> bytes:
    """In the child: returns only where the command cannot be executed, with the reason.

    Descriptor 3 is for the reason, and closed when the command begins.
    """
    signal.set_wakeup_fd(-1)  # the event loop's, which is the parent's
    for number in RESET:
        signal.signal(number, signal.SIG_DFL)
    telling, connection = _above(telling), _above(connection)
    for standard in (0, 1, 2):
        os.dup2(connection, standard)
    os.dup2(telling, 3, inheritable=False)
    os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        os.setsid()
        become(service.identity)
        os.umask(MASK)
        os.chdir(service.directory)
        _execute(service.words, service.environment)
    except IdentityTrouble as trouble:
        return f"spawn_comand: {trouble}".encode()
    except OSError as trouble:  # Postfix's log has it spelt so
        text = f"spawn_comand: execvp {service.words[0]}: {trouble.strerror}"
        return text.encode("utf-8", "surrogateescape")[:LONGEST_REASON]
    return b""


def _above(descriptor: int) -> int:
    """A descriptor for the same that is none of 0 to 3."""
    while descriptor <= 3:
        descriptor = os.dup(descriptor)
    return descriptor


def _execute(words: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Never returns but by OSError: what has no ``#!`` line is a shell's script.  execvp(3)"""
    name = words[0]
    folders = [""] if "/" in name else [f"{folder}/" for folder in environment["PATH"].split(":")]
    trouble = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for folder in folders:
        path = folder + name
        try:
            os.execve(path, words, environment)
        except OSError as failed:
            if failed.errno == errno.ENOEXEC:
                os.execve("/bin/sh", ("/bin/sh", path, *words[1:]), environment)
            if failed.errno not in (errno.ENOENT, errno.ENOTDIR):
                trouble = failed
    raise trouble
