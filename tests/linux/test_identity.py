import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from seawall.linux.identity import STUCK_EXIT, Borrower, Identity, IdentityTrouble, become, current
from seawall.linux.landlock import restrict_to_reading
from seawall.linux.users import find_user, find_user_of
from seawall.linux.writeback import start_writing

IS_ROOT = os.geteuid() == 0
STRANGER = Identity(23456, 23457)


def in_thread(function: Callable[[], None]) -> None:
    """Run in a thread of its own; what it raises is raised here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as trouble:
            raised.append(trouble)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def exit_code_of(function: Callable[[], None]) -> int:
    """Run in a child; its exit code, 99 where it raised, minus the signal where one killed it."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def test_our_own_identity_can_always_be_had(tmp_path: Path) -> None:
    with Borrower().borrowed(Identity(os.geteuid(), os.getegid())):
        (tmp_path / "mine").touch()
    assert (tmp_path / "mine").stat().st_uid == os.geteuid()


def test_a_thread_writes_as_somebody_else_and_is_itself_again(tmp_path: Path) -> None:
    borrower = Borrower()
    if not borrower.may_change:
        with pytest.raises(IdentityTrouble), borrower.borrowed(STRANGER):
            pass
        assert not borrower.can_be(STRANGER)
        return
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:-1]:
        parent.chmod(parent.stat().st_mode | 0o011)
    before = current()

    def work() -> None:
        with borrower.borrowed(STRANGER):
            assert current() == (STRANGER.uid, STRANGER.gid, (STRANGER.gid,))
            (tmp_path / "theirs").touch()
        assert current() == before

    in_thread(work)
    assert current() == before
    status = (tmp_path / "theirs").stat()
    assert (status.st_uid, status.st_gid) == (STRANGER.uid, STRANGER.gid)


def test_other_threads_keep_their_identity() -> None:
    borrower = Borrower()
    if not borrower.may_change:
        return
    inside, looked = threading.Event(), threading.Event()

    def hold() -> None:
        with borrower.borrowed(STRANGER):
            inside.set()
            looked.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    try:
        assert current()[0] == os.geteuid()
    finally:
        looked.set()
        thread.join()


def test_two_identities_one_after_the_other_do_not_mix(tmp_path: Path) -> None:
    borrower = Borrower()
    if not borrower.may_change:
        return
    with borrower.acting() as be:
        for uid in (30001, 30002, 30001):
            be(Identity(uid, uid))
            assert current() == (uid, uid, (uid,))
    assert current()[0] == os.geteuid()


def test_a_thread_that_cannot_become_itself_again_ends_the_process() -> None:
    if not IS_ROOT:
        return

    def work() -> None:
        borrower = Borrower()
        with borrower.borrowed(STRANGER):
            os.setresuid(STRANGER.uid, STRANGER.uid, STRANGER.uid)  # no way back

    assert exit_code_of(work) == STUCK_EXIT


def test_a_borrowed_identity_cannot_read_what_is_roots(tmp_path: Path) -> None:
    borrower = Borrower()
    if not borrower.may_change:
        return
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    with borrower.borrowed(STRANGER), pytest.raises(PermissionError):
        secret.read_text()


def test_becoming_somebody_is_for_good() -> None:
    if not IS_ROOT:
        assert exit_code_of(lambda: become(STRANGER)) == 99
        assert exit_code_of(lambda: become(Identity(os.geteuid(), os.getegid()))) == 0
        return

    def work() -> None:
        become(STRANGER)
        assert os.getresuid() == (STRANGER.uid,) * 3
        assert os.getgroups() == [STRANGER.gid]
        with pytest.raises(PermissionError):
            os.setuid(0)

    assert exit_code_of(work) == 0


def test_landlock_leaves_one_file_to_read(tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    allowed.write_text("yes")
    other.write_text("no")

    def work() -> None:
        if not restrict_to_reading(str(allowed)):
            return  # the kernel lacks it: nothing is promised
        assert allowed.read_text() == "yes"
        for forbidden in (other.read_text, lambda: other.write_text("x"), lambda: os.listdir(tmp_path)):
            with pytest.raises(PermissionError):
                forbidden()
        with pytest.raises(PermissionError):
            os.execv("/bin/true", ["true"])

    assert exit_code_of(work) == 0


def test_a_user_is_found_by_name_and_by_number() -> None:
    root = find_user("root")
    assert root is not None
    assert (root.uid, root.gid) == (0, 0)
    assert find_user_of(0) == root


@pytest.mark.parametrize("name", ["no-such-user-here", "", "a\0b", "x" * 10000, "\ud800"])
def test_who_is_not_there_is_none(name: str) -> None:
    assert find_user(name) is None
    assert find_user_of(3999999999) is None


def test_writing_can_be_started_early(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x")
        file.flush()
        start_writing(file.fileno())
    start_writing(-1)  # a hint: trouble is the fsync's to tell
