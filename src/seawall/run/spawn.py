"""spawn(8): runs commands for connections.  `python -m seawall.run.spawn CHANNEL`"""

from __future__ import annotations

import sys

from seawall.run.build_spawn import build_spawn
from seawall.run.child import run_child

if __name__ == "__main__":
    sys.exit(run_child(build_spawn))
