"""Cleans text as it comes out of a file: ligatures, odd spaces, and the line breaks that typesetting put into words.

What comes out is one line per paragraph, which is what passages hold and what quotations are looked up in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence


def words_of(text: str) -> frozenset[str]:
    """The words of a text that spaces part, as a set: a short way to write tables of words."""
    return frozenset(text.split())


_LIGATURES = {
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st",
    "\u02dc": "~",
}  # fmt: skip
_SOFT_HYPHENS = "\ufffe\u0002\u00ad"
_TABLE = str.maketrans(
    {**_LIGATURES, "\u2010": "-", "\u2011": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u200a": " ",
     "\u200b": "", "\u2060": "", "\ufeff": "", "\u0000": ""}
)  # fmt: skip
_UNMAPPED = re.compile(r"\(cid:\d+\)")
_CONTROL = re.compile(r"[\u0001\u0003-\u0008\u000b\u000e-\u001f\u007f\u202a-\u202e\u2066-\u2069]")
_BROKEN = re.compile(rf"(\w+)([-{_SOFT_HYPHENS}])$")
_KEEPS_HYPHEN = words_of(
    "self non cross multi semi well high low real two three four five large small open deep fine k"
)
_LEFT = {ord(character): "" if character == "\u00ad" else "-" for character in _SOFT_HYPHENS}
_URL_END = re.compile(r"(?:https?://|www\.|doi\.org/)\S*$")


def clean_characters(text: str) -> str:
    """The text with ligatures spelt out, odd spaces made plain and characters without a meaning removed."""
    return _CONTROL.sub(" ", _UNMAPPED.sub(" ", text.translate(_TABLE)))


def join_lines(lines: Sequence[str], words: frozenset[str] = frozenset()) -> str:
    """One line of text from the lines of a paragraph; words that were broken at a line's end are whole again.

    Args:
        lines: the lines as typeset, top to bottom.
        words: lower-case words that occur whole elsewhere in the source; they decide whether a hyphen at the end of
            a line belongs to the word.
    """
    parts: list[str] = []
    for raw in lines:
        line = " ".join(clean_characters(raw).split())
        if not line:
            continue
        if not parts:
            parts.append(line)
            continue
        end = parts[-1].rsplit(" ", 1)[-1]  # a word never spans more than two lines
        url = _URL_END.search(end)
        broken = _BROKEN.search(end)
        if broken and line[0].isalnum():
            parts[-1] = parts[-1][:-1]
            parts.append(_link(broken.group(1), line, url is not None, words) + line)
        elif url and _continues_url(url.group(), line):
            parts.append(line)
        else:
            parts.append(" " + line)
    return "".join(parts).translate(_LEFT)


def _link(before: str, line: str, is_url: bool, words: frozenset[str]) -> str:
    """What stands between the two halves of a word that a line's end parted: a hyphen or nothing."""
    if is_url or not line[0].islower():
        return "-"
    head = before.lower()
    found = re.match(r"\w+", line)
    tail = found.group().lower() if found else ""
    if f"{head}-{tail}" in words:
        return "-"
    if head + tail in words:
        return ""
    return "-" if head in _KEEPS_HYPHEN and len(tail) > 3 else ""


def _continues_url(url: str, line: str) -> bool:
    """Whether a line goes on with the address that the line before ends with, and is no word after it."""
    first = line.split(" ", 1)[0]
    if url.endswith(("/", "_", "?", "=", "&")):
        return bool(re.match(r"[\w%#?&=~-]", first))
    return bool(re.match(r"[/._?=&#]\w", first))


def whole_words(lines: Sequence[str]) -> frozenset[str]:
    """Lower-case words and hyphenated compounds that stand inside lines, for `join_lines` to decide by."""
    found: set[str] = set()
    for line in lines:
        found.update(word.lower() for word in re.findall(r"\w+(?:-\w+)*", clean_characters(line.rstrip())[:-1]))
    return frozenset(found)
