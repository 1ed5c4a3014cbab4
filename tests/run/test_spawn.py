"""spawn(8): commands of master.cf serve connections, as another user, within limits of number and time."""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.server import Server, is_alive, site, until

USER = pwd.getpwnam("daemon") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
ECHO = '{ read line; echo "$line from $(id -un)"; }'
MASTER_CF = f"""\
echo      unix  -  n  n  -  0  spawn user={USER.pw_name} argv=/bin/sh -c {ECHO}
shown     unix  n  n  n  -  0  spawn user={USER.pw_name} argv=/usr/bin/env
reading   unix  -  n  n  -  0  spawn user={USER.pw_name} argv=/bin/cat
where     unix  -  n  n  -  0  spawn user={USER.pw_name} argv=/bin/sh -c {{ pwd; umask; ls /proc/self/fd }}
one       unix  -  n  n  -  1  spawn user={USER.pw_name} argv=/bin/sh -c {{ echo begun; read line; }}
slow      unix  -  n  n  -  0  spawn user={USER.pw_name} argv=/bin/sh -c {{ echo begun; sleep 611 & sleep 612; }}
failing   unix  -  n  n  -  0  spawn user={USER.pw_name} argv=/bin/sh -c {{ exit 7 }}
dying     unix  -  n  n  -  0  spawn user={USER.pw_name} argv=/bin/sh -c {{ kill -9 $$ }}
gone      unix  -  n  n  -  0  spawn user={USER.pw_name} argv=/nowhere/policyd
named     unix  -  n  n  -  0  spawn -o syslog_name=postfix/filter user={USER.pw_name} argv=/bin/false
127.0.0.1:0 inet n n n - 0 spawn user={USER.pw_name} argv=/bin/echo by port
"""
WITHIN = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with site("slow_time_limit = 1s\nexport_environment = GREETING=hello MAIL_CONFIG\n", MASTER_CF) as made:
        yield made.start()


