"""What postmap(1) and postalias(1) share: options, building, querying, deleting and listing, in Postfix's words.

Where Postfix's own lose something or crash, ours do not (docs/differences.md D-47).
"""

from __future__ import annotations

import asyncio
import base64
import os
import stat
import sys
from collections.abc import Awaitable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import BinaryIO

from seawall.cli.map_options import Fatal, Options, Tool, read_options, say
from seawall.cli.message_keys import keys_of_message
from seawall.config.settings import Settings, load
from seawall.config.source import ConfigTrouble
from seawall.tables.build import FORMATS, BuildTrouble, Choices, Database, writing
from seawall.tables.indexed import unpack
from seawall.tables.parameters import main_cf_of
from seawall.tables.registry import INSTEAD, TYPES, Tables
from seawall.tables.simple import APPLICATION_ERROR, TroubledTable
from seawall.tables.source import is_utf8
from seawall.tables.table import NotUtf8, Table, TableTrouble, TableUnsupported, Use, no_main_cf

DEFAULT_TYPE = "hash"
"""Where there is no main.cf to say default_database_type."""


BUFFER = 4096
"""Bytes that are printed at once."""


def run(tool: Tool, arguments: list[str]) -> int:
    """The tool; its exit code."""
    try:
        options = read_options(tool, arguments)
        session = Session(tool, options)
        try:
            code = session.run()
            session.flush()
            return code
        finally:
            session.close()
    except (Fatal, BuildTrouble, TableUnsupported, ConfigTrouble) as trouble:
        sys.stdout.flush()
        say(tool, f"fatal: {trouble}")
        return 1


def read_settings(options: Options) -> Settings | None:
    """main.cf; None where none was asked for and there is none."""
    directory = options.directory or os.environ.get("MAIL_CONFIG", "/etc/postfix")
    path = f"{options.root}{directory}/main.cf"
    if not os.path.exists(path):
        if options.directory:
            raise Fatal(f"open {directory}/main.cf: No such file or directory")
        return None
    return load(directory, options.root)


