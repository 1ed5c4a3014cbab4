"""Beside the real postmap: tables behind PostgreSQL, MariaDB, OpenLDAP, SQLite, memcached, tcp and socketmap servers."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import box_maps, peers
from tests.box import Box
from tests.box_ldap import BASE, BoxLdap
from tests.box_mariadb import BoxMariaDb
from tests.box_postgres import BoxPostgres
from tests.conftest import unavailable

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("remote tables")]

KEYS = (
    "a@b.example",
    "A@B.Example",
    "user+ext@mail.sub.example.com",
    "@b.example",
    "user@",
    "root",
    "nobody@b.example",
    "it's@b.example",
    'back\\slash"@b.example',
    "tab\tand\nline@b.example",
    "größe@b.example",
    "x' OR 'x'='x",
    "$1@b.example",
    "100%@b.example",
    "; DROP TABLE aliases --@b.example",
    "two@dots..example.com",
)
ROWS = (
    ("a@b.example", "x@y.example", 1),
    ("a@b.example", "z", 2),
    ("a@b.example", "", 3),
    ("a@b.example", None, 4),
    ("root", "alice@home.example", 5),
    ("@b.example", "catch@all.example", 6),
    ("it's@b.example", "it's mine", 7),
    ('back\\slash"@b.example', 'b\\s"', 8),
    ("größe@b.example", "straße@x.example", 9),
    ("$1@b.example", "$1", 10),
    ("b.example", "domain", 11),
)
INSERT = ", ".join(
    "({}, {}, {})".format(*("NULL" if value is None else "'" + str(value).replace("'", "''") + "'" for value in row))
    for row in ROWS
)
QUERIES = (
    "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n",
    "query = SELECT goto, n FROM aliases WHERE address = '%s' ORDER BY n",
    "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n\nresult_format = <%s>",
    "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n\nresult_format = %u at %d",
    "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n\nresult_format = %S %U %D %1 %% %s",
    "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n\nexpansion_limit = 1",
    "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n\nexpansion_limit = 2",
    "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n\ndomain = b.example",
    "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n\ndomain = c.example, inline:{b.example=yes}",
    "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n\ndomain = !b.example, static:all",
    "query = SELECT '%u', '%d', '%s', '%S', '%U', '%D'",
    "query = SELECT '%1', '%2', '%3'",
    "query = SELECT '%u-%%-%s'",
    "query = SELECT goto FROM aliases WHERE address LIKE '%%%d' ORDER BY n",
    "query = SELECT goto FROM aliases WHERE address = '@%d' OR address = '%u' ORDER BY n",
    "query = SELECT n FROM aliases WHERE n = 5 AND address <> '%s'",
    "query = SELECT count(*), max(n), 1.50 FROM aliases WHERE address = '%s'",
    "table = aliases\nselect_field = goto\nwhere_field = address",
    "table = aliases\nselect_field = goto\nwhere_field = address\nadditional_conditions = AND n > 1 ORDER BY n",
)
BROKEN = (
    "table = aliases\nselect_field = goto",
    "query = SELECT goto FROM nosuch WHERE address = '%s'",
    "query = SELECT '%x'",
    "query = SELECT '%",
    "query = SELECT '%s'\nresult_format = %y",
    "query = SELECT '%s'\nexpansion_limit = many",
    "query : SELECT '%s'",
)
FEW = ("a@b.example", "nobody@b.example")
MORE_PGSQL = (
    "select_function = twice",
    "query = SELECT goto FROM aliases WHERE n = '%u'",
    "query = SELECT E'%s\\\\n'",
    "query = SELECT 1; SELECT '%s';",
    "query = SELECT true, false, 1.0::float, 'c'::char(3), now() < now(), inet '10.0.0.1', ARRAY['%u', 'b c']",
    "query = SELECT concat('%s', '!'), upper('%s') || '''' || '%u'",
    "query = SELECT goto FROM aliases WHERE address IN ('%s', '%u', lower('%d')) ORDER BY n -- all of them",
    "query = SELECT $$%s$$",
    'query = SELECT "goto" FROM aliases WHERE "address" = \'%s\' ORDER BY n',
)
MORE_MYSQL = (
    "query = CALL one('%s')",
    "query = CALL two('%s')",
    "query = CALL none('%s')",
    "query = CALL none('%s')\nrequire_result_set = no",
    'query = SELECT "%s"',
    "query = SELECT x'c3a9', unhex('ff'), 1.0e0, DATE '2024-02-29', '%s'",
    "query = SELECT '%s'\noption_file = /etc/postfix/none.cnf\noption_group = x",
)
LOGIN = "user = mail\npassword = secret\ndbname = mail\n"
MAIN_CF = """\
compatibility_level = 3.6
box_hosts = 127.0.0.1
box_user = mail
box_password = ${box_secret}
box_secret = secret
box_dbname = mail
box_query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY n
bad_hosts = 127.0.0.1
"""


class Asked:
    """Questions collected, then asked of both programs at once."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._questions: list[tuple[str, str]] = []
        self._texts: list[str] = []

    def table(self, kind: str, text: str, keys: tuple[str, ...] = KEYS) -> None:
        """A table with a file of its own."""
        path = f"/etc/postfix/{kind}-{len(self._questions)}.cf"
        self._box.write(path, text + "\n")
        self.spec(f"{kind}:{path}", keys, text)

    def spec(self, spec: str, keys: tuple[str, ...] = KEYS, text: str = "") -> None:
        for key in keys:
            self._questions.append((spec, key))
            self._texts.append(text)

    def agree(self, at_least: int, threads: int = 40, between: Callable[[], object] = lambda: None) -> list[bool]:
        """Both must print the same, and end with the same code: was it found?  `between` makes the world what it was."""
        assert len(self._questions) >= at_least
        expected = self._ask("theirs", str(threads))
        between()
        found = self._ask("ours")
        for (spec, key), text, theirs, ours in zip(self._questions, self._texts, expected, found, strict=True):
            assert ours == theirs, f"{spec} {key!r}\n{text}"
        return [code == 0 for code, _ in expected]

    def _ask(self, *who: str) -> list[tuple[int, str]]:
        path = f"{peers.CHECKOUT}:{peers.CHECKOUT}/src:{peers.PYTHON}"
        words = (
            "env",
            f"PYTHONPATH={path}",
            "PYTHONWARNINGS=ignore",
            sys.executable,
            "-m",
            "tests.tables.ask_many",
            *who,
        )
        ran = self._box.run(*words, stdin=json.dumps(self._questions), timeout=120)
        return [(code, text) for code, text in json.loads(ran.out)]


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box() as made:
        made.write("/etc/postfix/main.cf", MAIN_CF)
        yield made


