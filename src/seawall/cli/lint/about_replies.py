"""Reply codes: permanent refusals on weak evidence, codes that refuse nobody, settings that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seawall.cli.lint.about_lists import line_of
from seawall.cli.lint.checks import Check
from seawall.cli.lint.rule import ADVICE, ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import Site, View

WEAK: Mapping[str, tuple[tuple[str, ...], str]] = {
    # code parameter: (the checks that answer with it, why their evidence is weak)
    "unknown_client_reject_code": (
        ("reject_unknown_client_hostname", "reject_unknown_reverse_client_hostname"),
        "a client's reverse and forward names come from two parties and often disagree",
    ),
    "unknown_hostname_reject_code": (
        ("reject_unknown_helo_hostname",),
        "many real servers greet with a name that the public DNS does not know",
    ),
    "unknown_address_reject_code": (
        ("reject_unknown_sender_domain", "reject_unknown_recipient_domain"),
        "a domain whose name servers err for an hour has no address for that hour",
    ),
    "unverified_sender_reject_code": (
        ("reject_unverified_sender",),
        "the other server may refuse the question, not the address",
    ),
    "unverified_recipient_reject_code": (
        ("reject_unverified_recipient",),
        "the other server may refuse the question, not the address",
    ),
}
ALL_CODES = (
    *WEAK,
    "access_map_defer_code",
    "access_map_reject_code",
    "defer_code",
    "invalid_hostname_reject_code",
    "maps_rbl_reject_code",
    "multi_recipient_bounce_reject_code",
    "non_fqdn_reject_code",
    "plaintext_reject_code",
    "reject_code",
    "relay_domains_reject_code",
    "unknown_local_recipient_reject_code",
    "unknown_relay_recipient_reject_code",
    "unknown_virtual_alias_reject_code",
    "unknown_virtual_mailbox_reject_code",
)
USERS = (
    "unknown_local_recipient_reject_code",
    "unknown_relay_recipient_reject_code",
    "unknown_virtual_alias_reject_code",
    "unknown_virtual_mailbox_reject_code",
)
USED_BY: Mapping[str, tuple[str, ...]] = {
    # a parameter that only some restrictions read: which
    **{code: checks for code, (checks, _) in WEAK.items()},
    "maps_rbl_reject_code": ("reject_rbl", "reject_rhsbl"),
    "rbl_reply_maps": ("reject_rbl", "reject_rhsbl"),
    "multi_recipient_bounce_reject_code": ("reject_multi_recipient_bounce",),
    "plaintext_reject_code": ("reject_plaintext_session",),
    "invalid_hostname_reject_code": ("reject_invalid_helo_hostname",),
    "non_fqdn_reject_code": ("reject_non_fqdn_helo_hostname", "reject_non_fqdn_sender", "reject_non_fqdn_recipient"),
    "permit_mx_backup_networks": ("permit_mx_backup",),
    "relay_clientcerts": ("permit_tls_clientcerts",),
    "smtpd_sender_login_maps": (
        "reject_sender_login_mismatch",
        "reject_authenticated_sender_login_mismatch",
        "reject_unauthenticated_sender_login_mismatch",
        "reject_known_sender_login_mismatch",
    ),
}


def checks_of(view: View) -> Iterator[Check]:
    """Every check of a view."""
    for listing in view.listings():
        yield from listing.checks


def users_of(view: View, names: tuple[str, ...]) -> Check | None:
    """The first check of a view that is one of `names`, or begins with one."""
    return next((check for check in checks_of(view) if check.present.startswith(names)), None)


def permanent_on_weak(site: Site) -> Iterator[Hit]:
    """5xx for what a 4xx would do."""
    for view in site.views:
        for name, (checks, why) in WEAK.items():
            code = view.number(name)
            if not view.is_set(name) or code is None or not 500 <= code <= 599 or view.flag("soft_bounce"):
                continue
            check = users_of(view, checks)
            if check is not None and not check.warns:
                what = f"{name} = {code}: {check.shown} ({line_of(check.location)}) refuses for good, and {why}"
                yield Hit(what, view.where(name), f"{name} = 450")


def no_refusal(site: Site) -> Iterator[Hit]:
    """Codes that are none of a refusal."""
    for view in site.views:
        for name in ALL_CODES:
            code = view.number(name)
            if code is not None and view.is_set(name) and not 400 <= code <= 599:
                yield Hit(f"{name} = {code} is no code of a refusal", view.where(name), "a code from 400 to 599")


def put_off_unknown(site: Site) -> Iterator[Hit]:
    """4xx for users who do not exist."""
    for view in site.views:
        for name in USERS:
            code = view.number(name)
            if code is not None and view.is_set(name) and 400 <= code <= 499:
                yield Hit(
                    f"{name} = {code}: mail for unknown users is put off, and comes again for days",
                    view.where(name),
                    f"{name} = 550",
                )


def soft(site: Site) -> Iterator[Hit]:
    """soft_bounce."""
    for view in site.views:
        if view.flag("soft_bounce"):
            yield Hit(
                "soft_bounce = yes: every refusal is temporary, and comes again for days", view.where("soft_bounce")
            )


def without_effect(site: Site) -> Iterator[Hit]:
    """Parameters that only restrictions read which no list has.  Access tables may name any restriction."""
    for name, checks in USED_BY.items():
        where = site.main.where(name)
        opens_lists = any(
            check.is_table or check.present == "check_policy_service"
            for view in site.views
            for check in checks_of(view)
        )
        if where is None or (opens_lists and name not in WEAK) or any(users_of(view, checks) for view in site.views):
            continue
        shown = checks[0] if len(checks) == 1 else f"{checks[0]} and its like"
        yield Hit(f"{name} is set, and no list has {shown}", where)


RULES = (
    Rule(
        "permanent-on-weak-evidence",
        WARNING,
        "450 gives the sender's postmaster days to mend what is wrong, and keeps a bot out as well; 550 sends real mail back at once.",
        "450",
        permanent_on_weak,
    ),
    Rule(
        "code-no-refusal",
        ERROR,
        "A refusal with another code is none: the client goes on, or loses its way.",
        "a code from 400 to 599",
        no_refusal,
    ),
    Rule(
        "unknown-user-put-off",
        WARNING,
        "A user who does not exist will not exist tomorrow; the sender should know today.",
        "550",
        put_off_unknown,
    ),
    Rule("soft-bounce", WARNING, "soft_bounce is for trying a configuration, for hours.", "soft_bounce = no", soft),
    Rule(
        "setting-without-effect", ADVICE, "Who reads it believes that it does something.", "take it out", without_effect
    ),
)
