"""The header block on its way in: what is counted, dropped, rewritten, added.  cleanup_message(3)

Most mail comes from strangers and needs nothing of this but a count of Received: and the loss of a few names: then one
scan for those names does, and the block is passed on as it is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from seawall.config.settings import Settings
from seawall.intake.checks import Checking, Part
from seawall.intake.mapping import AddressMaps, Place
from seawall.intake.mime import MimeReader
from seawall.intake.status import Errors, Status
from seawall.mail.address import MAILER_DAEMON, quote_local, unquote_local
from seawall.mail.headers import ROLES, Header, Role, headers, is_header, split_header
from seawall.mail.rfc822 import Address, Kind, Node, Token, externalize, parse, scan
from seawall.routing.rewrite import Context, Rewriter

FOLD_AT = 70
"""Rewritten address lists are filled up to lines of this length.  cleanup_fold_header()"""
LONG = 32 * 1024
"""Bytes of a header block beyond which it is walked with pauses, ours: the quick scan takes half a millisecond for it."""
HEADERS_BEFORE_PAUSE = 200
"""Headers walked before others get their turn, ours: at some 5 µs each."""
MOST_IDS = 50
"""Message-Id: headers of one message that the log tells of, ours: nobody shall write our log."""
_OLD_STYLE = re.compile(rb"^[\x21-\x39\x3b-\x7e]+[ \t]+:", re.MULTILINE)
_PLAIN_PHRASE = re.compile(r'[^%!()<>@,;:\\".\[\]]*\Z')
_VISIBLE = frozenset({b"to", b"resent-to", b"cc", b"resent-cc"})


class HeaderRules:
    """What a configuration says about header blocks."""

    def __init__(self, settings: Settings, rewriter: Rewriter, maps: AddressMaps) -> None:
        self.rewriter = rewriter
        self.maps = maps
        self.hostname = settings.text("myhostname")
        self.hop_limit = settings.number("hopcount_limit")
        self.size_limit = settings.number("header_size_limit")
        self.token_limit = settings.number("header_address_token_limit")
        self.dropped = frozenset(
            word.lower().encode("utf-8", "surrogateescape") for word in settings.words("message_drop_headers")
        )
        self.always_adds = settings.flag("always_add_missing_headers")
        self.undisclosed = settings.text("undisclosed_recipients_header").encode("utf-8", "surrogateescape")
        self.obsolete_from = settings.text("header_from_format") == "obsolete"
        self.remote_context = bool(settings.text("remote_header_rewrite_domain"))
        self.finds_8bit = settings.flag("detect_8bit_encoding_header")
        watched = {b"received", b"message-id", b"resent-message-id", b"content-transfer-encoding", *self.dropped}
        names = b"|".join(re.escape(name) for name in sorted(watched))
        self.watched = re.compile(rb"\n(" + names + rb"):([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE)
        """A watched header with the LF before it: to look for a byte costs half of what looking for line starts does."""


@dataclass(slots=True)
class Facts:
    """What a header block told.  `message_ids` has (True for a resending's, the header's value), in order."""

    hops: int = 0
    seen: set[bytes] = field(default_factory=set)
    message_ids: list[tuple[bool, str]] = field(default_factory=list)
    is_8bit: bool = False

    @property
    def prefix(self) -> bytes:
        """``Resent-`` where the block has any header of a resending."""
        return b"Resent-" if any(Role.RESENT in ROLES.get(name, Role.NONE) for name in self.seen) else b""


@dataclass(frozen=True, slots=True)
class Missing:
    """What is needed to write headers that a message lacks; `full_name` is the submitter's, or empty."""

    queue_id: str
    sender: str
    date: Callable[[], str]
    full_name: str = ""