def test_pgsql_tables_answer_as_postfix_does(box: Box) -> None:
    with BoxPostgres(box) as database:
        # Postfix 3.7 speaks LATIN1 with PostgreSQL; from 3.8 on it is UTF-8, as here (docs/differences.md)
        keys = tuple(key for key in KEYS if key.isascii())
        database.sql(
            "CREATE TABLE aliases (address text, goto text, n int);"
            f"INSERT INTO aliases VALUES {INSERT}; DELETE FROM aliases WHERE n = 9;"
            "CREATE FUNCTION twice(text) RETURNS SETOF text LANGUAGE sql AS 'SELECT $1 UNION ALL SELECT upper($1)'"
        )
        asked = Asked(box)
        for query in (*QUERIES, *MORE_PGSQL, *BROKEN):
            some = FEW[:1] if query in BROKEN else keys if query in QUERIES[:6] else keys[::2]
            asked.table("pgsql", f"hosts = 127.0.0.1\n{LOGIN}{query}", some)
        query, few = QUERIES[0], FEW[:1]
        for hosts in (
            "hosts = unix:/run/postgresql",
            "hosts = inet:127.0.0.1:5432",
            "hosts = 127.0.0.1:99, 127.0.0.1",
            "hosts = 127.0.0.1:99",
            "hosts = /run/postgresql",
            "hosts = postgresql://mail:secret@127.0.0.1/mail",
            "hosts = postgresql://mail:secret@127.0.0.1:99/mail",
        ):
            asked.table("pgsql", f"{hosts}\n{LOGIN}{query}", few)
        asked.table("pgsql", f"hosts = 127.0.0.1\nuser = mail\npassword = wrong\ndbname = mail\n{query}", few)
        asked.table("pgsql", f"hosts = 127.0.0.1\nuser = mail\npassword = secret\n{query}", few)
        for spec in ("pgsql:box", "pgsql:bad", "pgsql:/nonexistent", "pgsql:"):
            asked.spec(spec, few)
        asked.agree(250)


