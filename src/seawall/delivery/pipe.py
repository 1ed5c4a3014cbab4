"""pipe(8): mail handed to a command that master.cf names.

The service's arguments are words like ``flags=DRhu user=vmail argv=/usr/bin/deliver -f ${sender} ${recipient}``.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from seawall.clock import Clock
from seawall.config.settings import ConfigTrouble, Settings
from seawall.config.source import Location
from seawall.delivery.children import Children, ChildTrouble
from seawall.delivery.command import as_bytes, judge
from seawall.delivery.content import delivery_headers, from_line, pieces, quoted_pieces
from seawall.delivery.spawner import RunCommand, clean_environment
from seawall.delivery.trouble import StoreTrouble, delivered, failed
from seawall.delivery.work import delivered_to_values, is_loop
from seawall.linux.identity import Borrower, Identity
from seawall.linux.users import User
from seawall.mail.address import fold, quote_local, split_address, split_extension
from seawall.mail.envelope import Recipient
from seawall.mail.job import Job
from seawall.mail.message import Content
from seawall.mail.outcome import Delivery, Outcome

_MACRO = re.compile(r"\$(?:\{(\w+)\}|\((\w+)\)|(\w+))")
_FLAGS = frozenset("BDFORXhqu.>")
_MANY = frozenset({"recipient", "original_recipient", "user", "extension", "mailbox", "domain"})
"""Macros that stand for one recipient each: a word with one of them becomes as many words."""


@dataclass(frozen=True, slots=True)
class PipeService:
    """What the arguments of a pipe(8) service say."""

    flags: frozenset[str]
    identity: Identity
    words: tuple[str, ...]
    directory: str = ""
    line_end: bytes = b"\n"
    null_sender: str = "MAILER-DAEMON"
    size_limit: int = 0


def read_service(
    arguments: Sequence[str],
    find_user: Callable[[str], User | None],
    find_group: Callable[[str], int | None],
    where: Location | None = None,
) -> PipeService:
    """Parse ``name=value`` words up to ``argv=``, which takes all that follow.  Raises ConfigTrouble."""
    given: dict[str, str] = {}
    words: tuple[str, ...] = ()
    for at, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigTrouble(f"unknown attribute name: {word}", where)
        if name == "argv":
            words = (value, *arguments[at + 1 :])
            break
        given[name] = value
    if not words or not words[0]:
        raise ConfigTrouble("missing argv= attribute", where)
    unknown = given.keys() - {"flags", "user", "directory", "eol", "null_sender", "size", "chroot"}
    flags = frozenset(given.get("flags", ""))
    if unknown or "chroot" in given or flags - _FLAGS:
        odd = sorted(unknown) or sorted(flags - _FLAGS) or ["chroot"]
        raise ConfigTrouble(f"unknown attribute name or flag: {' '.join(odd)}", where)
    return PipeService(
        flags=flags,
        identity=_identity(given.get("user", ""), find_user, find_group, where),
        words=words,
        directory=given.get("directory", ""),
        line_end=given.get("eol", "\\n").encode().decode("unicode_escape").encode(),
        null_sender=given.get("null_sender", "MAILER-DAEMON"),
        size_limit=int(given["size"]) if given.get("size", "").isdigit() else 0,
    )


def _identity(
    text: str,
    find_user: Callable[[str], User | None],
    find_group: Callable[[str], int | None],
    where: Location | None,
) -> Identity:
    name, colon, group = text.partition(":")
    if not name:
        raise ConfigTrouble("missing user= attribute", where)
    user = find_user(name)
    if user is None:
        raise ConfigTrouble(f"unknown user: {name}", where)
    gid = find_group(group) if colon else user.gid
    if gid is None:
        raise ConfigTrouble(f"unknown group: {group}", where)
    if user.uid == 0 or gid == 0:
        raise ConfigTrouble(f"request to deliver as root: user={text}", where)
    return Identity(user.uid, gid)


class PipeDelivery:
    """The delivery agent of one pipe(8) service; implements journey.Deliverer."""

    def __init__(
        self,
        settings: Settings,
        service: PipeService,
        name: str,
        children: Children,
        borrower: Borrower,
        clock: Clock,
    ) -> None:
        self.name = name
        self._service = service
        self._children = children
        self._borrower = borrower
        self._clock = clock
        self._seconds = settings.seconds("command_time_limit")
        self._delimiters = settings.text("recipient_delimiter")
        self._export = settings.words("export_environment")
        self._original_header = settings.flag("enable_original_recipient")

    async def deliver(self, job: Job) -> Delivery:
        """Run the command once for all recipients of the job; the flags ``D`` and ``O`` allow only one at a time."""
        if self._service.flags & {"D", "O"} and len(job.recipients) > 1:
            parts = [await self._deliver(job, (recipient,)) for recipient in job.recipients]
            return Delivery(tuple(parts))
        outcome = await self._deliver(job, job.recipients)
        return Delivery((outcome,) * len(job.recipients))

    async def _deliver(self, job: Job, recipients: tuple[Recipient, ...]) -> Outcome:
        started = self._clock.monotonic()
        outcome = await self._try(job, recipients)
        return msgspec.structs.replace(outcome, sending=self._clock.monotonic() - started)

    async def _try(self, job: Job, recipients: tuple[Recipient, ...]) -> Outcome:
        service = self._service
        if service.size_limit and job.content.size > service.size_limit:
            text = f"message size {job.content.size} exceeds size limit {service.size_limit} for transport {self.name}"
            return failed("5.2.3", text, self.name)
        if job.is_probe:
            return delivered(f"delivers to command: {service.words[0]}", self.name)
        if not self._borrower.can_be(service.identity):
            text = f"cannot run a command as uid {service.identity.uid}: started as uid {self._borrower.own_uid}"
            return failed("4.3.0", text, self.name)
        words = expand_words(service, self._delimiters, job, recipients)
        request = RunCommand(
            number=0,
            uid=service.identity.uid,
            gid=service.identity.gid,
            words=tuple(word.encode("utf-8", "surrogateescape") for word in words),
            environment=as_bytes(clean_environment(os.environ, self._export)),
            directory=(service.directory or "/").encode("utf-8", "surrogateescape"),
            seconds=self._seconds,
        )
        try:
            if "D" in service.flags and is_loop(delivered_to_values(job.content), recipients[0].address):
                return failed("5.4.6", f"mail forwarding loop for {recipients[0].address}", self.name)
            ending = await self._children.run(request, self._message(job, recipients[0]))
        except StoreTrouble as trouble:
            return failed(trouble.status, trouble.text, self.name)
        except (ChildTrouble, OSError) as trouble:
            return failed("4.3.0", f"Delivery failed: {trouble}", self.name)
        verdict = judge(ending, words[0])
        if verdict is not None:
            status, text, diagnostic = verdict
            return msgspec.structs.replace(failed(status, text, self.name), diagnostic=diagnostic)
        return delivered(f"delivered via {self.name} service", self.name)

    def _message(self, job: Job, recipient: Recipient) -> Iterator[bytes]:
        """The message as the command reads it, with the headers and changes that the flags ask for."""
        flags, sender = self._service.flags, job.envelope.sender
        head = from_line(sender, self._clock.now()) if "F" in flags else b""
        if "R" in flags:
            head += delivery_headers(sender, "", "")
        if "O" in flags and recipient.original and self._original_header:
            head += f"X-Original-To: {quote_local(recipient.original)}\n".encode("utf-8", "surrogateescape")
        if "D" in flags:
            head += f"Delivered-To: {quote_local(recipient.address)}\n".encode("utf-8", "surrogateescape")
        for piece in itertools.chain((head,), self._body(job.content)):
            yield piece.replace(b"\n", self._service.line_end) if self._service.line_end != b"\n" else piece

    def _body(self, content: Content) -> Iterator[bytes]:
        flags = self._service.flags
        if ">" in flags:
            yield from _without_last(quoted_pieces(content)) if "B" not in flags else quoted_pieces(content)
            return
        last = b""
        for piece in pieces(content):
            if "." in flags:
                stuffed = piece.replace(b"\n.", b"\n..")
                piece = b"." + stuffed if piece.startswith(b".") and last in (b"", b"\n") else stuffed
            last = piece[-1:]
            yield piece
        if "B" in flags:
            yield b"\n"


def _without_last(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces without the blank line that ends a message in an mbox."""
    before = None
    for part in parts:
        if before is not None:
            yield before
        before = part
    if before:
        yield before[:-1]


