"""The end of the content is where we saw it and nowhere else: one message reaches Postfix or none, never two.

Each form has been used against some server: a dot line with a line end that one side takes for one and the other does
not, with a second transaction behind it.  CVE-2023-51764 (Postfix), -51765 (sendmail), -51766 (Exim)
"""

from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.system.server import until
from tests.upstream.front_site import PROXY, XCLIENT, FrontSite

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("front")]

LENIENT, REJECTING = 2510, 2511
MORE = f"""\
{LENIENT} inet n - n - - smtpd -o smtpd_forbid_bare_newline=no -o smtpd_forbid_unauth_pipelining=no
{REJECTING} inet n - n - - smtpd -o smtpd_forbid_bare_newline=reject
"""
ENDS = {
    "lf dot lf": "\n.\n",
    "lf dot crlf": "\n.\r\n",
    "crlf dot lf": "\r\n.\n",
    "cr dot cr": "\r.\r",
    "cr dot crlf": "\r.\r\n",
    "crlf dot cr": "\r\n.\r",
    "lf dot cr": "\n.\r",
    "cr dot lf": "\r.\n",
    "crlf dot cr cr lf": "\r\n.\r\r\n",
    "cr crlf dot crlf": "\r\r\n.\r\r\n",
    "cr lf lf dot crlf": "\r\n\n.\r\n",
    "nul": "\r\n.\0\r\n",
    "nul before": "\r\n\0.\r\n",
    "doubled dot": "\r\n..\r\n",
    "dot and blank": "\r\n. \r\n",
}
SECOND = (
    "MAIL FROM:<spoofed@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n"
)


@pytest.fixture(scope="module")
def front(box: Box) -> Iterator[FrontSite]:
    site = FrontSite(box, behind="smtpd_forbid_bare_newline = no\ncleanup_replace_stray_cr_lf = no\n")
    box.write("/etc/front/master.cf", (box.read("/etc/front/master.cf") or b"").decode() + MORE)
    site.begin()
    yield site
    site.end()
    assert "Traceback" not in site.printed()


def smuggle(front: FrontSite, content: str, port: int, *, by_chunks: bool = False) -> int:
    """Send it as one content; how many messages have reached Postfix when all is over."""
    front.box.remove("/home/alice/Maildir/new")
    front.box.remove("/home/bob/Maildir/new")
    before = front.log().count("status=sent")
    acts = [
        ("expect", 1),
        ("send", "EHLO c\r\n"),
        ("listen", 0.05),
        ("send", "MAIL FROM:<a@b.example>\r\n"),
        ("expect", 1),
    ]
    acts += [("send", "RCPT TO:<alice@example.com>\r\n"), ("expect", 1)]
    if by_chunks:
        acts += [("send", f"BDAT {len(content)} LAST\r\n{content}"), ("listen", 0.1)]
    else:
        acts += [("send", "DATA\r\n"), ("expect", 1), ("send", f"{content}\r\n.\r\n"), ("listen", 0.1)]
    heard = front.act([*acts, ("send", "QUIT\r\n"), ("listen", 0.1)], port=port)
    accepted = sum(line.startswith("250 2.0.0 Ok:") for lines in heard[4:] for line in lines)
    until(lambda: front.log().count("status=sent") >= before + accepted, "what was accepted is delivered")
    assert front.log().count("status=sent") == before + accepted
    return accepted


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("port", [PROXY, XCLIENT])
def test_what_is_no_end_to_us_is_none_to_postfix(front: FrontSite, end: str, port: int) -> None:
    assert smuggle(front, f"Subject: first\r\n\r\nfirst{end}{SECOND}".removesuffix("\r\n.\r\n"), port) == 1
    assert not front.mail("bob")
    (mail,) = front.mail("alice")
    assert "smuggled" in mail


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_chunks_smuggle_nothing(front: FrontSite, end: str) -> None:
    assert smuggle(front, f"Subject: first\r\n\r\nfirst{end}{SECOND}", PROXY, by_chunks=True) == 1
    assert not front.mail("bob")


@pytest.mark.parametrize("end", ["\n.\n", "\n.\r\n", "\r\n.\n"])
def test_where_we_are_told_to_be_lenient_the_second_message_is_one_to_both(front: FrontSite, end: str) -> None:
    content = f"Subject: first\r\n\r\nfirst{end}{SECOND}".removesuffix("\r\n.\r\n")
    assert smuggle(front, content, LENIENT) == 2
    assert len(front.mail("alice")) == len(front.mail("bob")) == 1


@pytest.mark.parametrize("end", ["\n.\n", "\n.\r\n", "\r\n.\n"])
def test_where_we_are_told_to_refuse_nothing_gets_through(front: FrontSite, end: str) -> None:
    content = f"Subject: first\r\n\r\nfirst{end}{SECOND}".removesuffix("\r\n.\r\n")
    assert smuggle(front, content, REJECTING) == 0
    assert not front.mail("alice")
    assert not front.mail("bob")


def test_a_cr_in_a_command_is_no_second_command(front: FrontSite) -> None:
    heard = front.visit("EHLO c", "MAIL FROM:<a@b.example>\rRCPT TO:<bob@example.com>", "RSET")
    assert heard[2].lines[0][:1] == "5"
    heard = front.visit(
        "EHLO c\rMAIL FROM:<x@y.example>", "MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.com>\x0bx"
    )
    assert heard[2].lines == ("250 2.1.0 Ok",)
    assert heard[3].lines[0][:1] == "5"
