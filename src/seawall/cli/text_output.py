"""Standard output and error that give back the bytes that text was read from, UTF-8 or not."""

from __future__ import annotations

import io
import sys


def keep_bytes() -> None:
    """Let text with undecodable bytes (surrogateescape) be printed as those bytes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
