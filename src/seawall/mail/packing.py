"""Values to bytes and back, for files and between processes: MessagePack that also carries octets that are no UTF-8.

Text inside the program is decoded with ``surrogateescape``, which MessagePack's UTF-8 strings cannot hold.  Text
with such octets is rare, so it takes a slower form: the byte C1, which MessagePack never uses, then the same value
with each stray octet as U+10FFFD and a character of that number (and U+10FFFD itself doubled).
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

ESCAPED = b"\xc1"
MARK = "\U0010fffd"
_STRAY = re.compile("[\udc80-\udcff\U0010fffd]")
_MARKED = re.compile(MARK + "(.)", re.DOTALL)

_encode = msgspec.msgpack.Encoder().encode
_decode_any = msgspec.msgpack.Decoder().decode


def _escape(found: re.Match[str]) -> str:
    mark = found[0]
    return MARK + (mark if mark == MARK else chr(ord(mark) - 0xDC00))


def _restore(found: re.Match[str]) -> str:
    return found[1] if found[1] == MARK else chr(0xDC00 + ord(found[1]))


def _each_text(value: Any, pattern: re.Pattern[str], change: Any) -> Any:
    """`value`, made of dicts, lists and scalars, with every text changed."""
    if isinstance(value, str):
        return pattern.sub(change, value)
    if isinstance(value, dict):
        return {key: _each_text(item, pattern, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(item, pattern, change) for item in value]
    return value


def pack(value: object) -> bytes:
    """A struct of ours as bytes."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return ESCAPED + _encode(_each_text(msgspec.to_builtins(value), _STRAY, _escape))


def unpack(data: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """The value of the decoder's type; raises msgspec.DecodeError or ValidationError for anything else."""
    if data[:1] != ESCAPED:
        return decoder.decode(data)
    plain = _each_text(_decode_any(data[1:]), _MARKED, _restore)
    converted: T = msgspec.convert(plain, decoder.type)
    return converted
