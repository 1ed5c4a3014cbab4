"""What `seawall postconf` shows: parameters, services, their fields and their overrides."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from seawall.cli.postconf_options import Fatal, Mode, Options, warn
from seawall.cli.postconf_print import lay_out, lay_out_entry, lay_out_field
from seawall.config.main_cf import MainCfTrouble, read_text
from seawall.config.master_cf import COMMAND, FIELDS, SERVICE, TYPE, Entry, parse_entries
from seawall.config.names import Names
from seawall.config.parameter import Kind
from seawall.config.registry import REGISTRY
from seawall.config.settings import READ_ONLY, Settings, load
from seawall.config.source import ConfigTrouble

SEPARATOR = "/"
ANY = "*"
Show = Callable[[Entry, str], int]
"""Prints what a request's last part asks of an entry; how often it matched."""


def read_settings(options: Options) -> Settings:
    """main.cf with the overrides of the command line, its warnings said.

    A directory that was named on the command line counts as an assignment that stands before all of main.cf.
    """
    try:
        settings = load(options.directory, options.root)
    except MainCfTrouble as trouble:
        for warning in trouble.warned:
            warn(str(warning))
        raise
    overrides = dict(options.overrides)
    given = settings.values.get("config_directory")
    if options.names_directory and given is None:
        overrides.setdefault("config_directory", options.directory)
    elif options.names_directory and given is not None and given.text != options.directory:
        warn(f"{given.location}: overriding earlier entry: config_directory={options.directory}")
    for warning in settings.warnings:
        warn(str(warning))
    return settings.with_overrides(overrides) if overrides else settings


def read_entries(options: Options, *, must_exist: bool) -> tuple[Entry, ...]:
    """The lines of master.cf.  Where it cannot be read that is fatal, or a warning."""
    file = f"{options.directory}/master.cf"
    try:
        text = read_text(options.root.rstrip("/") + file)
    except ConfigTrouble as trouble:
        if must_exist:
            raise
        warn(trouble.message)
        return ()
    try:
        return parse_entries(text, file, warn)
    except ConfigTrouble as trouble:
        if trouble.message.startswith("invalid "):  # a field; Postfix does not say where
            raise Fatal(trouble.message) from None
        line = f" line {trouble.location.line}:" if trouble.location else ""
        raise Fatal(f"file {file}:{line} {trouble.message}") from None


def say_warnings(names: Names) -> None:
    """What was found out about the names.  Raises Fatal where that was the end."""
    for warning in names.warnings:
        warn(warning)
    if names.fatal:
        raise Fatal(names.fatal)


def say_unused(names: Names, *, main: bool) -> None:
    """Warn of assignments that nothing uses."""
    for scope, name, value in names.unused():
        if main or scope.entry is not None:
            warn(f"{scope.file}: unused parameter: {name}={value}")


def show_parameters(options: Options) -> None:
    """Parameters of main.cf: all of the wanted classes, or those named."""
    defaults_only = options.has(Mode.DEFAULTS)
    settings = Settings({}, root=options.root, directory=options.directory) if defaults_only else read_settings(options)
    names = Names(settings, read_entries(options, must_exist=False), scanning=not defaults_only)
    say_warnings(names)
    lines: list[str] = []
    if not options.names:
        lines = [
            line
            for name in names.sorted_names(options.classes)
            for line in parameter_lines(name, names, settings, options)
        ]
        sys.stdout.write("".join(lines))
    for name in options.names:
        if name not in names.classes:
            warn(f"{name}: unknown parameter")
        else:
            sys.stdout.write("".join(parameter_lines(name, names, settings, options)))
    if not defaults_only:
        say_unused(names, main=True)


def parameter_lines(name: str, names: Names, settings: Settings, options: Options) -> list[str]:
    """The line of one parameter, or none where it has no value of the kind asked for."""
    given = None if name in READ_ONLY else settings.values.get(name)
    if given is None and options.has(Mode.SET_ONLY):
        return []
    value = given.text if given is not None else default_value(name, names)
    if options.has(Mode.HIDE_VALUE):
        return [name + "\n"]
    known = REGISTRY.get(name)
    if options.has(Mode.EXPAND) and not (known and known.kind is Kind.RAW):
        value = settings.expand(value)
    text = value if options.has(Mode.HIDE_NAME) else f"{name} = {value}"
    return [lay_out(text, fold=options.has(Mode.FOLD)) + "\n"]


