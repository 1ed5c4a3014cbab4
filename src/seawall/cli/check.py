"""`seawall check`: everything wrong, dead, doubtful or needlessly dear in a configuration, with its place, why, and what
to write instead; and which limit of this host a flood of connections would break first.

Reads only; works on anybody's /etc/postfix (`--root`).  Ends with 0 where nothing is an error (with `--strict`: nor a
warning), 78 (EX_CONFIG) otherwise, 66 (EX_NOINPUT) where there is no main.cf, 64 (EX_USAGE) for a rule that nobody knows.
"""

from __future__ import annotations

import argparse
import sys
import time

from seawall.cli import check_host, exits
from seawall.cli.check_queue import Waiting, waiting_mail
from seawall.cli.check_report import write_json, write_text
from seawall.cli.host_limits import Limit
from seawall.cli.lint.about_names import MAIN_UNREADABLE
from seawall.cli.lint.every_rule import RULES, examine
from seawall.cli.lint.rule import ERROR, WARNING, Finding
from seawall.cli.lint.site import read_site
from seawall.cli.text_output import keep_bytes
from seawall.config.settings import DEFAULT_DIRECTORY, load
from seawall.config.source import ConfigTrouble


def main(arguments: list[str]) -> int:
    """Run the command; its exit code."""
    keep_bytes()
    options = parser().parse_args(arguments)
    only, skip = slugs(options.only), slugs(options.skip)
    unknown = sorted({*only, *skip} - {rule.slug for rule in RULES})
    if unknown:
        print(
            f"seawall check: no such rule: {', '.join(unknown)} (docs/reference/checks.md has them all)",
            file=sys.stderr,
        )
        return exits.USAGE
    try:
        settings = load(options.directory, options.root)
    except ConfigTrouble as trouble:
        tell((broken(trouble),), Waiting({}, is_running=False), None, options)
        return exits.CONFIG if trouble.location else exits.NOINPUT
    findings = examine(read_site(settings, time.time()), only=only, skip=skip)
    host = None if options.root or only else check_host.host_limits(settings)
    tell(findings, waiting_mail(settings), host, options)
    grave = (ERROR, WARNING) if options.strict else (ERROR,)
    return exits.CONFIG if any(finding.level in grave for finding in findings) else exits.OK


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    result = argparse.ArgumentParser(
        prog="seawall check", description="Everything wrong, dead, doubtful or needlessly dear in a configuration."
    )
    result.add_argument("-c", dest="directory", default=DEFAULT_DIRECTORY, help="configuration directory")
    result.add_argument("--root", default="", help="read every absolute path of the configuration below this directory")
    result.add_argument("--json", action="store_true", help="one JSON object instead of text")
    result.add_argument("--strict", action="store_true", help="exit with 78 for warnings too")
    result.add_argument("--only", action="append", default=[], metavar="RULE", help="only these rules (RULE,RULE…)")
    result.add_argument("--skip", action="append", default=[], metavar="RULE", help="all rules but these")
    return result


def slugs(texts: list[str]) -> tuple[str, ...]:
    """The rules that an option names, parted by commas or said several times."""
    return tuple(slug for text in texts for slug in text.replace(",", " ").split())


def broken(trouble: ConfigTrouble) -> Finding:
    """A main.cf that does not read at all."""
    rule = MAIN_UNREADABLE
    return Finding(
        slug=rule.slug,
        level=rule.level,
        what=trouble.message,
        why=rule.why,
        instead=rule.instead,
        location=trouble.location,
        stops=True,
    )


def tell(
    findings: tuple[Finding, ...], waiting: Waiting, host: tuple[Limit, ...] | None, options: argparse.Namespace
) -> None:
    """Write the report; `host` None where this host's limits are not asked about."""
    if options.json:
        write_json(findings, waiting, sys.stdout, None if host is None else check_host.as_json(host))
        return
    lines = () if host is None else tuple(check_host.text_lines(host))
    write_text(findings, waiting, sys.stdout, main_cf=f"{options.directory}/main.cf", host=lines)
    if options.root and not options.only:
        print(check_host.SKIPPED, file=sys.stderr)
