"""`seawall rehearse`: play one session against the restrictions of a configuration, no network client needed.

The language is that of Postfix's own restriction tests; where it is not, docs/differences.md D-37.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import TextIO

from seawall.cli import exits
from seawall.cli.rehearse_stage import Rehearsal
from seawall.config.settings import ConfigTrouble, load
from seawall.dns.zone import BadZone, Zone

DESCRIPTION = """\
Play a session, one command a line:
  client NAME ADDRESS [2 OK|4 TEMP|5 PERM|6 FORGED]   helo NAME   mail ADDRESS   rcpt ADDRESS
  data   end_of_data   etrn DOMAIN   rewrite   fingerprint HEX
  NAME VALUE sets a main.cf parameter, or a list: client_restrictions, helo_…, sender_…, relay_…, recipient_…, data_…,
  end_of_data_…, etrn_restrictions, items parted by commas
  restriction_class NAME,ITEM,…   flush_dnsxl_cache   # comment
  assume WHAT answers for a part that cannot be asked here: TABLE [KEY ACTION], a table; SERVICE ACTION, a policy service;
  dns NAME TYPE DATA, a record; tls [trusted], the session is encrypted, with a certificate of one of our authorities;
  reverse NAME, the client's unconfirmed name; login NAME, it has logged in
Words are parted by blanks; braces hold a word together and stay.  1 and 0 are yes and no.
Each line is echoed after `>>> ` and answered by OK or the reply; log lines go to standard error.
Without -c it starts as localhost[127.0.0.1] with all lists and maps empty."""


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        "seawall rehearse", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-c", dest="directory", metavar="DIR", help="the configuration's directory")
    parser.add_argument("--root", default="", metavar="DIR", help="read every absolute path below DIR")
    parser.add_argument("--dns", metavar="ZONEFILE", help="answer all DNS questions from this master file")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    parser.add_argument("script", nargs="?", metavar="SCRIPT", help="the lines to play; standard input by default")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Play; the exit code is 0 whatever the verdicts are."""
    options = parse_arguments(arguments)
    try:
        settings = load(options.directory, options.root) if options.directory else None
        zone = Zone.read(options.dns) if options.dns else None
        lines = open_script(options.script)
    except ConfigTrouble as trouble:
        return complain(str(trouble), exits.CONFIG)
    except BadZone as trouble:
        return complain(f"{options.dns}: {trouble}", exits.DATAERR)
    except OSError as error:
        return complain(f"{error.filename}: {error.strerror}", exits.NOINPUT)
    with lines:
        asyncio.run(play(Rehearsal(settings, zone), lines, as_json=options.json))
    return exits.OK


def complain(text: str, code: int) -> int:
    """Say what is wrong, and which exit code it makes."""
    sys.stderr.write(f"seawall rehearse: {text}\n")
    return code


def open_script(name: str | None) -> TextIO:
    """The script's lines; whatever bytes it has are read and given back."""
    return open(0 if name in (None, "-") else name, encoding="utf-8", errors="surrogateescape", closefd=True)


async def play(rehearsal: Rehearsal, lines: TextIO, *, as_json: bool) -> None:
    """Each line with its answer to standard output, and its log lines to standard error before it."""
    echo = not as_json and not lines.isatty()
    for text in lines:
        line = text.rstrip("\r\n")
        if echo:
            say(sys.stdout, f">>> {line}\n")
        answered = await rehearsal.play(line)
        if answered is None:
            continue
        if as_json:
            say(sys.stdout, json.dumps({"command": line, "answer": answered.answer, "log": answered.log}) + "\n")
            continue
        for entry in answered.log:
            say(sys.stderr, f"{entry}\n")
        say(sys.stdout, f"{answered.answer}\n")
    rehearsal.close()


def say(stream: TextIO, text: str) -> None:
    """Write at once; undecodable bytes of the script come out as they went in."""
    stream.buffer.write(text.encode("utf-8", "surrogateescape"))
    stream.flush()
