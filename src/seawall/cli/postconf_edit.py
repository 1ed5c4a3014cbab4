"""`seawall postconf -e, -X, -#`: change main.cf and master.cf in place; comments stay, and a reader sees old or new.

The new text is written beside the file under the name that Postfix's own tools lock (``main.cf.tmp``), made durable,
and renamed.  postconf(1), Postfix edit_file(3)
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from seawall.cli.postconf_options import Fatal, Mode, Options, warn
from seawall.cli.postconf_print import lay_out_entry
from seawall.cli.postconf_show import ANY, check_field, parse_request
from seawall.config.main_cf import read_text
from seawall.config.master_cf import (
    COMMAND,
    FIELDS,
    SEPARATORS,
    SERVICE,
    TYPE,
    Entry,
    check_fields,
    normalize_arguments,
    parse_entry,
)
from seawall.config.parameter import split_words
from seawall.config.source import BLANKS, ConfigTrouble, Location, is_skipped, split_name_value

NAME = re.compile(r"[=\s]", re.ASCII)


@dataclass(slots=True)
class Block:
    """A stretch of a file: a logical line with all that stands between its parts, or lines that say nothing.

    `lines` keep their ends.  `head` is the logical line's first part, empty for lines that say nothing.
    """

    lines: list[str]
    head: str = ""

    def content(self) -> str:
        """The logical line's own parts, joined."""
        return "".join(line for line in self.lines if not is_skipped(line))

    def remarks(self) -> list[str]:
        """The comments and empty lines inside it."""
        return [line for line in self.lines if is_skipped(line)]


def split_blocks(text: str) -> list[Block]:
    """The file as blocks, in order; joined again they are the file, a line end added at the end if it lacks one."""
    blocks: list[Block] = []
    lines = [line + "\n" for line in text.split("\n")]
    if lines[-1] == "\n":
        lines.pop()
    for line in lines:
        if is_skipped(line) or (line[0] in BLANKS and blocks and blocks[-1].head):
            if not blocks:
                blocks.append(Block([]))
            blocks[-1].lines.append(line)
        elif line[0] in BLANKS:
            blocks.append(Block([line]))
        else:
            blocks.append(Block([line], line))
    return blocks


