"""Invariant: whatever main.cf and master.cf hold, `postconf` and `check` end with one of their exit codes, in bounded time.

Never a traceback, never a hang.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall.cli import check, exits, postconf
from seawall.config.registry import REGISTRY

NAMES = st.one_of(
    st.sampled_from(sorted(REGISTRY)), st.sampled_from(["mine", "a-b", "x_time_limit", "virtual_maps", "="])
)
WORDS = st.sampled_from(
    [
        "yes",
        "no",
        "0",
        "1",
        "-5",
        "10s",
        "3w",
        "1x",
        "$mine",
        "$myhostname",
        "${mine",
        "${mine?{a}:{b}}",
        "${{$stress}=={}?{1}}",
        "$$",
        "{",
        "}",
        "{}",
        "hash:/x",
        "{a",
        "b}",
        ",",
        "static:ok\n",
        "",
        "",
        "",
        "inline:{a=b}",
        "pgsql:vpm",
        "unionmap:{hash:/x,{}",
        "check_client_access",
        "permit_mynetworks",
        "reject",
        "1.2.3.4/33",
        "[::1]/128",
        "!/x",
        "/etc/x\n",
        "",
        "",
        "",
        "unix:private/x",
        "regexp:{{/a(/",
        "x}}",
        "ü",
        "�",
        "\x00",
        "#",
        "all",
        "99999999999999999999",
        "$mynetworks",
    ]
)
VALUES = st.lists(WORDS, max_size=6).map(" ".join)
LINES = st.one_of(
    st.builds(lambda name, value: f"{name} = {value}", NAMES, VALUES),
    VALUES,
    st.just("  "),
    st.builds(lambda value: f"  {value}", VALUES),
)
MAIN = st.lists(LINES, max_size=8).map("\n".join)
SERVICE = st.builds(
    lambda fields, rest: " ".join(fields) + " " + rest,
    st.lists(
        st.sampled_from(
            ["smtp", "inet", "unix", "n", "y", "-", "0", "10?", "1", "smtpd", "smtp", "pipe", "postscreen", "x"]
        ),
        min_size=6,
        max_size=9,
    ),
    VALUES.map(lambda text: f"-o {text} -o mine={text}"),
)
MASTER = st.lists(st.one_of(SERVICE, LINES, st.just("smtp inet n - n - - smtpd -o { mine = 1 }")), max_size=4).map(
    "\n".join
)


@settings(max_examples=60, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(main=MAIN, master=MASTER)
def test_any_configuration_is_shown_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], main: str, master: str
) -> None:
    (tmp_path / "main.cf").write_bytes(main.encode("utf-8", "surrogateescape"))
    (tmp_path / "master.cf").write_bytes(master.encode("utf-8", "surrogateescape"))
    directory = str(tmp_path)
    for question in (["-n"], ["-x"], ["-Mfx"], ["-Fx"], ["-Px"], ["-e", "mine=$x"], ["-Fe", "smtp/inet/chroot=y"]):
        assert postconf.main(["-c", directory, *question]) in (0, 1)
    assert check.main(["-c", directory]) in (exits.OK, exits.CONFIG)
    assert check.main(["-c", directory, "--json"]) in (exits.OK, exits.CONFIG)
    capsys.readouterr()