def test_mysql_tables_answer_as_postfix_does(box: Box) -> None:
    with BoxMariaDb(box) as database:
        text = INSERT.replace("\\", "\\\\")
        database.sql(
            "CREATE TABLE aliases (address varchar(200) COLLATE utf8mb4_bin, goto varchar(200), n int);"
            f"INSERT INTO aliases VALUES {text};\ndelimiter //\n"
            "CREATE PROCEDURE one(k varchar(200)) BEGIN SELECT goto FROM aliases WHERE address = k ORDER BY n; END//\n"
            "CREATE PROCEDURE two(k varchar(200)) BEGIN SELECT 1; SELECT 2; END//\n"
            "CREATE PROCEDURE none(k varchar(200)) BEGIN SET @x = 1; END//\n"
        )
        asked = Asked(box)
        for query in (*QUERIES, *MORE_MYSQL, *BROKEN):
            some = FEW[:1] if query in BROKEN else KEYS if query in QUERIES[:6] else KEYS[::2]
            asked.table("mysql", f"hosts = 127.0.0.1\n{LOGIN}{query}", some)
        query, few = QUERIES[0], FEW[:1]
        for hosts in (
            "hosts = localhost",
            "hosts = unix:/run/mysqld/mysqld.sock",
            "hosts = inet:127.0.0.1:3306",
            "hosts = 127.0.0.1:99 127.0.0.1",
            "hosts = 127.0.0.1:99",
        ):
            asked.table("mysql", f"{hosts}\n{LOGIN}{query}", few)
        box.write("/etc/postfix/my.cnf", "[client]\nuser = nobody\n[extra]\nport = 3306\n")
        asked.table(
            "mysql",
            f"hosts = 127.0.0.1\nuser = mail\npassword = secret\ndbname = mail\noption_file = /etc/postfix/my.cnf\n{query}",
            few,
        )
        for spec in ("mysql:box", "mysql:bad", "mysql:/nonexistent"):
            asked.spec(spec, few)
        asked.agree(200)


def test_sqlite_tables_answer_as_postfix_does(box: Box, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "db") as database:
        database.execute("CREATE TABLE aliases (address, goto, n)")
        database.executemany("INSERT INTO aliases VALUES (?, ?, ?)", ROWS)
        database.execute("INSERT INTO aliases VALUES ('blob', x'ff', 1)")
    database.close()
    asked = Asked(box)
    for query in (*QUERIES, *BROKEN):
        some = FEW[:1] if query in BROKEN else (*KEYS, "blob") if query in QUERIES[:4] else KEYS[::2]
        asked.table("sqlite", f"dbpath = {tmp_path}/db\n{query}", some)
    asked.table("sqlite", f"dbpath = {tmp_path}/none/db\n{QUERIES[0]}", KEYS[:2])
    asked.table("sqlite", QUERIES[0], KEYS[:2])
    asked.agree(180)


