"""postcat: the parts of a queue file."""

from pathlib import Path

import pytest

from seawall.cli import postcat
from seawall.spool.queue_file import Outcomes, Result, Waiting
from tests.cli.queue_site import LATER, QueueSite
from tests.crash.common import ARRIVED, message


@pytest.fixture
def site(tmp_path: Path) -> QueueSite:
    found = QueueSite(tmp_path)
    item = message(1, body=b"line one\nline two\n")
    found.files.store(item)
    found.files.append(
        f"{found.places.queue}/{item.queue_id}", [Outcomes(ARRIVED, (Result(0, LATER),)), Waiting(ARRIVED + 300)]
    )
    return found


QUEUE_ID = message(1).queue_id


def run(site: QueueSite, *arguments: str) -> int:
    return postcat.main(["-c", str(site.directory), *arguments])


def test_the_whole_file_is_shown_under_titles(site: QueueSite, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(site, "-q", QUEUE_ID) == 0
    text = capfdbinary.readouterr().out.decode()
    assert text.startswith(f"*** ENVELOPE RECORDS queue/{QUEUE_ID} ***\nmessage_size:              30\n")
    assert "named_attribute: client_name=c.example\n" in text
    assert "sender: ann@a.example\noriginal_recipient: r0@b.example\nrecipient: r0@b.example\n" in text
    assert "last_outcome: 4.2.2 mailbox full\n" in text
    assert f"*** MESSAGE CONTENTS queue/{QUEUE_ID} ***\nSubject: 1\n\nline one\nline two\n*** HEADER EXTRACTED" in text


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("-h", b"Subject: 1\n"),
        ("-b", b"line one\nline two\n"),
        ("-hb", b"Subject: 1\n\nline one\nline two\n"),
        ("-bv", b"regular_text: line one\nregular_text: line two\n"),
    ],
)
def test_parts_are_shown_bare(
    site: QueueSite, option: str, expected: bytes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(site, option, "-q", QUEUE_ID) == 0
    assert capfdbinary.readouterr().out == expected


def test_the_envelope_alone(site: QueueSite, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(site, "-e", f"{site.places.queue}/{QUEUE_ID}") == 0
    text = capfdbinary.readouterr().out.decode()
    assert "recipient: r0@b.example\n" in text
    assert "Subject" not in text


def test_trouble_is_told(site: QueueSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(site, "-q", "NOSUCHMESSAGE") == 1
    assert run(site, "-q", "../../etc/passwd") == 1
    (tmp_path / "junk").write_bytes(b"junk")
    assert run(site, str(tmp_path / "junk")) == 1
    assert run(site) == 1
    errors = capsys.readouterr().err
    assert "open queue file NOSUCHMESSAGE: No such file or directory" in errors
    assert "bad mail queue ID: ../../etc/passwd" in errors
    assert "junk: not a queue file" in errors
