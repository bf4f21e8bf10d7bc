"""TIFF of 16 or 32 bits: degrees, kelvin, or counts with the scale that a tag or the user states.

Only the first image of a file is read. A tag states a scale as GDAL does (items `scale` and `offset` of tag 42112,
and `nodata` in 42113), or as FLIR's Vue Pro does (XMP TlinearGain, kelvin a count).
"""

from __future__ import annotations

import logging
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from nightherd.errors import FrameError
from nightherd.frames.header import Header
from nightherd.frames.limits import check_file, check_size
from nightherd.frames.planck import ZERO_CELSIUS
from nightherd.frames.tags import Tags, text
from nightherd.frames.xmp import xmp_number
from nightherd.types import FloatArray, Unit

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # What it finds wrong is in the error that is raised.

GDAL_METADATA, GDAL_NODATA = 42112, 42113

_COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32773: "PackBits", 32946: "deflate", 50000: "zstd"}
_ITEM = re.compile(r'<Item\s[^<>]{0,200}?role="(scale|offset)"[^<>]{0,100}>\s*([-+.\deE]{1,40})\s*</Item>')
_CELSIUS_RANGE = (-90.0, 160.0)
_KELVIN_RANGE = (183.0, 433.0)


def read_tiff(header: Header, scale: tuple[float, float] | None = None) -> tuple[FloatArray, Unit, tuple[str, ...]]:
    """Reads a single-channel TIFF.

    Args:
        header: of the file.
        scale: gain and offset that turn its values into °C, stated by the user; goes before what the file states.

    Returns:
        float32 (H, W) with NaN where there is no value, its unit, and what a person should know.

    Raises:
        FrameError: broken, too large, of a kind not read, or without a single value.
    """
    values, notes = _decode(header.path)
    pixels = values.astype(np.float32)
    nodata = _nodata(header.exif.image)
    if nodata is not None:
        pixels[values == nodata] = np.nan
    pixels[~np.isfinite(pixels)] = np.nan
    stated = scale or stated_scale(header)
    if stated is not None:
        pixels = pixels * np.float32(stated[0]) + np.float32(stated[1])
        where = "as given" if scale else "as the file states"
        return _possible(pixels), "celsius", (*notes, f"scaled by {stated[0]:g} and {stated[1]:+g} {where}")
    if values.dtype.kind != "f":
        return pixels, "counts", notes
    present = pixels[np.isfinite(pixels)]
    if present.size == 0:
        raise FrameError("holds no value but NaN; write the temperatures into it again", header.path)
    low, middle, high = (float(q) for q in np.percentile(present, (1, 50, 99)))
    if _KELVIN_RANGE[0] <= low and high <= _KELVIN_RANGE[1]:
        return _possible(pixels - np.float32(ZERO_CELSIUS)), "celsius", (*notes, "kelvin, turned into °C")
    if low >= 0 and high <= 1:
        return pixels * np.float32(255), "display", (*notes, "values from 0 to 1 without a unit")
    if _CELSIUS_RANGE[0] <= low and high <= _CELSIUS_RANGE[1]:
        return _possible(pixels), "celsius", (*notes, "floating point, taken as °C")
    return pixels, "counts", (*notes, f"values around {middle:g} are no temperature; the unit is unknown")


def stated_scale(header: Header) -> tuple[float, float] | None:
    """Gain and offset to °C as the file itself states them; None where it states none."""
    items = dict(_ITEM.findall(text(header.exif.image, GDAL_METADATA)[:100_000]))
    try:
        gain, offset = float(items.get("scale", "nan")), float(items.get("offset", "0"))
    except ValueError:
        gain, offset = math.nan, 0.0
    if math.isfinite(gain) and gain != 0 and math.isfinite(offset):
        return gain, offset
    linear = xmp_number(header.xmp, "FLIR:TlinearGain", "Camera:TlinearGain")
    if linear and 0 < linear < 1:
        return linear, -ZERO_CELSIUS
    return None


def _nodata(tags: Tags) -> float | None:
    try:
        return float(text(tags, GDAL_NODATA))
    except ValueError:
        return None


def _possible(celsius: FloatArray) -> FloatArray:
    """Degrees of absolute zero and below mark pixels without a value in some exports."""
    with np.errstate(invalid="ignore"):
        return np.where(celsius <= np.float32(-ZERO_CELSIUS), np.float32(np.nan), celsius)


def _decode(path: Path) -> tuple[np.ndarray[tuple[int, ...], np.dtype[Any]], tuple[str, ...]]:
    check_file(path)
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            check_size(int(page.imagewidth), int(page.imagelength), path)
            if page.samplesperpixel != 1 or page.imagedepth != 1:
                raise FrameError("has several channels of more than 8 bits; a thermal frame has one", path)
            if page.dtype is None or page.dtype.kind not in "uif" or page.dtype.itemsize > 8:
                raise FrameError("has values of a kind that is not read; give 16-bit integers or 32-bit floats", path)
            if int(page.compression) not in _COMPRESSIONS:
                raise FrameError(
                    f"has compression {int(page.compression)}, which is not read; use deflate or none",
                    path,
                )
            _refuse_bomb(file, page, path)
            values = np.asarray(page.asarray(maxworkers=1))
            if int(page.photometric) == 0 and values.dtype.kind == "u":
                values = np.iinfo(values.dtype).max - values  # MinIsWhite: 0 is shown white.
            pages = 2 if len(file.pages) > 1 else 1
    except FrameError:
        raise
    except MemoryError as error:
        raise FrameError("does not fit into memory; cut it into tiles", path) from error
    # tifffile parses hostile bytes and raises whatever that runs into; it asks for imagecodecs with a ValueError.
    except Exception as error:
        if "imagecodecs" in str(error):
            raise FrameError("needs more packages to unpack: pip install 'nightherd[codecs]'", path) from error
        reason = str(error)[:80] or type(error).__name__
        raise FrameError(f"the TIFF is cut short or broken ({reason}); copy it again", path) from error
    if values.ndim != 2 or not values.size:
        raise FrameError("holds no single image; write one frame a file", path)
    return values, ("only the first of several images in the file is read",) if pages > 1 else ()


def _refuse_bomb(file: Any, page: Any, path: Path) -> None:
    """Refuses strips that unpack to more than the image can hold, before anything unpacks them whole."""
    if len(page.databytecounts) > 1_000_000:
        raise FrameError("is cut into more pieces than any frame; write it in strips", path)
    piece = math.prod(page.chunks) * page.dtype.itemsize
    if piece > 8 * max(1, page.imagewidth * page.imagelength) * page.dtype.itemsize + (1 << 20):
        raise FrameError("states pieces larger than its image; the file is broken", path)
    handle = file.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset + count > handle.size:
            raise FrameError("the TIFF is cut short; copy it again", path)
        if count > 2 * piece + 4096:
            raise FrameError("states strips larger than its image; the file is broken", path)
        if int(page.compression) in (8, 32946):
            handle.seek(offset)
            try:
                unpacked = zlib.decompressobj().decompress(handle.read(count), piece + 1)
            except (zlib.error, struct.error) as error:
                raise FrameError(f"the TIFF is cut short or broken ({error}); copy it again", path) from error
            if len(unpacked) > piece:
                raise FrameError("unpacks to more than its image can hold; the file is broken", path)
