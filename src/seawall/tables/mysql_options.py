"""Option files of MySQL's clients: groups, names and values, and what a table reads of them.  mysql_table(5) option_file"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seawall.tables.parameters import Parameters

USUAL = ("/etc/my.cnf", "/etc/mysql/my.cnf")
_DEEPEST = 10  # files that name files; the client's own bound


@dataclass(frozen=True, slots=True)
class Options:
    """What the table's own parameters and option files say; the former count first.

    A password in an option file does not count: Postfix passes the table's own, be it empty.
    """

    user: str = ""
    socket: str = ""
    port: int = 0
    ca_file: str = ""
    ca_path: str = ""
    certificate: str = ""
    key: str = ""


def read_options(parameters: Parameters, path: Callable[[str], str]) -> Options:
    """The options of a table.  `path` makes a file of the configuration from a name."""
    file = parameters.text("option_file")
    group = parameters.text("option_group", "client")
    found: dict[str, str] = {}
    if file or group:
        groups = ("client", group) if file else (group,)
        for name in (file,) if file else USUAL:
            for of_group, option, value in _lines(path(name), path, 0):
                if of_group in groups:
                    found[option.replace("_", "-")] = value
    port = found.get("port", "")
    return Options(
        user=found.get("user", ""),
        socket=found.get("socket", ""),
        port=int(port) if port.isascii() and port.isdigit() else 0,
        ca_file=parameters.text("tls_CAfile") or found.get("ssl-ca", ""),
        ca_path=parameters.text("tls_CApath") or found.get("ssl-capath", ""),
        certificate=parameters.text("tls_cert_file") or found.get("ssl-cert", ""),
        key=parameters.text("tls_key_file") or found.get("ssl-key", ""),
    )


def _lines(name: str, path: Callable[[str], str], depth: int) -> Iterator[tuple[str, str, str]]:
    """(group, option, value) of a file and of those that it includes."""
    try:
        with open(name, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return  # as MySQL's own clients do
    group = ""
    for raw in lines:
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("!"):
            if depth < _DEEPEST:
                for each in _included(line, path):
                    yield from _lines(each, path, depth + 1)
        elif line.startswith("["):
            group = line.strip("[]").strip()
        else:
            option, _, value = line.partition("=")
            yield group, option.strip(), _unquote(value.strip())


def _included(line: str, path: Callable[[str], str]) -> list[str]:
    word, _, name = line.partition(" ")
    place = path(name.strip())
    if word == "!include":
        return [place]
    if word != "!includedir":
        return []
    try:
        return [os.path.join(place, each) for each in sorted(os.listdir(place)) if each.endswith(".cnf")]
    except OSError:
        return []


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]:
        return value[1:-1]
    return value