def expand_words(service: PipeService, delimiters: str, job: Job, recipients: Sequence[Recipient]) -> tuple[str, ...]:
    """The command's words with the macros replaced; a word about recipients is repeated for each of them.  pipe(8)"""
    words: list[str] = []
    shared = _shared_macros(service, job)
    each = [_recipient_macros(service, delimiters, recipient) for recipient in recipients]
    for word in service.words:
        names = {next(filter(None, found)) for found in _MACRO.findall(word)}
        words.extend(_replaced(word, {**shared, **values}) for values in (each if names & _MANY else [{}]))
    return tuple(words)


def _replaced(word: str, known: Mapping[str, str]) -> str:
    return _MACRO.sub(lambda found: known.get(next(filter(None, found.groups())), ""), word)


def _shared_macros(service: PipeService, job: Job) -> dict[str, str]:
    origin = job.envelope.origin
    sender = job.envelope.sender
    if not sender:
        sender = service.null_sender
    elif "q" in service.flags:
        sender = quote_local(sender)
    nexthop = fold(job.nexthop) if "h" in service.flags else job.nexthop
    return {
        "sender": sender,
        "nexthop": nexthop,
        "size": str(job.content.size),
        "queue_id": job.queue_id,
        "client_address": origin.client_address,
        "client_helo": origin.helo,
        "client_hostname": origin.client_name,
        "client_port": origin.client_port,
        "client_protocol": origin.protocol,
        "sasl_method": origin.sasl_method,
        "sasl_sender": origin.sasl_sender,
        "sasl_username": origin.sasl_username,
        "envid": job.envelope.envid,
    }


def _recipient_macros(service: PipeService, delimiters: str, recipient: Recipient) -> dict[str, str]:
    local, domain = split_address(recipient.address)
    if "u" in service.flags:
        local = fold(local)
    domain = fold(domain or "") if "h" in service.flags else domain or ""
    user, extension = split_extension(local, delimiters)
    address = f"{local}@{domain}" if domain else local
    original = recipient.original or address
    if "q" in service.flags:
        address, original = quote_local(address), quote_local(original)
        user, local = quote_local(user, bare=True), quote_local(local, bare=True)
    return {
        "recipient": address,
        "original_recipient": original,
        "user": user,
        "extension": extension or "",
        "mailbox": local,
        "domain": domain,
    }
