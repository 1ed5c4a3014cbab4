"""crypt(3): known hashes, and what it refuses."""

import pytest

from seawall.linux.crypt import crypt, is_right

KNOWN = {
    # as `openssl passwd -5` and `-6` make them
    b"$5$saltstring": (b"Hello world!", b"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    b"$6$saltstring": (
        b"Hello world!",
        b"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
}


@pytest.mark.parametrize("setting", KNOWN)
def test_known_hashes_are_made_and_known_again(setting: bytes) -> None:
    password, hashed = KNOWN[setting]
    assert crypt(password, setting) == hashed
    assert is_right(password, hashed)
    assert not is_right(password + b"x", hashed)
    assert not is_right(b"", hashed)


def test_a_fresh_hash_fits_its_password_alone() -> None:
    hashed = crypt("sésam".encode(), b"$y$j9T$salt")
    assert hashed is not None
    assert is_right("sésam".encode(), hashed)
    assert not is_right(b"sesam", hashed)


@pytest.mark.parametrize("setting", [b"", b"*", b"*0", b"$", b"$nonsense$x", b"!", b"x\0y", b"$6$\0"])
def test_what_is_no_setting_fits_nothing(setting: bytes) -> None:
    assert crypt(b"x", setting) is None
    assert not is_right(b"x", setting)
    assert not is_right(b"", setting)


def test_a_password_with_a_nul_is_refused_and_not_cut_short() -> None:
    _, hashed = KNOWN[b"$5$saltstring"]
    assert crypt(b"Hello world!\0x", b"$5$saltstring") is None
    assert not is_right(b"Hello world!\0x", hashed)
