"""Everything the processes say to each other: frozen structs, in one file, with a version.

Supervisor and child talk over one `SOCK_SEQPACKET` pair; `Link` hands two children a pair of their own.  Files,
listeners and bodies travel as descriptors beside the message.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from seawall.journal.batch import Batch
from seawall.mail.envelope import Envelope, Recipient
from seawall.mail.outcome import Outcome
from seawall.mail.verified import Verified

VERSION = 8
"""Raised with every change; a child of another version is not talked to."""


class ListenerInfo(msgspec.Struct, frozen=True):
    """One listening socket of a worker: the master.cf service (by position) that answers on it.

    For the queue manager a local one: `family` is ``unix``, `address` its name in ``public/``.
    """

    service: int
    family: str
    address: str
    port: int


class Start(msgspec.Struct, frozen=True, tag=True):
    """Supervisor → child, first of all.  Descriptors: configuration, log file (if `has_log`), then `listeners`."""

    version: int
    role: str
    index: int
    workers: int
    root: str
    directory: str
    user: str
    """The account to become once everything that needs privilege is open; empty: stay who we are."""
    generation: int
    listeners: tuple[ListenerInfo, ...] = ()
    has_log: bool = False


class MoreDescriptors(msgspec.Struct, frozen=True, tag=True):
    """Supervisor → child, after `Start`: descriptors that did not fit beside it, in their order."""


class Configuration(msgspec.Struct, frozen=True):
    """What the configuration descriptor holds, in MessagePack: the texts as the supervisor read them, once."""

    main_cf: str
    master_cf: str
    overrides: dict[str, str] = {}


class Link(msgspec.Struct, frozen=True, tag=True):
    """Supervisor → child: one end of a pair to another child, on which the child `asks` or is asked.

    An older link to the same peer in the same direction is at its end.
    """

    peer: str
    index: int
    asks: bool


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Supervisor → child: accept no more, let what is under way end within `seconds`, then end.

    With `farewell`, sessions that are idle are told 421 and closed; without (a reload) they stay as long as they like.
    """

    seconds: float
    farewell: bool = True


class Adopt(msgspec.Struct, frozen=True, tag=True):
    """Supervisor → worker: a neighbour is silent; accept from its sockets (beside the message) as well."""

    index: int
    listeners: tuple[ListenerInfo, ...] = ()


class Release(msgspec.Struct, frozen=True, tag=True):
    """Supervisor → worker: the neighbour is back."""

    index: int


class Built(msgspec.Struct, frozen=True, tag=True):
    """Child → supervisor: the configuration can be served, all that needs privilege is open; waits for `Begin`."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Child → supervisor, its last word: the configuration cannot be served."""

    reason: str


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Supervisor → child: serve."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Child → supervisor: the configuration of this generation is in use."""

    generation: int
    pid: int


class Beat(msgspec.Struct, frozen=True, tag=True):
    """Child → supervisor, twice a second: the loop turns.  `sessions` and `stall` (longest seconds) are for status."""

    sessions: int = 0
    stall: float = 0.0


class Announce(msgspec.Struct, frozen=True, tag=True):
    """Worker → queue manager: a queue file is durable."""

    queue_id: str


class Flush(msgspec.Struct, frozen=True, tag=True):
    """Worker → queue manager: try what waits for this domain now.  ETRN, RFC 1985"""

    domain: str


class VerifyRequest(msgspec.Struct, frozen=True, tag=True):
    """Worker → queue manager: does mail for this address get anywhere?  verify(8)"""

    number: int
    address: str
    patience: float
    """Seconds that a probe may take, where one is needed."""


class VerifyReply(msgspec.Struct, frozen=True, tag=True):
    """The answer to a `VerifyRequest`."""

    number: int
    verified: Verified


class WireMessage(msgspec.Struct, frozen=True):
    """A message between processes; the spilled part of its content is the descriptor beside it."""

    queue_id: str
    arrived: float
    envelope: Envelope
    memory: bytes
    spilled_offset: int = 0
    spilled_length: int = 0


class DirectRequest(msgspec.Struct, frozen=True, tag=True):
    """Worker → delivery: into the mailboxes at once, if the direct way is open to it."""

    number: int
    message: WireMessage


class DirectReply(msgspec.Struct, frozen=True, tag=True):
    """Delivery → worker: the outcomes, or None where the conditions do not hold."""

    number: int
    outcomes: tuple[Outcome, ...] | None


class JobRequest(msgspec.Struct, frozen=True, tag=True):
    """Queue manager → delivery: a job of local(8), virtual(8), pipe(8).  Delivery → queue manager: one of smtp(8), lmtp(8).

    The message's envelope names no recipients: those of the job are all that count.
    """

    number: int
    transport: str
    nexthop: str
    recipients: tuple[Recipient, ...]
    message: WireMessage
    is_probe: bool = False


class JobReply(msgspec.Struct, frozen=True, tag=True):
    """The answer to a `JobRequest`."""

    number: int
    delivery: bytes
    """A packed `Delivery`; empty where that is in the descriptor beside the message: a list's may be megabytes."""


class Records(msgspec.Struct, frozen=True, tag=True):
    """Any child → watcher: journal records."""

    batch: Batch


class ClientsPassed(msgspec.Struct, frozen=True, tag=True):
    """Worker → watcher: what is known of clients at the door has changed."""

    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """(address, when each result expires), with nothing where it is to be forgotten."""


class GreylistChanges(msgspec.Struct, frozen=True, tag=True):
    """Worker → watcher: what greylisting has learnt."""

    triplets: tuple[tuple[int, int, int, int, int, str, str], ...]
    """policy.greylist.TripletRow"""
    networks: tuple[tuple[int, int, int, int], ...]
    """policy.greylist.NetworkRow"""


class GreylistQuestion(msgspec.Struct, frozen=True, tag=True):
    """Worker → watcher: who has tried this sender and recipient before, from any network?"""

    number: int
    pair: int


class GreylistAnswer(msgspec.Struct, frozen=True, tag=True):
    """The answer to a `GreylistQuestion`."""

    number: int
    elders: tuple[tuple[int, int, str, str], ...]
    """policy.greylist.Elder"""


class ListNews(msgspec.Struct, frozen=True, tag=True):
    """Worker → watcher → all other workers: something has become of a DNS list.  policy.list_watch.News"""

    what: str
    zone: str
    why: str
    pause: float


ChannelMessage: TypeAlias = (
    Start | MoreDescriptors | Built | Failed | Begin | Link | Drain | Adopt | Release | Ready | Beat
)
LinkMessage: TypeAlias = (
    Announce
    | Flush
    | DirectRequest
    | DirectReply
    | JobRequest
    | JobReply
    | VerifyRequest
    | VerifyReply
    | Records
    | ClientsPassed
    | GreylistChanges
    | GreylistQuestion
    | GreylistAnswer
    | ListNews
)
