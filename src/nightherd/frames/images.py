"""Pictures of 8 bits, grey or painted with a palette that is undone; a grey PNG of 16 bits keeps its counts."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from nightherd.errors import FrameError
from nightherd.frames import flir
from nightherd.frames.cameras import camera_of, pixel_pitch_of
from nightherd.frames.header import Header
from nightherd.frames.limits import MAX_PIXELS, check_file, check_size
from nightherd.frames.palettes import Palette, is_grey, known_palettes, recognise, to_intensity
from nightherd.types import FloatArray

logging.getLogger("PIL").addHandler(logging.NullHandler())  # What it finds wrong is in the error that is raised.

FORMATS = ("JPEG", "PNG", "TIFF")
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, AttributeError,
    ZeroDivisionError, struct.error, zlib.error,
)  # fmt: skip
_BROKEN = "the file is cut short or broken ({}); copy it again from the card"


def read_picture(header: Header) -> tuple[FloatArray, bool, tuple[str, ...]]:
    """Reads a picture as one channel.

    Args:
        header: of the file.

    Returns:
        float32 (H, W), 0 to 255 or 16-bit counts, warm is high as far as the palette tells; whether the picture is of
        16 bits; and what a person should know.

    Raises:
        FrameError: not a picture, broken, too large, or in natural colours.
    """
    if header.width and header.height:
        check_size(header.width, header.height, header.path)
    channels = decode(header.path)
    if channels.ndim == 2:
        return channels.astype(np.float32), channels.dtype != np.uint8, ()
    alpha = channels[..., 3] if channels.shape[2] == 4 else None
    picture = np.ascontiguousarray(channels[..., :3], np.uint8)
    notes: tuple[str, ...] = ()
    if is_grey(picture):
        pixels = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    else:
        match = recognise(picture, carried_palettes(header))
        if match is None:
            raise _unknown_colours(header)
        pixels = to_intensity(picture, match.palette)
        notes = (f"palette {match.palette.name} recognised and undone",)
    if alpha is not None and np.any(alpha == 0):
        pixels = np.where(alpha == 0, np.float32(np.nan), pixels)
    return pixels, False, notes


def _unknown_colours(header: Header) -> FrameError:
    names = ", ".join(palette.name for palette in known_palettes())
    known = camera_of(header.make, header.model)
    if known is not None and pixel_pitch_of(known, header.width, header.height) is not None:
        return FrameError(
            f"its colours follow none of the palettes that are known ({names}); save it white-hot, or give the "
            "radiometric file",
            header.path,
        )
    return FrameError(
        "looks like a photograph in natural colours, not a thermal image: its colours follow none of the palettes "
        f"{names}; give the thermal files themselves",
        header.path,
    )


def decode(path: Path) -> npt.NDArray[np.integer[Any]]:
    """The pixels of a picture: uint8 or uint16 (H, W), or uint8 (H, W, 3 or 4).

    Raises:
        FrameError: not a picture, broken, cut short, too large or of a kind that thermal cameras do not write.
    """
    check_file(path)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            check_size(*image.size, path)
            if image.mode.startswith("I"):
                deep: npt.NDArray[np.integer[Any]] = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
                return deep
            if image.mode not in ("L", "LA", "RGB", "RGBA", "P", "PA"):
                raise FrameError(f"has pixels of mode {image.mode}, not a thermal picture; give grey or RGB", path)
            if image.mode in ("P", "PA", "LA"):
                has_alpha = image.mode != "P" or "transparency" in image.info
                return np.asarray(image.convert("RGBA" if has_alpha else "RGB"), np.uint8)
            return np.asarray(image, np.uint8)
    except FrameError:
        raise
    except UnidentifiedImageError as error:
        raise FrameError("is not an image that Nightherd reads; give JPEG, PNG or TIFF", path) from error
    except Image.DecompressionBombError as error:
        raise FrameError(
            f"exceeds the limit of {MAX_PIXELS // 1_000_000} million pixels; cut it into tiles", path
        ) from error
    except MemoryError as error:
        raise FrameError("does not fit into memory; cut it into tiles", path) from error
    # Pillow's decoders meet hostile bytes here and raise whatever their parsing runs into.
    except _DECODER_ERRORS as error:
        raise FrameError(_BROKEN.format(str(error)[:80] or type(error).__name__), path) from error


def carried_palettes(header: Header) -> tuple[Palette, ...]:
    """The palette that a FLIR file carries, in both ranges it may be stored in; empty for other files."""
    if not header.flir:
        return ()
    try:
        record = flir.records(header).get(flir.PALETTE_RECORD, b"")
    except FrameError:
        return ()
    found = [flir.palette_of(record, video_range) for video_range in (False, True)]
    return tuple(Palette(f"{one[0] or 'of the file'} (carried by the file)", one[1]) for one in found if one)
