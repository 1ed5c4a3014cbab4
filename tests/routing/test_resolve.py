from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.settings import Settings
from seawall.eager import result_now
from seawall.routing.resolve import Routing
from seawall.routing.route import Classes, Route
from seawall.tables.registry import Tables

CONFIG = """\
compatibility_level = 3.6
myhostname = mail.example.org
mydestination = $myhostname, localhost, example.org
inet_interfaces = 127.0.0.1, 192.0.2.1
virtual_alias_domains = v.example
virtual_mailbox_domains = vm.example
relay_domains = r.example
"""


def route(address: str, more: str = "", sender: str = "") -> Route:
    return result_now(Routing(Settings.from_text(CONFIG + more), Tables()).resolve(address, sender))


@pytest.mark.parametrize(
    ("address", "classes", "transport", "nexthop"),
    [
        ("bob@example.org", Classes.LOCAL, "local", "mail.example.org"),
        ("bob@[192.0.2.1]", Classes.LOCAL, "local", "mail.example.org"),
        ("bob@v.example", Classes.ALIAS, "error", "5.1.1 User unknown in virtual alias table"),
        ("bob@vm.example", Classes.VMAILBOX, "virtual", "vm.example"),
        ("bob@r.example", Classes.RELAY, "relay", "r.example"),
        ("bob@elsewhere.example", Classes.DEFAULT, "smtp", "elsewhere.example"),
        ("bob@[192.0.2.99]", Classes.DEFAULT, "smtp", "[192.0.2.99]"),
    ],
)
def test_a_domain_s_class_chooses_the_way(address: str, classes: Classes, transport: str, nexthop: str) -> None:
    assert route(address) == Route(transport, nexthop, address, classes)


@pytest.mark.parametrize(
    "disguise",
    ["x@elsewhere.example@example.org", "x%elsewhere.example@example.org", "elsewhere.example!x@example.org"],
)
def test_a_foreign_address_in_our_domain_s_clothes_is_foreign(disguise: str) -> None:
    found = route(disguise)
    assert (found.recipient, found.classes) == ("x@elsewhere.example", Classes.DEFAULT)


def test_a_further_destination_in_the_local_part_is_marked() -> None:
    assert route("a%b@elsewhere.example").is_routed
    assert not route("ab@elsewhere.example").is_routed


@pytest.mark.parametrize("address", ["a@b..c", "a@-b.example", "a@b_.e$", "-a@b.example", "a@1.2.3.4", "a@[1.2.3]"])
def test_an_address_that_cannot_be_is_malformed(address: str) -> None:
    assert route(address).is_malformed


def test_the_null_address_is_mailer_daemon() -> None:
    assert route("").recipient == "MAILER-DAEMON@mail.example.org"


def test_transport_maps_change_transport_and_next_hop() -> None:
    more = "transport_maps = inline:{{r.example=smtp:[192.0.2.9]:2525} {.r.example=:[192.0.2.8]} {bob@r.example=error:gone}}\n"
    assert (route("x@r.example", more).transport, route("x@r.example", more).nexthop) == ("smtp", "[192.0.2.9]:2525")
    assert (route("x@y.r.example", more).transport, route("x@y.r.example", more).nexthop) == ("relay", "[192.0.2.8]")
    assert route("bob@r.example", more).nexthop == "gone"


def test_transport_maps_have_no_say_over_unknown_virtual_aliases() -> None:
    assert route("x@v.example", "transport_maps = inline:{v.example=smtp:x}\n").transport == "error"


def test_relayhost_is_for_foreign_mail_alone() -> None:
    more = "relayhost = [out.example]:587\n"
    assert route("x@elsewhere.example", more).nexthop == "[out.example]:587"
    assert route("x@vm.example", more).nexthop == "vm.example"


def test_the_sender_may_choose_the_relay_and_the_transport() -> None:
    more = (
        "relayhost = [out.example]\n"
        "sender_dependent_relayhost_maps = inline:{{a@x.example=[a.example]} {b@x.example=DUNNO} {<>=[null.example]}}\n"
        "sender_dependent_default_transport_maps = inline:{{@x.example=slow}}\n"
    )
    assert route("x@elsewhere.example", more, "a@x.example").nexthop == "[a.example]"
    assert route("x@elsewhere.example", more, "b@x.example").nexthop == "[out.example]"
    assert route("x@elsewhere.example", more, "").nexthop == "[null.example]"
    assert route("x@elsewhere.example", more, "a@x.example").transport == "slow"
    assert route("x@elsewhere.example", more, "a@y.example").transport == "smtp"


