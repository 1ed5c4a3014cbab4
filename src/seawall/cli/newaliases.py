"""newaliases(1): rebuild every file that alias_database names."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys

from seawall.cli import exits, postalias
from seawall.cli.map_tool import run
from seawall.config.settings import load
from seawall.config.source import ConfigTrouble
from seawall.mail.words import split_words


def main(arguments: list[str]) -> int:
    """Run it: postalias for each of alias_database; what it says is said in newaliases' name."""
    parser = argparse.ArgumentParser(prog="seawall newaliases", description="Rebuild the alias database.")
    parser.add_argument("-c", dest="directory", default=os.environ.get("MAIL_CONFIG", "/etc/postfix"), metavar="DIR")
    parser.add_argument("--root", default="", metavar="DIR", help="read every path of the configuration below DIR")
    parser.add_argument("-v", action="count", default=0, help="accepted, as Postfix does")
    options = parser.parse_args(arguments)
    try:
        databases = split_words(load(options.directory, options.root).text("alias_database"))
    except ConfigTrouble as trouble:
        sys.stderr.write(f"newaliases: fatal: {trouble}\n")
        return exits.CONFIG
    if not databases:
        return exits.OK
    tool = dataclasses.replace(postalias.TOOL, name="newaliases")
    return run(tool, ["-c", options.directory, "--root", options.root, "--", *databases])
