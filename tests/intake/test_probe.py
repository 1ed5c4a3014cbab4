from pathlib import Path

from seawall.clock import SystemClock
from seawall.config.settings import Settings
from seawall.intake.cleanup import Cleanup
from seawall.intake.probe import address_probe
from seawall.journal.record import MemoryJournal
from seawall.mail.message import Message
from seawall.mail.queue_id import QueueIds
from seawall.routing.resolve import Routing
from seawall.tables.registry import Tables

MAPS = """
myhostname = mx.example
mydestination = mx.example
always_bcc = archive@mx.example
recipient_bcc_maps = static:archive@mx.example
header_checks = regexp:{{/./ REJECT}}
content_filter = smtp:[192.0.2.9]
canonical_maps = inline:{old@mx.example=new@mx.example}
virtual_alias_maps = inline:{{team@v.example=ann@mx.example,bob@mx.example},one@v.example=ann}
"""


class Nowhere:
    """Probes are not put to rest."""

    async def store(self, message: Message) -> None:
        raise AssertionError("a probe has no queue file")


def cleanup(main_cf: str, journal: MemoryJournal | None = None) -> Cleanup:
    settings, tables = Settings.from_text(main_cf), Tables()
    routing = Routing(settings, tables)
    ids = QueueIds(1)
    return Cleanup(settings, routing, tables, Nowhere(), None, journal or MemoryJournal(), SystemClock(), ids)


async def test_an_address_is_mapped_as_mail_would_be_and_nobody_gets_a_copy() -> None:
    intake = cleanup(MAPS)
    for address, wanted in {
        "old@mx.example": ["new@mx.example"],
        "one@v.example": ["ann@mx.example"],
        "team@v.example": ["ann@mx.example", "bob@mx.example"],
        "bare": ["bare@mx.example"],
    }.items():
        found = await address_probe(intake, "double-bounce@mx.example", address)
        assert found is not None
        assert found[0] == "double-bounce@mx.example"
        assert [recipient.address for recipient in found[1]] == wanted
        assert {recipient.original for recipient in found[1]} == {address}


async def test_a_table_that_fails_is_told_and_answers_nothing(tmp_path: Path) -> None:
    journal = MemoryJournal()
    intake = cleanup(f"{MAPS}virtual_alias_maps = hash:{tmp_path}/none\n", journal)
    assert await address_probe(intake, "", "ann@mx.example") is None
    assert any("virtual_alias_maps map lookup problem" in record.text() for record in journal.records)