def connect(server: Server, path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(WITHIN)
    client.connect(str(server.base / "spool" / path))
    return client


def heard(client: socket.socket) -> str:
    """All until the other side closes."""
    parts = []
    while data := client.recv(65536):
        parts.append(data)
    return b"".join(parts).decode()


def answer(server: Server, path: str, text: str = "") -> str:
    """What a service says to a text."""
    with connect(server, path) as client:
        client.sendall(text.encode())
        client.shutdown(socket.SHUT_WR)
        return heard(client)


def spawner(server: Server) -> int:
    until(lambda: len(server.children("spawn")) == 1, "there is one spawn process")
    return server.children("spawn")[0].pid


def test_a_command_has_the_connection_as_its_input_and_output_and_runs_as_its_user(server: Server) -> None:
    assert answer(server, "private/echo", "a line\n") == f"a line from {USER.pw_name}\n"


def test_a_public_service_lies_in_public_and_its_command_has_a_small_environment(server: Server) -> None:
    assert set(answer(server, "public/shown").splitlines()) == {
        "PATH=/usr/bin:/bin",
        f"MAIL_CONFIG={server.etc}",
        "GREETING=hello",
    }


def test_a_command_begins_in_the_queue_directory_with_a_close_mask_and_no_other_files(server: Server) -> None:
    folder, mask, *files = answer(server, "private/where").split()
    assert (folder, mask) == (str(server.base / "spool"), "0077")
    assert files == ["0", "1", "2", "3"]  # the last is what ls reads


def test_the_sockets_are_as_masters(server: Server) -> None:
    private, public = server.base / "spool/private", server.base / "spool/public"
    assert [oct(folder.stat().st_mode & 0o7777) for folder in (private, public)] == ["0o700", "0o710"]
    for path in (private, private / "echo", public, public / "shown"):
        assert path.stat().st_uid == server.user.pw_uid
    assert oct((private / "echo").stat().st_mode & 0o7777) == "0o666"


def test_a_command_serves_a_port_as_well(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", port_of(server)), WITHIN) as client:
        assert heard(client) == "by port\n"


def port_of(server: Server) -> int:
    """The port on which the supervisor listens beside that of its SMTP service."""
    inodes = set()
    for entry in Path(f"/proc/{server.pid}/fd").iterdir():
        inodes.add(os.readlink(entry))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        port = int(words[1].partition(":")[2], 16)
        if words[3] == "0A" and f"socket:[{words[9]}]" in inodes and port != server.port:
            return port
    raise AssertionError("nobody listens")


def test_a_client_waits_while_a_service_runs_as_many_commands_as_it_may(server: Server) -> None:
    with connect(server, "private/one") as first, connect(server, "private/one") as second:
        assert first.recv(100) == b"begun\n"
        server.said('warning: service "one" (one) has reached its process limit "1": new clients may experience')
        server.said("to avoid this condition, increase the process count in master.cf or reduce the service time")
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.recv(100)
        second.settimeout(WITHIN)
        first.sendall(b"\n")
        assert second.recv(100) == b"begun\n"
        second.sendall(b"\n")


def test_a_command_whose_time_is_over_is_killed_with_its_children(server: Server) -> None:
    with connect(server, "private/slow") as client:
        assert heard(client) == "begun\n"
    server.said("]: warning: /bin/sh: process id ")
    server.said(": command time limit exceeded")
    server.said("]: warning: command /bin/sh killed by signal 9")
    until(lambda: not running("sleep\x00611") and not running("sleep\x00612"), "nothing of it is left")


def running(line: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if line in entry.read_text("latin-1"):
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("failing", "postfix/spawn warning: command /bin/sh exit status 7"),
        ("dying", "postfix/spawn warning: command /bin/sh killed by signal 9"),
        ("gone", "postfix/spawn fatal: spawn_comand: execvp /nowhere/policyd: No such file or directory"),
        ("gone", "postfix/spawn warning: command /nowhere/policyd exit status 1"),
        ("named", "postfix/filter/spawn warning: command /bin/false exit status 1"),
    ],
)
def test_the_log_says_how_a_command_failed(server: Server, name: str, line: str) -> None:
    assert answer(server, f"private/{name}") == ""
    until(lambda: line in re.sub(r"\[\d+\]:", "", server.log()), f"the log says: {line}")


def test_a_script_without_its_first_line_is_the_shells(server: Server) -> None:
    script = server.base / "script"
    script.write_text("echo by the shell $1\n")
    script.chmod(0o755)
    reconfigure(server, f"script unix - n n - 0 spawn user={USER.pw_name} argv={script} indeed\n")
    assert answer(server, "private/script") == "by the shell indeed\n"


def reconfigure(server: Server, more: str) -> None:
    """Another master.cf, and a reload."""
    before = len(server.log())
    server.configure("slow_time_limit = 1s\nexport_environment = GREETING=hello MAIL_CONFIG\n", more)
    server.reload()
    until(lambda: "the new configuration is in use" in server.log()[before:], "it is in use")


def test_a_connection_outlives_a_reload_and_new_services_come_and_old_ones_go(server: Server) -> None:
    reconfigure(server, MASTER_CF)
    with connect(server, "private/reading") as client:
        client.sendall(b"before\n")
        assert client.recv(100) == b"before\n"
        more = f"added unix - n n - 0 spawn user={USER.pw_name} argv=/bin/echo added\n"
        reconfigure(server, MASTER_CF.replace("echo      unix", "#echo unix") + more)
        assert answer(server, "private/added") == "added\n"
        until(lambda: not (server.base / "spool/private/echo").exists(), "the old service is gone")
        client.sendall(b"after\n")
        assert client.recv(100) == b"after\n"
        assert len(server.children("spawn")) == 2
    until(lambda: len(server.children("spawn")) == 1, "the old process ends with its last command")


def test_a_reload_that_names_what_cannot_be_changes_nothing(server: Server) -> None:
    reconfigure(server, MASTER_CF)
    wrong = (
        MASTER_CF + f"new unix - n n - 0 spawn user={USER.pw_name} argv=/bin/true\nbad unix - n n - 0 spawn argv=x\n"
    )
    server.configure("", wrong)
    server.reload()
    server.said("missing user= attribute; the old configuration stays in use")
    assert answer(server, "private/echo", "still\n") == f"still from {USER.pw_name}\n"
    assert not (server.base / "spool/private/new").exists()


def test_the_spawn_process_is_replaced_when_it_dies_and_commands_go_on(server: Server) -> None:
    reconfigure(server, MASTER_CF)
    victim = spawner(server)
    with connect(server, "private/reading") as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        os.kill(victim, signal.SIGKILL)
        server.said(f"process spawn 0 (pid {victim}) ended with signal 9; replaced")
        assert answer(server, "private/echo", "again\n") == f"again from {USER.pw_name}\n"
        client.sendall(b"y")
        assert client.recv(1) == b"y"


def test_the_last_spawn_service_takes_its_process_with_it(server: Server) -> None:
    reconfigure(server, "")
    until(lambda: not server.children("spawn"), "there is no process for no service")
    reconfigure(server, MASTER_CF)
    assert answer(server, "private/echo", "back\n") == f"back from {USER.pw_name}\n"


def test_a_stop_ends_commands_and_takes_the_sockets_away() -> None:
    stubborn = f"stay unix - n n - 0 spawn user={USER.pw_name} argv=/bin/sh -c {{ trap '' TERM; echo $$; sleep 613; sleep 614 }}\n"
    with site("", stubborn) as made:
        made.start()
        with connect(made, "private/stay") as client:
            pid = int(client.recv(100))
            assert made.stop() == 0
            until(lambda: not is_alive(pid), "the command is gone")
        assert not (made.base / "spool/private/stay").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("argv=/bin/true", "missing user= attribute"),
        ("user=nobody", "missing argv= attribute"),
        ("user=nobody flags=R argv=/bin/true", "unknown attribute name: flags=R"),
    ],
)
def test_a_service_that_spawn_would_refuse_keeps_the_server_from_starting(arguments: str, said: str) -> None:
    with site("", f"bad unix - n n - 0 spawn {arguments}\n") as made:
        code, printed = made.refused()
    assert (code, said in printed, "master.cf, line " in printed) == (78, True, True), printed


