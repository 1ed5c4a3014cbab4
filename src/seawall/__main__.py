"""`seawall COMMAND …`: finds the command's module and runs it."""

from __future__ import annotations

import importlib
import sys

from seawall.cli import COMMANDS, exits


def usage() -> str:
    """The list of commands, aligned."""
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["usage: seawall COMMAND [options]", "", *lines, "", "seawall COMMAND --help tells more."])


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage() + "\n")
        return exits.OK if words else exits.USAGE
    entry = COMMANDS.get(words[0])
    if entry is None:
        sys.stderr.write(f"seawall: no command '{words[0]}'; `seawall help` lists them\n")
        return exits.USAGE
    run = importlib.import_module(f"seawall.cli.{entry[0]}").main
    try:
        return int(run(words[1:]))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return exits.IOERR


if __name__ == "__main__":
    sys.exit(main())
