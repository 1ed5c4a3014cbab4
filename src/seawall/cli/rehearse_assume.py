"""``assume``: the line of a rehearsal that says what a part answers which cannot be asked here.

assume TABLE [KEY ACTION]      type:name is there, and says ACTION for KEY
assume SERVICE ACTION          unix:path or inet:host:port, a policy service, always says ACTION
assume dns NAME TYPE DATA      a record; the name has only such
assume tls [trusted]           the session is encrypted; the client has shown a certificate of an authority of ours
assume reverse NAME            the client's unconfirmed name
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec.structs import replace

from seawall.dns.answers import NameStatus
from seawall.mail.envelope import TlsFacts
from seawall.policy.attempt import Attempt
from seawall.policy.proof.assumed import Assumed

FORM = "<table> [<key> <action>] | <service> <action> | dns <name> <type> <data> | tls [trusted] | reverse <name> | login <name>"
BAD = "bad assumption"
SYSTEM_TABLES = ("unix:passwd.byname", "unix:group.byname")


class Assuming(Protocol):
    """What a rehearsal has for it."""

    assumed: Assumed
    attempt: Attempt

    def open_tables(self) -> None:
        """Begin anew with tables and judge."""
        ...


async def assume(rehearsal: Assuming, words: list[str]) -> str:
    """OK, or what is wrong with the line."""
    what = WHAT.get(words[0].lower())
    if what is not None:
        done = what(rehearsal, words[1:])
    elif ":" in words[0]:
        done = _assume_part(rehearsal.assumed, words)
    else:
        done = False
    if not done:
        return f"{BAD}: assume {FORM}"
    rehearsal.open_tables()
    return "OK"


def _assume_part(assumed: Assumed, words: list[str]) -> bool:
    name, *rest = words
    if name.startswith(("unix:", "inet:")) and name not in SYSTEM_TABLES:
        if not rest:
            return False
        assumed.services[name] = " ".join(rest)
    elif len(rest) == 1:
        return False
    else:
        assumed.add_entry(name, *([rest[0], " ".join(rest[1:])] if rest else []))
    return True


def _assume_record(rehearsal: Assuming, words: list[str]) -> bool:
    return len(words) > 2 and rehearsal.assumed.add_record(words[0], words[1].upper(), words[2:])


def _assume_tls(rehearsal: Assuming, words: list[str]) -> bool:
    if words not in ([], ["trusted"]):
        return False
    tls = rehearsal.attempt.tls or TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, 256)
    rehearsal.attempt.tls = replace(tls, peer_trusted=tls.peer_trusted or bool(words))
    return True


def _assume_reverse(rehearsal: Assuming, words: list[str]) -> bool:
    if len(words) != 1:
        return False
    rehearsal.attempt.reverse_name = words[0]
    rehearsal.attempt.reverse_name_status = NameStatus.OK
    return True


def _assume_login(rehearsal: Assuming, words: list[str]) -> bool:
    if len(words) != 1:
        return False
    rehearsal.attempt.sasl_method, rehearsal.attempt.sasl_username = "PLAIN", words[0]
    return True


WHAT: Mapping[str, Callable[[Assuming, list[str]], bool]] = {
    "dns": _assume_record,
    "tls": _assume_tls,
    "reverse": _assume_reverse,
    "login": _assume_login,
}
"""What is no table and no service."""
