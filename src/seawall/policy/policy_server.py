"""The other side of check_policy_service: somebody else's Postfix asks, Seawall's own checks answer.

A question's attributes become an `Attempt`, one restriction list is judged, and its verdict becomes an access(5) action.
Nothing here permits: what our checks let pass is DUNNO, so that the asking server's own list goes on.  No I/O here;
`seawall.cli.policy_service` holds the sockets.  Postfix SMTPD_POLICY_README
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from seawall.config.settings import Settings
from seawall.dns.answers import NameStatus
from seawall.mail.action import Action, What
from seawall.mail.envelope import TlsFacts
from seawall.mail.reply import Reply
from seawall.policy.attempt import UNKNOWN, Attempt
from seawall.policy.bench import Registry, Restriction
from seawall.policy.evaluate import evaluate
from seawall.policy.facts import Facts
from seawall.policy.greylisting import NAME, greylist
from seawall.policy.judge import Judge
from seawall.policy.policy_service import REQUEST
from seawall.policy.registry import RESTRICTIONS
from seawall.policy.stages import CLIENT, DATA, END_OF_DATA, ETRN, HELO, RECIPIENT, SENDER, STAGES
from seawall.policy.verdict import Act, Verdict
from seawall.smtp.grammar import decode_xtext

MOST_QUESTION = 65536
"""Bytes of one question.  Ours: Postfix's own are some two thousand."""
MOST_ATTRIBUTES = 1024
"""Attributes of one question.  attr_scan_plain(3) ATTR_HASH_LIMIT"""

NOTHING = "DUNNO"
RESTRICTIONS_HERE: Registry = {**RESTRICTIONS, NAME: Restriction(greylist)}
"""What may stand in the list: all of a server's own, and greylisting by name."""
_REJECTED = re.compile(r"<.*>: (?P<what>[A-Z][\w -]*?) rejected: (?P<why>.*)", re.DOTALL)
_LARGEST = 10**18

_STATES: Mapping[str, tuple[str, str]] = {
    "CONNECT": ("client", CLIENT),
    "XCLIENT": ("client", CLIENT),
    "EHLO": ("helo", HELO),
    "HELO": ("helo", HELO),
    "MAIL": ("sender", SENDER),
    "RCPT": ("recipient", RECIPIENT),
    "VRFY": ("recipient", RECIPIENT),
    "DATA": ("data", DATA),
    "END-OF-MESSAGE": ("end_of_data", END_OF_DATA),
    "ETRN": ("etrn", ETRN),
}
"""protocol_state: the list whose manner of speaking is used, and what the asking server calls what it refuses."""
_IN_MAIL = frozenset({"MAIL", "RCPT", "DATA", "END-OF-MESSAGE"})


class Failure(Enum):
    """What the asking server hears where our own checks are in trouble (a table, the DNS, the configuration)."""

    DEFER = "defer"
    """Mail that would be permitted is to come again later: what the check would say inside our own server."""
    DUNNO = "dunno"
    """Nothing: for those who only try."""


class BadQuestion(Exception):
    """What came is no question; the connection cannot go on."""


class QuestionReader:
    """Questions, as they come in, in bounded memory."""

    __slots__ = ("_attributes", "_rest", "_seen")

    def __init__(self) -> None:
        self._rest = b""
        self._seen = 0
        self._attributes: dict[str, str] = {}

    def feed(self, data: bytes) -> list[dict[str, str]]:
        """The questions that are whole now: attributes by name, of several of one name the first.  Raises BadQuestion."""
        questions: list[dict[str, str]] = []
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._seen += len(line) + 1
            if not line:
                questions.append(self._attributes)
                self._attributes, self._seen = {}, 0
                continue
            name, equals, value = line.decode("utf-8", "surrogateescape").partition("=")
            if not equals:
                raise BadQuestion(f"no name=value: {name[:100]!r}")
            if len(self._attributes) >= MOST_ATTRIBUTES:
                raise BadQuestion(f"more than {MOST_ATTRIBUTES} attributes")
            self._attributes.setdefault(name, value.replace("\0", "?"))
            if self._seen > MOST_QUESTION:
                break
        if self._seen + len(self._rest) > MOST_QUESTION:
            raise BadQuestion(f"more than {MOST_QUESTION} bytes")
        return questions


def attempt_of(question: Mapping[str, str]) -> Attempt:
    """The session that a question tells of; what it does not tell is unknown."""
    told = question.get
    state = told("protocol_state", "")
    name, reverse_name = told("client_name", "") or UNKNOWN, told("reverse_client_name", "") or UNKNOWN
    sender = told("sender", "")
    return Attempt(
        address=told("client_address", "") or UNKNOWN,
        port=told("client_port", ""),
        name=name,
        name_status=_status(name),
        reverse_name=reverse_name,
        reverse_name_status=_status(reverse_name),
        server_address=told("server_address", ""),
        server_port=told("server_port", ""),
        protocol=told("protocol_name", "") or "SMTP",
        helo=told("helo_name") or None,
        sender=sender if sender or state in _IN_MAIL else None,
        recipient=told("recipient") or None,
        recipient_count=_number(told("recipient_count", "")),
        size=_number(told("size", "")),
        where=state,
        etrn_domain=told("etrn_domain", ""),
        queue_id=told("queue_id", ""),
        instance=told("instance", ""),
        sasl_method=told("sasl_method", ""),
        sasl_username=told("sasl_username", ""),
        sasl_sender=told("sasl_sender", ""),
        tls=_tls(question) if told("encryption_protocol") else None,
        stress=told("stress", ""),
    )


