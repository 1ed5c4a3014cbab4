"""postmap(1): build, change, list and query lookup tables."""

from __future__ import annotations

from seawall.cli.map_options import Tool
from seawall.cli.map_tool import run
from seawall.tables.build import Database
from seawall.tables.source import parse_map


def _nothing(database: Database) -> None:
    """A table has no special entries."""


TOOL = Tool(
    name="postmap",
    letters="bc:d:fFhimnNopq:rsuUvw",
    usage="usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
    parse=parse_map,
    separator="\t",
    finish=_nothing,
)


def main(arguments: list[str]) -> int:
    """Run it; 1 where nothing was found or something went wrong, as Postfix's does."""
    return run(TOOL, arguments)
