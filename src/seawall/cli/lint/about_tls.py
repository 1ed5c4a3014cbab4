"""TLS and logins: what today's senders and receivers trip over, and what hands out passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.cli.lint.rule import ERROR, WARNING, Hit, Rule
from seawall.cli.lint.site import SUBMISSION, WRAPPED, Calm, Site, View

MODERN = ("tlsv1.2", "tlsv1.3")
WEAK_GRADES = ("low", "export", "null")


def level(view: Calm, side: str) -> str:
    """The TLS security level of ``smtpd`` or ``smtp``, old spellings included."""
    found = view.text(f"{side}_tls_security_level")
    if found:
        return found
    if view.flag(f"{side}_enforce_tls"):
        return "encrypt"
    return "may" if view.flag(f"{side}_use_tls") else ""


def no_tls(site: Site) -> Iterator[Hit]:
    """A server without STARTTLS."""
    for view in site.mx_views():
        if level(view, "smtpd") in ("", "none"):
            yield Hit(
                "STARTTLS is not offered: smtpd_tls_security_level is empty", view.where("smtpd_tls_security_level")
            )


def no_tls_out(site: Site) -> Iterator[Hit]:
    """A client without STARTTLS."""
    if level(site.main, "smtp") in ("", "none") and not site.main.text("smtp_tls_policy_maps"):
        yield Hit(
            "mail goes out in the clear: smtp_tls_security_level is empty", site.main.where("smtp_tls_security_level")
        )


def only_tls(site: Site) -> Iterator[Hit]:
    """TLS forced on strangers."""
    for view in site.mx_views():
        if level(view, "smtpd") == "encrypt":
            where = view.where("smtpd_tls_security_level") or view.where("smtpd_enforce_tls")
            yield Hit(
                "smtpd_tls_security_level = encrypt on port 25: who has no TLS cannot send here (RFC 3207 §4 forbids it)",
                where,
            )


def leaves(words: tuple[str, ...]) -> set[str]:
    """The versions that a protocol list leaves, of those that Postfix knows."""
    every = ["sslv2", "sslv3", "tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"]
    names = [word.lower() for word in words]
    allowed = set(every)
    positive = [name for name in names if name in every]
    if positive:
        allowed = set(positive)
    for name in names:
        bare = name.lstrip("!<>=")
        if bare not in every:
            continue
        if name.startswith("!"):
            allowed.discard(bare)
        elif name.startswith(">="):
            allowed &= set(every[every.index(bare) :])
        elif name.startswith("<="):
            allowed &= set(every[: every.index(bare) + 1])
    return allowed


def old_protocols(site: Site) -> Iterator[Hit]:
    """Protocol lists that leave nothing of today, or let the dead ones in."""
    for view, _ in site.scopes():
        for name in (
            "smtpd_tls_protocols",
            "smtpd_tls_mandatory_protocols",
            "smtp_tls_protocols",
            "smtp_tls_mandatory_protocols",
        ):
            if not view.is_set(name) or not view.words(name):
                continue
            left = leaves(view.words(name))
            if not left & set(MODERN):
                yield Hit(
                    f"{name} = {view.text(name)}: neither TLS 1.2 nor 1.3 is left, and everybody else has given up the older ones",
                    view.where(name),
                    f"{name} = >=TLSv1.2",
                )
            elif "sslv3" in left and not any(word.startswith(("!", ">")) for word in view.words(name)):
                yield Hit(f"{name} = {view.text(name)}: SSLv3 is named", view.where(name), f"{name} = >=TLSv1.2")


def weak_ciphers(site: Site) -> Iterator[Hit]:
    """Cipher settings that leave what is broken."""
    for view, _ in site.scopes():
        for side in ("smtpd", "smtp"):
            for which in ("", "mandatory_"):
                name = f"{side}_tls_{which}ciphers"
                if view.is_set(name) and view.text(name).lower() in WEAK_GRADES:
                    yield Hit(
                        f"{name} = {view.text(name)}: ciphers that are broken", view.where(name), f"{name} = medium"
                    )
        for name in ("tls_medium_cipherlist", "tls_high_cipherlist"):
            words = re.split(r"[:, ]+", view.text(name).upper()) if view.is_set(name) else []
            good = [word for word in words if not word.startswith(("!", "-", "+", "@"))]
            if good and all("RC4" in word or "3DES" in word or word in ("DES", "DES-CBC3-SHA") for word in good):
                yield Hit(f"{name} = {view.text(name)}: nothing but RC4 and 3DES", view.where(name), "take it out")


def clear_passwords(site: Site) -> Iterator[Hit]:
    """Logins without TLS."""
    for view in site.views:
        if (
            not view.flag("smtpd_sasl_auth_enable")
            or view.flag("smtpd_tls_auth_only")
            or level(view, "smtpd") == "encrypt"
        ):
            continue
        options = {word.lower() for word in view.words("smtpd_sasl_security_options")}
        if view.flag("smtpd_tls_wrappermode") or "noplaintext" in options:
            continue
        yield Hit(
            f"{view.name or 'main.cf'}: passwords are taken in the clear: smtpd_tls_auth_only = no",
            view.where("smtpd_tls_auth_only") or view.where("smtpd_sasl_auth_enable"),
        )


def anonymous(site: Site) -> Iterator[Hit]:
    """A login for everybody."""
    for view in site.views:
        options = {word.lower() for word in view.words("smtpd_sasl_security_options")}
        if (
            view.flag("smtpd_sasl_auth_enable")
            and view.is_set("smtpd_sasl_security_options")
            and "noanonymous" not in options
        ):
            yield Hit(
                "smtpd_sasl_security_options lacks noanonymous: whoever logs in as nobody is authenticated",
                view.where("smtpd_sasl_security_options"),
                "add noanonymous",
            )


def submission_guard(site: Site) -> Iterator[Hit]:
    """Submission servers that ask nobody to log in."""
    for view in site.views:
        if view.role not in (SUBMISSION, WRAPPED) or view.service is None:
            continue
        if not view.flag("smtpd_sasl_auth_enable"):
            yield Hit(
                f"{view.name}: a submission server without logins",
                view.where("smtpd_sasl_auth_enable") or view.service.location,
                "-o smtpd_sasl_auth_enable=yes",
            )
        elif not ends_closed(view):
            yield Hit(
                f"{view.name}: whoever does not log in is served like a stranger on port 25",
                view.service.location,
                "-o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
            )


def ends_closed(view: View) -> bool:
    """True where some list of a view ends with reject, or lets nobody on without a login."""
    return any(check.present == "reject" for listing in view.lists.values() for check in listing.checks)


def wrapped(site: Site) -> Iterator[Hit]:
    """Port 465 without TLS from the start, or another port with it."""
    for view in site.views:
        if view.service is None:
            continue
        if view.role == WRAPPED and not view.flag("smtpd_tls_wrappermode"):
            yield Hit(
                f"{view.name}: clients speak TLS from the first byte here, the server does not",
                view.service.location,
                "-o smtpd_tls_wrappermode=yes",
            )
        elif view.role != WRAPPED and view.flag("smtpd_tls_wrappermode") and view.role in (SUBMISSION, "mx"):
            yield Hit(
                f"{view.name}: smtpd_tls_wrappermode = yes, and clients speak plain SMTP first here",
                view.where("smtpd_tls_wrappermode"),
                "smtpd_tls_wrappermode = no",
            )


RULES = (
    Rule(
        "tls-none",
        WARNING,
        "Mail in the clear can be read and changed on its way; large senders say so to their users, and some refuse.",
        "smtpd_tls_security_level = may, and a certificate",
        no_tls,
    ),
    Rule(
        "tls-none-out",
        WARNING,
        "Some receivers take no mail without TLS any more, and the others mark it.",
        "smtp_tls_security_level = may",
        no_tls_out,
    ),
    Rule(
        "tls-only-on-25",
        WARNING,
        "On port 25 TLS is offered, not demanded: mail from servers without it would be lost.",
        "smtpd_tls_security_level = may; encrypt on port 587",
        only_tls,
    ),
    Rule(
        "tls-protocols-old",
        ERROR,
        "TLS 1.0 and 1.1 were given up in 2021 (RFC 8996): no handshake succeeds.",
        ">=TLSv1.2",
        old_protocols,
    ),
    Rule(
        "tls-ciphers-weak",
        WARNING,
        "RC4, 3DES and export ciphers are broken, and today's libraries have them no more.",
        "medium",
        weak_ciphers,
    ),
    Rule(
        "password-in-clear",
        WARNING,
        "A password in the clear belongs to whoever listens.",
        "smtpd_tls_auth_only = yes",
        clear_passwords,
    ),
    Rule("login-anonymous", ERROR, "permit_sasl_authenticated would let everybody relay.", "noanonymous", anonymous),
    Rule(
        "submission-open",
        WARNING,
        "Port 587 and 465 are for one's own users; bots try them all the same.",
        "logins, and reject behind them",
        submission_guard,
    ),
    Rule(
        "wrappermode",
        ERROR,
        "Port 465 is TLS from the first byte, port 25 and 587 are not: the other side hangs.",
        "smtpd_tls_wrappermode = yes on port 465 alone",
        wrapped,
    ),
)