def test_a_service_without_root_in_its_third_column_is_refused() -> None:
    with site("", "bad unix - - n - 0 spawn user=nobody argv=/bin/true\n") as made:
        code, printed = made.refused()
    assert code == 78
    assert "service bad requires privileged operation" in printed


def test_services_that_nobody_serves_are_named_at_the_start() -> None:
    strange = "strange unix - n n - 1 oddd\nchat inet n - n - - showq\nbehind unix - - n - - smtpd\n"
    with site("", strange.replace("chat", "127.0.0.1:1")) as made:
        made.start()
        lines = len((made.etc / "master.cf").read_text().splitlines())
        place = f"warning: {made.etc}/master.cf, line"
        made.said(
            f"{place} {lines - 2}: oddd (strange/unix) is ignored: nobody answers there: Seawall has no such program"
        )
        made.said(f"{place} {lines - 1}: showq (127.0.0.1:1/inet) is ignored: nobody answers on this port")
        made.said(
            f"{place} {lines}: smtpd (behind/unix) is ignored: "
            "nobody answers there: smtpd and postscreen are served on ports only"
        )


def test_the_standard_event_loop_runs_commands_as_well() -> None:
    with site("seawall_event_loop = asyncio\n", MASTER_CF) as made:
        made.start()
        assert answer(made, "private/echo", "x\n") == f"x from {USER.pw_name}\n"
        assert answer(made, "private/failing") == ""
        made.said("]: warning: command /bin/sh exit status 7")
        assert made.stop() == 0
