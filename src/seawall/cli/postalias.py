"""postalias(1): build, change, list and query alias tables."""

from __future__ import annotations

from seawall.cli.map_options import Tool
from seawall.cli.map_tool import run
from seawall.tables.build import Database
from seawall.tables.source import parse_aliases


def _sign(database: Database) -> None:
    """The entry that tells sendmail's readers that the file is whole."""
    database.put("@", "@")


TOOL = Tool(
    name="postalias",
    letters="c:d:finNopq:rsuvw",
    usage="usage: postalias [-Nfinoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
    parse=parse_aliases,
    separator=":\t",
    finish=_sign,
)


def main(arguments: list[str]) -> int:
    """Run it; 1 where nothing was found or something went wrong, as Postfix's does."""
    return run(TOOL, arguments)
