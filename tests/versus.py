"""Postfix's command-line tools beside ours: the same commands on the same files, and where what they say differs.

A `Trial` is some files and the commands that are run among them, one after the other, in a directory of their own that is
also the working directory.  ``python -m tests.versus real`` reads trials (a JSON list) from standard input and prints what the
programs that PATH finds say; `real` runs that in the box, for any number of trials at once.  `ours` plays a trial with
Seawall's commands in this process.  Recordings are files with a trial and what Postfix said on each line.
"""

from __future__ import annotations

import difflib
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.cli import COMMANDS

if TYPE_CHECKING:
    from tests.box import Box

PATIENCE = 5
"""Seconds that one command may take."""
AT_ONCE = 24
"""Trials before the real programs: each sleeps for a second after a fatal error."""
LONG_AGO = (1_000_000_000, 1_000_000_000)
"""Postfix's postconf reads a file of this second again and again."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Commands with their files.  All text is bytes as Latin-1 letters, so that it goes through JSON unharmed."""

    commands: tuple[tuple[str, ...], ...]
    """Each is the tool and its arguments."""
    files: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    """What each command reads."""
    left: tuple[str, ...] = ()
    """Files whose content is looked at afterwards."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one command left."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a trial: each command's words, and what the files hold; None for one that is not there."""

    said: tuple[Said, ...]
    left: Mapping[str, str | None] = field(default_factory=dict)


def trial(*command: str, stdin: str = "", left: Iterable[str] = (), **files: str) -> Trial:
    """One command, all in UTF-8; ``main_cf=`` is the file main.cf."""
    named = {name.replace("_", "."): latin(text) for name, text in files.items()}
    return Trial((tuple(latin(word) for word in command),), named, latin(stdin), tuple(left))


def latin(text: str) -> str:
    """Text as its UTF-8 bytes, each a letter."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def lay_out(trial: Trial, directory: Path) -> None:
    """Write a trial's files."""
    for name, text in trial.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
        os.utime(path, LONG_AGO)


def look(trial: Trial, directory: Path) -> dict[str, str | None]:
    """What is left of the files that matter."""
    paths = {name: directory / name for name in trial.left}
    return {name: path.read_bytes().decode("latin-1") if path.exists() else None for name, path in paths.items()}


