"""Exemptions before the judge: a check says DUNNO, never OK; and what is not exempt stays as it was."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.host import LOOPBACK
from seawall.config.settings import Settings
from seawall.dns.hosts import Hosts
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt, NameStatus
from seawall.policy.bench import Registry, Restriction
from seawall.policy.exempt import ALIASES, CHECKS, RESTRICTIONS, Entry, parse_line
from seawall.policy.exempting import sparing
from seawall.policy.facts import Facts, RecordingFacts
from seawall.policy.greylist import Greylist
from seawall.policy.greylisting import Greylister, nobody, read_rules
from seawall.policy.judge import Judge
from seawall.policy.proof.session import Session, attempt_of
from seawall.policy.proof.world import now
from seawall.policy.reasons import Reason
from seawall.policy.registry import RESTRICTIONS as EVERY
from seawall.policy.trace import Trace
from seawall.policy.verdict import DUNNO, Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from tests.policy.proof.random_lists import random_settings, sessions
from tests.policy.proof.relay_cases import BASE
from tests.policy.versus import ZONE

NOW = 1_800_000_000.0
TAIL = "added=2026-12-31 until=2027-06-01 by=ann  they know"
SITE = {
    "compatibility_level": "3.6",
    "myhostname": "mx.here.example",
    "mydestination": "here.example",
    "local_recipient_maps": "",
    "alias_maps": "",
    "mynetworks": "10.0.0.0/8",
}


class Bench:
    """A judge over a file of exemptions."""

    def __init__(
        self,
        directory: Path,
        exempt: str,
        settings: dict[str, str],
        *,
        trace: bool = False,
        registry: Registry = EVERY,
    ) -> None:
        file = directory / "exempt"
        file.write_text("".join(f"{line}  {TAIL}\n" for line in exempt.splitlines()))
        text = "".join(f"{name} = {value}\n" for name, value in {**SITE, **settings}.items())
        made = Settings.from_text(f"{text}seawall_exempt_file = {file}\n", host=LOOPBACK)
        said: list[str] = []
        tables = Tables(warn=said.append)
        greylister = Greylister(Greylist(read_rules(made), b"k" * 16), nobody, lambda: NOW)
        world = WorldFacts(
            made, tables, Routing(made, tables), Zone(ZONE), Hosts(), greylister=greylister, clock=Fixed()
        )
        assert said == []
        self.trace = Trace(lambda: 0.0)
        facts = RecordingFacts(world, self.trace.heard) if trace else world
        self.facts = facts
        watch = self.trace.watch if trace else None
        self.judge = Judge(made, facts, needs_guard=False, registry=registry, watch=watch)

    def rcpt(self, attempt: Attempt | None = None, **facts: object) -> Verdict:
        self.attempt = attempt or client()
        for name, value in facts.items():
            setattr(self.attempt, name, value)
        answer = self.judge.rcpt(self.attempt)
        if not isinstance(answer, Verdict):
            assert isinstance(answer, Coroutine)
            answer = result_now(answer)
        assert isinstance(answer, Verdict)
        return answer

    @property
    def log(self) -> list[tuple[str, str]]:
        return [(remark.what, remark.text) for remark in self.attempt.remarks]


class Fixed:
    """A clock that stands."""

    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def client() -> Attempt:
    attempt = Attempt("198.18.7.7", name_status=NameStatus.PERMANENT, reverse_name_status=NameStatus.PERMANENT)
    attempt.helo, attempt.sender, attempt.recipient, attempt.where = "short", "a@nodot", "joe@here.example", "RCPT"
    return attempt


NO_PTR = "450 4.7.25 Client host rejected: cannot find your hostname, [198.18.7.7]"
CLIENT = {"smtpd_client_restrictions": "reject_unknown_client_hostname"}


def test_an_exempt_client_goes_on_and_the_log_says_what_it_would_have_heard(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "198.18.7.0/24 reject_unknown_client_hostname", CLIENT)
    assert bench.rcpt().act is Act.DUNNO
    assert bench.log == [("exempt", f"{NO_PTR}; they know")]
    remark = bench.attempt.remarks[0]
    assert (remark.reason, remark.where) == (Reason.EXEMPT, "RCPT")
    assert remark.evidence == ("198.18.7.0/24", "reject_unknown_client_hostname", "they know")


def test_another_client_another_check_and_an_expired_entry_change_nothing(tmp_path: Path) -> None:
    for line in ("198.18.8.0/24 all", "198.18.7.7 reject_non_fqdn_helo_hostname", "mx.far.example all"):
        bench = Bench(tmp_path, line, CLIENT)
        assert bench.rcpt().act is Act.REJECT
        assert bench.log == [("reject", NO_PTR)]
    (tmp_path / "exempt").write_text("198.18.7.7 all added=2026-01-01 until=2027-01-14 by=ann it was so\n")
    text = "".join(f"{name} = {value}\n" for name, value in {**SITE, **CLIENT}.items())
    made = Settings.from_text(f"{text}seawall_exempt_file = {tmp_path}/exempt\n", host=LOOPBACK)
    tables = Tables()
    world = WorldFacts(made, tables, Routing(made, tables), Zone(ZONE), Hosts(), clock=Fixed())
    assert world.exemption("198.18.7.7", "", "greylist", "") is None


def test_only_a_confirmed_name_counts(tmp_path: Path) -> None:
    helo = {"smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname"}
    bench = Bench(tmp_path, ".far.example reject_non_fqdn_helo_hostname", helo)
    name = "mx.far.example"
    assert bench.rcpt(name=name, name_status=NameStatus.OK).act is Act.DUNNO
    for status in (NameStatus.TEMPORARY, NameStatus.PERMANENT, NameStatus.FORGED):
        assert bench.rcpt(name=name, reverse_name=name, name_status=status).act is Act.REJECT
    assert bench.rcpt(helo=name.split(".")[0], sender="a@mx.far.example").act is Act.REJECT


def test_one_message_is_told_once_a_check_and_the_next_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "198.18.7.7 all", CLIENT)
    attempt = client()
    for recipient in ("joe@here.example", "ann@here.example"):
        bench.rcpt(attempt, recipient=recipient, instance="one")
    assert len(bench.log) == 1
    bench.rcpt(attempt, instance="two")
    assert len(bench.log) == 2


def test_what_comes_after_the_check_has_its_say(tmp_path: Path) -> None:
    lists = {
        "smtpd_recipient_restrictions": "reject_unknown_client_hostname, reject_unauth_destination, "
        "check_client_access inline:{198.18.7.7=REJECT}, permit"
    }
    bench = Bench(tmp_path, "198.18.7.7 all", lists)
    refused = bench.rcpt(recipient="x@victim.example")
    assert (refused.act, refused.reason) == (Act.REJECT, Reason.RELAY_DENIED)
    assert bench.rcpt().reason == Reason.ACCESS_TABLE


def test_deferrals_and_warnings_are_silent_as_well(tmp_path: Path) -> None:
    lists = {
        "smtpd_client_restrictions": "warn_if_reject reject_unknown_client_hostname, reject_rbl_client dnsbl.example"
    }
    bench = Bench(tmp_path, "198.18.7.7 all", lists)
    assert bench.rcpt().act is Act.DUNNO
    assert [what for what, _ in bench.log] == ["exempt"]
    unclear = {"smtpd_helo_restrictions": "reject_unknown_helo_hostname"}
    for exempt, act in (("198.18.7.7 all", Act.DUNNO), ("198.18.7.8 all", Act.REJECT)):
        assert Bench(tmp_path, exempt, unclear).rcpt(helo="nosuch.example").act is act


def test_a_class_of_the_name_of_a_check_is_not_the_check(tmp_path: Path) -> None:
    lists = {
        "smtpd_restriction_classes": "greylist",
        "greylist": "reject_unauth_destination",
        "smtpd_recipient_restrictions": "greylist",
    }
    assert Bench(tmp_path, "198.18.7.7 all", lists).rcpt(recipient="x@victim.example").reason == Reason.RELAY_DENIED


def test_members_of_classes_and_of_tables_are_exempt_too(tmp_path: Path) -> None:
    lists = {
        "smtpd_restriction_classes": "strict",
        "strict": "reject_unknown_client, reject_non_fqdn_hostname",
        "smtpd_client_restrictions": "strict",
        "smtpd_sender_restrictions": "check_sender_access inline:{ { nodot = reject_non_fqdn_sender } }",
    }
    assert Bench(tmp_path, "198.18.7.8 all", lists).rcpt().act is Act.REJECT
    assert Bench(tmp_path, "198.18.7.7 all", lists).rcpt().act is Act.DUNNO


def test_greylisting_spares_who_is_exempt(tmp_path: Path) -> None:
    grey = {"seawall_greylist": "yes"}
    assert Bench(tmp_path, "198.18.7.8 greylist", grey).rcpt().reason == Reason.GREYLISTED
    bench = Bench(tmp_path, "198.18.7.7 greylist", grey)
    assert bench.rcpt().act is Act.DUNNO
    assert bench.log[0][1].startswith("450 4.2.0 <joe@here.example>: Recipient address rejected: Greylisted, see ")


def test_a_trace_says_exempt_with_the_reason_and_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "198.18.7.7 reject_unknown_client_hostname", CLIENT, trace=True)
    assert bench.rcpt().act is Act.DUNNO
    step = bench.trace.take()[0]
    assert (step.name, step.said) == ("reject_unknown_client_hostname", "exempt (they know)")
    assert len(bench.log) == 1


def test_nothing_listens_to_checks_that_nobody_is_exempt_from(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "", {})
    spared = {name for name in EVERY if sparing(bench.facts, name, "") is not None}
    assert spared == {*RESTRICTIONS, *ALIASES} - {"greet"}


def test_who_is_not_refused_is_not_looked_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "198.18.7.7 all", CLIENT)
    asked: list[str] = []
    item = bench.judge.lists["client"][0]

    def heard(attempt: Attempt, verdict: Verdict) -> Verdict:
        asked.append("")
        return verdict

    watched = replace(item, spares=heard)
    bench.judge.lists["client"] = (watched,)
    assert bench.rcpt(name="mx.far.example", name_status=NameStatus.OK).act is Act.DUNNO
    assert asked == []
    bench.rcpt()
    assert asked == [""]


CONFIGURATIONS = 60
EACH = 40


@pytest.mark.parametrize("seed", range(3))
def test_what_is_said_is_what_was_said_before_or_what_the_lists_say_without_the_check(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    changed = 0
    for _ in range(CONFIGURATIONS):
        values = {**BASE, **random_settings(chance)}
        exempt = frozenset(chance.sample(RESTRICTIONS, 6))
        checks = ",".join(sorted(exempt))
        spared = Bench(tmp_path, f"0.0.0.0/1 {checks}\n128.0.0.0/1 {checks}", values)
        others = Bench(tmp_path, "192.0.2.0/24 all\n.friend.example all", values)
        plain, without = Bench(tmp_path, "", values), Bench(tmp_path, "", values, registry=silenced(exempt))
        for session in sessions(chance, EACH):
            before = play(plain.judge, session)
            assert play(spared.judge, session) == play(without.judge, session), (values, checks, session)
            assert play(others.judge, session) == before
            changed += play(spared.judge, session) != before
    assert changed > 10


def silenced(checks: frozenset[str]) -> Registry:
    """All restrictions; those that are named say DUNNO."""
    return {
        name: Restriction(lambda bench, place: lambda attempt: DUNNO, row.argument)
        if ALIASES.get(name, name) in checks
        else row
        for name, row in EVERY.items()
    }


def play(judge: Judge, session: Session) -> list[str]:
    """What each command hears, to the end or the first refusal."""
    attempt = attempt_of(session)
    attempt.helo, attempt.sender, attempt.recipient = None, None, None
    heard: list[str] = []

    def goes_on(answer: Verdict | Awaitable[Verdict]) -> bool:
        verdict = now(answer)
        heard.append(verdict.reply.line() if verdict.reply is not None else verdict.act.value)
        return verdict.act is not Act.REJECT

    steps: list[tuple[str, str, object, Callable[[Attempt], Verdict | Awaitable[Verdict]]]] = [
        ("CONNECT", "", None, judge.connect),
        ("EHLO", "helo", session.helo, judge.helo),
        ("MAIL", "sender", session.sender, judge.mail),
        ("RCPT", "recipient", session.recipient.address, judge.rcpt),
        ("DATA", "", None, judge.data),
    ]
    for where, name, value, ask in steps:
        attempt.where = where
        if name:
            setattr(attempt, name, value)
        if not goes_on(ask(attempt)):
            break
    return heard


ACTS = st.sampled_from(list(Act))


@given(ACTS, st.booleans(), st.sampled_from(sorted(CHECKS)))
def test_an_exemption_turns_nothing_into_a_permit_and_leaves_what_is_settled(
    act: Act, settled: bool, check: str
) -> None:
    class Exempting:
        def exemption(self, address: str, name: str, check: str, zone: str) -> Entry | None:
            return parse_line(f"198.18.7.7 all {TAIL}", 1)

    spares = sparing(cast(Facts, Exempting()), check, "zen.example")
    verdict = Verdict(act, Reply(550, "5.7.1", "no"), "reason", settled=settled)
    heard = verdict if spares is None else spares(client(), verdict)
    assert heard is verdict or (heard.act, settled) == (Act.DUNNO, False)
    assert heard.act is not Act.PERMIT or act is Act.PERMIT
