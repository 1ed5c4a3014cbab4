"""The command line of postmap(1) and postalias(1): the options, and what getopt(3) and Postfix say of wrong ones."""

from __future__ import annotations

import getopt
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from seawall.tables.build import Choices, Database
from seawall.tables.source import SourceParser


class Fatal(Exception):
    """Ends the tool: the text goes to standard error, the exit code is 1, as with msg_fatal(3)."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What differs between the two."""

    name: str
    letters: str
    """The options, for getopt(3)."""
    usage: str
    parse: SourceParser
    separator: str
    """Between key and value in what is printed."""
    finish: Callable[[Database], None]
    """Adds what every file of this kind ends with."""


@dataclass(slots=True)
class Options:
    """The command line."""

    directory: str = ""
    root: str = ""
    delete: str | None = None
    query: str | None = None
    sequence: bool = False
    incremental: bool = False
    as_owner: bool = True
    keep_rights: bool = True
    utf8: bool | None = None
    headers: bool = False
    body: bool = False
    mime: bool = False
    files: bool = False
    choices: Choices = field(default_factory=Choices)
    maps: tuple[str, ...] = ()


def printable(text: str) -> str:
    """Text for a terminal or log: what is no printable ASCII and no UTF-8 becomes ``?``.  printable(3)"""
    return "".join(c if c.isprintable() and not "\udc80" <= c <= "\udcff" else "?" for c in text)


def say(tool: Tool, text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{tool.name}: {printable(text)}\n")


_FLAGS: Mapping[str, Callable[[Options], None]] = {
    "-b": lambda o: setattr(o, "body", True),
    "-F": lambda o: setattr(o, "files", True),
    "-h": lambda o: setattr(o, "headers", True),
    "-i": lambda o: setattr(o, "incremental", True),
    "-m": lambda o: setattr(o, "mime", True),
    "-o": lambda o: setattr(o, "as_owner", False),
    "-p": lambda o: setattr(o, "keep_rights", False),
    "-u": lambda o: setattr(o, "utf8", False),
    "-U": lambda o: setattr(o, "utf8", o.utf8 is not False),  # -u counts, wherever it stands
    "-v": lambda o: None,
    "-f": lambda o: setattr(o, "choices", replace(o.choices, fold=False)),
    "-n": lambda o: setattr(o, "choices", replace(o.choices, null=False)),
    "-N": lambda o: setattr(o, "choices", replace(o.choices, null=True)),
    "-r": lambda o: setattr(o, "choices", replace(o.choices, duplicates="replace")),
    "-w": lambda o: setattr(o, "choices", replace(o.choices, duplicates="ignore")),
}
"""Options without a value."""


def read_options(tool: Tool, arguments: list[str]) -> Options:
    """The command line.  Fatal with Postfix's words where it is wrong."""
    try:
        found, rest = getopt.getopt(arguments, tool.letters, ["root=", "help"])
    except getopt.GetoptError as error:
        takes_value = error.opt + ":" in tool.letters and len(error.opt) == 1
        what = "option requires an argument" if takes_value else "invalid option"
        say(tool, f"{what} -- '{error.opt}'")
        raise Fatal(tool.usage) from None
    options = Options(maps=tuple(rest))
    for name, value in found:
        if name == "--help":
            raise Fatal(tool.usage)
        if name == "--root":
            options.root = value
        elif name == "-c":
            options.directory = value
        elif name in ("-d", "-q"):
            if options.sequence or options.query is not None or options.delete is not None:
                raise Fatal("specify only one of -s -q or -d")
            setattr(options, "delete" if name == "-d" else "query", value)
        elif name == "-s":
            if options.query is not None or options.delete is not None:
                raise Fatal("specify only one of -s or -q or -d")
            options.sequence = True
        else:
            _FLAGS[name](options)
    if options.query != "-" and (options.body or options.headers or options.mime):
        raise Fatal('specify -b -h or -m only with "-q -"')
    if options.mime and not (options.body or options.headers):
        say(tool, "warning: ignoring -m option without -b or -h")
    return options
