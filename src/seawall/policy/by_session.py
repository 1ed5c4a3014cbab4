"""Restrictions that look at the session as a whole: generic ones, pipelining, encryption, authentication.  postconf(5)"""

from __future__ import annotations

from seawall.mail.reply import Reply
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, Place, warn
from seawall.policy.evaluate import Ask, settle
from seawall.policy.reasons import Reason
from seawall.policy.stages import CLIENT
from seawall.policy.verdict import DUNNO, Act, Verdict


def permit(bench: Bench, place: Place) -> Ask:
    """Permit, and end the list."""
    stage, name = place.stage, place.name
    plain = not bench.permit_log and not place.follows

    def ask(attempt: Attempt) -> Verdict:
        verdict = bench.permit(attempt, name, stage.reply_class, "" if plain else stage.reply_name(attempt))
        if place.follows:
            warn(attempt, f"restriction `{place.follows}' after `permit' is ignored")
        return verdict

    return ask


def _refuse_all(bench: Bench, place: Place, name: str, code: int, status: str, text: str) -> Ask:
    stage = place.stage

    def ask(attempt: Attempt) -> Verdict:
        reply = Reply(code, status, f"<{stage.reply_name(attempt)}>: {stage.reply_class} rejected: {text}")
        verdict = Verdict(Act.REJECT, reply, Reason.REJECT_ALL)
        if place.follows and not attempt.pending.warns:
            verdict = settle(verdict, attempt, bench.manner)  # the log tells the refusal first
            warn(attempt, f"restriction `{place.follows}' after `{name}' is ignored")
        return verdict

    return ask


def reject(bench: Bench, place: Place) -> Ask:
    """Refuse, with reject_code."""
    return _refuse_all(bench, place, "reject", bench.values.number("reject_code"), "5.7.1", "Access denied")


def defer(bench: Bench, place: Place) -> Ask:
    """Refuse for now, with defer_code."""
    return _refuse_all(bench, place, "defer", bench.values.number("defer_code"), "4.3.2", "Try again later")


def defer_if_permit(bench: Bench, place: Place) -> Ask:
    """A permit further on becomes a deferral."""
    return _defer_if(place, Act.DEFER_IF_PERMIT)


def defer_if_reject(bench: Bench, place: Place) -> Ask:
    """A refusal further on becomes a deferral."""
    return _defer_if(place, Act.DEFER_IF_REJECT)


def _defer_if(place: Place, act: Act) -> Ask:
    stage = place.stage

    def ask(attempt: Attempt) -> Verdict:
        name = stage.reply_name(attempt)
        reply = Reply(450, "4.7.0", f"<{name}>: {stage.reply_class} rejected: {act.value} requested")
        return Verdict(act, reply, Reason.DEFER_REQUESTED)

    return ask


def reject_unauth_pipelining(bench: Bench, place: Place) -> Ask:
    """The client spoke before its turn."""
    stage = place.stage

    def ask(attempt: Attempt) -> Verdict:
        if not attempt.pipelined:
            return DUNNO
        name = stage.reply_name(attempt)
        text = f"<{name}>: {stage.reply_class} rejected: Improper use of SMTP command pipelining"
        return Verdict(Act.REJECT, Reply(503, "5.5.0", text), Reason.PIPELINING)

    return ask


def reject_multi_recipient_bounce(bench: Bench, place: Place) -> Ask:
    """A bounce has one recipient.  Before RCPT is answered its recipient is not counted yet."""
    stage = place.stage
    code = bench.values.number("multi_recipient_bounce_reject_code")

    def ask(attempt: Attempt) -> Verdict:
        if attempt.sender != "" or attempt.recipient_count <= (attempt.where != "RCPT"):
            return DUNNO
        text = f"<{stage.reply_name(attempt)}>: {stage.reply_class} rejected: Multi-recipient bounce"
        return Verdict(Act.REJECT, Reply(code, "5.5.3", text), Reason.BOUNCE_TO_MANY)

    return ask


def reject_plaintext_session(bench: Bench, place: Place) -> Ask:
    """No TLS, no mail."""
    reply = Reply(bench.values.number("plaintext_reject_code"), "4.7.1", "Session encryption is required")
    verdict = Verdict(Act.REJECT, reply, Reason.PLAINTEXT)
    return lambda attempt: DUNNO if attempt.tls is not None else verdict


def sleep(bench: Bench, place: Place) -> Ask:
    """Wait some seconds, then go on."""
    seconds = int(place.argument)

    async def ask(attempt: Attempt) -> Verdict:
        if seconds:
            await bench.facts.sleep(seconds)
        return DUNNO

    return ask


def permit_sasl_authenticated(bench: Bench, place: Place) -> Ask:
    """The client has logged in."""
    if not bench.values.flag("smtpd_sasl_auth_enable"):
        return lambda attempt: DUNNO

    def ask(attempt: Attempt) -> Verdict:
        if not is_authenticated(attempt):
            return DUNNO
        return bench.permit(attempt, place.name, CLIENT, attempt.client)

    return ask


def is_authenticated(attempt: Attempt) -> bool:
    """True after AUTH by any method but anonymous."""
    return bool(attempt.sasl_method) and attempt.sasl_method.lower() != "anonymous"


def permit_tls_all_clientcerts(bench: Bench, place: Place) -> Ask:
    """Any certificate that our authorities signed, or one of relay_clientcerts."""
    return _permit_certificate(bench, place, any_trusted=True)


def permit_tls_clientcerts(bench: Bench, place: Place) -> Ask:
    """A certificate whose fingerprint is in relay_clientcerts; its signer does not matter."""
    return _permit_certificate(bench, place, any_trusted=False)


def _permit_certificate(bench: Bench, place: Place, *, any_trusted: bool) -> Ask:
    maps = bench.facts.maps(bench.values.text("relay_clientcerts"), "relay_clientcerts")
    asks_for_one = bench.values.flag("smtpd_tls_ask_ccert")

    async def ask(attempt: Attempt) -> Verdict:
        tls = attempt.tls
        if tls is None:
            return DUNNO
        if any_trusted and tls.peer_trusted:
            return bench.permit(attempt, place.name, CLIENT, attempt.client)
        if tls.peer_fingerprint or tls.peer_key_fingerprint:
            for fingerprint in (tls.peer_fingerprint, tls.peer_key_fingerprint):
                if await maps.find(fingerprint) is not None:
                    return bench.permit(attempt, place.name, CLIENT, attempt.client)
        elif not asks_for_one:
            warn(attempt, f'{place.name.lower()} is requested, but "smtpd_tls_ask_ccert = no"')
        return DUNNO

    return ask
