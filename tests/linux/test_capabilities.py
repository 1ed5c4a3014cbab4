"""What is left of root's power: given up for good, or kept in part."""

import os

from seawall.linux import capabilities as caps
from tests.linux.test_identity import IS_ROOT, exit_code_of


def test_giving_up_everything_leaves_nothing() -> None:
    def child() -> None:
        caps.hold_only(())
        assert caps.effective() == frozenset()
        caps.forbid_new_privileges()
        with open("/proc/self/status") as status:
            assert "NoNewPrivs:\t1\n" in status.readlines()

    assert exit_code_of(child) == 0


def test_what_was_given_up_cannot_be_had_back() -> None:
    def child() -> None:
        caps.hold_only(())
        try:
            caps.hold_only({caps.SETUID})
        except OSError:
            return
        os._exit(98)

    assert exit_code_of(child) == 0


def test_some_of_it_outlives_the_change_to_a_user() -> None:
    def child() -> None:
        caps.keep_across_change(True)
        os.setresgid(23457, 23457, 23457)
        os.setresuid(23456, 23456, 23456)
        caps.hold_only({caps.SETUID, caps.SETGID}, {caps.CHOWN})
        assert caps.effective() == {caps.SETUID, caps.SETGID}
        os.setresuid(23458, 23458, 23458)
        assert os.getuid() == 23458

    def without() -> None:
        os.setresuid(23456, 23456, 23456)
        assert caps.effective() == frozenset()

    expected = 0 if IS_ROOT else 99  # an ordinary user has nothing to keep
    assert exit_code_of(child) == expected
    assert exit_code_of(without) == expected
