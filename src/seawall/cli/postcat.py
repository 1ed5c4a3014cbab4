"""postcat(1): show what is in a queue file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from seawall.bounce.report import headers_of
from seawall.cli.queue_tool import Fatal, Options, parse_options, places_of, say, settings_of
from seawall.mail.queue_id import is_queue_id
from seawall.spool.disk import CHUNK, Disk
from seawall.spool.places import CORRUPT, HOLD, QUEUE, Places
from seawall.spool.queue_file import CorruptFile
from seawall.spool.queue_files import Loaded, QueueFiles

TOOL = "postcat"
USAGE = "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] [-h (header text)] [-q (access queue)] [-v] [file(s)...]"
MOST_HEADERS = 1 << 20


def main(arguments: list[str]) -> int:
    """Run it; its exit code."""
    try:
        options = parse_options(arguments, "bc:defhoqrsv", USAGE, code=1)
        if not options.words:
            raise Fatal(USAGE)
        places = places_of(settings_of(options))
        files = QueueFiles(places, Disk())
        for word in options.words:
            _show(files, _path(places, word) if options.has("q") else word, options)
        sys.stdout.buffer.flush()
        return 0
    except Fatal as trouble:
        sys.stdout.flush()
        say(TOOL, f"fatal: {trouble}")
        return trouble.code


def _path(places: Places, queue_id: str) -> str:
    if not is_queue_id(queue_id):
        raise Fatal(f"bad mail queue ID: {queue_id}")
    disk = Disk()
    for folder in (QUEUE, HOLD, CORRUPT):
        path = f"{places.root}/{folder}/{queue_id}"
        try:
            disk.facts_of(path)
        except FileNotFoundError:
            continue
        except OSError as trouble:
            raise Fatal(f"open queue file {queue_id}: {trouble.strerror}") from trouble
        return path
    raise Fatal(f"open queue file {queue_id}: No such file or directory")


def _show(files: QueueFiles, path: str, options: Options) -> None:
    try:
        descriptor = files.disk.open_read(path)
    except OSError as trouble:
        raise Fatal(f"open {path}: {trouble.strerror}") from trouble
    try:
        loaded = files.read(descriptor)
        _write(files.disk, descriptor, loaded, path, options)
    except CorruptFile as trouble:
        raise Fatal(f"{path}: {trouble}") from trouble
    except OSError as trouble:
        raise Fatal(f"read {path}: {trouble.strerror}") from trouble
    finally:
        files.disk.close(descriptor)


def _write(disk: Disk, descriptor: int, loaded: Loaded, path: str, options: Options) -> None:
    """The parts that were asked for; without -b, -e and -h all of them, under titles."""
    wants = [letter for letter in "ehb" if options.has(letter)]
    name = "/".join(path.split("/")[-2:])
    titled = not wants or "e" in wants
    out = sys.stdout.buffer
    if titled:
        out.write(f"*** ENVELOPE RECORDS {name} ***\n".encode())
        for line in envelope_lines(loaded):
            out.write(line.encode("utf-8", "surrogateescape") + b"\n")
        out.write(f"*** MESSAGE CONTENTS {name} ***\n".encode())
    if not wants or "h" in wants or "b" in wants:
        first = disk.read(descriptor, loaded.content_offset, min(MOST_HEADERS, loaded.head.content_length))
        length = len(headers_of(first))
        start = 0 if not wants or "h" in wants else length + 1
        end = loaded.head.content_length if not wants or "b" in wants else length
        mark = b"regular_text: " if options.has("v") else b""
        for text in _lines(disk, descriptor, loaded.content_offset + start, max(0, end - start)):
            out.write(mark + text)
    if titled:
        out.write(f"*** HEADER EXTRACTED {name} ***\n".encode())
        out.write(f"*** MESSAGE FILE END {name} ***\n".encode())


def _lines(disk: Disk, descriptor: int, offset: int, length: int) -> Iterator[bytes]:
    rest = b""
    while length > 0:
        data = disk.read(descriptor, offset, min(CHUNK, length))
        if not data:
            break
        offset, length = offset + len(data), length - len(data)
        *whole, rest = (rest + data).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest + b"\n"


def envelope_lines(loaded: Loaded) -> Iterator[str]:
    """The envelope and the state, a line each, under Postfix's names where it has one."""
    stored, state = loaded.stored, loaded.state
    envelope = stored.envelope
    yield f"message_size: {loaded.head.content_length:>15}"
    yield f"message_arrival_time: {time.ctime(stored.arrived)}"
    yield f"create_time: {time.ctime(stored.arrived)}"
    origin = envelope.origin
    attributes = {
        "envelope_id": envelope.envid,
        "ret_flags": envelope.ret,
        "encoding": envelope.body.lower(),
        "client_name": origin.client_name,
        "reverse_client_name": origin.reverse_name,
        "client_address": origin.client_address,
        "client_port": origin.client_port,
        "helo_name": origin.helo,
        "protocol_name": origin.protocol,
        "sasl_method": origin.sasl_method,
        "sasl_username": origin.sasl_username,
        "rewrite_context": "local" if origin.is_local else "remote",
    }
    for name, value in attributes.items():
        if value:
            yield f"named_attribute: {name}={value}"
    if envelope.filter:
        yield f"content_filter: {envelope.filter}"
    if envelope.redirect:
        yield f"redirect_to: {envelope.redirect}"
    yield f"sender: {envelope.sender}"
    pending = set(state.pending())
    for place, recipient in enumerate(envelope.recipients):
        if recipient.orcpt:
            yield f"named_attribute: dsn_orig_rcpt={recipient.orcpt}"
        if recipient.notify:
            yield f"named_attribute: notify_flags={recipient.notify}"
        if recipient.original:
            yield f"original_recipient: {recipient.original}"
        yield f"{'recipient' if place in pending else 'done_recipient'}: {recipient.address}"
        outcome = state.outcomes.get(place)
        if outcome is not None:
            yield f"last_outcome: {outcome.status} {outcome.text}"
    if state.until:
        yield f"next_attempt: {time.ctime(state.until)}"
    for what in sorted(state.asked):
        yield f"asked_for: {what}"
