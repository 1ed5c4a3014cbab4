import errno
import os
import re
import signal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.delivery.content import CHUNK, pieces, quoted_pieces
from seawall.delivery.maildir import Maildirs
from seawall.delivery.trouble import STATUS_OF_ERRNO, StoreTrouble
from seawall.mail.message import Content, FileSlice

HEAD = b"Return-Path: <>\n"
STEPS = ("created", "written", "synced", "renamed", "settled")


def test_a_mail_is_named_by_time_device_and_inode(tmp_path: Path) -> None:
    Maildirs("mx").deliver(f"{tmp_path}/", HEAD, Content(b"x\n"), now=1700000000.25)
    (path,) = (tmp_path / "new").iterdir()
    status = path.stat()
    assert path.name == f"1700000000.V{status.st_dev:x}I{status.st_ino:x}M250000.mx"
    assert path.read_bytes() == HEAD + b"x\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cur", "new", "tmp"]


def test_a_host_name_cannot_leave_the_directory(tmp_path: Path) -> None:
    Maildirs("../a:b").deliver(f"{tmp_path}/", HEAD, Content(b"x\n"), now=1.0)
    (path,) = (tmp_path / "new").iterdir()
    assert re.fullmatch(r"1\.V[0-9a-f]+I[0-9a-f]+M0\.\.\.\\057a\\072b", path.name)


def test_a_spilled_body_is_copied_whole(tmp_path: Path) -> None:
    body = os.urandom(3 * CHUNK + 7).replace(b"\n", b"x") + b"\n"
    (tmp_path / "body").write_bytes(b"before" + body + b"behind")
    with (tmp_path / "body").open("rb") as file:
        content = Content(b"Subject: x\n\n", FileSlice(file.fileno(), 6, len(body)))
        Maildirs("mx").deliver(f"{tmp_path}/m/", HEAD, content, now=1.0)
    (path,) = (tmp_path / "m" / "new").iterdir()
    assert path.read_bytes() == HEAD + b"Subject: x\n\n" + body


def test_a_body_that_has_become_shorter_is_trouble_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"short")
    with (tmp_path / "body").open("rb") as file, pytest.raises(StoreTrouble) as trouble:
        Maildirs("mx").deliver(f"{tmp_path}/m/", HEAD, Content(b"", FileSlice(file.fileno(), 0, 100)), now=1.0)
    assert trouble.value.status == "4.3.0"
    assert list((tmp_path / "m" / "tmp").iterdir()) == []


def test_a_last_line_without_end_gets_one(tmp_path: Path) -> None:
    Maildirs("mx").deliver(f"{tmp_path}/", b"", Content(b"x"), now=1.0)
    (path,) = (tmp_path / "new").iterdir()
    assert path.read_bytes() == b"x\n"


def test_a_file_in_the_way_is_told_in_postfixs_words(tmp_path: Path) -> None:
    (tmp_path / "tmp").write_text("")
    with pytest.raises(StoreTrouble) as trouble:
        Maildirs("mx").deliver(f"{tmp_path}/", b"", Content(b"x\n"), now=1.0)
    assert trouble.value.status == "5.2.0"
    assert re.fullmatch(rf"create maildir file {tmp_path}/tmp/1\.P\d+Q1\.mx: Not a directory", trouble.value.text)


def test_a_full_disk_is_temporary_and_a_full_quota_is_not() -> None:
    assert {STATUS_OF_ERRNO[number] for number in (errno.ENOSPC,)} == {"4.3.0"}
    assert {STATUS_OF_ERRNO[number] for number in (errno.EDQUOT, errno.EFBIG)} == {"5.2.2"}


def test_a_directory_that_vanishes_between_the_steps_is_made_again(tmp_path: Path) -> None:
    maildirs = Maildirs("mx")
    maildirs.deliver(f"{tmp_path}/", b"", Content(b"one\n"), now=1.0)
    (only,) = (tmp_path / "new").iterdir()
    only.unlink()
    (tmp_path / "new").rmdir()
    maildirs.deliver(f"{tmp_path}/", b"", Content(b"two\n"), now=1.0)
    assert [path.read_bytes() for path in (tmp_path / "new").iterdir()] == [b"two\n"]


def deliver_until_killed(maildir: str, step: str, count: int, acknowledge: int) -> None:
    """In a child: deliver mails, acknowledging each, and die at the `count`-th time of `step`."""
    left = [count]

    def at(name: str) -> None:
        if name == step:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    maildirs = Maildirs("mx", at)
    for number in range(100):
        maildirs.deliver(maildir, HEAD, Content(f"{number}\n".encode()), now=1.0)
        os.write(acknowledge, f"{number}\n".encode())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_kill_at_any_step_loses_nothing_that_was_acknowledged(tmp_path: Path, step: str, count: int) -> None:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            deliver_until_killed(f"{tmp_path}/", step, count, write_end)
        finally:
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as acknowledged:
        wanted = acknowledged.read().split()
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert len(wanted) == count - 1
    new = tmp_path / "new"
    found = [path.read_bytes() for path in new.iterdir()] if new.exists() else []
    assert {HEAD + number + b"\n" for number in wanted} <= set(found)
    assert all(re.fullmatch(HEAD + rb"\d+\n", mail) for mail in found), "a mail in new/ is whole"
    # and what the crash left behind stops nobody
    Maildirs("mx").deliver(f"{tmp_path}/", HEAD, Content(b"after\n"), now=1.0)
    assert HEAD + b"after\n" in [path.read_bytes() for path in new.iterdir()]


@given(st.lists(st.sampled_from([b"From ", b"From", b"\n", b">From x\n", b"a", b"y" * 50]), max_size=30))
@settings(max_examples=200, deadline=None)
def test_only_from_at_the_start_of_a_line_is_quoted(parts: list[bytes]) -> None:
    text = b"".join(parts)
    got = b"".join(quoted_pieces(Content(text)))
    lines = [
        b">" + line if line.startswith(b"From ") else line for line in b"".join(pieces(Content(text))).split(b"\n")
    ]
    assert got == b"\n".join(lines) + b"\n"
