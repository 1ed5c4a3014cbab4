"""mailq(1): show the queue, as `postqueue -p` does."""

from __future__ import annotations

from seawall.cli import postqueue


def main(arguments: list[str]) -> int:
    """Run it; its exit code."""
    return postqueue.main(["-p", *arguments])