def person(uid: str, **attributes: str) -> str:
    lines = "".join(f"{name}: {value}\n" for name, values in attributes.items() for value in values.split())
    return (
        f"dn: uid={uid},ou=people,{BASE}\nobjectClass: inetOrgPerson\nobjectClass: mailThing\n"
        f"cn: {uid}\nsn: {uid}\nuid: {uid}\n{lines}\n"
    )


PEOPLE = (
    f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n\n"
    f"dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
    + person("a", mail="a@b", maildrop="x@y z")
    + person("b", mail="b@b bb@b", maildrop="b@home")
    + person(
        "g", mail="g@b", memberaddr="extra@x", memberdn=" ".join(f"uid={u},ou=people,{BASE}" for u in ("a", "b", "no"))
    )
    + person("u", mail="u@b", memberdn=f"ldap:///ou=people,{BASE}?mail?sub?(uid=b)")
    + person("v", mail="v@b", memberdn=f"ldap:///ou=people,{BASE}??one?(uid=b)")
    + person("w", mail="w@b", memberdn="ldap:///?nosuch")
    + person("loop", mail="loop@b", memberdn=f"uid=loop,ou=people,{BASE}")
    + person("t", mail="t@b", memberdn=f"uid=a,ou=people,{BASE}", maildrop="term@x", memberaddr="m@x")
)
DIRECTORY = f"server_host = 127.0.0.1:3389\nsearch_base = {BASE}\nbind = no\n"
FILTER = "query_filter = (mail=%s)\n"
GROUP = f"{FILTER}special_result_attribute = memberdn\n"
LDAP_KEYS = ("a@b", "B@B", "g@b", "u@b", "v@b", "w@b", "t@b", "no@b", "x*@b)(", "a", "@b")
LDAP = (
    FILTER,
    f"{FILTER}result_attribute = mail",
    f"{FILTER}result_attribute = mail, maildrop",
    f"{GROUP}result_attribute = memberaddr\nleaf_result_attribute = mail, maildrop",
    f"{GROUP}result_attribute = memberaddr\nleaf_result_attribute = mail\nterminal_result_attribute = maildrop",
    f"{GROUP}result_attribute = mail",
    f"{GROUP}result_attribute =\nleaf_result_attribute = mail",
    f"{GROUP}result_attribute = mail\nrecursion_limit = 1",
    f"{GROUP}result_attribute = mail\nexpansion_limit = 2",
    f"{FILTER}result_format = <%s> %U %D",
    f"{FILTER}result_filter = %u at %d",
    f"{FILTER}domain = c, b",
    f"{FILTER}domain = c",
    "query_filter = (uid=%u)",
    "query_filter = (uid=%u)\nscope = one",
    "query_filter = (uid=%u)\nscope = base",
    "query_filter = (objectclass=*)\nsize_limit = 2",
    "query_filter = (mail=%s",
    "query_filter = (mail=%z)",
    f"{FILTER}bind = simple\nbind_dn = cn=admin,{BASE}\nbind_pw = secret",
    f"{FILTER}bind = simple\nbind_dn = cn=admin,{BASE}\nbind_pw = wrong",
    f"{FILTER}server_host = ldapi://%2Frun%2Fldapi",
    f"{FILTER}server_host = 127.0.0.1:99 ldap://127.0.0.1:3389",
    f"{FILTER}server_host = 127.0.0.1\nserver_port = 3389",
    f"{FILTER}server_host = 127.0.0.1:99",
    f"{FILTER}search_base = ou=%u,{BASE}",
    f"{FILTER}search_base = ou=nosuch,{BASE}",
    "query_filter = (objectclass=inetOrgPerson)\nscope = base\nsearch_base = uid=%u,ou=people," + BASE,
    f"{FILTER}bind = maybe",
)


