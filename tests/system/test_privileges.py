"""Who the processes are, and that what root alone may do is done all the same: real users, in the box."""

import re
import signal
from collections.abc import Iterator

import pytest

from tests.box import Box
from tests.system.box_site import BoxSite
from tests.system.server import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("privileges")]

MAIN_CF = """\
compatibility_level = 3.6
myhostname = pop.cape.com
mynetworks =
mydestination = $myhostname
alias_maps = hash:/etc/postfix/aliases
smtpd_peername_lookup = no
smtpd_recipient_restrictions = reject_unauth_destination, check_recipient_access hash:/etc/postfix/access
allow_mail_to_commands = alias, forward, include
allow_mail_to_files = alias, forward, include
command_time_limit = 2s
seawall_workers = 2
"""
ALIASES = """\
command: "|cat >/dev/null; id -un >/home/shared/command; grep -E 'Cap|NoNew' /proc/self/status >/home/shared/powers"
file: /home/shared/file
sleeper: "|id -un >/home/shared/sleeper; sleep 600 & sleep 601"
crew: :include:/home/bob/crew
"""
NOBODY = 65534
POSTFIX = 901
SETUID_SETGID, AND_KILL, AND_OF_ROOT = 0xC0, 0xE0, 0xC3


@pytest.fixture(scope="module")
def site(box: Box) -> Iterator[BoxSite]:
    made = BoxSite(box)
    box.run("install", "-d", "-m", "1777", "/home/shared")
    files = {"aliases": ALIASES, "access": "secret@pop.cape.com 550 5.7.1 The map says so\n"}
    made.lay_out(MAIN_CF + "home_mailbox = Maildir/\n", files)
    box.run("chmod", "600", "/etc/postfix/access.db", "/etc/postfix/access")
    box.run("chmod", "700", "/home/alice")
    yield made.start()
    made.stop()
    assert "Traceback" not in made.printed()


def powers(site: BoxSite, pid: int) -> tuple[str, int, int, str]:
    """(uids, effective capabilities, permitted capabilities, NoNewPrivs)"""
    status = site.status(pid)
    return status["Uid"], int(status["CapEff"], 16), int(status["CapPrm"], 16), status["NoNewPrivs"]


def uids(uid: int) -> str:
    return "\t".join([str(uid)] * 4)


def test_who_meets_clients_is_mail_owner_without_any_capability(site: BoxSite) -> None:
    for role, count in (("worker", 2), ("queue_manager", 1), ("watcher", 1)):
        pids = site.children(role)
        assert len(pids) == count
        for pid in pids:
            assert powers(site, pid) == (uids(POSTFIX), 0, 0, "1")
            assert site.status(pid)["Groups"] == str(POSTFIX)


def test_who_delivers_can_be_the_recipient_and_nothing_else(site: BoxSite) -> None:
    delivery, spawner = sorted(site.children("delivery"))
    assert powers(site, delivery) == (uids(POSTFIX), SETUID_SETGID, SETUID_SETGID, "1")
    assert powers(site, spawner) == (uids(POSTFIX), AND_KILL, AND_KILL, "0")


def test_what_root_must_trust_is_roots(site: BoxSite) -> None:
    places = ("seawall", "seawall/seawall.pid", "seawall/queue", "seawall/maildrop")
    shown = [site.box.run("stat", "-c", "%U %a", f"/var/spool/postfix/{place}").out.strip() for place in places]
    assert shown == ["root 711", "root 644", "postfix 700", "postfix 1733"]


def test_a_map_that_root_alone_may_read_is_used(site: BoxSite) -> None:
    assert site.submit("ann@good.example", "secret@pop.cape.com", "x")[1:] == [
        "550 5.7.1 <secret@pop.cape.com>: Recipient address rejected: The map says so"
    ]


def test_a_map_that_root_alone_may_read_is_read_again_at_a_reload(site: BoxSite) -> None:
    site.box.write("/etc/postfix/access", "secret@pop.cape.com 550 5.7.1 The new map says so\n", mode=0o600)
    site.box.run("postmap", "hash:/etc/postfix/access")
    site.box.run("chmod", "600", "/etc/postfix/access.db")
    site.box.kill(site.pid, signal.SIGHUP)
    refused = ["550 5.7.1 <secret@pop.cape.com>: Recipient address rejected: The new map says so"]
    until(lambda: site.submit("ann@good.example", "secret@pop.cape.com", "x")[1:] == refused, "the new map is in use")
    until(lambda: len(site.children("worker")) == 2, "the old workers end")


