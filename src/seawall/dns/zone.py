"""All DNS out of one master file: for rehearsals and tests.  RFC 1035 §5

Two kinds of comment lines give trouble: ``;!servfail NAME TYPE`` and ``;!timeout NAME TYPE`` (TYPE may be ANY).  What is
not in the file does not exist.
"""

from __future__ import annotations

import re
from pathlib import Path

import dns.exception
import dns.name
import dns.rdataset
import dns.rdatatype
import dns.zone

from seawall.dns.answers import Answer, Found, NoData, NoSuchName, Resource, TryAgain
from seawall.dns.wire import LONGEST_CHAIN, is_usable

_TROUBLES = {"servfail": "server failure", "timeout": "timeout"}

DEFAULT_TTL = 300
"""Seconds for records of a zone that says nothing of them (no $TTL); ours: any will do for a rehearsal."""
_PLACE = re.compile(r"^<string>:(\d+):")
"""Where dnspython says the trouble is: the line after it, and our own line is counted."""


class BadZone(Exception):
    """The file is no master file; the text says where."""


class Zone:
    """Answers at once, from memory."""

    def __init__(self, text: str) -> None:
        """Names are absolute below the root unless ``$ORIGIN`` says otherwise.  BadZone for text that is no zone."""
        self._trouble: dict[tuple[str, str], str] = {}
        for line in text.splitlines():
            words = line.split()
            if words and words[0].startswith(";!") and words[0][2:] in _TROUBLES and len(words) == 3:
                self._trouble[_folded(words[1]), words[2].upper()] = _TROUBLES[words[0][2:]]
        try:
            zone = dns.zone.from_text(
                f"$TTL {DEFAULT_TTL}\n{text}",
                origin=dns.name.root,
                relativize=False,
                check_origin=False,
                allow_include=False,
            )
        except (dns.exception.DNSException, ValueError) as error:
            raise BadZone(_PLACE.sub(lambda found: f"line {int(found[1]) - 2}:", str(error))) from None
        self._records: dict[str, dict[str, list[Resource]]] = {}
        for name, node in zone.nodes.items():
            for rdataset in node.rdatasets:
                self._add(_folded(name.to_text()), rdataset)
        self._inner = {parent for name in self._records for parent in _parents(name)}

    @staticmethod
    def read(path: str) -> Zone:
        """The zone in a file.  OSError where it cannot be read, BadZone where it is none."""
        return Zone(Path(path).read_text("utf-8", "surrogateescape"))

    def _add(self, name: str, rdataset: dns.rdataset.Rdataset) -> None:
        kind = dns.rdatatype.to_text(rdataset.rdtype)
        resources = self._records.setdefault(name, {}).setdefault(kind, [])
        for rdata in rdataset:
            text, preference = _data(kind, rdata.to_text(), getattr(rdata, "strings", ()))
            resources.append(Resource(kind, name, text, int(rdataset.ttl), preference))

    def ask(self, name: str, kind: str) -> Answer:
        """The records of `kind` at `name`, aliases followed."""
        here = _folded(name)
        for _ in range(LONGEST_CHAIN):
            trouble = self._trouble.get((here, kind)) or self._trouble.get((here, "ANY"))
            if trouble is not None:
                return TryAgain(trouble)
            node = self._node(here)
            if node is None:
                return NoData() if here in self._inner else NoSuchName()
            found = node.get(kind)
            if found:
                usable = tuple(r for r in found if is_usable(kind, r.data, r.preference))
                return Found(usable) if usable else NoData(malformed=True)
            alias = node.get("CNAME")
            if not alias or kind == "CNAME":
                return NoData()
            here = _folded(alias[0].data)
        return TryAgain("CNAME chain without an end")

    def _node(self, name: str) -> dict[str, list[Resource]] | None:
        """The records of a name, its own or those of a wildcard above it.  RFC 4592 §3.3"""
        node = self._records.get(name)
        if node is not None or name in self._inner:
            return node
        for parent in _parents(name):
            wild = self._records.get(f"*.{parent}" if parent else "*")
            if wild is not None:
                return wild
            if parent in self._records or parent in self._inner:
                return None
        return None


def _folded(name: str) -> str:
    return name.rstrip(".").lower()


def _parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(1, len(labels))]


def _data(kind: str, text: str, strings: tuple[bytes, ...]) -> tuple[str, int]:
    """A record's printed data as `Resource` has it, and the preference."""
    match kind:
        case "TXT":
            return b"".join(strings).decode("utf-8", "surrogateescape"), 0
        case "MX" | "SRV":
            preference, _, rest = text.partition(" ")
            return rest.removesuffix("."), int(preference)
        case "CNAME" | "NS" | "PTR":
            return text.removesuffix("."), 0
        case _:
            return text, 0
