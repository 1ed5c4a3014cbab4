from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.settings import Settings
from seawall.routing.rewrite import Context, Rewriter

CONFIG = "myhostname = mail.example.org\nmyorigin = example.org\nmydomain = example.org\nappend_dot_mydomain = yes\n"


def rewriter(more: str = "") -> Rewriter:
    return Rewriter(Settings.from_text(CONFIG + more))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("bob", "bob@example.org"),
        ("bob@host", "bob@host.example.org"),
        ("bob@host.", "bob@host"),
        ("bob@host.example.", "bob@host.example"),
        ("host!bob", "bob@host.example.org"),
        ("bob%host", "bob@host.example.org"),
        ("bob%host@example.org", "bob%host@example.org"),
        ("@a,@b:bob@c.example", "bob@c.example"),
        ("", ""),
        ("bob@", "bob@"),
        ("bob@[192.0.2.1]", "bob@[192.0.2.1]"),
        ("two words", "two words@example.org"),
    ],
)
def test_an_address_is_made_complete(address: str, expected: str) -> None:
    assert rewriter().rewrite(address) == expected


def test_a_stranger_s_header_address_is_left_incomplete() -> None:
    assert rewriter().rewrite("bob", Context.REMOTE) == "bob"


def test_a_stranger_s_header_address_may_get_a_domain_that_cannot_be_ours() -> None:
    assert (
        rewriter("remote_header_rewrite_domain = domain.invalid\n").rewrite("bob", Context.REMOTE)
        == "bob@domain.invalid"
    )


def test_what_is_switched_off_does_not_happen() -> None:
    off = rewriter("swap_bangpath = no\nallow_percent_hack = no\nappend_at_myorigin = no\nappend_dot_mydomain = no\n")
    assert [off.rewrite(address) for address in ("a!b", "a%b", "a", "a@b")] == ["a!b", "a%b", "a", "a@b"]


def test_myorigin_may_be_a_file_as_on_debian(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/mailname").write_text("debian.example\n")
    settings = Settings.from_text(CONFIG + "myorigin = /etc/mailname\n", root=str(tmp_path))
    assert Rewriter(settings).rewrite("bob") == "bob@debian.example"


def test_a_lone_at_sign_in_a_header_is_the_empty_address() -> None:
    assert rewriter().rewrite_external("@") == '""'


@given(
    st.text(alphabet='ab.@%!:,"\\ ()<>[]+-é', max_size=20),
    st.sampled_from(["", "@host", "@host.example", "@host.example.", "@[192.0.2.1]"]),
)
def test_rewriting_twice_is_rewriting_once(local: str, domain: str) -> None:
    # but for a bang path, a percent sign or a source route, of which each round takes one
    rules = rewriter("swap_bangpath = no\nallow_percent_hack = no\n")
    once = rules.rewrite(local.lstrip("@").replace(":", "") + domain)
    if domain and not once.startswith("@"):
        assert rules.rewrite(once) == once
