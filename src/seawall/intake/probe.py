"""The envelope of a probe: completed and mapped as that of any mail of our own, without copies and checks.  cleanup(8)"""

from __future__ import annotations

from seawall.intake.cleanup import Cleanup
from seawall.intake.envelope import EnvelopeInProgress
from seawall.intake.status import Errors
from seawall.journal.record import Warned
from seawall.mail.envelope import Recipient


async def address_probe(cleanup: Cleanup, sender: str, address: str) -> tuple[str, tuple[Recipient, ...]] | None:
    """The sender, and all recipients that an alias leads to; None where a table failed."""
    errors = Errors()
    envelope = EnvelopeInProgress(cleanup.rules.envelope, errors, copies=False)
    await envelope.set_sender(sender)
    await envelope.add(Recipient(address))
    for warning in (*errors.general, *errors.warnings):
        cleanup.journal.write(Warned(at=cleanup.clock.now(), source="cleanup", message=warning))
    return None if errors or not envelope.recipients else (envelope.sender, tuple(envelope.recipients))
