"""The same clients at Debian's postscreen(8) and at our door: what each hears, and what the log says.

Every case is a service of one master.cf, on a port of its own, with clients of its own; both servers run that file.
Ports and times in the log are masked.  postscreen's lines are compared in order, dnsblog's (another process) as a set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from seawall.config.master_cf import STANDARD
from tests.box import Box, Heard

FIRST_PORT = 2601
MAIN_CF = """\
compatibility_level = 3.6
myhostname = mx.example
mail_name = Mail
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination = example.com
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_discard_ehlo_keywords = chunking
smtpd_tls_cert_file = /etc/postfix/cert.pem
smtpd_tls_key_file = /etc/postfix/key.pem
default_process_limit = 200
postscreen_greet_wait = 2s
seawall_workers = 1
"""
SERVICES = f"""\
smtpd     pass  -       -       n       -       -       smtpd
dnsblog   unix  -       -       n       -       0       dnsblog
tlsproxy  unix  -       -       n       -       0       tlsproxy -o tlsproxy_tls_security_level=may
{STANDARD.partition(chr(10))[2]}"""
"""The standard services without smtpd on its port, and those of postscreen."""
MAKE_KEY = (
    "cd /etc/postfix && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "
    "-subj /CN=mx.example -keyout key.pem -out cert.pem 2>/dev/null"
)
LINE = re.compile(r"postfix/(postscreen|dnsblog)\[\d+\]: (.*)")
MASKS = ((re.compile(r"\]:?\d+"), "]:PORT"), (re.compile(r"after [\d.]+ from"), "after TIME from"))
NOISE = ("warning: malformed domain name", "warning: valid_hostname", "cache ")

Acts = tuple[tuple[str, Any], ...]


def says(*lines: str, early: str = "", ends: bool = True, greeted: bool = True) -> Acts:
    """A client that sends each line after the reply to the one before."""
    acts: list[tuple[str, Any]] = [("send", early)] if early else []
    if greeted:
        acts.append(("listen", 0.05))
    for line in lines:
        acts += [("send", line if line.endswith("\n") else f"{line}\r\n"), ("listen", 0.05)]
    if ends:
        acts.append(("close", ""))
    return tuple(acts)


@dataclass(frozen=True, slots=True)
class Visit:
    """One connection; the n-th client of the case comes.  `beside` visits come while this one is open."""

    acts: Acts
    client: int = 1
    beside: tuple[Visit, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One configuration and who comes."""

    name: str
    settings: Mapping[str, str]
    visits: tuple[Visit, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    is_ordered: bool = True
    """The order of the log's lines counts; it does not where many waits end in one moment."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a case."""

    heard: tuple[tuple[Heard, ...], ...]
    said: tuple[str, ...]
    """postscreen's lines, in order."""
    listed: tuple[str, ...]
    """dnsblog's lines, sorted."""


def address(case: int, client: int) -> str:
    """Where a client of a case comes from."""
    return f"198.18.{case}.{client}"


class Hosts:
    """Both servers in turn, over the same cases."""

    def __init__(self, box: Box, cases: Iterable[Case], zone: str) -> None:
        self.box = box
        self.cases = tuple(cases)
        self._zone = zone

    def lay_out(self, more: str = "") -> None:
        self.box.wipe()
        self.box.write("/etc/postfix/main.cf", MAIN_CF + more)
        lines = []
        for at, case in enumerate(self.cases):
            options = {"postscreen_cache_map": f"btree:/var/lib/postfix/cache{at}", **case.settings}
            words = " ".join(f"-o {{ {name} = {value} }}" for name, value in options.items())
            lines.append(f"192.0.2.1:{FIRST_PORT + at} inet n - n - 1 postscreen {words}")
            for name, text in case.files.items():
                self.box.write(f"/etc/postfix/{name}", text)
        self.box.write("/etc/postfix/master.cf", "\n".join(lines) + "\n" + SERVICES)
        self.box.zone(self._zone)
        self.box.run("sh", "-c", MAKE_KEY)

    def play(self) -> list[Played]:
        """Everybody comes; the cases side by side, the visits of a case one after the other."""
        before = self.box.log()[1]
        with ThreadPoolExecutor(12) as pool:
            heard = list(pool.map(self._play_case, range(len(self.cases))))
        self._settle(before)
        said, listed = self._lines(before)
        for lines, case in zip(said, self.cases, strict=True):
            if not case.is_ordered:
                lines.sort()
        return [Played(heard[at], tuple(said[at]), tuple(sorted(listed[at]))) for at in range(len(self.cases))]

    def _play_case(self, at: int) -> tuple[tuple[Heard, ...], ...]:
        return tuple(heard for visit in self.cases[at].visits for heard in self._visit(at, visit))

    def _visit(self, at: int, visit: Visit) -> list[tuple[Heard, ...]]:
        with ThreadPoolExecutor(1 + len(visit.beside)) as pool:
            mine = pool.submit(self._talk, at, visit)
            heard: list[tuple[Heard, ...]] = []
            for each in visit.beside:
                self._until_seen(at, visit.client)
                heard += self._visit(at, each)
            return [mine.result(), *heard]

    def _talk(self, at: int, visit: Visit) -> tuple[Heard, ...]:
        return tuple(
            self.box.talk(list(visit.acts), port=FIRST_PORT + at, source=address(at, visit.client), patience=8)
        )

    def _until_seen(self, at: int, client: int) -> None:
        for _ in range(200):
            if f"[{address(at, client)}]" in self.box.log()[0]:
                return

    def _settle(self, before: int) -> None:
        """Until the log says nothing new."""
        end = -1
        while (now := self.box.log(before)[1]) != end:
            end = now
            self.box.run("sleep", "0.3")

    def _lines(self, before: int) -> tuple[list[list[str]], list[list[str]]]:
        said: list[list[str]] = [[] for _ in self.cases]
        listed: list[list[str]] = [[] for _ in self.cases]
        for line in self.box.log(before)[0].splitlines():
            found = LINE.match(line)
            if not found or found[2].startswith(NOISE):
                continue
            text = found[2]
            at = self._whose(text)
            if at is None:
                continue
            for mask, instead in MASKS:
                text = mask.sub(instead, text)
            (said if found[1] == "postscreen" else listed)[at].append(text)
        return said, listed

    def _whose(self, text: str) -> int | None:
        """The case that a line belongs to."""
        if "STRESS mode" in text:
            return next((at for at, case in enumerate(self.cases) if case.name == "stress"), None)
        whose = re.search(r"198\.18\.(\d+)\.\d+|\d+\.(\d+)\.18\.198\.", text)
        return int(whose[1] or whose[2]) if whose else None


def play_both(box: Box, cases: Iterable[Case], zone: str, more: str = "") -> list[tuple[Case, Played, Played]]:
    """(case, Postfix's, ours)."""
    hosts = Hosts(box, cases, zone)
    hosts.lay_out(more)
    pid = box.start_postfix()
    try:
        theirs = hosts.play()
    finally:
        box.stop_postfix(pid)
    hosts.lay_out(more)
    pid = box.start_seawall(port=FIRST_PORT)
    try:
        ours = hosts.play()
    finally:
        box.stop(pid, timeout=30)
    return list(zip(hosts.cases, theirs, ours, strict=True))
