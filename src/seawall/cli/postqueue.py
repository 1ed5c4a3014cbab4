"""postqueue(1): show the queue, have it delivered now."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator

import msgspec

from seawall.cli.queue_tool import Fatal, Options, parse_options, places_of, say, settings_of
from seawall.mail.queue_id import is_queue_id
from seawall.spool.control import Answer, Request
from seawall.spool.control_client import NoManager, ask, listing
from seawall.spool.disk import Disk
from seawall.spool.listing import Listed, list_message, queue_names
from seawall.spool.places import Places
from seawall.spool.queue_files import QueueFiles

TOOL = "postqueue"
USAGE = "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"
MODES = "fijps"
UNAVAILABLE, NOPERM = 69, 77
MARKS = {"active": "*", "hold": "!"}
"""What follows a queue id of such a queue.  mailq(1)"""
WIDTH = 76
"""Columns at which a reason ends.  mailq(1)"""


def main(arguments: list[str]) -> int:
    """Run it; its exit code."""
    try:
        options = parse_options(arguments, "c:fi:jps:v", USAGE, code=UNAVAILABLE)
        modes = [name for name, _ in options.given if name in MODES]
        if len(set(modes)) != 1 or options.words:
            raise Fatal(USAGE, UNAVAILABLE)
        return _run(modes[0], options)
    except Fatal as trouble:
        say(TOOL, f"fatal: {trouble}")
        return trouble.code


def _run(mode: str, options: Options) -> int:
    places = places_of(settings_of(options))
    if mode in "pj":
        rows = _rows(places)
        return _print_json(rows) if mode == "j" else _print_mailq(rows)
    if mode == "i":
        for queue_id in options.values("i"):
            if not is_queue_id(queue_id):
                raise Fatal(f'Flush request rejected - invalid queue ID: "{queue_id}"', 64)
            _flush(places, Request(do="flush", ids=[queue_id]))
    elif mode == "s":
        for site in options.values("s"):
            _flush(places, Request(do="flush", site=site.strip("[]") if site.startswith("[") else site))
    else:
        _flush(places, Request(do="flush"))
    return 0


def _flush(places: Places, request: Request) -> None:
    try:
        answer = ask(places.control_socket, request)
    except (NoManager, OSError):
        raise Fatal("Cannot flush mail queue - mail system is down", UNAVAILABLE) from None
    if not answer.is_good:
        raise Fatal(answer.error, NOPERM)


def _rows(places: Places) -> Iterator[Listed]:
    """Every message; from the manager, or where none runs and we may, from the files."""
    try:
        for row in listing(places.control_socket):
            if isinstance(row, Answer):
                if not row.is_good:
                    raise Fatal(row.error, NOPERM)
                return
            yield row
    except (NoManager, OSError):
        if not os.access(places.queue, os.R_OK | os.X_OK):
            raise Fatal("Queue report unavailable - mail system is down", UNAVAILABLE) from None
        say(TOOL, "warning: Mail system is down -- accessing queue directly")
        files = QueueFiles(places, Disk())
        for folder, queue_id in queue_names(files.disk, places):
            found = list_message(files, folder, queue_id, ())
            if found is not None:
                yield found


def _print_json(rows: Iterable[Listed]) -> int:
    for row in rows:
        sys.stdout.write(json_line(row) + "\n")
    return 0


def json_line(row: Listed) -> str:
    """A message as `postqueue -j` shows it: one line of JSON, blanks after the commas, ASCII and UTF-8 as they are."""
    whole = msgspec.to_builtins(row)
    return _json(whole)


def _json(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_json(key)}: {_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_json(item) for item in value) + "]"
    return msgspec.json.encode(value).decode()


def _print_mailq(rows: Iterable[Listed]) -> int:
    """As sendmail's mailq.  showq(8)"""
    count = size = 0
    for row in rows:
        head = f"{'----Queue ID-----':<17} {'--Size--':>8} {'---Arrival Time----':<19} --Sender/Recipient------\n"
        sys.stdout.write("\n" if count else head)
        sys.stdout.write(mailq_text(row))
        count += 1
        size += row.message_size
    if count:
        sys.stdout.write(f"\n-- {size // 1024} Kbytes in {count} Request{'s' if count != 1 else ''}.\n")
    else:
        sys.stdout.write("Mail queue is empty\n")
    return 0


def mailq_text(row: Listed) -> str:
    """The lines of one message: sender, then recipients, each group of them under its reason."""
    queue_id = row.queue_id + MARKS.get(row.queue_name, "") + ("#" if row.forced_expire else "")
    lines = [f"{queue_id:<17} {row.message_size:>8} {time.ctime(row.arrival_time)[:19]} {row.sender}"]
    told = ""
    for recipient in row.recipients:
        if recipient.delay_reason != told:
            told = recipient.delay_reason
            reason = told or "reason unavailable"
            lines.append(" " * max(0, WIDTH - len(reason)) + f"({reason})")
        lines.append(f"{'':<17} {'':>8} {'':<19} {recipient.address}")
    return "\n".join(lines) + "\n"
