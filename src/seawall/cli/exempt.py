"""`seawall exempt`: misconfigured but honest senders, and the checks that say DUNNO for them.  docs/exemptions.md

`add`, `list` and `remove` keep the file (seawall_exempt_file), `suggest` reads from the journal who may deserve an entry,
`notice` drafts what to write to the other side's postmaster.  Nothing is ever sent.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from seawall.cli import exempt_notice, exempt_suggest, exempt_table, exits
from seawall.cli.exempt_edit import Busy
from seawall.cli.exempt_table import Refused, Request
from seawall.cli.text_output import keep_bytes
from seawall.config.settings import DEFAULT_DIRECTORY, load
from seawall.config.source import ConfigTrouble
from seawall.policy.exempt import DAYS, BadExemption

EPILOG = """\
KEY is a client's network (192.0.2.0/24, 2001:db8::/48) or its forward-confirmed name (mx.example.org, .example.org for all
below it); never a sender or a HELO name, which anybody can say.  CHECKS are names with commas between them: restrictions
(reject_unknown_client_hostname, reject_rbl_client=zen.spamhaus.org, reject_invalid_helo_hostname, ...), greylist, the door's
tests (pregreet, dnsbl, pipelining, non_smtp_command, bare_newline), limits (connection_count, connection_rate, message_rate,
recipient_rate, new_tls_session_rate), or all.  What guards relaying or identity cannot be exempted from."""


class Parser(argparse.ArgumentParser):
    """Ends with EX_USAGE."""

    def error(self, message: str) -> NoReturn:
        """Say how it is used."""
        self.print_usage(sys.stderr)
        self.exit(exits.USAGE, f"{self.prog}: {message}\n")


def parser() -> Parser:
    """The command's options."""
    result = Parser(
        prog="seawall exempt",
        description="Misconfigured but honest senders, and the checks that have no say about them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = Parser(add_help=False)
    common.add_argument("-c", dest="directory", default=DEFAULT_DIRECTORY, help="configuration directory")
    common.add_argument("--root", default="", help="read every absolute path of the configuration below this directory")
    common.add_argument("--json", action="store_true", help="JSON instead of text")
    actions = result.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    add = actions.add_parser("add", parents=[common], help="exempt a sender from checks, for a time")
    add.add_argument("key", metavar="KEY")
    add.add_argument("checks", metavar="CHECKS")
    add.add_argument("--reason", required=True, help="why: who reads it in a year must understand")
    add.add_argument("--days", type=int, default=DAYS, help=f"days until it ends ({DAYS})")
    add.add_argument("--by", default="", help="who adds it (you)")
    add.add_argument("--force", action="store_true", help="take a network wider than /16 (IPv6: /32) all the same")
    actions.add_parser("list", parents=[common], help="all entries, when they end, and how often they counted")
    remove = actions.add_parser("remove", parents=[common], help="end an exemption, or a part of it")
    remove.add_argument("key", metavar="KEY", nargs="?", help="whose")
    remove.add_argument("checks", metavar="CHECKS", nargs="?", default="", help="only from these checks")
    remove.add_argument("--expired", action="store_true", help="everything that counts no more")
    suggest = actions.add_parser("suggest", parents=[common], help="who was refused and looks honest, from the journal")
    suggest.add_argument("--days", type=int, default=0, help="look back so many days (all that the journal has)")
    suggest.add_argument("--most", type=int, default=20, help="propose so many senders at most (20)")
    notice = actions.add_parser("notice", parents=[common], help="draft a notice to the other side's postmaster")
    notice.add_argument("key", metavar="KEY")
    return result


ACTIONS: Mapping[str, Callable[[Request], int]] = {
    "add": exempt_table.add,
    "list": exempt_table.show,
    "remove": exempt_table.remove,
    "suggest": exempt_suggest.suggest,
    "notice": exempt_notice.notice,
}


def main(arguments: list[str], now: float | None = None) -> int:
    """Run the command; its exit code.  `now` is in seconds since the epoch."""
    keep_bytes()
    options = parser().parse_args(arguments)
    try:
        settings = load(options.directory, options.root)
        return ACTIONS[options.action](Request(settings, options, time.time() if now is None else now))
    except ConfigTrouble as trouble:
        return complain(str(trouble), exits.CONFIG)
    except Refused as trouble:
        return complain(str(trouble), trouble.code)
    except BadExemption as trouble:
        return complain(str(trouble), exits.USAGE)
    except Busy:
        return complain("somebody else is changing the file; try again", exits.TEMPFAIL)
    except sqlite3.Error as trouble:
        return complain(f"journal store: {trouble}; it is there once the server has run", exits.NOINPUT)
    except PermissionError as error:
        return complain(f"{error.filename}: {error.strerror}; try it as root", exits.NOPERM)
    except OSError as error:
        return complain(f"{error.filename}: {error.strerror}", exits.IOERR)


def complain(text: str, code: int) -> int:
    """Say what is wrong, and which exit code it makes."""
    sys.stderr.write(f"seawall exempt: {text}\n")
    return code
