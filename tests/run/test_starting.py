"""What keeps a server from starting, each with its remedy; and what is left when the supervisor is killed."""

import fcntl
import signal
import socket

from tests.system.client import Client
from tests.system.server import Server, is_alive, until


def test_a_start_is_refused_while_postfix_runs_on_the_same_queue(server: Server) -> None:
    lock = server.base / "spool/pid/master.pid"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert server.refused() == (
            75,
            "seawall serve: Postfix is running on this configuration: `postfix stop` first, then start Seawall\n",
        )


def test_a_start_is_refused_where_another_server_has_the_port(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server.service = f"127.0.0.1:{port}"
        server.configure("")
        code, said = server.refused()
    assert code == 78
    assert said.startswith(f"seawall serve: cannot listen on 127.0.0.1:{port}: Address already in use; ")
    assert "another server listens there" in said


def test_a_start_is_refused_where_another_seawall_has_the_spool(server: Server) -> None:
    server.start()
    first = server.process
    pid = server.pid
    code, said = server.refused()
    assert (code, said) == (
        75,
        f"seawall serve: another Seawall (pid {pid}) serves this spool: `seawall postfix stop` ends it\n",
    )
    server.process = first


def test_a_configuration_that_cannot_be_served_ends_the_start_with_its_reason(server: Server) -> None:
    server.configure("smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = seawall\nseawall_users_file = /nowhere\n")
    code, said = server.refused()
    assert code == 78
    assert (
        said
        == f"seawall serve: {line_of(server, 'seawall_users')}: seawall_users_file = /nowhere: No such file or directory\n"
    )


def test_a_value_that_cannot_be_read_ends_the_start_with_file_and_line(server: Server) -> None:
    server.configure("message_size_limit = much\n")
    code, said = server.refused()
    assert code == 78
    assert (
        said
        == f"seawall serve: {line_of(server, 'message_size')}: bad numerical configuration: message_size_limit = much\n"
    )


def line_of(server: Server, name: str) -> str:
    """Where main.cf sets a parameter, as messages name it."""
    path = server.etc / "main.cf"
    lines = path.read_text().splitlines()
    return f"{path}, line {next(at for at, line in enumerate(lines, 1) if line.startswith(name))}"


def test_children_of_a_killed_supervisor_finish_and_keep_the_spool_until_then(server: Server) -> None:
    server.start()
    children = server.children()
    with Client(server.port) as client:
        client.hear()
        client.say("EHLO b", "MAIL FROM:<ann@far.example>", "RCPT TO:<bob@example.com>", "DATA")
        client.send(b"Subject: orphan\r\n\r\ntaken ")
        server.tell(signal.SIGKILL)
        assert server.process is not None
        server.process.wait(10)
        until(lambda: not accepts(server.port), "nobody accepts any more")
        code, said = server.refused()
        assert code == 75
        assert "was killed, and its processes still finish their work" in said
        assert client.say("by an orphan\r\n.").startswith("250 2.0.0 Ok")
    until(lambda: not [child for child in children if is_alive(child.pid)], "the children end by themselves")
    server.start()
    server.arrives("taken by an orphan")


def accepts(port: int) -> bool:
    try:
        Client(port).close()
    except ConnectionRefusedError:
        return False
    return True
