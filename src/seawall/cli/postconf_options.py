"""The options of `seawall postconf`, which of them go together, and in which words Postfix says that they do not."""

from __future__ import annotations

import getopt
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag, auto

from seawall.config.names import NameClass
from seawall.config.settings import DEFAULT_DIRECTORY
from seawall.config.source import split_name_value


class Fatal(Exception):
    """What ends the command: printed after ``postconf: fatal: ``."""


class Failed(Exception):
    """Ends the command with exit code 1; all was said."""


class Mode(IntFlag):
    """What to do, and how to show it."""

    SASL_SERVER = auto()
    SASL_CLIENT = auto()
    EXPANDED_TEMPLATES = auto()
    CLASS = auto()
    DEFAULTS = auto()
    EDIT = auto()
    FOLD = auto()
    FIELDS = auto()
    HIDE_NAME = auto()
    HIDE_VALUE = auto()
    LOCKS = auto()
    MAPS = auto()
    ENTRIES = auto()
    SET_ONLY = auto()
    OVERRIDE = auto()
    MAIN = auto()
    OVERRIDES = auto()
    TEMPLATES = auto()
    TLS = auto()
    EXPAND = auto()
    EXCLUDE = auto()
    COMMENT_OUT = auto()


LETTERS = {
    "-a": Mode.SASL_SERVER,
    "-A": Mode.SASL_CLIENT,
    "-b": Mode.EXPANDED_TEMPLATES,
    "-C": Mode.CLASS,
    "-d": Mode.DEFAULTS,
    "-e": Mode.EDIT,
    "-f": Mode.FOLD,
    "-F": Mode.FIELDS,
    "-h": Mode.HIDE_NAME,
    "-H": Mode.HIDE_VALUE,
    "-l": Mode.LOCKS,
    "-m": Mode.MAPS,
    "-M": Mode.ENTRIES,
    "-n": Mode.SET_ONLY,
    "-o": Mode.OVERRIDE,
    "-p": Mode.MAIN,
    "-P": Mode.OVERRIDES,
    "-t": Mode.TEMPLATES,
    "-T": Mode.TLS,
    "-x": Mode.EXPAND,
    "-X": Mode.EXCLUDE,
    "-#": Mode.COMMENT_OUT,
}
"""In the order in which messages name them."""
OPTIONS = "aAbc:C:deEfFhHlmMno:pPtT:vxX#"
"""For getopt(3)."""
USAGE = (
    "usage: postconf [-a (server SASL types)] [-A (client SASL types)] [-b (bounce templates)] [-c config_dir]"
    " [-c param_class] [-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)]"
    " [-F (master.cf fields)] [-h (no names)] [-H (no values)] [-l (lock types)] [-m (map types)]"
    " [-M (master.cf)] [-n (non-default parameters)] [-o name=value (override parameter value)]"
    " [-p (main.cf, default)] [-P (master.cf parameters)] [-t (bounce templates)]"
    " [-T compile-version|run-version|public-key-algorithms] [-v (verbose)] [-x (expand parameter values)]"
    " [-X (exclude)] [-# (comment-out)] [name...]"
)
"""What Postfix says of a wrong command line."""
MAJOR = (
    Mode.SASL_SERVER
    | Mode.SASL_CLIENT
    | Mode.EXPANDED_TEMPLATES
    | Mode.LOCKS
    | Mode.MAPS
    | Mode.TEMPLATES
    | Mode.MAIN
    | Mode.ENTRIES
    | Mode.FIELDS
    | Mode.OVERRIDES
    | Mode.TLS
)
CHANGES = Mode.EDIT | Mode.COMMENT_OUT | Mode.EXCLUDE
EXCLUSIVE = (
    MAJOR,
    Mode.DEFAULTS | Mode.SET_ONLY | CHANGES,
    Mode.FOLD | CHANGES,
    Mode.EXPAND | CHANGES,
    Mode.OVERRIDE | Mode.DEFAULTS | CHANGES,
    Mode.HIDE_NAME | Mode.HIDE_VALUE | CHANGES,
)
SHOWS = Mode.FOLD | Mode.HIDE_NAME | Mode.OVERRIDE | Mode.EXPAND | Mode.HIDE_VALUE
NOTHING = Mode(0)
GOES_WITH = (
    (Mode.SASL_SERVER, NOTHING),
    (Mode.SASL_CLIENT, NOTHING),
    (Mode.EXPANDED_TEMPLATES, NOTHING),
    (Mode.LOCKS, NOTHING),
    (Mode.MAPS, NOTHING),
    (Mode.TLS, NOTHING),
    (Mode.TEMPLATES, NOTHING),
    (Mode.MAIN, CHANGES | SHOWS | Mode.CLASS | Mode.DEFAULTS | Mode.SET_ONLY),
    (Mode.ENTRIES, CHANGES | Mode.FOLD | Mode.OVERRIDE | Mode.EXPAND),
    (Mode.FIELDS, Mode.EDIT | SHOWS),
    (Mode.OVERRIDES, Mode.EDIT | Mode.EXCLUDE | SHOWS),
)
CLASSES = {
    "builtin": frozenset({NameClass.BUILTIN}),
    "service": frozenset({NameClass.SERVICE}),
    "user": frozenset({NameClass.USER}),
    "all": frozenset({NameClass.BUILTIN, NameClass.SERVICE, NameClass.USER}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A parsed command line: what to do, where, and with which names."""

    mode: Mode
    directory: str
    names_directory: bool
    root: str
    classes: frozenset[NameClass]
    overrides: tuple[tuple[str, str], ...]
    tls: str
    names: tuple[str, ...]

    def has(self, mode: Mode) -> bool:
        """True where that option was given."""
        return bool(self.mode & mode)


def warn(message: str) -> None:
    """``postconf: warning: …`` on standard error, after what was shown so far."""
    sys.stdout.flush()
    say(f"warning: {message}")


def say(message: str) -> None:
    """A line on standard error; what is no printable ASCII is ``?``, byte by byte.  msg_vprintf(3)"""
    letters = message.encode("utf-8", "surrogateescape")
    sys.stderr.write("postconf: " + "".join(chr(one) if 32 <= one < 127 else "?" for one in letters) + "\n")


def letters(mode: Mode) -> str:
    """The options' letters, as a message lists them."""
    return " ".join(letter for letter, one in LETTERS.items() if one & mode)


def parse_options(arguments: list[str], environment: Mapping[str, str]) -> Options:
    """Read the command line, and MAIL_CONFIG.  Raises Fatal."""
    try:
        found, names = getopt.getopt(arguments, OPTIONS, ["root="])
    except getopt.GetoptError as error:
        is_short = len(error.opt) == 1
        if is_short:
            wants = f"{error.opt}:" in OPTIONS
            say(f"{'option requires an argument' if wants else 'invalid option'} -- '{error.opt}'")
        else:
            say(error.msg)
        raise Fatal(USAGE) from None
    mode = NOTHING
    root = tls = ""
    directory = environment.get("MAIL_CONFIG", "")
    classes = CLASSES["all"]
    override_texts: list[str] = []
    for option, value in found:
        mode |= LETTERS.get(option, NOTHING) & ~Mode.CLASS
        match option:
            case "-c":
                directory = value
            case "-C":
                classes = parse_classes(value)
            case "-o":
                override_texts.append(value)
            case "-T":
                tls = value
            case "--root":
                root = value
    if not mode & MAJOR:
        mode |= Mode.MAIN
    if mode & (Mode.MAIN | Mode.ENTRIES | Mode.FIELDS | Mode.OVERRIDES) and names and "=" in names[0]:
        mode |= Mode.EDIT
    check_options(mode)
    if mode & Mode.EDIT and not names:
        raise Fatal("-e requires name=value argument")
    return Options(
        mode=mode,
        directory=directory or DEFAULT_DIRECTORY,
        names_directory=bool(directory),
        root=root,
        classes=classes,
        overrides=tuple(map(parse_override, override_texts)),
        tls=tls,
        names=tuple(names),
    )


def parse_override(text: str) -> tuple[str, str]:
    """The argument of -o."""
    parts = split_name_value(text)
    if isinstance(parts, str):
        raise Fatal(f"invalid parameter override: {text}: {parts}")
    return parts


def parse_classes(value: str) -> frozenset[NameClass]:
    """The argument of -C: names of classes, in any case, parted by blanks or commas."""
    result: frozenset[NameClass] = frozenset()
    for name in value.replace(",", " ").split():
        if name.lower() not in CLASSES:
            raise Fatal(f'unknown -C option value "{name}" in "{value}"')
        result |= CLASSES[name.lower()]
    return result


def check_options(mode: Mode) -> None:
    """Refuse options that do not go together.  Raises Fatal in Postfix's words."""
    for group in EXCLUSIVE:
        given = mode & group
        if given.bit_count() > 1:
            both = Mode.EXPANDED_TEMPLATES | Mode.TEMPLATES
            raise Fatal(f"specify one of {'-b and -t' if given == both else letters(given)}")
    for major, allowed in GOES_WITH:
        excess = mode & ~(major | allowed)
        if mode & major and excess:
            raise Fatal(f"with option {letters(major)}, do not specify {letters(excess)}")
