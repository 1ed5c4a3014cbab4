"""`seawall postconf`: show and edit parameters of main.cf and services of master.cf.  postconf(1)

Options, output, warnings and exit codes are Postfix's: an error says ``postconf: fatal: …`` and ends with 1.  Added are
``--root DIR`` and ``--help``.  Seawall's own parameters are shown where they are named.
"""

from __future__ import annotations

import contextlib
import io
import os
import ssl
import sys

from seawall.cli.postconf_edit import edit_main, edit_master
from seawall.cli.postconf_options import Failed, Fatal, Mode, Options, parse_options, say, warn
from seawall.cli.postconf_show import show_entries, show_fields, show_overrides, show_parameters
from seawall.cli.postconf_templates import show_templates
from seawall.cli.text_output import keep_bytes
from seawall.config.expand import ExpansionTrouble
from seawall.config.source import ConfigTrouble

USAGE = """\
usage: seawall postconf [-d | -n | -o name=value] [-fhHx] [-c dir] [-C class] [--root dir] [name ...]
       seawall postconf -e | -# | -X [-c dir] [name[=value] ...]
       seawall postconf -M [-fx] [-o name=value] [-c dir] [service[/type] ...]
       seawall postconf -F [-fhHx] [-o name=value] [-c dir] [service[/type[/field]] ...]
       seawall postconf -P [-fhHx] [-o name=value] [-c dir] [service[/type[/parameter]] ...]
       seawall postconf -Me | -Fe | -Pe [-c dir] service/type[/field]=value ...
       seawall postconf -M# | -MX | -PX [-c dir] service/type[/parameter] ...
       seawall postconf -b | -t [-c dir] [file]
       seawall postconf -a | -A | -l | -m | -T mode
"""
SASL_SERVER_TYPES = ("cyrus", "dovecot", "seawall")
SASL_CLIENT_TYPES = ()
LOCK_METHODS = ("flock", "fcntl", "dotlock")
TLS_VERSIONS = ("compile-version", "run-version")
PUBLIC_KEY_ALGORITHMS = ("rsaEncryption", "id-ecPublicKey", "ED25519", "ED448")


def main(arguments: list[str]) -> int:
    """Run the command; 0, or 1 after a fatal error."""
    keep_bytes()
    if arguments[:1] == ["--help"]:
        sys.stdout.write(USAGE)
        return 0
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):  # Postfix prints nothing before a fatal error
            run(parse_options(arguments, os.environ))
        sys.stdout.write(shown.getvalue())
    except ExpansionTrouble as trouble:
        for warning in trouble.warnings:
            warn(warning)
        say("fatal: macro processing error")
        return 1
    except Failed:
        return 1
    except (Fatal, ConfigTrouble) as trouble:
        say(f"fatal: {trouble}")
        return 1
    return 0


def run(options: Options) -> None:
    """Do what the options ask for.  Raises Fatal and ConfigTrouble."""
    mode = options.mode
    if mode & Mode.MAPS:
        show_lines(table_types())
    elif mode & Mode.LOCKS:
        show_lines(LOCK_METHODS)
    elif mode & Mode.SASL_SERVER:
        show_lines(SASL_SERVER_TYPES)
    elif mode & Mode.SASL_CLIENT:
        show_lines(SASL_CLIENT_TYPES)
    elif mode & (Mode.TEMPLATES | Mode.EXPANDED_TEMPLATES):
        show_templates(options)
    elif mode & Mode.TLS:
        show_tls(options.tls)
    elif mode & (Mode.EDIT | Mode.COMMENT_OUT | Mode.EXCLUDE):
        if not options.names:
            raise Fatal("missing service argument")
        edit = edit_master if mode & (Mode.ENTRIES | Mode.FIELDS | Mode.OVERRIDES) else edit_main
        edit(options)
    elif mode & Mode.ENTRIES:
        show_entries(options)
    elif mode & Mode.FIELDS:
        show_fields(options)
    elif mode & Mode.OVERRIDES:
        show_overrides(options)
    else:
        show_parameters(options)


def show_lines(lines: tuple[str, ...]) -> None:
    """Print each on a line."""
    sys.stdout.write("".join(line + "\n" for line in lines))


def show_tls(what: str) -> None:
    """`postconf -T`: what TLS there is."""
    if what in TLS_VERSIONS:
        show_lines((ssl.OPENSSL_VERSION,))
    elif what == "public-key-algorithms":
        show_lines(PUBLIC_KEY_ALGORITHMS)
    else:
        warn(f"unknown 'postconf -T' mode: {what}")
        raise Failed


def table_types() -> tuple[str, ...]:
    """The table types that can be opened."""
    from seawall.tables.registry import TYPES

    return tuple(sorted(TYPES))
