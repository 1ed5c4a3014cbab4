"""The configurations of tests/golden/relay: known to relay (`open`), and known not to (`closed`).

A file has a line of why people come to it, then sections: ``== main.cf`` (set after `BASE`), ``== master.cf`` (its services,
one smtpd by default; ``@PORT@`` and ``@PASS@`` stand for its port and for the service behind postscreen) and
``== file NAME`` (below ``@DIR@``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seawall.config.main_cf import parse_main_cf
from tests.case_file import GOLDEN

RELAY = GOLDEN / "relay"
PORT, PASS = "2525", "behind"
SERVICE = "@PORT@ inet n - n - - smtpd\n"
BASE: Mapping[str, str] = {
    "compatibility_level": "3.6",
    "myhostname": "mail.here.example",
    "mydestination": "here.example, $myhostname",
    "inet_interfaces": "all",
    "inet_protocols": "ipv4",
    "mynetworks": "127.0.0.0/8",
    "local_recipient_maps": "",
    "alias_maps": "",
    "relay_domains": "relay.example",
    "smtpd_peername_lookup": "no",
    "smtpd_error_sleep_time": "0",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_hard_error_limit": "1000",
    "smtpd_soft_error_limit": "1000",
    "smtpd_junk_command_limit": "1000",
}
DELIVERY = (
    "smtp unix - - n - - smtp\nrelay unix - - n - - smtp\nlocal unix - n n - - local\nerror unix - - n - - error\n"
)
SWALLOWED = frozenset({"discarded", "redirected", "data-rejects"})
"""Closed ones that say 250 to a recipient and send him nothing."""


@dataclass(frozen=True, slots=True)
class RelayCase:
    """One configuration."""

    name: str
    is_open: bool
    main: Mapping[str, str]
    master: str
    files: Mapping[str, str]

    def lay_out(self, root: Path) -> Path:
        """Write it below a root, as /etc/postfix; the root."""
        etc = root / "etc" / "postfix"
        etc.mkdir(parents=True)
        for name, text in self.files.items():
            (etc / name).write_text(text)
        values = {**BASE, **self.main}
        main = "".join(f"{name} = {value}\n" for name, value in values.items())
        (etc / "main.cf").write_text(main.replace("@DIR@", "/etc/postfix"))
        master = (self.master or SERVICE).replace("@PORT@", PORT).replace("@PASS@", "smtpd")
        (etc / "master.cf").write_text(master.replace("@DIR@", "/etc/postfix") + DELIVERY)
        return root


def read(path: Path) -> RelayCase:
    """A file as a value."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in path.read_text().splitlines(keepends=True):
        if line.startswith("== "):
            lines = sections.setdefault(line[3:].strip(), [])
        else:
            lines.append(line)
    parsed = parse_main_cf("".join(sections.pop("main.cf", [])), str(path))
    main = {name: value.text for name, value in parsed.values.items()}
    master = "".join(sections.pop("master.cf", []))
    files = {name.removeprefix("file "): "".join(text) for name, text in sections.items()}
    return RelayCase(path.stem, path.parent.name == "open", main, master, files)


def cases(kind: str) -> list[RelayCase]:
    """All of ``open`` or ``closed``."""
    return [read(path) for path in sorted((RELAY / kind).glob("*.relay"))]
