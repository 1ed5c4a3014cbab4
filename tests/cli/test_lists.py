"""`seawall lists`: what it says of lists that answer soundly, lie, refuse their service, or are silent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seawall.cli import exits, lists
from seawall.cli.lint.about_dns_lists import Asked
from seawall.dns.answers import Answer, NoSuchName, TryAgain

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mx.here.example
seawall_door = yes
postscreen_dnsbl_sites = errors.example*3 bl.example=127.0.0.[2..9]
smtpd_recipient_restrictions = reject_unauth_destination
  reject_rbl_client all.example
  permit_dnswl_client all.example
  reject_rbl_client bl.example
  reject_rhsbl_sender dbl.example
  reject_rbl_client silent.example
  reject_rbl_client dul.dnsbl.sorbs.net
"""
ZONE = """\
*.all.example. A 127.0.0.2
2.0.0.127.bl.example. A 127.0.0.2
TEST.dbl.example. A 127.0.0.2
*.errors.example. A 127.255.255.254
"""
SOUND_CF = MAIN_CF.replace("all.example", "bl.example").replace("errors", "bl").replace("silent.example", "bl.example")


def site(root: Path, text: str = MAIN_CF, zone: str = ZONE) -> list[str]:
    """A site below `root`; the command's arguments."""
    place = root / "etc" / "postfix"
    place.mkdir(parents=True)
    (place / "main.cf").write_text(text)
    (root / "zone").write_text(zone)
    return ["--root", str(root), "--dns", str(root / "zone")]


def test_each_list_has_its_verdict_and_its_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lists.main([*site(tmp_path), "--json"]) == exits.UNAVAILABLE
    said = json.loads(capsys.readouterr().out)
    assert {each["zone"]: each["verdict"] for each in said["lists"]} == {
        "all.example": "lies",
        "bl.example": "sound",
        "dbl.example": "sound",
        "silent.example": "no test entry",
        "dul.dnsbl.sorbs.net": "no test entry",
        "errors.example": "errors",
    }
    everybody, bl = said["lists"][:2]
    assert [use["location"]["line"] for use in everybody["used"]] == [6, 7]
    assert [use["check"] for use in bl["used"]] == [
        "reject_rbl_client bl.example",
        "postscreen_dnsbl_sites bl.example=127.0.0.[2..9]",
    ]
    assert everybody["meaning"] == (
        "put aside while it is so: it neither refuses nor permits (Postfix: permits everybody and refuses everybody)"
    )
    assert {point["about"] for point in bl["points"]} >= {"127.0.0.1", "127.0.0.2"}
    assert said["sound"] is False
    assert said["lists"][4]["known"]["status"] == "dead"


def test_the_text_is_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists.main(site(tmp_path))
    out = capsys.readouterr().out
    assert (
        "all.example          lies           put aside while it is so: it neither refuses nor permits (Postfix: permits "
        "everybody and refuses everybody)\n    /etc/postfix/main.cf:6: reject_rbl_client all.example\n" in out
    )
    assert "    it answers 127.255.255.254 about 127.0.0.1: an error, no entry\n" in out
    assert "    known of sorbs.net: dead since 2024-06-05: Proofpoint emptied and closed all zones\n" in out


def test_with_sound_lists_it_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lists.main(site(tmp_path, SOUND_CF)) == exits.OK
    assert "bl.example           sound          it is asked as configured\n" in capsys.readouterr().out


def test_without_the_watch_it_tells_what_will_happen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists.main(site(tmp_path, MAIN_CF + "seawall_dnsbl_watch = no\n"))
    out = capsys.readouterr().out
    assert "it permits everybody and refuses everybody, because of seawall_dnsbl_watch = no" in out
    assert "it adds its weight to everybody, because of seawall_dnsbl_watch = no" in out


class Silent:
    """DNS of which a part, or nothing, answers."""

    def __init__(self, silent: str) -> None:
        self._silent = silent

    def ask(self, name: str, kind: str) -> Answer:
        return TryAgain("timeout") if name.endswith(self._silent) else NoSuchName()


@pytest.mark.parametrize(("silent", "verdict"), [("bl.example", "silent"), ("", "unknown")])
async def test_silence_of_a_list_is_told_from_silence_of_the_dns(silent: str, verdict: str) -> None:
    used = (Asked("reject_rbl_client", "bl.example", None, None),)
    row = await lists.ask_list("bl.example", used, Silent(silent), is_watched=True)
    assert row.verdict == verdict


def test_a_site_without_lists_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lists.main(site(tmp_path, "compatibility_level = 3.6\n")) == exits.OK
    assert capsys.readouterr().out == "no DNS list is asked\n"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--dns", "/nowhere/zone"], exits.NOINPUT),
        (["-c", "/nowhere"], exits.NOINPUT),
        (["--dns-server", "nowhere"], exits.USAGE),
    ],
)
def test_what_cannot_be_read_has_its_exit_code(tmp_path: Path, more: list[str], code: int) -> None:
    assert lists.main([*site(tmp_path)[:2], *more]) == code


def test_a_zone_that_is_none_is_told(tmp_path: Path) -> None:
    assert lists.main(site(tmp_path, zone="bad bad bad\n")) == exits.DATAERR


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("[2001:db8::53]:54", ("2001:db8::53", 54)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("ns.example:53", None),
        ("192.0.2.53:0", None),
    ],
)
def test_a_server_is_an_address(text: str, server: tuple[str, int] | None) -> None:
    assert lists.server_of(text) == server