class Session:
    """One run of a tool."""

    def __init__(self, tool: Tool, options: Options) -> None:
        self.tool = tool
        self.options = options
        settings = read_settings(options)
        self.default_type = settings.text("default_database_type") if settings else DEFAULT_TYPE
        utf8 = options.utf8
        if utf8 is None:
            utf8 = settings.flag("smtputf8_enable") if settings else True
        options.choices = replace(options.choices, utf8=utf8)
        self.use = Use(fold=options.choices.fold, utf8=utf8, files=options.files)
        self.tables = Tables(
            options.root,
            options.directory,
            warn=self.warn,
            unavailable=self.unavailable,
            main_cf=main_cf_of(settings) if settings else no_main_cf,
        )
        self._loop = asyncio.Runner()
        self._out = sys.stdout.buffer
        self._pending = bytearray()

    def close(self) -> None:
        """Hang up where tables have connections."""
        self._loop.run(_close(self.tables))
        self._loop.close()

    def warn(self, text: str) -> None:
        """A warning."""
        say(self.tool, f"warning: {text}")

    def unavailable(self, name: str, reason: str) -> None:
        """A table that cannot be opened ends the tool."""
        raise Fatal(reason)

    def run(self) -> int:
        """Do what the options say."""
        options = self.options
        if not options.maps and not options.sequence:
            raise Fatal(self.tool.usage)
        if options.delete is not None:
            return self.delete_all(options.delete)
        if options.query is not None:
            return self.query_all(options.query)
        if options.sequence:
            return self.list_first()
        for spec in options.maps:
            self.build(*self.split(spec))
        return 0

    def split(self, spec: str) -> tuple[str, str]:
        """(type, name)"""
        kind, colon, name = spec.partition(":")
        return (kind, name) if colon else (self.default_type, spec)

    def open(self, spec: str) -> Table:
        """The table, for reading."""
        return self.tables.open(":".join(self.split(spec)), self.use)

    def put(self, text: str) -> None:
        """A line on standard output."""
        self._pending += text.encode("utf-8", "surrogateescape") + b"\n"
        if len(self._pending) >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Print what is waiting.  A fatal error takes it away, as with Postfix."""
        self._out.write(self._pending)
        self._pending.clear()

    # asking

    def ask(self, table: Table, key: str) -> str | None:
        """One look-up; trouble ends the tool."""
        called = _called(table)
        if self.use.utf8 and not is_utf8(key):
            self.warn(f'{called}: non-UTF-8 key "{key}": malformed UTF-8 or invalid codepoint')
            return None
        try:
            answer = table.lookup(key)
            value = answer if answer is None or isinstance(answer, str) else self._loop.run(_value(answer))
            if value is not None and self.use.utf8 and not is_utf8(value):
                raise NotUtf8(called, key, value)
        except NotUtf8 as trouble:
            self.warn(f"{trouble.table}: {trouble.reason}")
            raise Fatal(f"table {called}: query error") from None
        except TableTrouble as trouble:
            if trouble.reason.startswith("table "):
                raise Fatal(trouble.reason) from None
            raise Fatal(f"table {called}: query error: {trouble.reason}") from None
        if value == "":
            self.warn(f"table {called}: key {key}: empty string result is not allowed")
            self.warn(f"table {called} should return NO RESULT in case of NOT FOUND")
        return value

    def query_all(self, key: str) -> int:
        """0 where a table knew it."""
        if key == "-":
            return self.query_many(self.stdin_keys())
        for spec in self.options.maps:
            value = self.ask(self.open(spec), key)
            if value is not None:
                self.put(value)
                return 0
        return 1

    def query_many(self, keys: Iterator[str]) -> int:
        """Each key with the first table that knows it."""
        found = False
        for key in keys:
            for spec in self.options.maps:
                value = self.ask(self.open(spec), key)
                if value is not None:
                    self.put(f"{key}{self.tool.separator}{value}")
                    found = True
                    break
        return 0 if found else 1

    def stdin_keys(self) -> Iterator[str]:
        """A key a line, or the header and body lines of a message."""
        lines = _lines(sys.stdin.buffer)
        if self.options.headers or self.options.body:
            return keys_of_message(lines, self.options.headers, self.options.body, self.options.mime)
        return lines

    def list_first(self) -> int:
        """All entries of the first table."""
        for spec in self.options.maps:
            if self.split(spec)[0] == "proxy":
                raise Fatal("can't sequence maps via the proxy service")
            table = self.open(spec)
            entries = getattr(table, "entries", None)
            if isinstance(table, TroubledTable):
                raise Fatal(f"table {table.name}: sequence error: {table.reason}")
            if entries is None:
                raise Fatal(f"table {table.name}: sequence operation is not supported")
            for key, value in entries.items():
                self.list_entry(_called(table), key, value)
            return 0
        return 1

    def list_entry(self, name: str, key: str, value: str) -> None:
        """One line of a listing."""
        if not key:
            self.warn(f"table {name}: empty lookup key value is not allowed")
        elif not value:
            self.warn(f"table {name}: key {key}: empty string result is not allowed")
            self.warn(f"table {name} should return NO RESULT in case of NOT FOUND")
        text = unpack(value, key, name) if self.options.files else value
        self.put(f"{key}{self.tool.separator}{text}")

    # writing

    def delete_all(self, key: str) -> int:
        """0 where a table had it."""
        keys = list(_lines(sys.stdin.buffer)) if key == "-" else [key]
        found = False
        for spec in self.options.maps:
            kind, name = self.split(spec)
            self.check_writable(kind, name)
            database = self.database(kind, name, self.options.choices)
            with writing(database.index):
                self.load(database)
                for one in keys:
                    if self.use.utf8 and not is_utf8(one):
                        shown = f"{kind}:{name}{FORMATS[kind].family.shown}"
                        self.warn(f'{shown}: non-UTF-8 key "{one}": malformed UTF-8 or invalid codepoint')
                        found = True  # as Postfix has it: that key is not there any more
                    else:
                        found |= database.delete(one)
                if database.changed:
                    database.save()
        return 0 if found else 1

    def check_writable(self, kind: str, name: str) -> None:
        """Fatal for a table that can only be read."""
        if kind in FORMATS and name:
            return
        if kind == "fail" and name:
            raise Fatal(f"table {kind}:{name}: delete error: {APPLICATION_ERROR}")
        if kind not in TYPES or kind in ("environ", "static") or not name:
            self.open(f"{kind}:{name}")
            raise Fatal(f"table {kind}:{name}: delete operation is not supported")
        raise Fatal(f"{kind}:{name} map requires O_RDONLY access mode")

    def database(self, kind: str, name: str, choices: Choices) -> Database:
        """The file behind a table."""
        return Database(kind, self.tables.path(name), choices, self.warn)

    def load(self, database: Database) -> None:
        """What the file holds now."""
        try:
            database.load()
        except OSError as error:
            raise Fatal(f"open database {database.index}: {error.strerror}") from None
        except TableTrouble as trouble:
            raise Fatal(trouble.reason) from None

    def build(self, kind: str, name: str) -> None:
        """Make the file from its source, or add standard input to it (-i)."""
        incremental = self.options.incremental
        if kind == "proxy" and not incremental:
            raise Fatal("can't create maps via the proxy service")
        text, found = self.read_source(name)
        if kind not in FORMATS:
            raise Fatal(_unbuildable(kind))
        choices = self.options.choices
        if self.options.keep_rights and stat.S_ISREG(found.st_mode):
            choices = replace(choices, mode=0o644 & ~(0o022 | (~found.st_mode & 0o077)))
        with self.owner(found):
            database = self.database(kind, name, choices)
            with writing(database.index):
                if incremental and os.path.exists(database.index):
                    self.load(database)
                self.fill(database, text, "stdin" if incremental else name)
                database.save()

    def read_source(self, name: str) -> tuple[str, os.stat_result]:
        """The text to build from, and what stat(2) says of it."""
        if self.options.incremental:
            return sys.stdin.buffer.read().decode("utf-8", "surrogateescape"), os.fstat(0)
        try:
            with open(self.tables.path(name), "rb") as file:
                return file.read().decode("utf-8", "surrogateescape"), os.fstat(file.fileno())
        except OSError as error:
            raise Fatal(f"open {name}: {error.strerror}") from None

    def fill(self, database: Database, text: str, shown: str) -> None:
        """The entries of the text."""
        for line, key, value in self.tool.parse(text, shown, self.warn, self.use.utf8):
            content = self.pack(value, shown, line) if self.options.files else value
            if content is not None:
                database.add(key, content)
        self.tool.finish(database)

    def owner(self, found: os.stat_result) -> AbstractContextManager[None]:
        """Root works as the owner of the source, so that the file gets that owner and mistakes stay his."""
        if self.options.as_owner and not self.options.incremental and os.getuid() == 0:
            return _acting_as(found.st_uid, found.st_gid)
        return nullcontext()

    def pack(self, value: str, shown: str, line: int) -> str | None:
        """The content of the files that a value names, in base 64; None with a warning where one cannot be read."""
        parts: list[bytes] = []
        for name in value.replace(",", " ").split():
            try:
                with open(self.tables.path(name), "rb") as file:
                    parts.append(file.read())
            except OSError as error:
                self.warn(f"{shown}, line {line}: open {name}: {error.strerror}: skipping this entry")
                return None
        return base64.b64encode(b"\n".join(parts)).decode("ascii")


def _called(table: Table) -> str:
    """A table in messages: with the file that is really read."""
    kind = table.name.partition(":")[0]
    return table.name + FORMATS[kind].family.shown if kind in FORMATS else table.name


def _unbuildable(kind: str) -> str:
    if kind in TYPES:
        return f"unsupported dictionary type: {kind} does not support bulk-mode creation."
    if kind in INSTEAD:
        return f"unsupported dictionary type: {kind}: {INSTEAD[kind]}"
    return f"unsupported dictionary type: {kind}. Is the postfix-{kind} package installed?"


def _lines(file: BinaryIO) -> Iterator[str]:
    """Lines without their ends."""
    for line in file:
        yield line.rstrip(b"\n").decode("utf-8", "surrogateescape")


async def _value(answer: Awaitable[str | None]) -> str | None:
    return await answer


async def _close(tables: Tables) -> None:
    tables.close()
    await asyncio.sleep(0)  # what was hung up is told so


@contextmanager
def _acting_as(uid: int, gid: int) -> Iterator[None]:
    """The identity of a file's owner, for a while.  set_eugid(3)"""
    before = os.geteuid(), os.getegid(), os.getgroups()
    if (uid, gid) == before[:2]:
        yield
        return
    try:
        os.setgroups([gid])
        os.setegid(gid)
        os.seteuid(uid)
    except OSError as error:
        raise Fatal(f"set_eugid: seteuid({uid}): {error.strerror}") from None
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])
        os.setgroups(before[2])
