"""Lists as rules see them: classes, arguments, what can be moved."""

import time

from seawall.cli.lint.checks import read_listings
from seawall.cli.lint.site import View
from seawall.config.settings import Settings
from seawall.policy.order import Cost
from tests.cli.lint.cases import HOST


def view(text: str) -> View:
    return View(Settings.from_text(text, host=HOST), None, {})


def test_a_class_can_do_what_its_members_can() -> None:
    seen = view(
        "smtpd_restriction_classes = one, two\none = two, reject_rbl_client x.example\ntwo = permit_mynetworks\n"
        "smtpd_sender_restrictions = one, reject\n"
    )
    check = seen.lists["sender"].checks[0]
    assert (check.name, check.is_class, check.cost, check.trait.permits) == ("one", True, Cost.DNS_LIST, True)


def test_classes_that_name_each_other_come_to_an_end() -> None:
    names = [f"c{number}" for number in range(60)]
    lines = [
        f"{name} = {follower} {follower} {follower}"
        for name, follower in zip(names, [*names[1:], names[0]], strict=True)
    ]
    before = time.monotonic()
    seen = view(
        f"smtpd_restriction_classes = {' '.join(names)}\n" + "\n".join(lines) + "\nsmtpd_sender_restrictions = c0\n"
    )
    assert seen.lists["sender"].checks[0].trait.permits is False
    assert time.monotonic() - before < 20


def test_arguments_are_taken_as_the_compiler_takes_them() -> None:
    seen = view(
        "smtpd_recipient_restrictions = hash:/x, warn_if_reject Check_Sender_Access hash:/y sleep 3\n"
        " check_policy_service { unix:private/p, timeout=1 } reject_rbl_client\n"
    )
    checks = seen.lists["recipient"].checks
    assert [(check.present, check.argument, check.warns) for check in checks] == [
        ("check_recipient_access", "hash:/x", False),
        ("check_sender_access", "hash:/y", True),
        ("sleep", "3", False),
        ("check_policy_service", "{ unix:private/p, timeout=1 }", False),
        ("reject_rbl_client", "", False),
    ]


def test_a_list_of_any_length_is_looked_at_up_to_a_bound() -> None:
    lists, _ = read_listings(view("smtpd_sender_restrictions = " + "reject " * 5000))
    assert len(lists["sender"].checks) == 1000
