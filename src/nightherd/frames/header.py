"""What a file says about itself before its pixels: kind, size, EXIF, XMP and where its hidden segments lie.

Only headers are read, a few hundred kilobytes at most however large the file is, so that a folder of thousands of
frames can be looked through quickly. Readers, poses and flights all start from here.
Standards: JPEG (ITU-T T.81), JFIF, PNG (ISO 15948), TIFF 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from nightherd.errors import FrameError
from nightherd.frames.tags import Exif, Value, integer, read_exif, text
from nightherd.frames.xmp import MAX_PACKET_BYTES, parse_xmp

Kind = Literal["jpeg", "png", "tiff", "other"]
Span = tuple[int, int]
"""Offset in the file and length, bytes."""

MAX_SEGMENTS = 4096
MAX_METADATA_BYTES = 4 << 20

_TAIL = 1 << 16
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_FLIR = b"FLIR\0"
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an image file.

    Attributes:
        path: the file.
        kind: what its first bytes say, whatever its name says.
        width, height: pixels of the picture it shows; 0 where unknown.
        exif, xmp: as parsed.
        segments: for JPEG, marker (0xE0 to 0xEF) to the spans of the payloads, in the file's order.
        flir: for JPEG, spans of FLIR's segments, header of 8 bytes included.
    """

    path: Path
    kind: Kind = "other"
    width: int = 0
    height: int = 0
    exif: Exif = field(default_factory=Exif)
    xmp: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[int, tuple[Span, ...]] = field(default_factory=dict)
    flir: tuple[Span, ...] = ()

    @property
    def make(self) -> str:
        """The maker as EXIF or XMP says it."""
        return text(self.exif.image, 271) or self.xmp.get("tiff:Make", "")

    @property
    def model(self) -> str:
        """The camera model as EXIF or XMP says it."""
        return text(self.exif.image, 272) or self.xmp.get("tiff:Model", "")

    @property
    def description(self) -> str:
        """EXIF's image description; recent DJI cameras name the palette here."""
        return text(self.exif.image, 270)


def read_header(path: Path) -> Header:
    """Reads the header of an image file, whatever it is.

    Raises:
        FrameError: the file is missing, empty or cannot be opened.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
            if not start:
                raise FrameError("the file is empty; copy it again from the card", path)
            if start[:3] == b"\xff\xd8\xff":
                return _jpeg(path, file)
            if start[:8] == b"\x89PNG\r\n\x1a\n":
                return _png(path, file)
            if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                return _tiff(path, file)
            return Header(path)
    except OSError as error:
        raise FrameError(f"cannot be read: {error.strerror or error}", path) from error


def read_spans(path: Path, spans: tuple[Span, ...], skip: int = 0) -> bytes:
    """The bytes of several spans of a file, put together; each without its first `skip` bytes.

    Raises:
        FrameError: the file ends before a span does, or cannot be opened.
    """
    parts = []
    try:
        with path.open("rb") as file:
            for offset, length in spans:
                file.seek(offset + skip)
                part = file.read(max(0, length - skip))
                if len(part) < length - skip:
                    raise FrameError("the file is cut short; copy it again from the card", path)
                parts.append(part)
    except OSError as error:
        raise FrameError(f"cannot be read: {error.strerror or error}", path) from error
    return b"".join(parts)


def is_cut_short(path: Path) -> bool:
    """Whether a JPEG lacks its end mark, as one does whose copying was interrupted; cameras append up to 4 kB to it."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            return b"\xff\xd9" not in file.read(_TAIL)
    except OSError:
        return True


def _jpeg(path: Path, file: BinaryIO) -> Header:
    segments: dict[int, list[Span]] = {}
    flir: list[Span] = []
    exif = Exif()
    xmp: dict[str, str] = {}
    width = height = 0
    position = 2
    for _ in range(MAX_SEGMENTS):
        file.seek(position)
        head = file.read(40)
        if len(head) < 4 or head[0] != 0xFF:
            break
        marker = head[1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in (0xDA, 0xD9):
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            position += 2
            continue
        length = struct.unpack_from(">H", head, 2)[0]
        if length < 2:
            break
        span = (position + 4, length - 2)
        if 0xE0 <= marker <= 0xEF:
            segments.setdefault(marker, []).append(span)
        if marker in _START_OF_FRAME and len(head) >= 9 and not width:
            height, width = struct.unpack_from(">HH", head, 5)
        elif marker == 0xE1 and head[4:10] == _EXIF and not exif.image:
            exif = exif_of(_at(file, span[0] + 6, span[1] - 6))
        elif marker == 0xE1 and head[4:33] == _XMP and not xmp:
            xmp = dict(parse_xmp(_at(file, span[0] + len(_XMP), span[1] - len(_XMP))))
        elif marker == 0xE1 and head[4:9] == _FLIR:
            flir.append(span)
        position += 2 + length
    placed = {marker: tuple(spans) for marker, spans in segments.items()}
    return Header(path, "jpeg", width, height, exif, xmp, placed, tuple(flir))


def exif_of(block: bytes) -> Exif:
    """The EXIF directories of a block that begins with its byte-order mark."""
    return read_exif(lambda offset, count: block[offset : offset + count])


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(max(0, min(length, MAX_METADATA_BYTES)))


def _png(path: Path, file: BinaryIO) -> Header:
    exif = Exif()
    xmp: dict[str, str] = {}
    width = height = 0
    position = 8
    for _ in range(MAX_SEGMENTS):
        head = _at(file, position, 8)
        if len(head) < 8:
            break
        length, name = struct.unpack(">I4s", head)
        if name == b"IHDR" and length >= 8:
            size = _at(file, position + 8, 8)
            width, height = struct.unpack(">II", size) if len(size) == 8 else (0, 0)
        elif name == b"eXIf":
            exif = exif_of(_at(file, position + 8, length))
        elif name == b"iTXt" and length <= MAX_PACKET_BYTES:
            keyword, _, rest = _at(file, position + 8, length).partition(b"\0")
            if keyword == b"XML:com.adobe.xmp" and rest[:2] == b"\0\0":
                xmp = dict(parse_xmp(rest))
        elif name == b"IEND":
            break
        position += 12 + length
    return Header(path, "png", width, height, exif, xmp)


def _tiff(path: Path, file: BinaryIO) -> Header:
    exif = read_exif(lambda offset, count: _at(file, offset, count) if offset < 1 << 62 else b"")
    packet: Value = exif.image.get(700, b"")
    packet = packet.encode("utf-8") if isinstance(packet, str) else packet
    xmp = parse_xmp(packet) if isinstance(packet, bytes) and packet else {}
    return Header(path, "tiff", integer(exif.image, 256), integer(exif.image, 257), exif, xmp)
