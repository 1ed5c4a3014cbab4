"""Ours against what the real trivial-rewrite(8) answered (postfix_routes.py records it)."""

import json
from typing import Any

import pytest

from seawall.config.settings import Settings
from seawall.eager import result_now
from seawall.routing.resolve import Routing
from seawall.routing.rewrite import Context
from seawall.routing.route import Classes
from seawall.tables.registry import Tables
from tests.routing.postfix_routes import RECORDED

FLAGS = {  # resolve_clnt(3) RESOLVE_*
    Classes.ROUTED: 2,
    Classes.MALFORMED: 4,
    Classes.LOCAL: 256,
    Classes.ALIAS: 512,
    Classes.VMAILBOX: 1024,
    Classes.RELAY: 2048,
    Classes.DEFAULT: 4096,
}
SETS: list[dict[str, Any]] = json.loads(RECORDED.read_text())


@pytest.mark.parametrize("recorded", SETS, ids=["plain", "odd"])
def test_every_recorded_address_is_rewritten_and_routed_as_postfix_did(recorded: dict[str, Any]) -> None:
    routing = Routing(Settings.from_text(recorded["main.cf"]), Tables())
    assert len(recorded["answers"]) > 600
    for address, sender, rewritten, (transport, nexthop, recipient), number in recorded["answers"]:
        for context, expected in zip(Context, rewritten, strict=True):
            assert routing.rewriter.rewrite_external(address, context) == expected, (address, context)
        route = result_now(routing.resolve(address, sender))
        flags = sum(FLAGS[flag] for flag in route.classes)
        assert flags == number, address
        assert route.recipient == recipient, address
        if nexthop != "NEXTHOP NOT UPDATED":  # which Postfix leaves behind for a malformed domain
            assert (route.transport, route.nexthop) == (transport, nexthop), address
