"""The watcher cleans the store of clients that passed, once for all workers, and the log tells it as postscreen(8) does."""

import os
import time

from seawall.door.passed_store import FILE, PassedLookUps, PassedStore
from tests.system.server import Server

DAY = 86400


def test_clients_whose_results_expired_long_ago_are_forgotten_at_the_start(server: Server) -> None:
    server.start()
    server.stop()
    path, now = server.base / "state" / "seawall" / FILE, int(time.time())
    store = PassedStore(path)
    store.save([("192.0.2.1", (now - 8 * DAY, 1, 1, 1, 1)), ("192.0.2.2", (now - 6 * DAY, 1, 1, 1, 1))])
    store.close()
    os.chown(path, server.user.pw_uid, server.user.pw_gid)
    server.start()
    server.said("full cleanup: retained=1 dropped=1 entries")
    kept = PassedLookUps(path, print)
    assert kept.find("192.0.2.1") is None
    assert kept.find("192.0.2.2") is not None
    kept.close()
    server.stop()
    assert server.log().count("full cleanup") == 1
