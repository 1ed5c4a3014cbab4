"""The words of a report: built-in templates, and those of bounce_template_file.  bounce(5)

A template is a few header lines, a blank line, and text in which ``$name`` stands for a main.cf parameter, and
``$name_hours`` and the like for two times of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from seawall.config.expand import expand

POSTMASTER = "postmaster"


class Kind(Enum):
    """What a template is for; the value is its name in the file, before ``_template``."""

    FAILURE = "failure"
    DELAY = "delay"
    SUCCESS = "success"
    VERIFY = "verify"


class TemplateTrouble(Exception):
    """The template file does not read; the text names the line."""


@dataclass(frozen=True, slots=True)
class Template:
    """One template as written, its text not expanded."""

    charset: str
    sender: str
    subject: str
    postmaster_subject: str
    text: str


_FROM = "Mail Delivery System <MAILER-DAEMON>"
_HELP = """\
For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

                   The mail system
"""

BUILT_IN: Mapping[Kind, Template] = MappingProxyType(
    {
        Kind.FAILURE: Template(
            "us-ascii",
            _FROM,
            "Undelivered Mail Returned to Sender",
            "Postmaster Copy: Undelivered Mail",
            """\
This is the mail system at host $myhostname.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

"""
            + _HELP,
        ),
        Kind.DELAY: Template(
            "us-ascii",
            _FROM,
            "Delayed Mail (still being retried)",
            "Postmaster Warning: Delayed Mail",
            """\
This is the mail system at host $myhostname.

####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than $delay_warning_time_hours hour(s).
It will be retried until it is $maximal_queue_lifetime_days day(s) old.

"""
            + _HELP,
        ),
        Kind.SUCCESS: Template(
            "us-ascii",
            _FROM,
            "Successful Mail Delivery Report",
            "",
            """\
This is the mail system at host $myhostname.

Your message was successfully delivered to the destination(s)
listed below. If the message was delivered to mailbox you will
receive no further notifications. Otherwise you may still receive
notifications of mail delivery errors from other systems.

                   The mail system
""",
        ),
        Kind.VERIFY: Template(
            "us-ascii",
            _FROM,
            "Mail Delivery Status Report",
            "",
            """\
This is the mail system at host $myhostname.

Enclosed is the mail delivery report that you requested.

                   The mail system
""",
        ),
    }
)
"""The templates where no file says otherwise; Postfix's texts, because programs recognise them."""

_START = re.compile(r"([a-z]+)_template\s*=\s*<<\s*(\S+)\s*\Z")
_HEADER = re.compile(r"([!-9;-~]+)\s*:\s*(.*?)\s*\Z")
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
_TIMES = ("delay_warning_time", "maximal_queue_lifetime")


def parse_templates(text: str, name: str) -> dict[Kind, Template]:
    """The templates of a file; `name` is for complaints.  Raises TemplateTrouble."""
    found: dict[Kind, Template] = {}
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        start = _START.match(line.strip())
        if start is None:
            raise TemplateTrouble(f"{name}, line {number}: expected NAME_template = <<WORD")
        try:
            kind = Kind(start[1])
        except ValueError:
            raise TemplateTrouble(f"{name}, line {number}: unknown template: {start[1]}_template") from None
        body: list[str] = []
        for _, inner in lines:
            if inner.rstrip() == start[2]:
                break
            body.append(inner)
        else:
            raise TemplateTrouble(f"{name}, line {number}: the end mark {start[2]} is missing")
        found[kind] = _template(kind, body, f"{name}, line {number}")
    return found


def _template(kind: Kind, lines: list[str], where: str) -> Template:
    """Header lines, a blank line, text.  Headers that are left out are the built-in ones."""
    headers: dict[str, str] = {}
    at = 0
    while at < len(lines) and lines[at].strip():
        header = _HEADER.match(lines[at])
        if header is None:
            raise TemplateTrouble(f"{where}: '{lines[at]}' is no header line; a blank line must end the headers")
        headers[header[1].lower()] = header[2]
        at += 1
    unknown = headers.keys() - {"charset", "from", "subject", "postmaster-subject"}
    if unknown:
        raise TemplateTrouble(f"{where}: unknown header: {sorted(unknown)[0]}")
    text = "\n".join(lines[at + 1 :]) + "\n"
    if not text.isascii() and headers.get("charset", "us-ascii").lower() == "us-ascii":
        raise TemplateTrouble(f"{where}: text beyond ASCII needs a Charset: header")
    built_in = BUILT_IN[kind]
    return Template(
        headers.get("charset", built_in.charset),
        headers.get("from", built_in.sender),
        headers.get("subject", built_in.subject),
        headers.get("postmaster-subject", built_in.postmaster_subject),
        text,
    )


def expand_template(text: str, lookup: Callable[[str], str | None], seconds: Callable[[str], float]) -> str:
    """The text with its parameters put in; times in whole units, rounded down.  Raises ConfigTrouble.

    `lookup` gives a parameter's value and `seconds` a time's.
    """

    def value(name: str) -> str | None:
        base, _, unit = name.rpartition("_")
        if base in _TIMES and unit in _UNITS:
            return str(int(seconds(base)) // _UNITS[unit])
        return lookup(name)

    return expand(text, value)
