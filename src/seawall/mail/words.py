"""Words of a parameter's value: at blanks and commas, with braces that hold a word together.  mystrtokq(3)"""

from __future__ import annotations


def split_words(value: str, separators: str = ", \t\r\n") -> list[str]:
    """`value` at `separators`, but not inside ``{…}``; the braces stay.  A brace that is never closed holds to the end."""
    if "{" not in value:
        for separator in separators[1:]:
            value = value.replace(separator, separators[0])
        return [word for word in value.split(separators[0]) if word]
    words: list[str] = []
    start, depth = -1, 0
    for at, letter in enumerate(value):
        if depth == 0 and letter in separators:
            if start >= 0:
                words.append(value[start:at])
                start = -1
            continue
        if start < 0:
            start = at
        if letter == "{":
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
    if start >= 0:
        words.append(value[start:])
    return words


def unbrace(text: str) -> str | None:
    """What stands inside ``{ … }`` without the blanks at either end; None where `text` is not one such group.  extpar(3)"""
    if group_trouble(text) is not None:
        return None
    return text[1:-1].strip(" \t\r\n")


def group_trouble(text: str) -> str | None:
    """What is wrong with a ``{ … }`` group, in extpar(3)'s words; None where it is one."""
    if not text.startswith("{"):
        return f"no '{{' at start of text in \"{text}\""
    depth = 0
    for at, letter in enumerate(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return None if at == len(text) - 1 else f"syntax error after '}}' in \"{text}\""
    return f"missing '}}' in \"{text}\""
