"""smtpd_reject_footer: what is added to every refusal.  postconf(5), smtp_reply_footer(3)"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from seawall.mail.reply import Reply

_MACRO = re.compile(r"\$(?:\{(\w+)\}|\((\w+)\)|(\w+))")


@dataclass(frozen=True, slots=True)
class Footer:
    """`appends`: the text follows the refusal on its line (``\\c``); else it makes lines of its own."""

    text: str
    appends: bool

    def add(self, reply: Reply, lookup: Callable[[str], str | None]) -> Reply:
        """The refusal with the footer; macros are those of the session (``client_address``, ``sender`` …)."""

        def value(found: re.Match[str]) -> str:
            return lookup(found.group(1) or found.group(2) or found.group(3)) or ""

        text = _MACRO.sub(value, self.text)
        return replace(reply, text=reply.text + ("" if self.appends else "\n") + text)


def compile_footer(value: str) -> Footer | None:
    """``\\n`` parts lines, a leading ``\\c`` goes on with the last one; None where there is no footer."""
    if not value:
        return None
    appends = value.startswith("\\c")
    return Footer((value[2:] if appends else value).replace("\\n", "\n"), appends)
