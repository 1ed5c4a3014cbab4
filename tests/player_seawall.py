"""`seawall serve` as a driver of the golden player: the whole server, through sockets."""

from __future__ import annotations

import time

from tests.player import BoxDriver, Group

PATIENCE = 6.0  # seconds in which accepted mail must have come where the case says
GRACE = 0.2  # seconds in which mail that nobody expects may still come


class SeawallDriver(BoxDriver):
    """Seawall in a box."""

    name = "seawall"
    _pid = 0

    def start_server(self, group: Group) -> None:
        first, *others = group.ports.values()
        self._pid = self.box.start_seawall(port=first)
        for port in others:
            self.box.listens(port)
        self._log_rests()

    def _log_rests(self) -> None:
        """What is said of the start must not be taken for the first case's."""
        before, quiet = -1, 0
        while quiet < 3:
            _, after = self.box.log()
            quiet = quiet + 1 if after == before else 0
            before = after
            time.sleep(0.03)

    def stop_server(self) -> None:
        self.box.stop(self._pid)

    def settle(self, wanted: int, accepted: bool) -> None:
        """Until so many messages lie there, and a little longer where none should."""
        end = time.monotonic() + PATIENCE
        while wanted and time.monotonic() < end:
            if self.box.ask("mail_count") >= wanted:
                return
            time.sleep(0.01)
        time.sleep(GRACE)
