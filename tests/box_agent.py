"""Inside a box: the first process, which reaps what is left over, and its child, which does what the test asks.

``python -m tests.box_agent [--disk DIR] serve`` reads one JSON request a line from standard input and answers each on
standard output; ``python -m tests.box_agent [--disk DIR] run COMMAND…`` runs one command there instead.
When the first process ends the kernel ends every process of the box with it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import box_world
from tests.box_dns import ZoneServer
from tests.box_log import SystemLog


def first_process() -> None:
    """Split off the child that works; the parent only reaps until that child ends, then ends the box.

    Returns in the child only.
    """
    child = os.fork()
    if child == 0:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) % 256)


def run(command: Sequence[str], zone: str) -> int:
    """One command with the box's world around it; its exit code."""
    if zone:
        ZoneServer(zone).start()
    SystemLog(box_world.LOG).start()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"}
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except FileNotFoundError:
        sys.stderr.write(f"{command[0]}: not found in the box\n")
        return 127
    except KeyboardInterrupt:
        return 130


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="box_agent")
    parser.add_argument("--disk", type=Path)
    parser.add_argument("--etc", type=Path, help="copied over /etc/postfix")
    parser.add_argument("--zone", default="", help="a zone file for the box's name server")
    parser.add_argument("task", choices=("serve", "run"))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    box_world.build(options.disk)
    if options.etc:
        box_world.copy_configuration(options.etc)
    first_process()
    if options.task == "run":
        zone = Path(options.zone).read_text() if options.zone else " "
        return run(options.command, zone)
    from tests.box_server import serve

    serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