def default_value(name: str, names: Names) -> str:
    """The default; what a running program says of itself is this program's."""
    match name:
        case "process_name":
            return "postconf"
        case "process_id":
            return str(os.getpid())
    return names.default(name)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What -M, -F and -P show: the lines of master.cf, and how to show a value in one of them."""

    entries: tuple[Entry, ...]
    settings: Settings
    names: Names
    expands: bool

    def shown(self, entry: Entry, text: str) -> str:
        """The text as it stands, or with -x expanded under the entry's overrides."""
        if not self.expands:
            return text
        own = {"process_name": entry.fields[COMMAND].rpartition("/")[2], "service_name": entry.fields[SERVICE]}
        return self.settings.with_overrides({**entry.overrides(), **own}, entry.location).expand(text)


def read_configuration(options: Options) -> Configuration:
    """master.cf and main.cf, their warnings said."""
    entries = read_entries(options, must_exist=True)
    settings = read_settings(options)
    names = Names(settings, entries)
    say_warnings(names)
    return Configuration(entries, settings, names, options.has(Mode.EXPAND))


def show_requests(configuration: Configuration, options: Options, parts: int, usage: str, show: Show) -> None:
    """Print what each request picks from master.cf, or everything; warn of a request that picks nothing."""
    requests = [parse_request(text, 1, parts, usage) for text in options.names]
    matches = [0] * len(requests)
    for entry in configuration.entries:
        for at, request in enumerate(requests):
            if request[0] in (ANY, entry.fields[SERVICE]) and request[1] in (ANY, entry.fields[TYPE]):
                matches[at] += show(entry, request[-1])
        if not requests:
            show(entry, ANY)
    for text, count in zip(options.names, matches, strict=True):
        if not count:
            warn(f'unmatched request: "{text}"')
    say_unused(configuration.names, main=False)


def parse_request(text: str, least: int, most: int, usage: str) -> tuple[str, ...]:
    """``service/type/part`` as `most` parts, missing ones any.  Raises Fatal."""
    parts = [part for part in text.split(SEPARATOR) if part]
    if text.startswith(SEPARATOR) or not least <= len(parts) <= most:
        raise Fatal(usage)
    if any(part != ANY and ANY in part for part in parts):
        raise Fatal(usage)
    return (*parts, *[ANY] * (most - len(parts)))


def show_entries(options: Options) -> None:
    """`postconf -M`"""
    configuration = read_configuration(options)

    def show(entry: Entry, _: str) -> int:
        text = lay_out_entry(entry, lambda value: configuration.shown(entry, value), fold=options.has(Mode.FOLD))
        sys.stdout.write(text + "\n")
        return 1

    show_requests(configuration, options, 2, "-M option requires service_name[/type]", show)


def show_fields(options: Options) -> None:
    """`postconf -F`"""
    configuration = read_configuration(options)
    usage = "-F option requires service_name[/type[/field]]"
    for text in options.names:
        check_field(parse_request(text, 1, 3, usage)[2])

    def show(entry: Entry, part: str) -> int:
        for at, field in enumerate(FIELDS):
            if part in (ANY, field):
                line = lay_out_field(
                    entry,
                    at,
                    lambda value: configuration.shown(entry, value),
                    fold=options.has(Mode.FOLD),
                    name=not options.has(Mode.HIDE_NAME),
                    value=not options.has(Mode.HIDE_VALUE),
                )
                sys.stdout.write(line + "\n")
        return 1

    show_requests(configuration, options, 3, usage, show)


def check_field(name: str) -> None:
    """Refuse what is no field of master.cf.  Raises Fatal."""
    if name != ANY and name not in FIELDS:
        raise Fatal(f'invalid service attribute name: "{name}"')


def show_overrides(options: Options) -> None:
    """`postconf -P`"""
    configuration = read_configuration(options)

    def show(entry: Entry, part: str) -> int:
        overrides = entry.overrides()
        shown = [name for name in sorted(overrides) if part in (ANY, name) and name not in READ_ONLY]
        for name in shown:
            value = configuration.shown(entry, overrides[name])
            text = f"{entry.name}/{name}"
            if options.has(Mode.HIDE_NAME):
                text = value
            elif not options.has(Mode.HIDE_VALUE):
                text = f"{text} = {value}"
            sys.stdout.write(lay_out(text, fold=options.has(Mode.FOLD)) + "\n")
        return len(shown)

    show_requests(configuration, options, 3, "-P option requires service_name[/type[/parameter]]", show)