def test_a_network_meets_one_worker_and_all_workers_meet_networks(site: BoxSite) -> None:
    networks = [f"198.18.{number}" for number in range(100, 140)]
    before = len(site.log())
    for network in networks:
        for host in (1, 77, 254):
            site.box.talk([("expect", 1), ("send", "QUIT\r\n"), ("expect", 1)], port=25, source=f"{network}.{host}")

    def met() -> dict[str, set[int]]:
        """For each network the workers, told from the numbers of its sessions."""
        found: dict[str, set[int]] = {}
        for number, network in re.findall(
            r"smtpd\[(\d+)\]: connect from unknown\[(198\.18\.\d+)\.", site.log()[before:]
        ):
            found.setdefault(network, set()).add(int(number) % 2)
        return found

    until(lambda: site.log()[before:].count("]: connect from ") == 3 * len(networks), "the log has all sessions")
    assert set(met()) == set(networks)
    assert {len(workers) for workers in met().values()} == {1}
    assert set.union(*met().values()) == {0, 1}


def test_mail_reaches_a_home_that_nobody_else_may_enter(site: BoxSite) -> None:
    site.accepted("ann@good.example", "alice@pop.cape.com", "private")
    site.arrives("alice", "private")


def test_an_aliass_command_runs_as_default_privs_without_any_power(site: BoxSite) -> None:
    site.accepted("ann@good.example", "command@pop.cape.com", "x")
    site.said("status=sent (delivered to command: ")
    assert site.box.read("/home/shared/command") == b"nobody\n"
    lines = dict(line.split(":\t") for line in (site.box.read("/home/shared/powers") or b"").decode().splitlines())
    assert {int(lines[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert lines["NoNewPrivs"] == "0", "a user's command may start setgid programs, as under Postfix"


def test_an_aliass_file_is_written_as_default_privs(site: BoxSite) -> None:
    site.accepted("ann@good.example", "file@pop.cape.com", "into a file")
    site.said("status=sent (delivered to file: /home/shared/file)")
    assert site.box.run("stat", "-c", "%U %a", "/home/shared/file").out == "nobody 600\n"


def test_a_command_whose_time_is_over_is_killed_with_all_its_children(site: BoxSite) -> None:
    site.accepted("ann@good.example", "sleeper@pop.cape.com", "x")
    site.said("Command time limit exceeded: ")
    assert site.box.read("/home/shared/sleeper") == b"nobody\n"
    until(lambda: not any("sleep 60" in line for line in site.box.processes().values()), "nothing of it is left")


def test_an_included_list_acts_as_its_owner(site: BoxSite) -> None:
    site.box.write("/home/bob/crew", '"|cat >/dev/null; id -un >/home/bob/by-include"\ncarol\n', owner="bob")
    site.accepted("ann@good.example", "crew@pop.cape.com", "to the crew")
    site.arrives("carol", "to the crew")
    until(lambda: site.box.read("/home/bob/by-include") == b"bob\n", "the command ran as bob")


def test_a_forward_file_acts_as_its_user(site: BoxSite) -> None:
    commands = '"|cat >/dev/null; id -un >/home/dave/by-forward"\n/home/dave/saved\n~/Folder/\n\\dave\n'
    site.box.write("/home/dave/.forward", commands, mode=0o600, owner="dave")
    site.accepted("ann@good.example", "dave@pop.cape.com", "by his .forward")
    site.arrives("dave", "by his .forward")
    until(lambda: site.box.read("/home/dave/by-forward") == b"dave\n", "the command ran as dave")
    assert site.box.run("stat", "-c", "%U %a", "/home/dave/saved").out == "dave 600\n"
    until(lambda: site.box.files("/home/dave/Folder/new"), "his folder has it as well")


@pytest.mark.parametrize(
    ("mode", "group", "held"),
    [
        ("1777", "root", SETUID_SETGID),
        ("2775", "sasl", SETUID_SETGID),
        ("755", "root", AND_OF_ROOT),
    ],
    ids=["open to all", "open to a group", "open to root alone"],
)
def test_a_mailbox_file_is_made_and_appended_to_in_a_spool(site: BoxSite, mode: str, group: str, held: int) -> None:
    site.stop()
    site.box.remove("/var/spool/mail")
    site.box.run("chown", f"root:{group}", "/var/spool/mail")
    site.box.run("chmod", mode, "/var/spool/mail")
    site.box.write("/etc/postfix/main.cf", MAIN_CF + "mail_spool_directory = /var/spool/mail\n")
    site.start()
    delivery = min(site.children("delivery"))
    assert powers(site, delivery) == (uids(POSTFIX), SETUID_SETGID, held, "1")
    for text in ("the first", "the second"):
        site.accepted("ann@good.example", "erin@pop.cape.com", text)
        until(lambda text=text: text.encode() in (site.box.read("/var/spool/mail/erin") or b""), f"erin gets {text}")
    assert site.box.run("stat", "-c", "%U %a", "/var/spool/mail/erin").out == "erin 600\n"
    assert not [path for path in site.box.files("/var/spool/mail") if path.endswith(".lock")]
    site.box.run("chown", "root:root", "/var/spool/mail")
    site.box.run("chmod", "1777", "/var/spool/mail")
