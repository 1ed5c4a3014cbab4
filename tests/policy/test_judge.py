"""The judge's steps: what is put off, what each stage asks, what is kept between them; and the facts it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping

import pytest

from seawall.config.settings import ConfigTrouble, Settings
from seawall.dns.answers import Answer, Found, Resource
from seawall.dns.zone import Zone
from seawall.eager import result_now
from seawall.mail.action import Action, What
from seawall.mail.envelope import TlsFacts
from seawall.policy.attempt import Attempt, NameStatus
from seawall.policy.dnsbl import parse_reply_filter, unescape
from seawall.policy.facts import RecordingFacts
from seawall.policy.judge import Judge
from seawall.policy.stages import CLIENT, RECIPIENT, SENDER, fix_status
from seawall.policy.verdict import Act, Verdict
from seawall.policy.world import WorldFacts
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables
from tests.policy.versus import ZONE, settings_of

Heard = list[tuple[str, tuple[str, ...]]]


def judge_of(overrides: Mapping[str, str], notes: Heard | None = None) -> Judge:
    settings: Settings = settings_of(overrides)
    tables = Tables()
    world = WorldFacts(settings, tables, Routing(settings, tables), Zone(ZONE))
    facts = world if notes is None else RecordingFacts(world, lambda kind, words, answer: notes.append((kind, words)))
    return Judge(settings, facts, needs_guard=False)


def stranger(**facts: object) -> Attempt:
    attempt = Attempt("198.18.7.7", name="bot.example", reverse_name="bot.example", helo="bot.example")
    attempt.sender, attempt.recipient, attempt.where = "a@friend.example", "joe@here.example", "RCPT"
    for name, value in facts.items():
        setattr(attempt, name, value)
    return attempt


def line(answer: object) -> str:
    if not isinstance(answer, Verdict):
        assert isinstance(answer, Coroutine)
        answer = result_now(answer)
    assert isinstance(answer, Verdict)
    if answer.act is not Act.REJECT:
        return str(answer.act.value)
    return answer.reply.line() if answer.reply is not None else "hangs up" if answer.hangs_up else "?"


def test_put_off_lists_say_nothing_before_rcpt() -> None:
    judge = judge_of({f"smtpd_{stage}_restrictions": "reject" for stage in ("client", "helo", "sender")})
    attempt = stranger()

    assert [line(step(attempt)) for step in (judge.connect, judge.helo, judge.mail)] == ["dunno"] * 3
    assert line(judge.rcpt(attempt)) == "554 5.7.1 <bot.example[198.18.7.7]>: Client host rejected: Access denied"
    assert attempt.remarks[-1].where == "RCPT"


def test_without_delay_every_step_speaks_for_itself() -> None:
    judge = judge_of(
        {f"smtpd_{stage}_restrictions": "reject" for stage in ("client", "helo", "sender")}
        | {"smtpd_delay_reject": "no"}
    )
    attempt = stranger()

    assert [line(step(attempt))[:40] for step in (judge.connect, judge.helo, judge.mail, judge.rcpt)] == [
        "554 5.7.1 <bot.example[198.18.7.7]>: Cli",
        "554 5.7.1 <bot.example>: Helo command re",
        "554 5.7.1 <a@friend.example>: Sender add",
        "dunno",
    ]


def test_a_bare_postmaster_is_always_welcome() -> None:
    judge = judge_of({"smtpd_recipient_restrictions": "reject"})

    assert line(judge.rcpt(stranger(recipient="PostMaster"))) == "dunno"


def test_a_deferral_of_one_stage_does_not_leak_into_the_next_message() -> None:
    judge = judge_of({"smtpd_data_restrictions": "defer_if_permit"})
    attempt = stranger(recipient_count=1)

    assert line(judge.data(attempt)).startswith("450 4.7.0 <DATA>: Data command rejected: defer_if_permit requested")
    assert line(judge.rcpt(attempt)) == "dunno"


def test_with_several_recipients_data_is_judged_for_all_of_them() -> None:
    judge = judge_of({"smtpd_data_restrictions": "check_recipient_access inline:{here.example=REJECT}"})
    attempt = stranger(where="DATA", recipient_count=2)

    assert line(judge.data(attempt)) == "dunno"
    assert attempt.recipient == "joe@here.example"
    attempt.recipient_count = 1
    assert line(judge.data(attempt)).startswith("554 5.7.1 <joe@here.example>: Recipient address rejected")


def test_end_of_data_has_a_list_of_its_own() -> None:
    judge = judge_of({"smtpd_end_of_data_restrictions": "reject"})

    assert line(judge.end_of_data(stranger())) == "554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied"


def test_etrn_asks_the_client_and_helo_lists_first() -> None:
    judge = judge_of({"smtpd_etrn_restrictions": "check_etrn_access inline:{evil.example=REJECT}, defer_if_permit"})
    attempt = stranger(where="ETRN", sender=None, recipient=None, etrn_domain="sub.evil.example")

    assert line(judge.etrn(attempt)) == "554 5.7.1 <sub.evil.example>: Etrn command rejected: Access denied"
    attempt.etrn_domain = "friend.example"
    assert line(judge.etrn(attempt)).startswith("450 4.7.0 <friend.example>: Etrn command rejected: defer_if_permit")
    helo = judge_of({"smtpd_helo_restrictions": "reject"})
    assert line(helo.etrn(attempt)) == "554 5.7.1 <bot.example>: Helo command rejected: Access denied"


def test_vrfy_tells_what_rcpt_would_tell() -> None:
    judge = judge_of({"smtpd_recipient_restrictions": "reject_unauth_destination"})

    assert line(judge.vrfy(stranger(where="VRFY", recipient="x@friend.example"))).endswith("Relay access denied")
    assert line(judge.vrfy(stranger(where="VRFY"))) == "dunno"


def test_actions_reach_the_message_and_discard_ends_all_lists() -> None:
    judge = judge_of(
        {
            "smtpd_client_restrictions": "inline:{ {bot.example=PREPEND X-Seen: yes} }",
            "smtpd_helo_restrictions": "inline:{ {bot.example=DISCARD quietly} }",
            "smtpd_recipient_restrictions": "reject",
        }
    )
    attempt = stranger(recipient="nobody@here.example")

    assert line(judge.rcpt(attempt)) == "dunno"
    assert attempt.actions == [Action(What.PREPEND, "X-Seen: yes"), Action(What.DISCARD, "quietly")]
    assert [(r.what, r.text) for r in attempt.remarks] == [("discard", "<bot.example>: Helo command quietly")]


def test_hold_is_told_once() -> None:
    judge = judge_of({"smtpd_client_restrictions": "inline:{bot.example=HOLD} inline:{bot.example=HOLD}"})
    attempt = stranger()
    line(judge.rcpt(attempt))
    line(judge.rcpt(attempt))

    assert attempt.actions == [Action(What.HOLD)]
    assert [r.what for r in attempt.remarks] == ["hold"]


def test_before_mail_there_is_no_message_to_act_on() -> None:
    judge = judge_of({"smtpd_client_restrictions": "inline:{bot.example=HOLD}", "smtpd_delay_reject": "no"})
    attempt = stranger(sender=None, recipient=None, where="CONNECT")

    assert line(judge.connect(attempt)) == "dunno"
    assert attempt.actions == []
    assert "action HOLD is always skipped in Client host or Helo command restrictions" in attempt.remarks[0].text


def test_hangup_ends_the_session_without_a_word() -> None:
    judge = judge_of({"smtpd_client_restrictions": "inline:{bot.example=HANGUP}"})

    assert line(judge.rcpt(stranger())) == "hangs up"


def test_who_has_logged_in_may_relay_and_must_own_its_sender() -> None:
    settings = {
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sender_login_maps": "inline:{ {boss@here.example=ann, Joe} }",
        "smtpd_sender_restrictions": "reject_sender_login_mismatch",
        "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
    }
    judge = judge_of(settings)
    login = {"sasl_method": "PLAIN", "sasl_username": "joe", "recipient": "x@friend.example"}

    assert line(judge.rcpt(stranger(sender="boss@here.example", **login))) == "dunno"
    assert line(judge.rcpt(stranger(**login))) == (
        "553 5.7.1 <a@friend.example>: Sender address rejected: not owned by user joe"
    )
    assert line(judge.rcpt(stranger(sender="boss@here.example"))) == (
        "553 5.7.1 <boss@here.example>: Sender address rejected: not logged in"
    )
    known = judge_of(settings | {"smtpd_sender_restrictions": "reject_known_sender_login_mismatch"})
    assert line(known.rcpt(stranger(**login))) == "dunno"
    anonymous = login | {"sasl_method": "ANONYMOUS"}
    assert line(known.rcpt(stranger(**anonymous))).endswith("Relay access denied")


def test_a_certificate_permits_by_its_fingerprint() -> None:
    settings = {"smtpd_tls_ask_ccert": "yes", "relay_clientcerts": "inline:{ {AA:BB=x} }"}
    judge = judge_of(settings | {"smtpd_recipient_restrictions": "permit_tls_clientcerts, reject"})
    tls = TlsFacts("TLSv1.3", "x", 256, 256, peer_subject="cn", peer_fingerprint="AA:BB")

    assert line(judge.rcpt(stranger(tls=tls))) == "dunno"
    assert line(judge.rcpt(stranger())).startswith("554")
    access = judge_of({"smtpd_client_restrictions": "check_ccert_access inline:{ {AA:BB=REJECT known} }"})
    assert line(access.rcpt(stranger(tls=tls))) == "554 5.7.1 <cn>: Client certificate rejected: known"


def test_permits_are_logged_where_the_configuration_wants_it() -> None:
    judge = judge_of(
        {
            "smtpd_log_access_permit_actions": "!permit, static:all",
            "smtpd_client_restrictions": "inline:{bot.example=OK}",
        }
    )
    attempt = stranger()
    line(judge.rcpt(attempt))

    client = "action=OK for Client host=bot.example[198.18.7.7] from"
    assert [(r.what, r.text) for r in attempt.remarks] == [
        ("permit", f"{client} inline:{{bot.example=OK}}"),
        ("permit", f"{client} static:OK"),
    ]


def test_mynetworks_is_asked_once_a_session() -> None:
    notes: Heard = []
    judge = judge_of(
        {"smtpd_helo_restrictions": "permit_mynetworks", "smtpd_sender_restrictions": "permit_mynetworks"}, notes
    )
    line(judge.rcpt(stranger()))

    assert [words[1:] for kind, words in notes if kind == "clients"] == [("bot.example", "198.18.7.7")]


def test_every_question_can_be_recorded() -> None:
    notes: Heard = []
    judge = judge_of({"smtpd_sender_restrictions": "reject_unknown_sender_domain, inline:{a=OK}"}, notes)
    line(judge.rcpt(stranger()))

    assert ("dns", ("friend.example", "MX")) in notes
    assert ("table", ("inline:{a=OK}", "friend.example")) in notes
    assert ("route", ("joe@here.example", "a@friend.example")) in notes
    assert ("listing", ("joe@here.example",)) in notes


class Slow:
    """DNS that answers a turn of the loop later."""

    def ask(self, name: str, kind: str) -> Coroutine[object, object, Answer]:
        return self._later(name, kind)

    async def _later(self, name: str, kind: str) -> Answer:
        await asyncio.sleep(0)
        return Found((Resource(kind, name, f"mx.{name}", 60, 10),))


async def test_an_answer_that_is_waited_for_counts_the_same() -> None:
    settings = settings_of({"smtpd_sender_restrictions": "reject_unknown_sender_domain, reject"})
    tables = Tables()
    judge = Judge(settings, WorldFacts(settings, tables, Routing(settings, tables), Slow()), needs_guard=False)
    answer = judge.rcpt(stranger())
    assert isinstance(answer, Coroutine)
    verdict = await answer

    assert verdict.reply is not None
    assert verdict.reply.line() == "554 5.7.1 <a@friend.example>: Sender address rejected: Access denied"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("permit_mynetworks", "permit"),
        ("permit_inet_interfaces, permit_sasl_authenticated", "dunno"),
        ("check_address_map inline:{ {198.18.7.7=x} }", "permit"),
        ("inline:{ {198.18.7.7=x} }", "permit"),
        ("fail:x", "451 4.3.0 Temporary lookup error"),
        ("nonsense, inline:{ {198.18.7.7=x} }", "permit"),
        ("", "dunno"),
    ],
)
def test_the_rewrite_context_is_chosen_by_the_client(value: str, expected: str) -> None:
    judge = judge_of({"local_header_rewrite_clients": value, "mynetworks": "198.18.7.0/24"})

    assert line(judge.rewrite_context(stranger())) == expected


@pytest.mark.parametrize(
    ("address", "malformed"),
    [("a@b.example", False), ("a@.example", True), ("", False), ("-a@b.example", True), ("a@bücher.example", True)],
)
def test_addresses_that_no_mail_can_be_for_are_told(address: str, malformed: bool) -> None:
    assert result_now(judge_of({}).is_malformed(address, "", smtputf8=False)) is malformed


def test_a_status_fits_what_is_refused() -> None:
    assert fix_status("5.1.1", SENDER) == "5.1.7"
    assert fix_status("5.1.5", SENDER) == "5.1.0"
    assert fix_status("4.1.8", RECIPIENT) == "4.1.2"
    assert fix_status("5.1.1", RECIPIENT) == "5.1.1"
    assert fix_status("5.1.1", CLIENT) == "5.0.0"
    assert fix_status("5.7.1", CLIENT) == "5.7.1"


def test_reply_filters_are_sets_of_bytes() -> None:
    sets = parse_reply_filter("127.[0].[0..2].[1;3;5..6]")

    assert [sorted(s) for s in sets] == [[127], [0], [0, 1, 2], [1, 3, 5, 6]]


@pytest.mark.parametrize("restriction", ["reject_rbl_client bl.example", "reject_rhsbl_sender bl.example"])
def test_a_dns_list_is_asked_once_a_session_whatever_the_recipient(restriction: str) -> None:
    notes: Heard = []
    judge = judge_of({"smtpd_recipient_restrictions": restriction}, notes)
    attempt = stranger(sender="a@friend.example", where="RCPT")
    for recipient in ("joe@here.example", "ann@here.example", "joe@here.example"):
        attempt.recipient = recipient
        line(judge.rcpt(attempt))

    asked = [words for kind, words in notes if kind == "dns" and words[0].endswith(".bl.example")]
    assert len(asked) == len(set(asked)) > 0


@pytest.mark.parametrize(
    "text", ["127.0.0", "127.0.0.256", "127.0.0.1.2", "127.0.0.[2..1]", "x", "127.0.0.[]", "127..0.1", "1.2.3.4x"]
)
def test_what_is_no_reply_filter_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigTrouble):
        judge_of({"smtpd_client_restrictions": f"reject_rbl_client bl.example={text}"})


def test_escapes_of_the_expansion_filter() -> None:
    assert unescape(r"\t\40a\\b") == "\t a\\b"


def test_names_have_statuses_with_postfix_s_numbers() -> None:
    assert [status.value for status in NameStatus] == [2, 4, 5, 6]
