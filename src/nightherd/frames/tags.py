"""Tags of TIFF and EXIF structures, read from a header without touching pixels.

One small bounded parser serves EXIF blocks inside JPEG and PNG, and the directories of TIFF and BigTIFF files. It is
the first thing that unknown bytes meet, so every offset and count is checked and nothing is read twice.
Standards: TIFF 6.0 (Adobe 1992), Exif 3.0 (CIPA DC-008).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ReadAt = Callable[[int, int], bytes]
"""Gives up to `count` bytes from `offset`; fewer at the end of the data."""

Value = str | bytes | tuple[int, ...] | tuple[float, ...]
Tags = Mapping[int, Value]

MAX_ENTRIES = 1024
MAX_VALUE_BYTES = 1 << 20

EXIF_POINTER = 34665
GPS_POINTER = 34853

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {3: "H", 4: "I", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class Exif:
    """The three directories that matter, tag number to value; empty where there is none."""

    image: Tags = field(default_factory=dict)
    photo: Tags = field(default_factory=dict)
    gps: Tags = field(default_factory=dict)


def read_exif(read_at: ReadAt) -> Exif:
    """Parses the first directory of a TIFF structure and the EXIF and GPS directories it points to.

    Args:
        read_at: gives bytes of the structure, offset 0 being its byte-order mark (`II` or `MM`).

    Returns:
        What could be read. Broken entries are left out; bytes that are no TIFF structure give empty directories.
    """
    start = read_at(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 8:
        return Exif()
    magic = struct.unpack_from(order + "H", start, 2)[0]
    if magic == 42:
        big, first = False, struct.unpack_from(order + "I", start, 4)[0]
    elif magic == 43 and len(start) == 16:
        big, first = True, struct.unpack_from(order + "Q", start, 8)[0]
    else:
        return Exif()
    image = _directory(read_at, first, order, big)
    parts = []
    for pointer in (EXIF_POINTER, GPS_POINTER):
        offset = integer(image, pointer)
        parts.append(_directory(read_at, offset, order, big) if offset else {})
    return Exif(image, *parts)


def _directory(read_at: ReadAt, offset: int, order: str, big: bool) -> dict[int, Value]:
    """The entries of one directory; those that are broken or too large are left out."""
    head = read_at(offset, 8 if big else 2)
    if len(head) < (8 if big else 2):
        return {}
    count = min(struct.unpack(order + ("Q" if big else "H"), head)[0], MAX_ENTRIES)
    width, inline = (20, 8) if big else (12, 4)
    table = read_at(offset + len(head), count * width)
    tags: dict[int, Value] = {}
    for start in range(0, len(table) - width + 1, width):
        tag, kind = struct.unpack_from(order + "HH", table, start)
        number = struct.unpack_from(order + ("Q" if big else "I"), table, start + 4)[0]
        size = _SIZES.get(kind, 0) * number
        if not 0 < size <= MAX_VALUE_BYTES or tag in tags:
            continue
        place = start + width - inline
        if size <= inline:
            data = table[place : place + size]
        else:
            data = read_at(struct.unpack_from(order + ("Q" if big else "I"), table, place)[0], size)
        if len(data) == size:
            tags[tag] = _value(data, kind, number, order)
    return tags


def _value(data: bytes, kind: int, number: int, order: str) -> Value:
    if kind == 2:
        return data.split(b"\0")[0].decode("utf-8", "replace").strip()
    if kind in (1, 6, 7):
        return data
    if kind in (5, 10):
        parts = struct.unpack(f"{order}{2 * number}{'I' if kind == 5 else 'i'}", data)
        return tuple(
            above / below if below else float("nan") for above, below in zip(parts[::2], parts[1::2], strict=True)
        )
    return tuple(struct.unpack(f"{order}{number}{_CODES[kind]}", data))


def integer(tags: Tags, tag: int) -> int:
    """The first integer of a tag; 0 where it is absent or something else."""
    value = tags.get(tag)
    return value[0] if isinstance(value, tuple) and value and isinstance(value[0], int) else 0


def number(tags: Tags, tag: int) -> float | None:
    """The first number of a tag, finite; None where it is absent or something else."""
    value = tags.get(tag)
    if not isinstance(value, tuple) or not value:
        return None
    first = float(value[0])
    return first if abs(first) < 1e30 else None


def text(tags: Tags, tag: int) -> str:
    """The text of a tag; empty where it is absent or something else."""
    value = tags.get(tag)
    return value if isinstance(value, str) else ""
