"""local(8), virtual(8), pipe(8): the delivery process, which alone may act as a recipient.  `python -m seawall.run.delivery CHANNEL`"""

from __future__ import annotations

import sys

from seawall.run.build_delivery import build_delivery
from seawall.run.child import run_child

if __name__ == "__main__":
    sys.exit(run_child(build_delivery))