def test_ldap_tables_answer_as_postfix_does(box: Box) -> None:
    if sys.version_info[:2] != (3, 11):
        unavailable("Debian's python3-bonsai is made for Python 3.11: make PYTHON=/path/to/python3.11")
    with BoxLdap(box) as directory:
        directory.add(PEOPLE)
        asked = Asked(box)
        for text in LDAP:
            names = {line.partition(" ")[0] for line in text.splitlines()}
            usual = "".join(line + "\n" for line in DIRECTORY.splitlines() if line.partition(" ")[0] not in names)
            fails = any(word in text for word in ("%z", "wrong", "nosuch,", "maybe", "size_limit"))
            asked.table(
                "ldap", usual + text, LDAP_KEYS[:1] if fails or text.endswith(("(mail=%s", ":99")) else LDAP_KEYS
            )
        asked.table("ldap", f"{DIRECTORY}{GROUP}result_attribute = mail\nrecursion_limit = 20", ("loop@b",))
        asked.agree(150)


def test_memcache_tables_answer_as_postfix_does(box: Box) -> None:
    pid = box.start("memcached", "-u", "memcache", "-l", "127.0.0.1", "-p", "11211")
    assert box.listens(11211, "127.0.0.1")
    box.write("/etc/postfix/backup", "a@b.example from the backup\nroot r\nlong " + "x" * 11000 + "\n")
    box.run("postmap", "/etc/postfix/backup")
    server, backup = "memcache = inet:127.0.0.1:11211\n", "backup = hash:/etc/postfix/backup\n"
    asked = Asked(box)
    for text in (
        server,
        server + backup,
        server,  # now it knows
        server + backup + "key_format = mine:%s",
        server + backup + "key_format = %u-%d",
        server + backup + "domain = b.example",
        server + "key_format = %1",
        server + backup + "data_size_limit = 5",
        "memcache = inet:127.0.0.1:99\n" + backup,
    ):
        asked.table("memcache", text, ("a@b.example", "A@B.example", "root", "a b", "long", "nobody", "@b.example"))
    for text in ("memcache = inet:127.0.0.1:99", "memcache = nonsense", server + "key_format = %z", server + "ttl = x"):
        asked.table("memcache", text, ("a@b.example",))
    forget = "import socket; socket.create_connection(('127.0.0.1', 11211)).sendall(b'flush_all\\r\\n')"
    # one at a time: each answer changes what is in the cache
    asked.agree(65, threads=1, between=lambda: box.run(sys.executable, "-c", forget))
    box.kill(pid)
    box.ended(pid)


def test_tcp_and_socketmap_tables_answer_as_postfix_does(box: Box) -> None:
    running = [
        box.start("env", f"PYTHONPATH={peers.CHECKOUT}", sys.executable, "-m", "tests.box_maps", kind, place)
        for kind, place in (("tcp", "9001"), ("socketmap", "9002"), ("socketmap", "/run/maps"))
    ]
    assert box.listens(9001, "127.0.0.1")
    assert box.listens(9002, "127.0.0.1")
    keys = tuple(key.decode() for key in box_maps.ANSWERS)
    asked = Asked(box)
    # Postfix asks ten times, a second apart, where a reply is too long
    asked.spec("tcp:127.0.0.1:9001", tuple(key for key in keys if key != "long"))
    asked.spec("tcp:127.0.0.1:9001", tuple(k.decode() for k in box_maps.TCP_RAW if k not in (b"hang", b"huge")))
    asked.spec("tcp:localhost:9001", ("a@b", "nobody"))
    asked.spec("socketmap:inet:127.0.0.1:9002:virtual", keys)
    asked.spec(
        "socketmap:inet:127.0.0.1:9002:virtual", tuple(k.decode() for k in box_maps.SOCKETMAP_RAW if k != b"hang")
    )
    asked.spec("socketmap:inet:127.0.0.1:9002:other", keys)
    asked.spec("socketmap:unix:/run/maps:virtual", ("a@b", "nobody"))
    for spec in ("socketmap:inet:127.0.0.1:99:virtual", "socketmap:nonsense", "socketmap:unix:/none:virtual"):
        asked.spec(spec, ("a@b",))
    asked.agree(45)
    for pid in running:
        box.kill(pid)
        box.ended(pid)