class HeaderPass:
    """One message's headers.  `context` is None for strangers: nothing is rewritten or added then."""

    def __init__(
        self,
        rules: HeaderRules,
        errors: Errors,
        *,
        context: Context | None,
        maps_addresses: bool,
        checking: Checking | None = None,
        mime: MimeReader | None = None,
    ) -> None:
        self._rules = rules
        self._errors = errors
        self._context = context
        self._maps_addresses = maps_addresses
        self._checking = checking
        self._mime = mime
        self.facts = Facts()

    @property
    def adds_missing(self) -> bool:
        """True where headers that are not there are added."""
        return self._context is not None or self._rules.always_adds

    async def run(self, block: bytes) -> bytes:
        """The block as it is kept, each header with its LF; `facts` and the errors know more afterwards."""
        if (
            self.adds_missing
            or self._checking is not None
            or len(block) > min(self._rules.size_limit, LONG)
            or ((b" :" in block or b"\t:" in block) and _OLD_STYLE.search(block))
        ):
            out = await self._run_wholly(block)
        else:
            out = self._run_quickly(block)
        if self.facts.hops >= self._rules.hop_limit:
            self._errors.add(Status.HOPS, warning="message rejected: hopcount exceeded")
        return out

    def _run_quickly(self, block: bytes) -> bytes:
        """Only the watched names are looked at."""
        text = b"\n" + block
        kept: list[bytes] = []
        start = 1
        dropped = self._rules.dropped
        for found in self._rules.watched.finditer(text):
            name, value = found.groups()
            name = name.lower()
            self._note(name, value)
            if name in dropped:
                kept.append(text[start : found.start() + 1])
                start = found.end() + 1
        if not kept:
            return block
        kept.append(text[start:])
        return b"".join(kept)

    async def _run_wholly(self, block: bytes) -> bytes:
        out: list[bytes] = []
        for count, header in enumerate(headers(block), 1):
            out.extend(await self._one(self._cut(header)))
            if count % HEADERS_BEFORE_PAUSE == 0:
                await asyncio.sleep(0)
        return b"".join(out)

    def _cut(self, header: Header) -> Header:
        """The header without the continuation lines that come after header_size_limit.  mime_state(3)"""
        limit = self._rules.size_limit
        if len(header.raw) <= limit:
            return header
        lines = header.raw.split(b"\n")
        size, count = len(lines[0]), 1
        while count < len(lines) and size < limit:
            size += 1 + len(lines[count])
            count += 1
        return split_header(b"\n".join(lines[:count])) or header

    def _note(self, key: bytes, value: bytes) -> None:
        """What a header tells, whether or not it is kept.  `key` is its name in small letters."""
        facts = self.facts
        facts.seen.add(key)
        if key == b"received":
            facts.hops += 1
        elif key in (b"message-id", b"resent-message-id"):
            if len(facts.message_ids) < MOST_IDS:
                facts.message_ids.append((key[0] == ord("r"), value.strip().decode("utf-8", "surrogateescape")))
        elif key == b"content-transfer-encoding" and self._rules.finds_8bit:
            facts.is_8bit = value.strip().lower() in (b"8bit", b"binary") or facts.is_8bit

    async def _one(self, header: Header) -> list[bytes]:
        """The lines for one header: checked, dropped, rewritten, or as it is."""
        before: list[bytes] = []
        is_mime = Role.MIME in ROLES.get(header.key, Role.NONE)
        if self._mime is not None:
            self._mime.header(header)
        part = Part.MIME if is_mime else Part.PRIMARY
        if self._checking is not None and self._checking.watches(part):
            text = header.raw.decode("utf-8", "surrogateescape")
            lines = await self._checking.line(part, text)
            if not lines:
                if header.key == b"received":
                    self.facts.hops += 1
                return before
            before = [self.written(line.encode("utf-8", "surrogateescape")) for line in lines[:-1]]
            if lines[-1] != text:
                header = split_header(lines[-1].encode("utf-8", "surrogateescape")) or header
        role = ROLES.get(header.key)
        if role is not None:
            self._note(header.key, header.value)
        rewritten = header.raw
        if self._context is not None and role is not None and role & (Role.SENDER | Role.RECIPIENT):
            place = Place.HEADER_SENDER if Role.SENDER in role else Place.HEADER_RECIPIENT
            rewritten = await self._rewritten(header, place, self._context)
        if header.key in self._rules.dropped:
            return before
        return [*before, self.written(rewritten)]

    def written(self, text: bytes) -> bytes:
        """A header as it goes into the message: continuation lines start with a blank, header_size_limit is kept.

        A long header is cut at the last line that fits, or in the middle of a line where that would lose more than
        a tenth.  cleanup_out_header()
        """
        limit = self._rules.size_limit
        out: list[bytes] = []
        start = 0
        for at, line in enumerate(text.split(b"\n")):
            end = start + len(line)
            too_long = end > limit
            if too_long:
                if start > 0.9 * limit:
                    break
                line = line[: limit - start]
            out.append(line if at == 0 or line.startswith((b" ", b"\t")) else b"\t" + line)
            if too_long:
                break
            start = end + 1
        return b"\n".join(out) + b"\n"

    async def _rewritten(self, header: Header, place: Place, context: Context) -> bytes:
        """The header with every address completed and mapped; as it was where nothing changes."""
        nodes: list[Node] = parse(header.value.decode("utf-8", "surrogateescape"), self._rules.token_limit)
        changed = False
        for at, node in enumerate(nodes):
            if isinstance(node, Address):
                before = node.external
                after = await self._address(before, place, context)
                if after != before:
                    changed = True
                    nodes[at] = Address(tuple(scan(after)))
        if not changed:
            return header.raw
        return fold_list(header.name + b": " + externalize(nodes, lines=True).encode("utf-8", "surrogateescape"))

    async def _address(self, text: str, place: Place, context: Context) -> str:
        """One address of a header, external form."""
        rewritten = self._rules.rewriter.rewrite_external(text, context)
        if not self._maps_addresses or not self._rules.maps.changes(place):
            return rewritten
        internal = unquote_local(rewritten)
        mapped = await self._rules.maps.mapped(internal, place, self._errors)
        return rewritten if mapped == internal else quote_local(mapped)

    def missing(self, what: Missing) -> bytes:
        """The headers that the block lacks and that this kind of mail should have, in Postfix's order."""
        if not self.adds_missing:
            return b""
        prefix, seen, out = self.facts.prefix, self.facts.seen, []
        low = prefix.lower()
        if low + b"message-id" not in seen:
            message_id = f"<{what.queue_id}@{self._rules.hostname}>"
            out.append(prefix + b"Message-Id: " + message_id.encode())
            self.facts.message_ids.append((bool(prefix), message_id))
            seen.add(low + b"message-id")
        if low + b"date" not in seen:
            out.append(prefix + b"Date: " + what.date().encode("utf-8", "surrogateescape"))
        if low + b"from" not in seen:
            out.append(prefix + b"From: " + self._from(what).encode("utf-8", "surrogateescape"))
        if not seen & _VISIBLE and is_header(self._rules.undisclosed):
            out.append(self._rules.undisclosed)
        return b"".join(line + b"\n" for line in out)

    def _from(self, what: Missing) -> str:
        """The value of From: for a submission without one."""
        address = quote_local(what.sender or MAILER_DAEMON)
        name = what.full_name.replace("\r", " ").replace("\n", " ")
        if not name or not what.sender:
            return address
        if self._rules.obsolete_from:
            return f"{address} {externalize(parse(f'({name})'))}"
        phrase = scan(name, self._rules.token_limit) if _PLAIN_PHRASE.match(name) else [Token(Kind.QUOTED, name)]
        return f"{externalize(phrase)} <{address}>" if phrase else f"<{address}>"


def fold_list(text: bytes) -> bytes:
    """A header with one address a line, as few lines as FOLD_AT lets; the order stays.  cleanup_fold_header()"""
    lines: list[bytes] = []
    for line in text.split(b"\n"):
        if lines and len(lines[-1]) + 1 + len(line) < FOLD_AT:
            lines[-1] += b" " + line
        else:
            lines.append(line)
    return b"\n".join(lines)
