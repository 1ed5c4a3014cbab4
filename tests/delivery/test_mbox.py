import fcntl
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.delivery import mbox
from seawall.delivery.mbox import Checks, Locking
from seawall.delivery.trouble import StoreTrouble
from seawall.mail.message import Content

HEAD = b"From a@b  Thu Jan  1 00:00:00 1970\n"


def never(_seconds: float) -> None:
    raise AssertionError("nothing is locked, nobody waits")


LOCKING = Locking(sleep=never)
USUAL = Checks()


def refused(path: Path, locking: Locking = LOCKING, checks: Checks = USUAL, limit: int = 0) -> tuple[str, str]:
    """(status, text) of a delivery that fails."""
    with pytest.raises(StoreTrouble) as trouble:
        mbox.append(str(path), HEAD, Content(b"x\n"), locking, checks, limit)
    return trouble.value.status, trouble.value.text


def test_messages_follow_each_other_with_a_blank_line_between(tmp_path: Path) -> None:
    path = tmp_path / "box"
    for text in (b"one\nFrom me\n", b"two\n"):
        assert mbox.append(str(path), HEAD, Content(text), LOCKING) == []
    assert path.read_bytes() == HEAD + b"one\n>From me\n\n" + HEAD + b"two\n\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["box"]


def test_what_does_not_fit_leaves_the_mailbox_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"x" * 50)
    assert refused(path, limit=60) == ("5.2.2", "error writing message: File too large")
    assert path.read_bytes() == b"x" * 50


def test_a_hard_link_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"")
    os.link(path, tmp_path / "other")
    assert refused(path) == ("5.2.0", "file has 2 hard links")


def test_a_directory_is_no_mailbox(tmp_path: Path) -> None:
    assert refused(tmp_path) == ("5.2.0", "cannot open file: Is a directory")


def test_a_pipe_that_nobody_reads_does_not_hold_us_up(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert refused(path)[1] == "cannot open file: No such device or address"


def test_a_device_is_no_mailbox_but_may_be_an_aliass_file() -> None:
    assert refused(Path("/dev/null")) == ("5.2.0", "destination /dev/null is not a regular file")
    assert mbox.append("/dev/null", HEAD, Content(b"x\n"), LOCKING, Checks(regular=False)) == []


def test_somebody_elses_mailbox_waits_for_the_administrator(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"")
    assert refused(path, checks=Checks(owner=12345)) == ("4.2.0", f"destination {path} is not owned by recipient")


def test_a_dot_lock_that_stays_makes_mail_wait(tmp_path: Path) -> None:
    path = tmp_path / "box"
    (tmp_path / "box.lock").touch()
    slept: list[float] = []
    text = f"unable to create lock file {path}.lock: File exists"
    assert refused(path, replace(LOCKING, attempts=3, delay=7.0, sleep=slept.append)) == ("4.2.0", text)
    assert slept == [7.0, 7.0]
    assert (tmp_path / "box.lock").exists()


def test_a_dot_lock_that_is_too_old_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "box"
    (tmp_path / "box.lock").touch()
    mbox.append(str(path), HEAD, Content(b"x\n"), replace(LOCKING, stale=-1.0, sleep=lambda _: None))
    assert path.read_bytes().endswith(b"x\n\n")
    assert not (tmp_path / "box.lock").exists()


def test_an_fcntl_lock_of_another_program_makes_mail_wait(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"")
    locked, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(locked[1], b".")
            os.read(done[0], 1)
        os._exit(0)
    os.read(locked[0], 1)
    slept: list[float] = []

    def wait(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            os.write(done[1], b".")
            os.waitpid(pid, 0)

    mbox.append(str(path), HEAD, Content(b"x\n"), replace(LOCKING, styles=("fcntl",), sleep=wait))
    for end in (*locked, *done):
        os.close(end)
    assert slept == [1.0, 1.0]
    assert path.read_bytes().endswith(b"x\n\n")


@pytest.mark.parametrize("style", ["fcntl", "flock", "dotlock"])
def test_threads_of_one_process_do_not_mix_their_messages(tmp_path: Path, style: str) -> None:
    path = tmp_path / "box"
    pause = threading.Event()
    locking = Locking(styles=(style,), attempts=100000, sleep=lambda _: bool(pause.wait(0.0001)) and None)
    content = Content(b"x" * 5000 + b"\n")
    threads = [
        threading.Thread(target=lambda: [mbox.append(str(path), HEAD, content, locking) for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == (HEAD + content.memory + b"\n") * 40
