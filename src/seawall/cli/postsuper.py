"""postsuper(1): delete, hold, release, requeue and expire mail; tidy up the queue."""

from __future__ import annotations

import os
import sys
import time
from itertools import islice

from seawall.cli.queue_tool import Fatal, Options, parse_options, places_of, say, settings_of
from seawall.mail.queue_id import is_queue_id
from seawall.spool.control import Request
from seawall.spool.control_client import NoManager, ask
from seawall.spool.disk import Disk
from seawall.spool.places import Places, make_places
from seawall.spool.queue_files import QueueFiles
from seawall.spool.upkeep import ALL, DONE, SOURCES, Busy, Upkeep, locked, purge

TOOL = "postsuper"
USAGE = (
    "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id (expire and release)] "
    "[-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] "
    "[-s (structure fix)] [-v (verbose)] [queue...]"
)
ACTS = {"d": "delete", "h": "hold", "H": "release", "r": "requeue", "e": "expire", "f": "expire"}
SUMMARY = {
    "delete": "Deleted",
    "hold": "Placed on hold",
    "release": "Released from hold",
    "requeue": "Requeued",
    "expire": "Expired",
}
QUEUES = ("hold", "incoming", "active", "deferred", "corrupt")
BATCH = 1000
"""Queue ids asked for at once; ours."""


def main(arguments: list[str]) -> int:
    """Run it; its exit code."""
    try:
        options = parse_options(arguments, "c:d:e:f:h:H:pr:sv", USAGE, code=1)
        queues = tuple(options.words)
        if any(queue not in QUEUES for queue in queues):
            raise Fatal(f"bad queue name: {next(queue for queue in queues if queue not in QUEUES)}")
        places = places_of(settings_of(options))
        _check_rights(places)
        return _run(options, places, queues)
    except Fatal as trouble:
        say(TOOL, f"fatal: {trouble}")
        return trouble.code


def _check_rights(places: Places) -> None:
    """Root, or whoever owns the queue (a server started by a user)."""
    try:
        owner = os.stat(places.queue).st_uid
    except OSError as trouble:
        raise Fatal(f"no queue at {places.root}: {trouble.strerror}") from trouble
    if os.geteuid() not in (0, owner):
        raise Fatal("use of this command is reserved for the superuser")


def _run(options: Options, places: Places, queues: tuple[str, ...]) -> int:
    if options.has("s") or not any(name in ACTS or name == "p" for name, _ in options.given):
        make_places(places, Disk())
    if options.has("p"):
        count = purge(places, Disk(), time.time())
        say(TOOL, f"Purged: {_messages(count)}")
    totals: dict[str, int] = {}
    for letter, value in options.given:
        if letter not in ACTS:
            continue
        what = ACTS[letter]
        count = _act(places, what, value, queues)
        if letter == "f":
            _act(places, "release", value, ("hold",))
        totals[what] = totals.get(what, 0) + count
    for what, count in totals.items():
        say(TOOL, f"{SUMMARY[what]}: {_messages(count)}")
    return 0


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def _act(places: Places, what: str, value: str, queues: tuple[str, ...]) -> int:
    if value == ALL:
        return _act_on(places, what, [ALL], queues)
    count = 0
    names = (line.strip() for line in sys.stdin) if value == "-" else iter([value])
    while batch := list(islice((name for name in names if name), BATCH)):
        good = [name for name in batch if is_queue_id(name)]
        for name in batch:
            if name not in good:
                say(TOOL, f"warning: invalid mail queue id: {name}")
        if good:
            count += _act_on(places, what, good, queues)
    return count


def _act_on(places: Places, what: str, ids: list[str], queues: tuple[str, ...]) -> int:
    """Ask the manager; where none runs, do it."""
    try:
        answer = ask(places.control_socket, Request(do=what, ids=ids, queues=list(queues)))
    except (NoManager, OSError):
        done = _act_alone(places, what, ids, queues)
    else:
        if not answer.is_good:
            raise Fatal(answer.error)
        done = answer.done
    if ids != [ALL]:
        for queue_id in done:
            say(TOOL, f"{queue_id}: {DONE[what]}")
    return len(done)


def _act_alone(places: Places, what: str, ids: list[str], queues: tuple[str, ...]) -> list[str]:
    upkeep = Upkeep(QueueFiles(places, Disk()))
    done = []
    try:
        with locked(places):
            for folder, queue_id in upkeep.chosen(ids, queues or SOURCES[what]):
                if upkeep.act(what, folder, queue_id, time.time()):
                    done.append(queue_id)
    except Busy:
        raise Fatal("the queue manager runs, but does not answer") from None
    except OSError as trouble:
        raise Fatal(str(trouble)) from trouble
    return done
