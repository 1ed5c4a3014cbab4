"""`seawall serve`: run the server of a configuration in the foreground.  postfix(1) start-fg"""

from __future__ import annotations

import argparse
import sys

from seawall.cli import exits
from seawall.config.settings import ConfigTrouble
from seawall.run.listeners import ListenTrouble
from seawall.run.privileges import PrivilegeTrouble
from seawall.run.serve import Server
from seawall.run.site import StartTrouble


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads.  sysexits(3)"""
    parser = argparse.ArgumentParser(
        prog="seawall serve",
        description="Run the server. SIGHUP reads the configuration anew, SIGTERM lets sessions end and stops.",
    )
    parser.add_argument("-c", dest="directory", default="/etc/postfix", help="configuration directory")
    parser.add_argument("--root", default="", help="read every absolute path of the configuration below this directory")
    parser.add_argument(
        "-o", dest="overrides", action="append", default=[], metavar="NAME=VALUE", help="set a parameter otherwise"
    )
    given = parser.parse_args(arguments)
    overrides = {}
    for text in given.overrides:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            parser.error(f"-o wants NAME=VALUE, not '{text}'")
        overrides[name.strip()] = value.strip()
    try:
        server = Server(given.directory, given.root, overrides)
        return server.run(ready)
    except (ConfigTrouble, StartTrouble, ListenTrouble, PrivilegeTrouble) as trouble:
        sys.stderr.write(f"seawall serve: {trouble}\n")
        return getattr(trouble, "code", exits.CONFIG)


def ready(addresses: tuple[str, ...]) -> None:
    """Tell whoever waits (a terminal, systemd, a test) that mail can come."""
    sys.stdout.write(f"seawall: ready on {', '.join(addresses)}\n")
    sys.stdout.flush()
