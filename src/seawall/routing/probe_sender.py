"""The sender of verify(8)'s probes, as a configuration has it.  postconf(5) address_verify_sender, address_verify_sender_ttl"""

from __future__ import annotations

from seawall.config.settings import ConfigTrouble, Settings
from seawall.mail.probe_sender import ProbeSender
from seawall.routing.rewrite import Context, Rewriter

PARAMETER = "address_verify_sender"


def probe_sender_of(settings: Settings) -> ProbeSender:
    """The sender, complete; the null sender for ``<>`` and for no value.  Raises ConfigTrouble.  verify_sender_addr(3)"""
    value = settings.text(PARAMETER)
    if value in ("", "<>"):
        return ProbeSender("")
    for end, is_there in (("start", value.startswith("@")), ("end", value.endswith("@"))):
        if is_there:
            where = settings.where(PARAMETER)
            raise ConfigTrouble(f"parameter {PARAMETER}: value \"{value}\" must not {end} with '@'", where)
    return ProbeSender(Rewriter(settings).rewrite(value, Context.LOCAL), settings.seconds("address_verify_sender_ttl"))
