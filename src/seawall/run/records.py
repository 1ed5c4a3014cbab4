"""What the processes themselves have to say in the log.  master(8), postfix-script"""

from __future__ import annotations

from seawall.journal.record import Record


class MasterSaid(Record, frozen=True, tag=True, kw_only=True):
    """A line of the supervisor's: `message` with its level in front, as Postfix's master words it."""

    program = "master"
    message: str

    def text(self) -> str:
        """The message as it is."""
        return self.message


class LoopStalled(Record, frozen=True, tag=True, kw_only=True):
    """A process did nothing else for `seconds`: something blocked its event loop."""

    level = "warning"
    program = "master"
    role: str
    seconds: float

    def text(self) -> str:
        """Who stalled, and for how long."""
        return f"warning: the loop of process {self.role} stood still for {self.seconds:.3f} s"
