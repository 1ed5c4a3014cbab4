"""What postqueue, postsuper, postcat and sendmail have in common: options as getopt(3) reads them, and where the queue is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from seawall.config.settings import ConfigTrouble, Settings, load
from seawall.spool.places import Places, places_in


class Fatal(Exception):
    """Why a tool ends; `code` is its exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Options:
    """Options in their order, each with its value or empty, and the other words."""

    given: tuple[tuple[str, str], ...]
    words: tuple[str, ...]

    def has(self, letter: str) -> bool:
        """True where it was given."""
        return any(name == letter for name, _ in self.given)

    def values(self, letter: str) -> tuple[str, ...]:
        """All its values."""
        return tuple(value for name, value in self.given if name == letter)


def parse_options(arguments: Sequence[str], letters: str, usage: str, *, optional: str = "", code: int = 64) -> Options:
    """getopt(3): `letters` as there (``c:`` takes a value), `optional` letters take one only in the same word.

    ``--root DIR`` is an option of ours, under the name ``root``.  Raises Fatal with the usage.
    """
    given: list[tuple[str, str]] = []
    words = list(arguments)
    while words:
        word = words[0]
        if word == "--root" and len(words) > 1:
            given.append(("root", words[1]))
            del words[:2]
            continue
        if not word.startswith("-") or word == "-":
            break
        del words[0]
        if word == "--":
            break
        rest = word[1:]
        while rest:
            letter, rest = rest[0], rest[1:]
            at = letters.find(letter)
            if at < 0 or letter == ":":
                raise Fatal(usage, code)
            if letter in optional:
                given.append((letter, rest))
                rest = ""
            elif letters[at + 1 : at + 2] == ":":
                if not rest and not words:
                    raise Fatal(usage, code)
                given.append((letter, rest or words.pop(0)))
                rest = ""
            else:
                given.append((letter, ""))
    return Options(tuple(given), tuple(words))


def settings_of(options: Options) -> Settings:
    """The configuration that ``-c`` and ``--root`` name.  Raises Fatal."""
    directory = (options.values("c") or ("/etc/postfix",))[-1]
    root = (options.values("root") or ("",))[-1]
    try:
        return load(directory, root)
    except (ConfigTrouble, OSError) as trouble:
        raise Fatal(str(trouble), 75) from trouble


def places_of(settings: Settings) -> Places:
    """Where the queue lies.  Raises Fatal."""
    try:
        return places_in(settings.path(settings.text("queue_directory")))
    except ConfigTrouble as trouble:
        raise Fatal(str(trouble), 75) from trouble


def say(tool: str, message: str) -> None:
    """A line on standard error, as Postfix's tools write it."""
    sys.stderr.write(f"{tool}: {message}\n")
    sys.stderr.flush()