def test_a_table_that_fails_is_a_temporary_failure() -> None:
    found = route("x@elsewhere.example", "transport_maps = fail:broken\n")
    assert found.has_failed
    assert "fail:broken" in found.error


def test_a_user_who_has_moved_is_told_by_relocated_maps() -> None:
    found = route("bob@example.org", "relocated_maps = inline:{bob=bob@new.example}\n")
    assert (found.transport, found.nexthop) == ("error", "5.1.6 User has moved to bob@new.example")


@pytest.mark.parametrize(
    ("address", "more", "listed", "text"),
    [
        (
            "nobody.here@example.org",
            "local_recipient_maps = inline:{bob=x}\n",
            False,
            "User unknown in local recipient table",
        ),
        ("bob@example.org", "local_recipient_maps = inline:{bob=x}\n", True, ""),
        ("postmaster@example.org", "local_recipient_maps = inline:{bob=x}\n", True, ""),
        ("bob@example.org", "local_recipient_maps =\n", True, ""),
        ("bob@v.example", "virtual_alias_maps = inline:{bob@v.example=x}\n", True, ""),
        ("bob@v.example", "", False, "User unknown in virtual alias table"),
        (
            "bob@vm.example",
            "virtual_mailbox_maps = inline:{x@vm.example=x}\n",
            False,
            "User unknown in virtual mailbox table",
        ),
        (
            "bob@r.example",
            "relay_recipient_maps = inline:{x@r.example=x}\n",
            False,
            "User unknown in relay recipient table",
        ),
        ("bob@r.example", "", True, ""),
        ("x@elsewhere.example", "", True, ""),
        ("x@old.example", "transport_maps = inline:{{old.example=error:5.7.9 closed}}\n", False, "closed"),
        (
            "nobody.here@example.org",
            "local_recipient_maps = inline:{b=x}\nshow_user_unknown_table_name = no\n",
            False,
            "User unknown",
        ),
    ],
)
def test_the_tables_of_a_class_say_who_exists(address: str, more: str, listed: bool, text: str) -> None:
    routing = Routing(Settings.from_text(CONFIG + more), Tables())
    listing = result_now(routing.listing(address))
    assert (listing.listed, listing.text) == (listed, text)


def test_an_error_text_may_bring_its_own_status() -> None:
    routing = Routing(
        Settings.from_text(CONFIG + "transport_maps = inline:{{old.example=error:5.7.9 closed}}\n"), Tables()
    )
    assert result_now(routing.listing("x@old.example")).status == "5.7.9"


def test_config_a_s_tables_make_its_classes(tmp_path: Path) -> None:
    for name, text in {"accept": "mine.example x\n", "relay": "r.example x\n", "virt": "v.example x\n"}.items():
        (tmp_path / name).write_text(text)
    settings = Settings.from_text(
        f"myhostname = pop.cape.com\nmydestination = $myhostname, localhost, texthash:{tmp_path}/accept\n"
        f"relay_domains = texthash:{tmp_path}/relay\nvirtual_alias_domains = texthash:{tmp_path}/virt\n"
    )
    routing = Routing(settings, Tables())
    found = {
        domain: result_now(routing.resolve(f"x@{domain}")).classes
        for domain in ("mine.example", "r.example", "v.example")
    }
    assert found == {"mine.example": Classes.LOCAL, "r.example": Classes.RELAY, "v.example": Classes.ALIAS}


@given(st.text(alphabet='ab.@%!:,"\\ ()<>[]+-é', max_size=24))
def test_every_address_has_a_route_and_resolving_it_again_changes_nothing(address: str) -> None:
    routing = Routing(Settings.from_text(CONFIG + "swap_bangpath = no\nallow_percent_hack = no\n"), Tables())
    found = result_now(routing.resolve(address))
    assert not found.has_failed
    if not found.is_malformed and not found.is_routed:
        again = result_now(routing.resolve(found.recipient))
        assert again.classes & (Classes.LOCAL | Classes.DEFAULT) == found.classes & (Classes.LOCAL | Classes.DEFAULT)
