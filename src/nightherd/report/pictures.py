"""Thermal pixels as small grey pictures inside the page: the crop around a detection, a whole frame with its boxes."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from nightherd.report.content import Box, Outline, Picture
from nightherd.types import FloatArray

THUMBNAIL = 240
"""Pixels of the side of a thumbnail."""

SHOWN_WIDTH = 960
"""Most pixels of the width of a whole frame."""

_NICE = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def to_grey(pixels: FloatArray, low: float = 0.5, high: float = 99.8, gamma: float = 1.0) -> npt.NDArray[np.uint8]:
    """Pixels of any unit as grey, warm is bright.

    Args:
        pixels: (H, W), NaN where there is no value (drawn black).
        low, high: percentiles that become black and white.
        gamma: exponent of the brightness; below 1 opens the shadows.

    Returns:
        uint8 (H, W).
    """
    finite = pixels[np.isfinite(pixels)]
    if finite.size == 0:
        return np.zeros(pixels.shape, np.uint8)
    bottom, top = (float(value) for value in np.percentile(finite, (low, high)))
    if top <= bottom:
        bottom, top = float(finite.min()), float(finite.max())
    scaled = np.clip((pixels - bottom) / max(top - bottom, 1e-9), 0, 1)
    return (np.where(np.isfinite(pixels), scaled, 0) ** gamma * 255).astype(np.uint8)


def thumbnail(pixels: FloatArray, box: Box, label: str, score: float, metres_per_pixel: float | None) -> Picture:
    """The surroundings of one detection, enlarged so that the animal fills about a third.

    Args:
        pixels: (H, W), the whole frame in any unit.
        box: x1, y1, x2, y2 in pixels of the frame.
        label, score: of the detection.
        metres_per_pixel: on the ground at the box, for the scale bar; None where unknown.

    Returns:
        A square picture with the box and, where the scale is known, a bar of a round number of metres.
    """
    height, width = pixels.shape
    x1, y1, x2, y2 = box
    side = min(max(3.0 * max(x2 - x1, y2 - y1), 48.0), float(min(height, width)))
    side_px = max(8, round(side))
    left = _inside((x1 + x2) / 2 - side_px / 2, side_px, width)
    top = _inside((y1 + y2) / 2 - side_px / 2, side_px, height)
    crop = pixels[top : top + side_px, left : left + side_px]
    image = Image.fromarray(to_grey(crop, 1, 99.9))
    picture = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)
    across, down = THUMBNAIL / crop.shape[1], THUMBNAIL / crop.shape[0]
    outline = Outline((x1 - left) * across, (y1 - top) * down, (x2 - x1) * across, (y2 - y1) * down, label, score)
    bar_px, bar_m = scale_bar(metres_per_pixel / across if metres_per_pixel else None, THUMBNAIL)
    return Picture(_webp(picture, 78), THUMBNAIL, THUMBNAIL, (outline,), bar_px, bar_m)


def whole_frame(pixels: FloatArray, found: Sequence[tuple[Box, str, float]], metres_per_pixel: float | None) -> Picture:
    """A whole frame with its boxes.

    Args:
        pixels: (H, W), the frame in any unit.
        found: box (x1, y1, x2, y2 in pixels of the frame), class and score of each detection.
        metres_per_pixel: on the ground in the middle, for the scale bar; None where unknown.

    Returns:
        A picture at most `SHOWN_WIDTH` wide.
    """
    image = Image.fromarray(to_grey(pixels, gamma=0.75))
    ratio = min(1.0, SHOWN_WIDTH / image.width)
    picture = image
    if ratio < 1:
        size = (round(image.width * ratio), max(1, round(image.height * ratio)))
        picture = image.resize(size, Image.Resampling.LANCZOS)
    outlines = tuple(
        Outline(x1 * ratio, y1 * ratio, (x2 - x1) * ratio, (y2 - y1) * ratio, label, score)
        for (x1, y1, x2, y2), label, score in found
    )
    bar_px, bar_m = scale_bar(metres_per_pixel / ratio if metres_per_pixel else None, picture.width)
    return Picture(_webp(picture, 72), picture.width, picture.height, outlines, bar_px, bar_m)


def scale_bar(metres_per_pixel: float | None, width: float) -> tuple[float | None, float | None]:
    """Length in pixels and in metres of a bar of a round number of metres, at most 40 % of `width` pixels."""
    if not metres_per_pixel or not math.isfinite(metres_per_pixel) or metres_per_pixel <= 0:
        return None, None
    fitting = [metres for metres in _NICE if metres / metres_per_pixel <= 0.4 * width]
    if not fitting:
        return None, None
    return fitting[-1] / metres_per_pixel, fitting[-1]


def _inside(start: float, length: int, limit: int) -> int:
    return max(0, min(round(start), limit - length))


def _webp(image: Image.Image, quality: int) -> str:
    data = io.BytesIO()
    image.save(data, "WEBP", quality=quality, method=4)
    return data_uri("image/webp", data.getvalue())


def data_uri(kind: str, data: bytes) -> str:
    """Bytes of a media type as a `data:` URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
