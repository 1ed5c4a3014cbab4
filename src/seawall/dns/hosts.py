"""hosts(5): names and addresses that are known without DNS."""

from __future__ import annotations

from pathlib import Path

from seawall.mail.network import parse_address


class Hosts:
    """A hosts file.  Names without case; an address has the first name of the first line that names it."""

    def __init__(self, text: str = "") -> None:
        self._addresses: dict[str, list[str]] = {}
        self._names: dict[tuple[int, int], str] = {}
        for line in text.splitlines():
            words = line.partition("#")[0].split()
            number = parse_address(words[0]) if len(words) > 1 else None
            if number is None:
                continue
            self._names.setdefault(number, words[1])
            for name in words[1:]:
                self._addresses.setdefault(name.lower(), []).append(words[0])

    @staticmethod
    def read(path: str = "/etc/hosts") -> Hosts:
        """The file at `path`; one that cannot be read knows nothing."""
        try:
            return Hosts(Path(path).read_text("utf-8", "replace"))
        except OSError:
            return Hosts()

    def addresses(self, name: str) -> tuple[str, ...]:
        """The addresses of a name, in the file's order."""
        return tuple(self._addresses.get(name.rstrip(".").lower(), ()))

    def name(self, address: str) -> str | None:
        """The name of an address."""
        number = parse_address(address)
        return None if number is None else self._names.get(number)
