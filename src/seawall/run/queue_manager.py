"""qmgr(8), smtp(8), bounce(8), pickup(8): the queue manager, and the mail that leaves over the network.  `python -m seawall.run.queue_manager CHANNEL`"""

from __future__ import annotations

import sys

from seawall.run.build_queue import build_queue_manager
from seawall.run.child import run_child

if __name__ == "__main__":
    sys.exit(run_child(build_queue_manager))
