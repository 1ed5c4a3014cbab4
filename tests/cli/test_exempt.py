"""`seawall exempt`: what it writes and refuses, whom it suggests, and the letter that it drafts."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import threading
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from seawall.cli import exempt, exempt_edit, exempt_notice, exits, explain, rehearse
from seawall.cli.lint.every_rule import examine
from seawall.cli.lint.site import read_site
from seawall.config.settings import load
from seawall.journal.batch import batch_of
from seawall.journal.record import Record
from seawall.journal.records.door import RecipientRefused, Spared, SpokeEarly
from seawall.journal.records.edge import Opened, Remarked
from seawall.journal.store import Store
from seawall.policy.exempt import CHECKS, Exemptions, ends, parse_entries
from seawall.policy.exempt_honest import Proposal, Sighting, What, Witness, covering, is_retry
from seawall.policy.reasons import Reason

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.here.example
mydestination = here.example
mynetworks = 127.0.0.0/8
alias_maps =
data_directory = /var/lib/postfix
"""
FILE = "etc/postfix/seawall.exempt"
NOW = ends(date(2026, 11, 22)) + 60
HOUR = 3600.0


class Site:
    """A configuration below a directory, and the command with its output."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys
        (root / "etc/postfix").mkdir(parents=True)
        self.write("etc/postfix/main.cf", MAIN_CF)
        self.err = ""

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def run(self, *words: str, code: int = exits.OK, now: float = NOW) -> str:
        action, *rest = words
        try:
            ended = exempt.main([action, "--root", str(self.root), *rest], now)
        except SystemExit as left:
            ended = int(str(left.code))
        out, self.err = self._capsys.readouterr()
        assert ended == code, (out, self.err)
        return out

    def add(self, key: str, checks: str, *more: str, code: int = exits.OK) -> str:
        return self.run("add", key, checks, "--reason", "they know", "--by", "ann", *more, code=code)

    @property
    def lines(self) -> list[str]:
        return [line for line in (self.root / FILE).read_text().splitlines() if not line.startswith("#")]

    def journal(self, records: Iterable[Record]) -> None:
        store = Store(self.root / "var/lib/postfix/seawall/journal.sqlite")
        store.add([batch_of(tuple(records))])
        store.close()


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(tmp_path, capsys)


# add, list, remove


def test_an_exemption_is_added_with_all_that_belongs_to_it(site: Site) -> None:
    out = site.add("192.0.2.0/24", "reject_unknown_client,greylist")
    line = "192.0.2.0/24  reject_unknown_client_hostname,greylist  added=2026-11-23 until=2027-05-22 by=ann  they know"
    assert out == f"added to /etc/postfix/seawall.exempt: {line}\n"
    assert site.lines == [line]
    assert stat.S_IMODE((site.root / FILE).stat().st_mode) == 0o644
    assert sorted(os.listdir(site.root / "etc/postfix")) == ["main.cf", "seawall.exempt"]


def test_what_people_wrote_into_the_file_stays(site: Site) -> None:
    site.write(FILE, "# the bank\n\n192.0.2.9  all  added=2026-01-01 until=2027-01-01 by=joe  the bank\n")
    (site.root / FILE).chmod(0o640)
    site.add("192.0.2.1", "greylist", "--days", "1")
    text = (site.root / FILE).read_text()
    assert text.startswith(
        "# the bank\n\n192.0.2.9  all  added=2026-01-01 until=2027-01-01 by=joe  the bank\n192.0.2.1  "
    )
    assert "until=2026-11-24 by=ann" in text
    assert stat.S_IMODE((site.root / FILE).stat().st_mode) == 0o640


def test_to_add_again_takes_the_place_of_what_it_includes(site: Site) -> None:
    site.add("192.0.2.1", "reject_rbl_client=zen.example")
    site.add("192.0.2.1", "greylist")
    out = site.add("192.0.2.1", "reject_rbl_client", "--json")
    told = json.loads(out)
    assert told["added"]["checks"] == ["reject_rbl_client"]
    assert [each["checks"] for each in told["replaced"]] == [["reject_rbl_client=zen.example"]]
    assert [line.split()[1] for line in site.lines] == ["greylist", "reject_rbl_client"]
    site.add("192.0.2.1", "all")
    assert [line.split()[1] for line in site.lines] == ["all"]


@pytest.mark.parametrize(
    ("key", "checks", "says"),
    [
        ("a@b.example", "greylist", "anybody can say them"),
        ("0.0.0.0/0", "greylist", "that is everybody"),
        ("10.0.0.0/8", "greylist", "say --force"),
        ("192.0.2.1", "reject_unauth_destination", "it guards relaying"),
        ("192.0.2.1", "reject_sender_login_mismatch", "it guards the identity"),
        ("mx.far.example", "dnsbl", "does not know a client's name"),
    ],
)
def test_what_cannot_be_exempted_is_refused_and_nothing_is_written(
    site: Site, key: str, checks: str, says: str
) -> None:
    site.add(key, checks, code=exits.USAGE)
    assert says in site.err
    assert not (site.root / FILE).exists()


def test_force_takes_a_wide_network_but_not_everybody(site: Site) -> None:
    site.add("10.0.0.0/8", "greylist", "--force")
    site.add("0.0.0.0/0", "greylist", "--force", code=exits.USAGE)
    assert len(site.lines) == 1


def test_a_reason_must_be_given(site: Site) -> None:
    site.run("add", "192.0.2.1", "greylist", code=exits.USAGE)
    site.run("add", "192.0.2.1", "greylist", "--reason", " ", code=exits.USAGE)
    site.run("nonsense", code=exits.USAGE)


def test_an_exemption_that_would_open_a_relay_is_refused(site: Site) -> None:
    site.write(
        "etc/postfix/main.cf",
        f"{MAIN_CF}smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = reject_unknown_client_hostname,"
        " check_client_access inline:{unknown=OK}, reject_unauth_destination\n",
    )
    site.add("192.0.2.0/24", "reject_unknown_client_hostname", "--force", code=exits.CONFIG)
    assert "no longer be proved against relaying" in site.err
    assert sorted(os.listdir(site.root / "etc/postfix")) == ["main.cf"]
    site.add("192.0.2.0/24", "greylist")


def test_the_list_says_what_counts_no_more(site: Site) -> None:
    assert "nobody is exempt" in site.run("list")
    site.add("192.0.2.1", "greylist", "--days", "2")
    site.add("mx.far.example", "reject_rbl_client=zen.example")
    out = site.run("list", now=NOW + 10 * 86400)
    assert out.index("mx.far.example  reject_rbl_client=zen.example") < out.index("192.0.2.1  greylist")
    assert "EXPIRED 2026-11-25, added 2026-11-23 by ann" in out
    assert out.endswith("there is no journal to read\n")
    told = json.loads(site.run("list", "--json", now=NOW + 10 * 86400))
    assert [each["expired"] for each in told["entries"]] == [True, False]


def test_the_list_counts_uses_from_the_journal(site: Site) -> None:
    site.add("192.0.2.1", "all")
    evidence = ("192.0.2.1", "greylist", "they know")
    who: dict[str, Any] = {"name": "unknown", "address": "192.0.2.1"}
    used = Remarked(at=NOW, what="exempt", where="RCPT", message="x", reason=Reason.EXEMPT, evidence=evidence, **who)
    door = Spared(at=NOW + 5, address="192.0.2.1", port="1", check="dnsbl", said="x", key="192.0.2.1", reason="why")
    site.journal([used, door])
    told = json.loads(site.run("list", "--json"))
    assert [(each["uses"], each["last_use"]) for each in told["entries"]] == [(2, NOW + 5)]
    assert "used 2 times, last 20" in site.run("list")


def test_an_exemption_is_removed_whole_or_in_part(site: Site) -> None:
    site.add("192.0.2.1", "greylist,dnsbl")
    site.run("remove", "192.0.2.1", "dnsbl")
    assert site.lines[0].split()[1] == "greylist"
    site.run("remove", "192.0.2.1", "dnsbl", code=exits.DATAERR)
    site.run("remove", "192.0.2.1")
    assert site.lines == []
    site.run("remove", "192.0.2.1", code=exits.DATAERR)
    assert "has no such exemption" in site.err
    site.add("192.0.2.1", "all")
    site.run("remove", "192.0.2.1", "dnsbl", code=exits.USAGE)


def test_what_has_expired_is_removed_at_once(site: Site) -> None:
    site.add("192.0.2.1", "greylist", "--days", "2")
    site.add("192.0.2.2", "greylist")
    site.run("remove", "--expired", now=NOW + 10 * 86400)
    assert [line.split()[0] for line in site.lines] == ["192.0.2.2"]
    assert site.run("remove", "--expired") == "nothing has expired\n"
    site.run("remove", code=exits.USAGE)


def test_a_file_that_does_not_read_is_not_changed(site: Site) -> None:
    site.write(FILE, "nonsense\n")
    for words in (("list",), ("remove", "192.0.2.1"), ("suggest",)):
        site.run(*words, code=exits.NOINPUT if words == ("suggest",) else exits.DATAERR)
    site.add("192.0.2.1", "greylist", code=exits.DATAERR)
    assert "/etc/postfix/seawall.exempt, line 1: a line is" in site.err
    assert (site.root / FILE).read_text() == "nonsense\n"


def test_trouble_with_the_configuration_is_told(site: Site) -> None:
    site.write("etc/postfix/main.cf", f"{MAIN_CF}seawall_exempt_file =\n")
    site.add("192.0.2.1", "greylist", code=exits.CONFIG)
    assert "seawall_exempt_file is empty" in site.err
    site.write("etc/postfix/main.cf", MAIN_CF)
    (site.root / "else").write_text("")
    (site.root / FILE).symlink_to(site.root / "else")
    site.add("192.0.2.1", "greylist", code=exits.CONFIG)
    assert "symbolic link" in site.err


def test_two_writers_at_once_lose_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(site.root / FILE)

    def write(number: int) -> None:
        for each in range(5):
            with exempt_edit.locked(path):
                text, _ = exempt_edit.read_entries(path, FILE)
                line = f"192.0.{number}.{each}  all  added=2026-01-01 until=2027-01-01 by=ann  why\n"
                entries, _ = parse_entries(line, FILE)
                with exempt_edit.Draft(path, exempt_edit.changed(text, {}, entries)) as draft:
                    draft.commit()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(site.lines) == 20
    monkeypatch.setattr(exempt_edit, "PATIENCE", 0.0)
    held = os.open(site.root / "etc/postfix", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    site.add("192.0.2.1", "greylist", code=exits.TEMPFAIL)
    os.close(held)


def test_a_draft_that_is_given_up_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), exempt_edit.Draft(str(path), "new"):
        raise KeyboardInterrupt
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["x"])
    (tmp_path / "x.new").write_text("left by somebody who was ended")
    with exempt_edit.Draft(str(path), "new") as draft:
        draft.commit()
    assert (path.read_text(), os.listdir(tmp_path)) == ("new", ["x"])


# suggest

START = NOW - 5 * 86400
RETRIES = (0, 300, 900, 2100, 4500, 9300, 30000, 60000, 90000, 120000, 150000)


def refused(at: float, reason: str = Reason.CLIENT_NAME_UNKNOWN, **facts: str) -> Sighting:
    told = {"name": "", "sender": "a@far.example", "recipient": "joe@here.example", "helo": "mx.far.example", **facts}
    address = told.pop("address", "198.51.100.7")
    evidence = (told.pop("zone", "zen.example"), address) if reason == Reason.DNS_LISTED else ()
    return Sighting(what=What.REFUSED, at=START + at, address=address, reason=reason, evidence=evidence, **told)


def accepted(at: float, address: str = "198.51.100.7") -> Sighting:
    return Sighting(what=What.ACCEPTED, at=START + at, address=address, name="mx.far.example")


HONEST = [refused(at) for at in RETRIES] + [accepted(400_000)]


def proposed(sightings: Sequence[Sighting]) -> list[Proposal]:
    witness = Witness(frozenset({"mail.here.example"}))
    for sighting in sightings:
        witness.hear(sighting)
    return list(witness.proposals())


def test_who_comes_again_as_mail_servers_do_and_was_accepted_looks_honest() -> None:
    (proposal,) = proposed(HONEST)
    assert (proposal.key.text, proposal.checks) == ("198.51.100.7", ("reject_unknown_client_hostname",))
    assert (proposal.refusals, proposal.accepted, proposal.retried) == (len(RETRIES), 1, 1)
    assert proposal.days >= 2


def test_a_confirmed_name_speaks_for_a_sender_as_acceptance_does() -> None:
    named = [refused(at, Reason.DNS_LISTED, name="mx.far.example") for at in RETRIES]
    (proposal,) = proposed(named)
    assert (proposal.name, proposal.checks) == ("mx.far.example", ("reject_rbl_client=zen.example",))
    assert proposed([refused(at) for at in RETRIES]) == []  # no name, and nothing was ever accepted


@pytest.mark.parametrize(
    "spam",
    [
        [refused(1, Reason.RELAY_DENIED)],
        [refused(at, Reason.USER_UNKNOWN, recipient=f"x{at}@here.example") for at in range(3)],
        [Sighting(what=What.MISBEHAVED, at=START, address="198.51.100.7")],
        [refused(at, helo=f"host{at}.example") for at in (1000, 2000, 3000)],
        [refused(7, helo="mail.here.example")],
        [refused(7, name="ip-198-51-100-7.dsl.isp.example")],
        [refused(at, Reason.DNS_LISTED, zone=zone) for at, zone in ((1, "one.example"), (2, "two.example"))],
        [refused(at, recipient=f"u{at}@here.example") for at in (7, 8)],
        [refused(at, sender=f"a@x{at}.example", address="198.51.100.8") for at in range(300)],
    ],
    ids=[
        "relay",
        "unknown users",
        "misbehaved",
        "many names",
        "our name",
        "dynamic",
        "two lists",
        "never again",
        "crowd",
    ],
)
def test_one_sign_of_spam_outweighs_all(spam: list[Sighting]) -> None:
    assert proposed([*HONEST, *spam]) == []


def test_bots_are_not_proposed() -> None:
    once = [refused(at, sender=f"s{at}@x.example", recipient=f"u{at}@here.example") for at in range(0, 300_000, 30_000)]
    hammering = [refused(at) for at in range(0, 1000, 30)]
    one_day = [refused(at) for at in (0, 300, 900, 2100, 4500)]
    for bots in (once, hammering, one_day):
        assert proposed([*bots, accepted(400_000)]) == []


def test_a_flood_of_networks_does_not_hide_an_honest_one() -> None:
    witness = Witness(most=50)
    for number in range(5000):
        at = number * 100.0
        kind = {"reason": Reason.RELAY_DENIED} if number % 2 else {}
        witness.hear(refused(at, address=f"100.{number >> 8}.{number & 255}.1", **kind))
        if number % 200 == 0 and number < 2000:
            witness.hear(refused(at))
    witness.hear(accepted(600_000))
    assert witness.was_cut
    assert [each.key.text for each in witness.proposals()] == ["198.51.100.7"]


def test_what_nobody_can_be_exempted_from_is_not_proposed() -> None:
    assert proposed([refused(at, Reason.POLICY_SERVICE) for at in RETRIES] + [accepted(1)]) == []


@pytest.mark.parametrize(
    ("times", "is_one"),
    [
        ([0, 300], False),
        ([0, 300, 600], True),
        ([0, 3600, 3900], False),
        ([0, 10, 20, 30], False),
        ([0, 300, 900, 700 + 900], True),
        ([0, 86_400, 90_000, 200_000], True),  # people: on three days
    ],
)
def test_pauses_of_a_queue_do_not_get_shorter(times: list[float], is_one: bool) -> None:
    assert is_retry(times) is is_one


def test_the_key_covers_all_addresses_that_were_seen_and_no_more() -> None:
    assert covering(("198.51.100.4", "198.51.100.7", "198.51.100.5")).text == "198.51.100.4/30"
    assert covering(("2001:db8::1", "2001:db8::3")).text == "2001:db8::/126"


def test_every_check_that_a_refusal_stands_for_can_be_exempted() -> None:
    for reason in Reason:
        for said in ("Sender address rejected", "Recipient address rejected", "invalid ip address"):
            for check in refused(0, reason, said=said).checks():
                assert check.partition("=")[0] in CHECKS


def records(sightings: Iterable[Sighting]) -> list[Record]:
    made: list[Record] = []
    for each in sightings:
        who: dict[str, Any] = {"name": each.name or "unknown", "address": each.address}
        if each.what is What.ACCEPTED:
            made.append(Opened(at=each.at, queue_id="X", **who))
            continue
        made.append(
            Remarked(
                at=each.at,
                what="reject",
                where="RCPT",
                message="450 4.7.25 Client host rejected: cannot find your hostname, [198.51.100.7]",
                sender=each.sender,
                recipient=each.recipient,
                helo=each.helo,
                reason=each.reason,
                evidence=each.evidence,
                **who,
            )
        )
    return made


def test_suggest_reads_the_journal_and_gives_the_line_that_exempts(site: Site) -> None:
    site.run("suggest", code=exits.NOINPUT)
    bot = [refused(at, address="203.0.113.9") for at in range(10)]
    site.journal(
        [
            *records([*HONEST, *bot]),
            SpokeEarly(at=START, address="203.0.113.9", port="1", size=1, seconds=0, sample="x"),
        ]
    )
    out = site.run("suggest")
    assert out.startswith("unknown[198.51.100.7]: refused 11 times from 2026-11-1")
    assert "203.0.113" not in out
    (proposal,) = json.loads(site.run("suggest", "--json"))["proposals"]
    words = proposal["command"].split("--reason")[0].split()
    assert words[:3] == ["seawall", "exempt", "add"]
    site.run("add", *words[-2:], "--reason", "x")
    assert site.run("suggest").startswith("nobody who was refused looks honest enough")
    entries, _ = parse_entries((site.root / FILE).read_text(), "x")
    assert Exemptions(entries).find("198.51.100.7", "", "reject_unknown_client_hostname", "", NOW) is not None


# notice


def test_the_letter_has_the_evidence_and_none_of_our_people(site: Site) -> None:
    listed = Remarked(
        at=NOW,
        name="mx.far.example",
        address="198.51.100.7",
        what="reject",
        where="RCPT",
        message="554 5.7.1 <joe@here.example>: Service unavailable; Client host [198.51.100.7] blocked using zen.example",
        sender="a@far.example",
        recipient="joe@here.example",
        helo="MX",
        reason=Reason.DNS_LISTED,
        evidence=("zen.example", "198.51.100.7", ""),
    )
    door = RecipientRefused(
        at=NOW,
        address="198.51.100.7",
        port="1",
        reply="550 5.7.1 Service unavailable; client [198.51.100.7] blocked using other.example",
        sender="a@far.example",
        recipient="joe@here.example",
        protocol="ESMTP",
        helo="MX",
    )
    site.journal([*records(HONEST), listed, door])
    text = site.run("notice", "198.51.100.0/24")
    assert text.startswith("To: postmaster@far.example\nFrom: postmaster@here.example\n")
    for needed in (
        "PTR record",
        "RFC 1912",
        "(zen.example)",
        "(other.example)",
        "11 times, from 2026-11-1",
        "HELO:",
        "mx.far.example",
    ):
        assert needed in " ".join(text.split()), needed
    assert "joe" not in text
    assert "For the time being" not in text
    assert max(map(len, text.splitlines())) <= 78
    site.add("198.51.100.0/24", "reject_unknown_client_hostname")
    told = json.loads(site.run("notice", "198.51.100.0/24", "--json"))
    assert told["to"] == "postmaster@far.example"
    assert {each["check"] for each in told["faults"]} == {
        "reject_unknown_client_hostname",
        "reject_rbl_client",
        "dnsbl",
    }
    assert "For the time being we let it pass" in told["text"].replace("\n", " ")


def test_a_letter_without_a_journal_goes_by_the_file(site: Site) -> None:
    site.add("mx.far.example", "reject_non_fqdn_helo_hostname")
    text = site.run("notice", "mx.far.example")
    assert text.startswith("To: postmaster@far.example\n")
    assert "not fully qualified" in text
    out = site.run("notice", "203.0.113.1", code=exits.NOINPUT)
    assert "nothing that 203.0.113.1 should change was found" in out


def test_the_letter_can_tell_of_every_check() -> None:
    assert set(exempt_notice.EVERY) == CHECKS == set(exempt_notice.FAULTS)
    assert all("RFC " in fault.source for fault in exempt_notice.FAULTS.values())


# rehearse and explain

SCRIPT = "client unknown 192.0.2.7 5\nhelo x\nmail a@b.example\nrcpt joe@here.example\n"
HEARD = "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]; they know; from=<a@b.example>"


def test_a_rehearsal_shows_the_exemption_and_explain_says_why(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    lists = "smtpd_client_restrictions = reject_unknown_client_hostname\nlocal_recipient_maps =\n"
    site.write("etc/postfix/main.cf", MAIN_CF + lists)
    site.write("script", SCRIPT)
    where = ["-c", "/etc/postfix", "--root", str(site.root), "--json"]
    site.add("192.0.2.0/24", "reject_unknown_client_hostname")
    assert rehearse.main([*where, str(site.root / "script")]) == exits.OK
    client, _, _, rcpt = map(json.loads, capsys.readouterr().out.splitlines())
    assert [client["answer"], rcpt["answer"]] == ["OK", "OK"]
    assert rcpt["log"][0].startswith(f"NOQUEUE: exempt: RCPT from unknown[192.0.2.7]: {HEARD}")
    assert explain.main(["--rehearse", str(site.root / "script"), *where]) == exits.OK
    client, _, _, rcpt = map(json.loads, capsys.readouterr().out.splitlines())
    for told in (client, rcpt):
        assert told["checks"][0]["name"] == "reject_unknown_client_hostname"
        assert told["checks"][0]["said"] == "exempt (they know)"


# seawall check


def test_check_names_an_exemption_that_never_counted(site: Site) -> None:
    line = "{}  all  added=2026-01-01 until=2027-01-01 by=ann  why\n"
    site.write(FILE, line.format("192.0.2.1") + line.format("192.0.2.2"))
    settings = load("/etc/postfix", str(site.root))
    assert examine(read_site(settings, NOW), only=["exempt-unused"]) == ()  # no journal, no finding
    evidence = ("192.0.2.1", "greylist", "why")
    who: dict[str, Any] = {"name": "unknown", "address": "192.0.2.1"}
    site.journal(
        [Remarked(at=NOW, what="exempt", where="RCPT", message="x", reason=Reason.EXEMPT, evidence=evidence, **who)]
    )
    (finding,) = examine(read_site(settings, NOW), only=["exempt-unused"])
    assert "the exemption of 192.0.2.2 has not counted once" in finding.what
    assert str(finding.location) == "/etc/postfix/seawall.exempt, line 2"
    assert examine(read_site(settings, NOW - 320 * 86400), only=["exempt-unused"]) == ()  # too young to tell
