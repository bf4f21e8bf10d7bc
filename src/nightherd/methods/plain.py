"""Reads text, Markdown and JSON records as blocks: paragraphs under their headings, fields as `path: value`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from nightherd.errors import SourceError
from nightherd.methods.cleaning import join_lines, whole_words
from nightherd.methods.document import Block, Document, is_heading, language_note
from nightherd.methods.types import PassageKind

MOST_FIELDS = 5000
_LONGEST_LIST = 40
_CAPTION = re.compile(r"(?:Fig(?:ure|\.)?|Table)\s*\.?\s*[A-Z]?\d+[.:\s]")


def read_text(text: str, name: str) -> Document:
    """Plain text as blocks: an empty line or a form feed ends a paragraph; lines within it are joined."""
    words = whole_words(text.splitlines())
    blocks: list[Block] = []
    section = ""
    for paragraph in re.split(r"\n[ \t]*\n|\f", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = [line for line in paragraph.split("\n") if line.strip()]
        if lines and is_heading(lines[0]) and (len(lines) == 1 or not lines[1].lstrip()[:1].islower()):
            section = " ".join(lines[0].split())
            lines = lines[1:]
        if joined := join_lines(lines, words):
            kind: PassageKind = "caption" if _CAPTION.match(joined) else "text"
            blocks.append(Block(joined, kind, section))
    return Document(name, tuple(blocks), language_note(text))


def read_markdown(text: str, name: str) -> Document:
    """Markdown as blocks: headings name sections, list items and table rows stand alone; marks of emphasis go."""
    blocks: list[Block] = []
    section = ""
    held: list[str] = []
    is_fenced = False

    def close(kind: PassageKind = "text") -> None:
        if joined := _unmarked(join_lines(held)):
            blocks.append(Block(joined, kind, section))
        held.clear()

    for line in [*text.splitlines(), ""]:
        stripped = line.strip()
        if stripped.startswith(("```", "~~~")):
            close()
            is_fenced = not is_fenced
        elif is_fenced:
            held.append(line)
        elif heading := re.match(r"#{1,6}\s+(.*?)\s*#*$", stripped):
            close()
            section = _unmarked(heading.group(1))
        elif not stripped or re.fullmatch(r"\|?[\s:|-]{3,}", stripped):
            close()
        elif re.match(r"[-*+]\s+|\d{1,3}[.)]\s+", stripped):
            close()
            held.append(re.sub(r"^[-*+]\s+|^\d{1,3}[.)]\s+", "", stripped))
        elif stripped.startswith("|"):
            close()
            held.append(stripped.strip("| "))
            close("table")
        else:
            held.append(stripped)
    close()
    return Document(name, tuple(blocks), language_note(text))


def _unmarked(text: str) -> str:
    """Markdown of one line without its marks; the address of a link stays behind its words."""
    text = re.sub(r"!?\[([^\]]*)\]\(<?([^)\s>]+)>?[^)]*\)", r"\1 (\2)", text)
    text = re.sub(r"(\*\*|__|`)(.+?)\1", r"\2", text)
    text = re.sub(r"(?<!\w)[*_](\S(?:.*?\S)?)[*_](?!\w)", r"\1", text)
    return re.sub(r"^>\s?", "", text).strip()


def read_json(text: str, name: str) -> Document:
    """A JSON record as one block a field, `path to it: value`; lists of plain values are one field.

    Raises:
        SourceError: it is not JSON.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError("is not JSON; write the record again or give the report as text", name) from error
    blocks: list[Block] = []
    for count, (path, leaf) in enumerate(_fields(value, ())):
        if count >= MOST_FIELDS:
            return Document(name, tuple(blocks), f"only the first {MOST_FIELDS} fields were read")
        label = " ".join(_spelt(part) for part in path) or "value"
        blocks.append(Block(join_lines(f"{label}: {leaf}".splitlines()), "record", " > ".join(path[:-1])))
    return Document(name, tuple(blocks))


def _spelt(key: str) -> str:
    """A key as words: `learningRate` and `learning_rate` are `learning rate`."""
    return re.sub(r"[_\s]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key)).strip()


def _fields(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every plain value of a record with the keys that lead to it; no deeper than 12 keys."""
    if isinstance(value, dict) and len(path) < 12:
        for key, inner in value.items():
            yield from _fields(inner, (*path, str(key)))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value) and len(path) < 12:
        for place, item in enumerate(value[:_LONGEST_LIST], start=1):
            yield from _fields(item, (*path, str(place)) if isinstance(item, dict) else path)
    elif isinstance(value, list):
        shown = ", ".join(_shown(item) for item in value[:_LONGEST_LIST])
        if shown:
            yield path, shown + (", …" if len(value) > _LONGEST_LIST else "")
    elif value is not None and value != "" and value != {}:
        yield path, _shown(value)


def _shown(value: Any) -> str:
    """A plain value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e6 else str(value)
    return str(value)
