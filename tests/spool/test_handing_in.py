"""Mail that is handed in on this host: over the socket, and through the maildrop while the server is down."""

import asyncio
import os
import socket
from pathlib import Path

import msgspec
import pytest

from seawall.clock import SystemClock
from seawall.journal.record import MemoryJournal
from seawall.mail.action import Action
from seawall.mail.envelope import Recipient, Submission
from seawall.mail.reply import Reply
from seawall.spool.disk import Disk
from seawall.spool.handing_in import (
    FORMAT,
    Handed,
    HandedRecipient,
    NotHanded,
    Verdict,
    checksum,
    format_handed,
    parse_handed,
)
from seawall.spool.hands import Hands
from seawall.spool.pickup import Pickup, write_drop
from seawall.spool.places import Places, make_places
from seawall.spool.submission import SubmissionServer, serve_submission

GOLDEN = Path(__file__).parent.parent / "golden" / "formats"
CONTENT = b"Subject: hi\n\nhello\n"


class Desk:
    """An intake that remembers, and says what it was told to say."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply or Reply(250, "2.0.0", "Ok: queued as ID")
        self.taken: list[tuple[Submission, tuple[Recipient, ...], bytes]] = []
        self.aborted = 0
        self.room = True

    def open(self, submission: Submission) -> "Form":
        return Form(self, submission)

    def room_for(self, size: int) -> bool:
        return self.room and size >= 0


class Form:
    queue_id = "QUEUEID1"

    def __init__(self, desk: Desk, submission: Submission) -> None:
        self._desk = desk
        self._submission = submission
        self._recipients: list[Recipient] = []
        self._data = b""

    def add_recipient(self, recipient: Recipient) -> None:
        self._recipients.append(recipient)

    def apply(self, action: Action) -> None:
        del action

    def write(self, data: bytes) -> None:
        self._data += data

    @property
    def received(self) -> int:
        return len(self._data)

    async def finish(self) -> Reply:
        if self._desk.reply.code < 300:
            self._desk.taken.append((self._submission, tuple(self._recipients), self._data))
        return self._desk.reply

    def abort(self) -> None:
        self._desk.aborted += 1


def handed(content: bytes = CONTENT, sender: str | None = "ann@a.example") -> Handed:
    return Handed(
        format=FORMAT,
        recipients=(HandedRecipient("bob@b.example", 2),),
        size=len(content),
        checksum=checksum(content),
        sender=sender,
        full_name="Ann",
    )


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(str(tmp_path / "seawall"))
    make_places(found, Disk())
    return found


def pickup(places: Places, desk: Desk, journal: MemoryJournal, limit: int = 1000) -> Pickup:
    return Pickup(places, desk, journal, SystemClock(), limit, disk=Disk(), hands=Hands(2))


def drop(places: Places, name: str, item: Handed | None = None, content: bytes = CONTENT) -> Path:
    write_drop(Disk(), places, name, format_handed(item or handed(content)), content)
    return Path(places.maildrop) / name


def test_the_places_have_the_modes_that_docs_spool_md_says(places: Places) -> None:
    modes = {name: os.stat(f"{places.root}/{name}").st_mode & 0o7777 for name in os.listdir(places.root)}
    assert modes == {"queue": 0o700, "hold": 0o700, "corrupt": 0o700, "maildrop": 0o1733, "public": 0o755}


def test_the_sample_of_submission_format_1_is_read_for_ever() -> None:
    line, _, content = (GOLDEN / "submission.1").read_bytes().partition(b"\n")
    assert parse_handed(line) == handed()
    assert content == CONTENT
    assert format_handed(handed()) == line + b"\n"


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b"\xff", b'{"format":2,"recipients":[{"address":"a"}],"size":1,"checksum":0}']
)
def test_what_is_no_submission_is_said_so(line: bytes) -> None:
    with pytest.raises(NotHanded):
        parse_handed(line)


async def test_a_drop_is_picked_up_with_its_owner_as_the_sender_of_record(places: Places) -> None:
    desk, journal = Desk(), MemoryJournal()
    path = drop(places, "one")
    assert await pickup(places, desk, journal).sweep() == 1
    ((submission, recipients, content),) = desk.taken
    assert submission.origin.submitted_by == f"userid {os.getuid()}"
    assert submission.origin.is_local
    assert submission.sender == "ann@a.example"
    assert submission.extra == ("fullname=Ann",)
    assert recipients == (Recipient("bob@b.example", "bob@b.example", "", 2),)
    assert content == CONTENT
    assert not path.exists()
    assert journal.records[0].text() == f"QUEUEID1: uid={os.getuid()} from=<ann@a.example>"


async def test_a_drop_stays_until_it_is_durable_elsewhere(places: Places) -> None:
    desk, journal = Desk(Reply(451, "4.3.0", "Error: queue file write error")), MemoryJournal()
    path = drop(places, "one")
    sweeper = pickup(places, desk, journal)
    assert await sweeper.sweep() == 0
    assert await sweeper.sweep() == 0
    assert path.exists()
    warnings = [record.text() for record in journal.records if record.level == "warning"]
    assert len(warnings) == 1, "once, not once a minute"
    desk.reply = Reply(250, "2.0.0", "Ok")
    assert await sweeper.sweep() == 1


async def test_what_is_no_honest_drop_is_left_alone_and_named(places: Places) -> None:
    folder = Path(places.maildrop)
    linked = drop(places, "linked")
    os.link(linked, folder.parent / "elsewhere")
    (folder / "symbolic").symlink_to("/etc/passwd")
    os.mkfifo(folder / "fifo", 0o644)
    (folder / "folder").mkdir()
    drop(places, "large", content=b"x" * 2000)
    (folder / "junk").write_bytes(b"no newline")
    torn = drop(places, "torn")
    torn.write_bytes(torn.read_bytes()[:-3])
    (folder / "growing").write_bytes(b"{")
    (folder / "growing").chmod(0o600)
    desk, journal = Desk(), MemoryJournal()
    assert await pickup(places, desk, journal).sweep() == 0
    assert desk.taken == []
    assert desk.aborted == 1
    told = {record.text().removeprefix("warning: maildrop/") for record in journal.records if record.level == "warning"}
    assert told == {
        "linked: it has more than one name",
        "symbolic: not a regular file",
        "fifo: not a regular file",
        "folder: not a regular file",
        "large: larger than message_size_limit",
        "junk: no submission",
        "torn: 451 4.3.0 Error: the submission is not whole",
    }


class Talk:
    """A server at a real socket, and a client."""

    def __init__(self, places: Places, desk: Desk, limit: int = 1000) -> None:
        self.journal = MemoryJournal()
        self.server = SubmissionServer(desk, self.journal, SystemClock(), limit)
        self.places = places
        self.mode = 0

    async def say(self, data: bytes) -> Verdict:
        server = await serve_submission(self.server, self.places.submit_socket)
        self.mode = os.stat(self.places.submit_socket).st_mode & 0o777  # Python 3.13 removes it at the end
        try:
            reader, writer = await asyncio.open_unix_connection(self.places.submit_socket)
            writer.write(data)
            writer.write_eof()
            line = await asyncio.wait_for(reader.readline(), 10)
            writer.close()
            await writer.wait_closed()
            return msgspec.json.decode(line, type=Verdict)
        finally:
            await self.server.visits.quiet()
            server.close()
            await server.wait_closed()


async def test_a_submission_over_the_socket_bears_the_callers_identity(places: Places) -> None:
    desk = Desk()
    talk = Talk(places, desk)
    verdict = await talk.say(format_handed(handed(sender=None)) + CONTENT)
    assert verdict == Verdict(250, "2.0.0", "Ok: queued as ID")
    ((submission, _, content),) = desk.taken
    assert submission.origin.submitted_by == f"userid {os.getuid()}"
    assert submission.sender not in ("", "ann@a.example")
    assert content == CONTENT
    assert talk.mode == 0o666


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"junk\n", 501),
        (b"", 501),
        (format_handed(handed()) + CONTENT[:-1], 451),
        (format_handed(handed()) + CONTENT[:-1] + b"X", 451),
        (format_handed(handed(b"x" * 2000)) + b"x" * 2000, 552),
    ],
)
async def test_bad_submissions_are_answered(places: Places, data: bytes, code: int) -> None:
    desk = Desk()
    assert (await Talk(places, desk).say(data)).code == code
    assert desk.taken == []


async def test_intakes_refusal_reaches_the_caller(places: Places) -> None:
    desk = Desk(Reply(550, "5.7.1", "content rejected"))
    assert await Talk(places, desk).say(format_handed(handed()) + CONTENT) == Verdict(550, "5.7.1", "content rejected")
    desk = Desk()
    desk.room = False
    assert (await Talk(places, desk).say(format_handed(handed()) + CONTENT)).code == 452


async def test_who_may_not_submit_is_refused(places: Places) -> None:
    async def nobody(parameter: str, user: str) -> bool:
        assert parameter == "authorized_submit_users"
        return user == ""

    desk = Desk()
    talk = Talk(places, desk)
    talk.server._allowed = nobody
    expected = 250 if os.getuid() == 0 else 550  # root is asked nothing
    assert (await talk.say(format_handed(handed()) + CONTENT)).code == expected


async def test_a_socket_left_by_a_dead_server_is_replaced(places: Places) -> None:
    old = socket.socket(socket.AF_UNIX)
    old.bind(places.submit_socket)
    old.close()
    assert (await Talk(places, Desk()).say(format_handed(handed()) + CONTENT)).code == 250
