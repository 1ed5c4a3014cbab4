"""What a server and all its children hold and have used, as JSON: `python -m bench.flood_gauge PID`, inside its box."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

PROC = Path("/proc")


def parents() -> dict[int, int]:
    """Process id: that of its parent."""
    found = {}
    for place in PROC.iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(place.name)] = int(_stat(int(place.name))[1])
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: state, parent, …  proc(5)"""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    above = parents()
    found = [root]
    for pid in found:
        found += [child for child, parent in above.items() if parent == pid]
    return found


def measure(root: int) -> dict[str, float]:
    """`bytes`: memory, shared pages counted once (PSS).  `cpu`: seconds, ended children included.  `processes`."""
    held, ticks, count = 0, 0, 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, _stat(pid)[11:15]))
            for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    held += int(line.split()[1]) * 1024
            count += 1
    return {"bytes": held, "cpu": ticks / os.sysconf("SC_CLK_TCK"), "processes": count}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