def _status(name: str) -> NameStatus:
    """A name that is not told may not exist, or not be known just now: then nothing is to be held against the client."""
    return NameStatus.OK if name.lower() != UNKNOWN else NameStatus.TEMPORARY


def _number(text: str) -> int:
    return min(int(text), _LARGEST) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _tls(question: Mapping[str, str]) -> TlsFacts:
    told = question.get
    bits = _number(told("encryption_keysize", ""))
    subject, issuer = (decode_xtext(told(name, "")) or "" for name in ("ccert_subject", "ccert_issuer"))
    return TlsFacts(
        protocol=told("encryption_protocol", ""),
        cipher=told("encryption_cipher", ""),
        bits=bits,
        algorithm_bits=bits,
        sni=told("tls_sni", ""),
        peer_subject=subject,
        peer_issuer=issuer,
        peer_fingerprint=told("ccert_fingerprint", ""),
        peer_key_fingerprint=told("ccert_pubkey_fingerprint", ""),
        peer_trusted=bool(subject or issuer),
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """The answer to a question: the action, and what the log should say of it."""

    action: str
    remarks: tuple[str, ...] = ()


class Checks:
    """One restriction list, ready to judge what others ask about."""

    def __init__(self, settings: Settings, facts: Facts, restrictions: str, failure: Failure = Failure.DEFER) -> None:
        """ConfigTrouble and TableUnsupported as for a list of our own."""
        lists = {stage.parameter: restrictions for stage in STAGES.values()}
        judge = Judge(settings.with_overrides(lists), facts, needs_guard=False, registry=RESTRICTIONS_HERE)
        self._lists = judge.lists
        self._manner = judge.manner
        self._failure = failure
        self.problems = tuple(dict.fromkeys(judge.problems))
        """Mistakes in the list, each once."""

    async def answer(self, question: Mapping[str, str]) -> Judged:
        """The action for a question; DUNNO for what is none of ours."""
        state = question.get("protocol_state", "")
        if question.get("request") != REQUEST or state not in _STATES:
            return Judged(NOTHING, (f"nothing to say to request={question.get('request')} protocol_state={state}",))
        attempt = attempt_of(question)
        name, reply_class = _STATES[state]
        verdict = await evaluate(self._lists[name], attempt, self._manner)
        remarks = tuple(
            f"{remark.what}: {remark.where} from {attempt.client}: {remark.text}" for remark in attempt.remarks
        )
        return Judged(self._action(verdict, attempt, reply_class), remarks)

    def _action(self, verdict: Verdict, attempt: Attempt, reply_class: str) -> str:
        pending = attempt.pending
        if verdict.act is Act.REJECT:
            if verdict.hard or _is_trouble(verdict.reply):
                return NOTHING if self._failure is Failure.DUNNO else _deferring(verdict.reply, reply_class)
            return _refusing(verdict, reply_class)
        if attempt.actions:
            return _first(attempt.actions)
        if pending.defer_if_permit is not None:
            return _deferring(pending.defer_if_permit.reply, reply_class)
        if pending.defer_if_reject is not None:
            return _deferring(pending.defer_if_reject.reply, reply_class, "DEFER_IF_REJECT")
        return NOTHING


def _is_trouble(reply: Reply | None) -> bool:
    """A table that could not be asked, as access checks say it.  smtpd_check.c check_access()"""
    return reply is not None and reply.code == 451 and reply.status.startswith("4.3.")


def _refusing(verdict: Verdict, reply_class: str) -> str:
    reply = verdict.reply
    if reply is None:
        return "421 4.7.0 Service unavailable"
    return f"{reply.code} {reply.status} {_reason(reply, reply_class)}"


def _deferring(reply: Reply | None, reply_class: str, word: str = "DEFER_IF_PERMIT") -> str:
    return word if reply is None else f"{word} {reply.status} {_reason(reply, reply_class)}"


def _reason(reply: Reply, reply_class: str) -> str:
    """Our text without what the asking server says in its own words before it."""
    found = _REJECTED.fullmatch(reply.text)
    text = reply.text
    if found is not None:
        text = found["why"] if found["what"] == reply_class else f"{found['what']} rejected: {found['why']}"
    return text.replace("\n", " ")


def _first(actions: Sequence[Action]) -> str:
    """One answer holds one action: what keeps mail from people goes before what changes it."""
    action = min(actions, key=lambda action: _WEIGHT.get(action.what, len(_WEIGHT)))
    return f"{action.what.name} {action.value}".rstrip().replace("\n", " ")


_WEIGHT: Mapping[What, int] = {
    What.DISCARD: 0,
    What.HOLD: 1,
    What.REDIRECT: 2,
    What.FILTER: 3,
    What.BCC: 4,
    What.PREPEND: 5,
}
