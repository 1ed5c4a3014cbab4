"""A worker's counters of clients: one for all its services, with anvil(8)'s status lines from time to time."""

from __future__ import annotations

import asyncio

from seawall.config.settings import Settings
from seawall.edge.counting import Counting, compile_client_limits
from seawall.journal.records.door import CacheSize, MostSeen
from seawall.policy.exempt_file import open_exemptions
from seawall.policy.rates import Rates
from seawall.run.build import Common

EXEMPT = "smtpd_client_event_limit_exceptions"


class Counters:
    """The counters of a worker."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._rates = Rates(common.settings.seconds("anvil_rate_time_unit"))
        self._pause = common.settings.seconds("anvil_status_update_time")

    def of_service(self, settings: Settings, service: str) -> Counting:
        """What counts the clients of a service."""
        common = self._common
        return Counting(
            compile_client_limits(settings),
            common.tables.address_list(settings.text(EXEMPT), title=EXEMPT),
            self._rates,
            service,
            common.clock.now,
            common.clock.monotonic,
            open_exemptions(settings, common.tables, common.clock.now),
        )

    async def tell(self) -> None:
        """Status lines, as long as the worker runs."""
        while True:
            await asyncio.sleep(self._pause)
            self.tell_now()

    def tell_now(self) -> None:
        """The status lines since the last; none where nothing was counted."""
        greatest, most = self._rates.take_greatest()
        if not greatest:
            return
        now, unit = self._common.clock.now(), int(self._rates.unit)
        for each in greatest:
            self._common.journal.write(
                MostSeen(
                    at=now,
                    what=each.what,
                    most=each.number,
                    unit=unit if each.what.endswith("rate") else 0,
                    client=each.ident,
                    seen=each.at,
                )
            )
        if most.number:
            self._common.journal.write(CacheSize(at=now, most=most.number, seen=most.at))