def play_real(trial: Trial, directory: Path) -> Result:
    """Run a trial with the programs that PATH finds."""
    lay_out(trial, directory)
    said: list[Said] = []
    for command in trial.commands:
        try:
            ran = subprocess.run(
                [word.encode("latin-1") for word in command],
                cwd=directory,
                input=trial.stdin.encode("latin-1"),
                capture_output=True,
                check=False,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            said.append(Said(-99, "", "no end"))
            continue
        said.append(Said(ran.returncode, ran.stdout.decode("latin-1"), ran.stderr.decode("latin-1")))
    return Result(tuple(said), look(trial, directory))


def play_ours(trial: Trial, directory: Path) -> Result:
    """Run a trial with Seawall's commands, in this process."""
    lay_out(trial, directory)
    before = Path.cwd()
    os.chdir(directory)
    try:
        said = tuple(
            say([word.encode("latin-1").decode("utf-8", "surrogateescape") for word in command], trial.stdin)
            for command in trial.commands
        )
    finally:
        os.chdir(before)
    return Result(said, look(trial, directory))


def say(command: list[str], stdin: str) -> Said:
    """One of our commands, with standard streams of its own."""
    main: Callable[[list[str]], int] = importlib.import_module(f"seawall.cli.{COMMANDS[command[0]][0]}").main
    streams = [io.BytesIO(stdin.encode("latin-1")), io.BytesIO(), io.BytesIO()]
    kept = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = (io.TextIOWrapper(one, "utf-8", "surrogateescape") for one in streams)
    wrapped = sys.stdin, sys.stdout, sys.stderr
    try:
        with alarm():
            code = main(command[1:])
        wrapped[1].flush()
        wrapped[2].flush()
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept
    out, err = (stream.getvalue().decode("latin-1") for stream in streams[1:])
    return Said(code, out, err)


@contextmanager
def alarm() -> Iterator[None]:
    """Ends what takes too long with an exception."""

    def ring(*_: object) -> None:
        raise TimeoutError("our command does not end")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ours(trials: Iterable[Trial]) -> list[Result]:
    """What Seawall says."""
    return [in_empty_directory(one, play_ours) for one in trials]


def in_empty_directory(trial: Trial, play: Callable[[Trial, Path], Result]) -> Result:
    """Play a trial in a directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix="versus-"))
    try:
        return play(trial, directory)
    finally:
        shutil.rmtree(directory)


def real(box: Box, trials: list[Trial], timeout: float = 300) -> list[Result]:
    """What the real Postfix says, under the main.cf that it comes with."""
    box.wipe()
    stdin = json.dumps([asdict(one) for one in trials])
    script = 'cd "$0" && exec "$1" -m tests.versus real'
    ran = box.run("sh", "-c", script, str(Path(__file__).parent.parent), sys.executable, stdin=stdin, timeout=timeout)
    return [result_of(one) for one in json.loads(ran.out)]


def trial_of(data: Mapping[str, Any]) -> Trial:
    """A trial from JSON."""
    return Trial(
        tuple(tuple(command) for command in data["commands"]),
        data.get("files", {}),
        data.get("stdin", ""),
        tuple(data.get("left", ())),
    )


def result_of(data: Mapping[str, Any]) -> Result:
    """A result from JSON."""
    return Result(tuple(Said(**one) for one in data["said"]), data.get("left", {}))


def plain(result: Result) -> Result:
    """Without the path of the program, and with warnings in the order of the alphabet.

    Postfix gives warnings of one kind in the order of a hash table.
    """
    return Result(
        tuple(
            Said(one.code, one.out, "".join(sorted(one.err.replace("/usr/sbin/", "").splitlines(True))))
            for one in result.said
        ),
        result.left,
    )


def crashed(result: Result) -> bool:
    """True where a program of Postfix ended by a signal, or did not end: nothing to compare with."""
    return any(one.code < 0 for one in result.said)


def recorded(path: Path) -> list[tuple[Trial, Result]]:
    """A recording: a trial and its result on each line."""
    lines = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    return [(trial_of(line), result_of(line["result"])) for line in lines]


def record(path: Path, pairs: Iterable[tuple[Trial, Result]]) -> None:
    """Write a recording."""
    lines = []
    for one, result in pairs:
        data = {name: value for name, value in asdict(one).items() if value}
        told = {name: value for name, value in asdict(result).items() if value}
        lines.append(json.dumps({**data, "result": told}) + "\n")
    path.write_text("".join(lines), "ascii")


def describe(trial: Trial, postfix: Result, seawall: Result) -> str:
    """What somebody needs to see who looks for the cause."""
    text = [f"{name}:\n{content}" for name, content in trial.files.items()]
    for command, theirs, our in zip(trial.commands, postfix.said, seawall.said, strict=True):
        text.append(f"$ {' '.join(map(repr, command))} <<< {trial.stdin[:60]!r}")
        text += [f"code {theirs.code} {our.code}"] if theirs.code != our.code else []
        text += [*changes(theirs.out, our.out), *changes(theirs.err, our.err)]
    for name in trial.left:
        text += changes(postfix.left[name] or "", seawall.left[name] or "")
    return "\n".join(text)


def changes(theirs: str, our: str) -> list[str]:
    """The lines that differ: ``-`` before Postfix's, ``+`` before ours."""
    lines = difflib.ndiff(theirs.splitlines(keepends=True), our.splitlines(keepends=True))
    return [
        line.removesuffix("\n") if line.endswith("\n") else f"{line} (no line end)" for line in lines if line[0] in "-+"
    ]


if __name__ == "__main__":
    if sys.argv[1:] != ["real"]:
        sys.exit("usage: python -m tests.versus real < TRIALS > RESULTS")
    asked = [trial_of(data) for data in json.load(sys.stdin)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        results = list(threads.map(lambda one: in_empty_directory(one, play_real), asked))
    json.dump([asdict(result) for result in results], sys.stdout)
