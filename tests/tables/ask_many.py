"""In a box: many questions to tables, by Postfix's postmap or by ours.

``python -m tests.tables.ask_many ours`` or ``theirs THREADS`` reads ``[[type:name, key], …]`` as JSON and prints ``[[code, output], …]``.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from seawall.cli import postmap
from seawall.cli.map_options import Fatal, read_options
from seawall.cli.map_tool import Session
from seawall.tables.table import TableUnsupported

LONGEST = 60


def theirs(spec: str, key: str) -> tuple[int, str]:
    done = subprocess.run(["postmap", "-q", key, spec], capture_output=True, check=False, timeout=LONGEST)
    return done.returncode, done.stdout.decode("utf-8", "surrogateescape")


def ours(questions: list[tuple[str, str]]) -> list[tuple[int, str]]:
    session = Session(postmap.TOOL, read_options(postmap.TOOL, ["-q", "-", "static:x"]))
    answers: list[tuple[int, str]] = []
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            for spec, key in questions:
                try:
                    value = session.ask(session.open(spec), key)
                except (Fatal, TableUnsupported):
                    value = None
                answers.append((1, "") if value is None else (0, f"{value}\n"))
    finally:
        session.close()
    return answers


def main() -> None:
    questions = json.load(sys.stdin)
    if sys.argv[1] == "ours":
        answers = ours(questions)
    else:  # one that ends with an error sleeps for a second first
        with ThreadPoolExecutor(int(sys.argv[2])) as threads:
            answers = list(threads.map(lambda question: theirs(*question), questions))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
