"""Case files of the linter: configurations with the lines marked that a rule must name.

    == SLUG                     the rule must name exactly the marked lines; the text below is main.cf
    == not SLUG                 a near miss: the rule must hold its tongue
    -- master.cf                another file of the case; also ``-- /etc/postfix/x mode=0644 age=300``
    -- hits /etc/postfix/main.cf    a place without a line that must be named too

A marked line ends in ``<<<``, which is taken off.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seawall.cli.lint.every_rule import examine
from seawall.cli.lint.rule import Finding
from seawall.cli.lint.site import read_site
from seawall.config.host import Host
from seawall.config.settings import load
from seawall.mail.network import Network

HERE = Path(__file__).parent / "rules"
NOW = 1_800_000_000.0
HOST = Host("mx.example.com", (Network(0x7F000001, 8, 32),))
MARK = "<<<"


@dataclass
class Case:
    """One configuration, and the places that its rule must name."""

    slug: str
    is_near_miss: bool
    source: str
    files: dict[str, str] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    ages: dict[str, float] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)

    def lay(self, root: Path) -> None:
        """Write the files below a directory."""
        for name, text in self.files.items():
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
            path.chmod(self.modes.get(name, 0o600))
            age = self.ages.get(name, 0.0)
            os.utime(path, (NOW - age, NOW - age))


def read_cases() -> Iterator[Case]:
    """All cases of all files."""
    for path in sorted(HERE.glob("*.txt")):
        yield from parse(path.read_text(encoding="utf-8"), path.name)


def parse(text: str, source: str) -> Iterator[Case]:
    """The cases of one file."""
    case: Case | None = None
    name, lines = "", list[str]()
    for number, line in enumerate([*text.split("\n"), "== end"], 1):
        if not line.startswith(("== ", "-- ")):
            lines.append(line)
            continue
        if case is not None and name:
            put(case, name, lines)
        if line.startswith("== "):
            if case is not None:
                yield case
            words = line[3:].split()
            case = Case(words[-1], words[0] == "not", f"{source}:{number}")
            name = "/etc/postfix/main.cf"
        elif case is not None:
            name = open_file(case, line[3:].split())
        lines = []


def open_file(case: Case, words: list[str]) -> str:
    """What a ``--`` line begins."""
    if words[0] == "hits":
        case.wanted.update(words[1:])
        return ""
    name = words[0] if words[0].startswith("/") else f"/etc/postfix/{words[0]}"
    for option in words[1:]:
        key, _, value = option.partition("=")
        if key == "mode":
            case.modes[name] = int(value, 8)
        elif key == "age":
            case.ages[name] = float(value)
    return name


def put(case: Case, name: str, lines: list[str]) -> None:
    """A file is complete: take its marks."""
    while lines and not lines[-1]:
        lines.pop()
    kept = []
    for number, line in enumerate(lines, 1):
        if line.endswith(MARK):
            case.wanted.add(f"{name}:{number}")
            line = line[: -len(MARK)].rstrip(" ")
        kept.append(line)
    case.files[name] = "\n".join(kept) + "\n"


def findings_in(root: Path, slug: str) -> tuple[Finding, ...]:
    """What a rule says of the configuration below a directory."""
    return examine(read_site(load("/etc/postfix", str(root), HOST), NOW), only=[slug])


def place(finding: Finding) -> str:
    """``file:line``, or the file."""
    if finding.location is None:
        return "/etc/postfix/main.cf"
    return f"{finding.location.file}:{finding.location.line}" if finding.location.line else finding.location.file
