"""The watcher: keeps the journal store.  `python -m seawall.run.watcher CHANNEL`"""

from __future__ import annotations

import sys

from seawall.run.build_watcher import build_watcher
from seawall.run.child import run_child

if __name__ == "__main__":
    sys.exit(run_child(build_watcher))
