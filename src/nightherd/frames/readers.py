"""The registry of readers, and `read_frame`, which turns any file of a thermal camera into a `Frame`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from nightherd.errors import FrameError
from nightherd.frames import dji, flir
from nightherd.frames.header import Header, is_cut_short, read_header
from nightherd.frames.images import read_picture
from nightherd.frames.pose import camera_name, pose_of
from nightherd.frames.tags import integer
from nightherd.frames.tiff import read_tiff
from nightherd.types import FloatArray, Frame, Unit

Polarity = Literal["auto", "white-hot", "black-hot"]
Scale = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user states about the files: polarity of pictures, gain and offset from counts to °C."""

    polarity: Polarity = "auto"
    scale: Scale | None = None


@dataclass(frozen=True, slots=True)
class Pixels:
    """What a reader makes of a file: pixels float32 (H, W), their unit, and notes for a person."""

    pixels: FloatArray
    unit: Unit
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of file.

    Attributes:
        name: in the registry.
        reads: one line for people.
        recognises: whether a header is of this kind.
        read: turns the file into pixels; raises FrameError.
    """

    name: str
    reads: str
    recognises: Callable[[Header], bool]
    read: Callable[[Header, Options], Pixels]


def _flir(header: Header, options: Options) -> Pixels:
    celsius, _ = flir.read_celsius(header)
    notes = _cut_short(header)
    return Pixels(
        celsius,
        "celsius",
        (
            *notes,
            "object temperature, by the emissivity, distance and air that the file states",
        ),
    )


def _cut_short(header: Header) -> tuple[str, ...]:
    """Raw images come before the picture: a file cut short in the picture still holds all that is measured."""
    return ("the picture is cut short, the raw image before it is whole",) if is_cut_short(header.path) else ()


def _dji(header: Header, options: Options) -> Pixels:
    raw = dji.find_raw(header)
    if raw is None:
        raise FrameError("holds no DJI raw image; give --reader image to use its picture", header.path)
    counts = dji.read_counts(header, raw)
    notes = _cut_short(header)
    if options.scale is not None:
        gain, offset = options.scale
        pixels = counts.astype(np.float32) * np.float32(gain) + np.float32(offset)
        return Pixels(pixels, "celsius", (*notes, f"scaled by {gain:g} and {offset:+g} as given"))
    celsius = dji.kelvin_scale(header, counts)
    if celsius is not None:
        return Pixels(
            celsius, "celsius", (*notes, "apparent temperature, not corrected for emissivity, reflection and air")
        )
    model = header.model or "this camera"
    return Pixels(
        counts.astype(np.float32), "counts", (*notes, f"only DJI's SDK knows the scale of {model}'s raw image")
    )


def _tiff(header: Header, options: Options) -> Pixels:
    return Pixels(*read_tiff(header, options.scale))


def _image(header: Header, options: Options) -> Pixels:
    pixels, is_deep, notes = read_picture(header)
    if options.scale is not None:
        gain, offset = options.scale
        return Pixels(
            pixels * np.float32(gain) + np.float32(offset),
            "celsius",
            (*notes, f"scaled by {gain:g} and {offset:+g} as given"),
        )
    if is_deep:
        return Pixels(pixels, "counts", notes)
    is_black_hot, polarity = _polarity(header, options, is_coloured=bool(notes))
    return Pixels(np.float32(255) - pixels if is_black_hot else pixels, "display", (*notes, *polarity))


def _polarity(header: Header, options: Options, is_coloured: bool) -> tuple[bool, tuple[str, ...]]:
    """Whether dark is warm in a picture, and what to say of it; a palette that was undone tells that itself."""
    if options.polarity != "auto":
        return options.polarity == "black-hot", (f"{options.polarity}, as given",)
    stated = header.description.replace(" ", "").lower()
    if stated == "blackhot":
        return True, ("black-hot, as the file says",)
    if stated == "whitehot":
        return False, ("white-hot, as the file says",)
    return False, () if is_coloured else ("taken as white-hot",)


def _is_deep_tiff(header: Header) -> bool:
    return header.kind == "tiff" and integer(header.exif.image, 258) > 8


def _is_picture(header: Header) -> bool:
    return header.kind in ("jpeg", "png") or (header.kind == "tiff" and integer(header.exif.image, 258) in (0, 1, 8))


READERS: Mapping[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader("flir", "FLIR radiometric JPEG, also of DJI's Zenmuse XT, XT R and XT2", lambda h: bool(h.flir), _flir),
        Reader("dji", "DJI radiometric JPEG", lambda h: h.kind == "jpeg" and dji.find_raw(h) is not None, _dji),
        Reader("tiff", "TIFF of 16 or 32 bits", _is_deep_tiff, _tiff),
        Reader("image", "8-bit JPEG, PNG and TIFF, grey or with a palette; 16-bit PNG", _is_picture, _image),
    )
}
"""The readers by name; the first that recognises a file reads it."""


def read_frame(
    path: Path, *, reader: str | None = None, polarity: Polarity = "auto", scale: Scale | None = None
) -> Frame:
    """Reads one image of a thermal camera.

    Args:
        path: the file.
        reader: name in `READERS`; None takes the first that recognises the file.
        polarity: of 8-bit pictures: what is warm in them. `auto` believes the file, else white-hot.
        scale: gain and offset that turn the file's counts into °C, for files that do not state them.

    Returns:
        The frame, warm is high, with its pose.

    Raises:
        FrameError: the file cannot be read as a thermal frame; says why and what would be right.
    """
    path = Path(path)
    header = read_header(path)
    if reader is not None and reader not in READERS:
        raise FrameError(f"there is no reader '{reader}'; give one of {', '.join(READERS)}", path)
    if scale is not None and not (np.all(np.isfinite(scale)) and scale[0] != 0):
        raise FrameError("the scale must be two numbers, gain and offset, with a gain other than 0", path)
    chosen = READERS[reader] if reader is not None else reader_of(header)
    if chosen is None:
        raise FrameError("is not an image that Nightherd reads; give JPEG, PNG or TIFF", path)
    if reader is not None and not chosen.recognises(header):
        raise FrameError(f"is not a file for the reader '{reader}' ({chosen.reads}); leave --reader out", path)
    done = chosen.read(header, Options(polarity, scale))
    if not np.isfinite(done.pixels).any():
        raise FrameError("holds no value in any pixel; the file is of no use", path)
    pixels = np.ascontiguousarray(done.pixels, np.float32)
    pose = pose_of(header, pixels.shape[1], pixels.shape[0])
    return Frame(pixels, done.unit, pose, path, camera_name(header), chosen.name, done.notes)


def reader_of(header: Header) -> Reader | None:
    """The first reader of the registry that recognises a header; None where none does."""
    return next((reader for reader in READERS.values() if reader.recognises(header)), None)
