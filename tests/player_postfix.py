"""The real Postfix as a driver of the golden player."""

from __future__ import annotations

from tests.player import BoxDriver, Group


class PostfixDriver(BoxDriver):
    """Debian's Postfix in a box."""

    name = "postfix"
    _master = 0

    def start_server(self, group: Group) -> None:
        self._master = self.box.start_postfix()
        for port in group.ports.values():
            self.box.listens(port)

    def stop_server(self) -> None:
        self.box.stop_postfix(self._master)

    def settle(self, wanted: int, accepted: bool) -> None:
        """Until nothing is on its way; what was deferred is taken out of the queue."""
        self.box.ask("postfix_settled")

    def version(self) -> str:
        return self.box.run("postconf", "-dh", "mail_version").out.strip()
