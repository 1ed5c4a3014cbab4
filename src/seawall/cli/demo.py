"""`seawall demo` (make run): a server on loopback with a configuration of its own, and what to try with it."""

from __future__ import annotations

import argparse
import os
import pwd
import socket
import stat
import sys
from importlib import resources
from pathlib import Path

from seawall.cli import exits
from seawall.config.master_cf import STANDARD
from seawall.config.settings import ConfigTrouble
from seawall.run.listeners import ListenTrouble
from seawall.run.privileges import PrivilegeTrouble, is_root
from seawall.run.serve import Server
from seawall.run.site import OWN, PidFile, Site, StartTrouble

FIRST_PORT = 2525
PORTS = 50
"""Ports that are tried, from the first."""


def free_port(wanted: int) -> int:
    """`wanted`, or the next port of 127.0.0.1 on which nothing listens; 0 where all are taken."""
    for port in range(wanted, wanted + PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return 0


def account(directory: Path) -> pwd.struct_passwd:
    """Whose mail it is: the user that runs us; for root the owner of the directory around the demo, or nobody.

    Raises StartTrouble where that user cannot come into the directory.
    """
    if not is_root():
        return pwd.getpwuid(os.geteuid())
    owner = directory.parent.stat().st_uid
    user = pwd.getpwuid(owner) if owner != 0 else pwd.getpwnam("nobody")
    for place in directory.parents:
        status = place.stat()
        asked = stat.S_IXUSR if status.st_uid == user.pw_uid else stat.S_IXOTH
        if not status.st_mode & asked:
            raise StartTrouble(
                f"the demo runs as {user.pw_name}, who may not enter {place}: choose another --directory"
            )
    return user


def refuse_second(directory: Path) -> None:
    """Raises StartTrouble where a demo runs in the directory already: its configuration must stay as it is."""
    pid_file = PidFile(Site(directory / "spool" / OWN, directory / "state" / OWN, None))
    pid = pid_file.holder()
    if pid:
        raise StartTrouble(
            f"a demo runs in {directory} already (pid {pid}): Ctrl-C there ends it, or choose another --directory", 75
        )


def write_configuration(directory: Path, port: int, owner: pwd.struct_passwd) -> Path:
    """Make the demo's directories and its main.cf and master.cf; where they are."""
    etc = directory / "etc"
    for place in (etc, directory / "mail"):
        place.mkdir(parents=True, exist_ok=True)
    if is_root():
        for place in (directory, directory / "mail"):
            os.chown(place, owner.pw_uid, owner.pw_gid)
    head = (
        f"demo_directory = {directory}\ndemo_user = {owner.pw_name}\n"
        f"demo_uid = {owner.pw_uid}\ndemo_gid = {owner.pw_gid}\n\n"
    )
    text = (resources.files("seawall") / "demo" / "main.cf").read_text()
    (etc / "main.cf").write_text(head + text)
    (etc / "master.cf").write_text(STANDARD.replace("smtp ", f"{port} ", 1))
    return etc


def what_to_try(directory: Path, port: int) -> str:
    """The lines that a newcomer needs, ready to be pasted."""
    send = (
        "python3 -c \"import smtplib; smtplib.SMTP('127.0.0.1', "
        f"{port}).sendmail('you@example.com', 'alice@demo.example', 'Subject: hello\\n\\nIt works.')\""
    )
    refused = send.replace("alice@demo.example", "nobody@demo.example")
    return "\n".join(
        (
            f"Seawall serves demo.example on 127.0.0.1:{port}.  Ctrl-C ends it.",
            "",
            "  send a mail      " + send,
            f"  see it arrive    cat {directory}/mail/alice/new/*",
            f"  read the log     tail {directory}/mail.log",
            "  be refused       " + refused,
            f"  configuration    {directory}/etc/main.cf",
            "",
        )
    )


def main(arguments: list[str]) -> int:
    """Run the demonstration; sysexits(3)."""
    parser = argparse.ArgumentParser(prog="seawall demo", description=__doc__)
    parser.add_argument("--directory", default=".demo", help="where everything lies (default: ./.demo)")
    parser.add_argument("--port", type=int, default=FIRST_PORT, help="the first port to try (default: %(default)s)")
    given = parser.parse_args(arguments)
    directory = Path(given.directory).absolute()
    port = free_port(given.port)
    if not port:
        sys.stderr.write(
            f"seawall demo: ports {given.port} to {given.port + PORTS - 1} are all taken; name another: --port\n"
        )
        return exits.UNAVAILABLE
    try:
        refuse_second(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        etc = write_configuration(directory, port, account(directory))
        server = Server(str(etc), "", None)
        return server.run(lambda _: print(what_to_try(directory, port), flush=True))
    except (ConfigTrouble, StartTrouble, ListenTrouble, PrivilegeTrouble, OSError) as trouble:
        sys.stderr.write(f"seawall demo: {trouble}\n")
        return getattr(trouble, "code", exits.CONFIG)
