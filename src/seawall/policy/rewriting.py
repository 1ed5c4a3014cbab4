"""Is this client's mail completed with our own domain?  postconf(5) local_header_rewrite_clients"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from seawall.mail.reply import Reply
from seawall.mail.words import split_words
from seawall.policy.attempt import Attempt
from seawall.policy.bench import Bench, Builder, Place, warn
from seawall.policy.by_client import permit_inet_interfaces, permit_mynetworks
from seawall.policy.by_session import (
    permit_sasl_authenticated,
    permit_tls_all_clientcerts,
    permit_tls_clientcerts,
)
from seawall.policy.evaluate import Ask
from seawall.policy.reasons import Reason
from seawall.policy.stages import STAGES
from seawall.policy.verdict import DUNNO, PERMIT, Act, Remark, Verdict
from seawall.tables.table import TableTrouble

PARAMETER = "local_header_rewrite_clients"
CHECK_ADDRESS_MAP = "check_address_map"


def _address_map(bench: Bench, place: Place) -> Ask:
    """The client's address is a key of the table; the value does not matter."""
    maps = bench.facts.maps(place.argument, PARAMETER)

    async def ask(attempt: Attempt) -> Verdict:
        return DUNNO if await maps.find(attempt.address) is None else PERMIT

    return ask


REQUESTS: Mapping[str, Builder] = {
    "permit_inet_interfaces": permit_inet_interfaces,
    "permit_mynetworks": permit_mynetworks,
    "permit_sasl_authenticated": permit_sasl_authenticated,
    "permit_tls_all_clientcerts": permit_tls_all_clientcerts,
    "permit_tls_clientcerts": permit_tls_clientcerts,
    CHECK_ADDRESS_MAP: _address_map,
}
"""All that may stand in the list.  smtpd_check.c smtpd_check_rewrite()"""


class RewriteClients:
    """The compiled list.  `problems` are its mistakes, each told when it is met and passed over."""

    def __init__(self, bench: Bench) -> None:
        self.problems: list[str] = []
        self._asks = tuple(self._compile(bench, split_words(bench.values.text(PARAMETER))))

    def _compile(self, bench: Bench, words: list[str]) -> list[Ask]:
        asks: list[Ask] = []
        rest = iter(words)
        for word in rest:
            argument = word if ":" in word else next(rest, "") if word.lower() == CHECK_ADDRESS_MAP else ""
            name = CHECK_ADDRESS_MAP if argument else word.lower()
            build = REQUESTS.get(name)
            if build is None or (name == CHECK_ADDRESS_MAP and ":" not in argument):
                asks.append(self._invalid(f"parameter {PARAMETER}: invalid request: {word}"))
            else:
                asks.append(build(bench, Place(STAGES["client"], name, argument)))
        return asks

    def _invalid(self, problem: str) -> Ask:
        self.problems.append(problem)

        def ask(attempt: Attempt) -> Verdict:
            warn(attempt, problem)
            return DUNNO

        return ask

    async def judge(self, attempt: Attempt) -> Verdict:
        """PERMIT: complete its mail as our own.  DUNNO: it is a stranger's.  REJECT: a table could not say."""
        for ask in self._asks:
            try:
                answer: Verdict | Awaitable[Verdict] = ask(attempt)
                verdict = answer if isinstance(answer, Verdict) else await answer
            except TableTrouble as trouble:
                reply = Reply(451, "4.3.0", "Temporary lookup error")
                attempt.remarks.append(Remark("reject", attempt.where, reply.line()))
                return Verdict(Act.REJECT, reply, Reason.LOOKUP_FAILED, (str(trouble),), hard=True, settled=True)
            if verdict.act is Act.PERMIT:
                return PERMIT
        return DUNNO
