"""A worker's greylist, where any service puts strangers off."""

from __future__ import annotations

from pathlib import Path

from seawall.policy.greylist_store import FILE
from seawall.policy.greylisting import Mode, read_mode, read_rules
from seawall.run.build import Common
from seawall.run.greylist_link import WorkerGreylist
from seawall.run.site import OWN


def make_greylist(common: Common) -> WorkerGreylist | None:
    """One for all services of the worker; None where none has seawall_greylist on.  Raises ConfigTrouble.

    Its times and prefix lengths are main.cf's: the services share one memory and one store.
    """
    settings = common.settings
    if all(read_mode(each.settings(settings)) is Mode.NO for each in common.services):
        return None
    greylist = WorkerGreylist(
        read_rules(settings),
        Path(settings.path(settings.text("data_directory"))) / OWN / FILE,
        common.watcher,
        common.clock.now,
        common.clock.monotonic,
        lambda text: common.warn("smtpd", text),
    )
    common.watcher.heard, common.watcher.lost = greylist.heard, greylist.lost
    return greylist
