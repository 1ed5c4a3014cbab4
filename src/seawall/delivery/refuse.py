"""error(8), the retry service and discard(8): transports that deliver to nobody."""

from __future__ import annotations

import re

from seawall.delivery.trouble import delivered, failed
from seawall.mail.job import Job
from seawall.mail.outcome import Delivery

_STATUS = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\s+(.*)\Z", re.DOTALL)


class ErrorDelivery:
    """Fails every recipient with the next hop as the text, which may begin with the status.  error(8)

    The service called ``retry`` fails for now, any other for good.
    """

    def __init__(self, service: str = "error") -> None:
        self._default = "4.0.0" if service == "retry" else "5.0.0"

    async def deliver(self, job: Job) -> Delivery:
        """One outcome a recipient; relay=none."""
        found = _STATUS.match(job.nexthop)
        status, text = found.groups() if found else (self._default, job.nexthop.strip())
        if status[0] != self._default[0]:
            status = self._default[0] + status[1:]
        return Delivery(tuple(failed(status, text) for _ in job.recipients))


class DiscardDelivery:
    """Loses every recipient's mail, as asked, with the next hop as the reason.  discard(8)"""

    async def deliver(self, job: Job) -> Delivery:
        """One outcome a recipient; relay=none."""
        found = _STATUS.match(job.nexthop)
        text = found.group(2) if found else job.nexthop.strip()
        return Delivery(tuple(delivered(text, "none") for _ in job.recipients))
