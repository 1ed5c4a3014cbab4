"""smtpd(8): a worker, which owns the sessions of its share of the networks.  `python -m seawall.run.worker CHANNEL`"""

from __future__ import annotations

import sys

from seawall.run.build_worker import build_worker
from seawall.run.child import run_child

if __name__ == "__main__":
    sys.exit(run_child(build_worker))