def replace_file(path: str, text: str) -> None:
    """Put `text` in the file's place: durable and at once.  Raises Fatal."""
    temporary = path + ".tmp"
    try:
        old = os.stat(path)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.fchmod(file.fileno(), old.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            file.truncate(0)
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
            os.rename(temporary, path)
        directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as trouble:
        raise Fatal(f"open {temporary}: {trouble.strerror}") from None


def check_request(text: str, options: str = "-e, -X, or -# accepts") -> str:
    """The request without its leading blanks.  Raises Fatal for what is no single line of content."""
    if "\n" in text:
        raise Fatal(f"{options} no multi-line input")
    stripped = text.lstrip(BLANKS)
    if stripped.startswith("#"):
        raise Fatal(f"{options} no comment input")
    return stripped


def edit_main(options: Options) -> None:
    """Change main.cf as the options say."""
    path = f"{options.root.rstrip('/')}{options.directory}/main.cf"
    wanted: dict[str, str] = {}
    for asked in options.names:
        name, value = parse_main_request(check_request(asked), options)
        if name in wanted:
            warn(f"ignoring earlier request: '{name} = {wanted.pop(name)}'")
        wanted[name] = value
    found: dict[str, int] = {}
    result: list[str] = []
    text = read_text(path)
    for block in split_blocks(text):
        name = NAME.split(block.head, maxsplit=1)[0]
        if not block.head or name not in wanted:
            result.extend(block.lines)
            continue
        found[name] = found.get(name, 0) + 1
        if found[name] == 2:
            warn(f'{path}: multiple entries for "{name}"')
        result.extend(changed_lines(block, f"{name} = {wanted[name]}\n", options))
    if options.has(Mode.EDIT):
        result.extend(f"{name} = {value}\n" for name, value in wanted.items() if name not in found)
    replace_file(path, ended_as(text, "".join(result)))


def ended_as(old: str, new: str) -> str:
    """The new text, its last line without an end if that line stood so at the end of the old one."""
    last = old[old.rfind("\n") + 1 :]
    return new.removesuffix("\n") if last and f"\n{new}".endswith(f"\n{last}\n") else new


def parse_main_request(text: str, options: Options) -> tuple[str, str]:
    """(name, new value) of a request; the value is empty for -X and -#.  Raises Fatal."""
    if options.has(Mode.EDIT):
        parts = split_name_value(text)
        if isinstance(parts, str):
            raise Fatal(f'{parts}: "{text}"')
        return parts
    if not text:
        raise Fatal("-X or -# requires non-blank parameter names")
    if "=" in text:
        raise Fatal("-X or -# requires parameter names without value")
    return text, ""


def changed_lines(block: Block, new: str, options: Options) -> Iterator[str]:
    """A block's lines with its logical line replaced, commented out or gone; remarks stay where they stand."""
    if options.has(Mode.EDIT):
        yield new
    for line in block.lines:
        if is_skipped(line):
            yield line
        elif options.has(Mode.COMMENT_OUT):
            yield "#" + line


@dataclass(slots=True)
class Request:
    """One change of master.cf: which service, which part of it (a field or parameter), and the new value."""

    text: str
    service: str
    type: str
    part: str
    value: str
    matches: int = 0
    entry: Entry | None = field(default=None)

    def fits(self, service: str, kind: str) -> bool:
        """True where it speaks of that service, or would itself make one of that name."""
        if self.service in (ANY, service) and self.type in (ANY, kind):
            return True
        return self.entry is not None and self.entry.fields[SERVICE] == service and self.entry.fields[TYPE] == kind


def parse_master_request(raw: str, options: Options) -> Request:
    """Read a request for master.cf.  Raises Fatal in Postfix's words."""
    text = check_request(raw, "-Me, -Fe, -Pe, -X, or -# accept")
    pattern, value = text.rstrip(BLANKS), ""
    if options.has(Mode.EDIT):
        parts = split_name_value(text)
        if isinstance(parts, str):
            raise Fatal(f'{parts}: "{raw}"')
        pattern, value = parts
    elif "=" in text:
        raise Fatal("-X or -# requires names without value")
    if options.has(Mode.ENTRIES):
        service, kind = parse_request(pattern, 2, 2, "-Me, -MX or -M# requires service_name/type")
        return Request(raw, service, kind, ANY, value)
    if options.has(Mode.FIELDS):
        service, kind, part = parse_request(pattern, 3, 3, "-Fe or -FX requires service_name/type/field_name")
        check_field(part)
        if part == ANY:
            raise Fatal("-Fe does not accept wild-card field name")
        if part != FIELDS[COMMAND] and any(char in SEPARATORS for char in value):
            raise Fatal("-Fe does not accept whitespace in non-command field")
        return Request(raw, service, kind, part, value)
    service, kind, part = parse_request(pattern, 3, 3, "-Pe or -PX requires service_name/type/parameter")
    if part == ANY:
        raise Fatal("-Pe does not accept wild-card parameter name")
    if any(char in SEPARATORS for char in value):
        raise Fatal("-Pe does not accept whitespace in parameter value")
    return Request(raw, service, kind, part, value)


def parse_new_entry(value: str, raw: str, file: str) -> Entry:
    """The whole line that `-Me` puts in place.  Raises Fatal."""
    try:
        return parse_entry(value, Location(file, 0), warn)
    except ConfigTrouble as trouble:
        raise Fatal(
            f'{trouble.message}: "{raw}"' if trouble.message == "bad field count" else trouble.message
        ) from None


def edit_master(options: Options) -> None:
    """Change master.cf as the options say."""
    file = f"{options.directory}/master.cf"
    path = options.root.rstrip("/") + file
    requests = [parse_master_request(text, options) for text in options.names]
    if options.has(Mode.EDIT) and options.has(Mode.ENTRIES):
        for request in requests:
            request.entry = parse_new_entry(request.value, request.text, file)
    result: list[str] = []
    number = 1
    text = read_text(path)
    for block in split_blocks(text):
        start = number
        number += len(block.lines)
        result.extend(changed_block(block, Location(file, start), requests, options) if block.head else block.lines)
    for request in requests:
        if not request.matches and request.entry is not None:
            result.append(format_entry(request.entry))
        elif not request.matches and not options.has(Mode.ENTRIES):
            warn(f'unmatched service_name/type: "{request.text}"')
    replace_file(path, ended_as(text, "".join(result)))


def changed_block(block: Block, location: Location, requests: list[Request], options: Options) -> list[str]:
    """A service's lines after all requests."""
    words = block.head.split()
    if len(words) < 2:
        raise Fatal(f"file {location.file}: line {location.line}: specify service name and type on the same line")
    matching = [request for request in requests if request.fits(words[0], words[1])]
    if not matching:
        return block.lines
    changes_parts = options.has(Mode.FIELDS) or options.has(Mode.OVERRIDES)
    entry: Entry | None = None
    for request in matching:
        request.matches += 1
        if changes_parts:
            entry = change_part(entry or parse_block(block, location), request, options)
        elif request.entry is not None and request.matches == 1:
            entry = request.entry
    if entry is not None:
        return [format_entry(entry), *block.remarks()]
    return list(changed_lines(block, "", replace_mode(options)))


def replace_mode(options: Options) -> Options:
    """The options of a line that goes: a later one of the same name under `-Me` is taken out."""
    return replace(options, mode=options.mode & ~Mode.EDIT)


def parse_block(block: Block, location: Location) -> Entry:
    """The entry of a block.  Raises Fatal."""
    try:
        return parse_entry(block.content(), location, warn)
    except ConfigTrouble as trouble:
        if trouble.message.startswith("invalid "):
            raise Fatal(trouble.message.replace("\n", " ")) from None
        raise Fatal(f"file {location.file}: line {location.line}: {trouble.message}") from None


def change_part(entry: Entry, request: Request, options: Options) -> Entry:
    """The entry with one field or one override changed.  Raises Fatal."""
    if options.has(Mode.OVERRIDES):
        return replace(entry, arguments=change_override(entry.arguments, request, options))
    try:
        if request.part == FIELDS[COMMAND]:
            words = split_words(request.value, SEPARATORS)
            if not words:
                raise ConfigTrouble("bad field count")
            return Entry((*entry.fields[:COMMAND], words[0]), normalize_arguments(words[1:], warn), entry.location)
        at = FIELDS.index(request.part)
        fields = (*entry.fields[:at], request.value, *entry.fields[at + 1 :])
        check_fields(fields, request.value, entry.location)
    except ConfigTrouble as trouble:
        raise Fatal(trouble.message) from None
    return replace(entry, fields=fields)


def change_override(arguments: tuple[str, ...], request: Request, options: Options) -> tuple[str, ...]:
    """The command's words with ``-o part=value`` set, added after the other options, or taken out."""
    result: list[str] = []
    at = 0
    done = options.has(Mode.EXCLUDE)
    new = f"{request.part}={request.value}"
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] != "--":
        if arguments[at] == "-o" and at + 1 < len(arguments):
            if not arguments[at + 1].startswith(request.part + "="):
                result += arguments[at : at + 2]
            elif not options.has(Mode.EXCLUDE):
                result += ["-o", new]
                done = True
            at += 2
        else:
            result.append(arguments[at])
            at += 1
    if not done:
        result += ["-o", new]
    return (*result, *arguments[at:])


def format_entry(entry: Entry) -> str:
    """A line of master.cf as `postconf -M -f` shows it."""
    return lay_out_entry(entry, lambda value: value, fold=True, careful=True) + "\n"
