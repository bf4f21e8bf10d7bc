"""DJI's radiometric JPEG: the 16-bit raw image out of the APP3 (on the XT S, APP4) segments.

Two kinds are known. Where the camera's processing is DJI's `iirp`, the counts are apparent temperature: kelvin times
64 in steps of 1/16 K, low two bits zero. Elsewhere (`dirp`: H20T, XT S; `girp`; `hirp`: M3TD and newer firmware)
they are the sensor's own, only DJI's SDK knows their scale, and the frame stays in counts. Apparent means as a black
body at the lens would look: DJI's SDK goes on to correct for emissivity, reflection and air, which leaves values
near 25 °C and stretches contrasts by 1.2 to 1.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.errors import FrameError
from nightherd.frames.header import Header, Span, read_spans
from nightherd.frames.limits import check_size
from nightherd.frames.planck import ZERO_CELSIUS
from nightherd.types import FloatArray

COUNTS_PER_KELVIN = 64.0

KELVIN_MODELS = {
    "MAVIC2-ENTERPRISE-ADVANCED", "M2EA", "M3T", "M30T", "M4T", "ZH20N", "H20N",
}  # fmt: skip
"""Models whose `iirp` files hold kelvin times 64, each compared with what DJI's thermal SDK makes of a file of it."""

SENSORS = ((640, 512), (1280, 1024), (336, 256), (320, 256), (160, 120))
PLAUSIBLE = (-60.0, 180.0)
"""°C within which nearly all of an outdoor scene lies; outside, the scale is not what the model's name promises."""


@dataclass(frozen=True, slots=True)
class RawImage:
    """Where the raw image lies in the file, and its size in pixels."""

    spans: tuple[Span, ...]
    width: int
    height: int


def find_raw(header: Header) -> RawImage | None:
    """Finds the raw image among the segments, by its size and without reading it; None where there is none."""
    sizes = dict.fromkeys(((header.width, header.height), (header.width // 2, header.height // 2), *SENSORS))
    for marker in (0xE3, 0xE4):
        spans = header.segments.get(marker, ())
        total = sum(length for _, length in spans)
        for width, height in sizes:
            if width >= 32 and height >= 32 and total == 2 * width * height:
                return RawImage(spans, width, height)
    return None


def read_counts(header: Header, raw: RawImage) -> npt.NDArray[np.uint16]:
    """The raw image, uint16 (H, W).

    Raises:
        FrameError: it is cut short or larger than any sensor.
    """
    check_size(raw.width, raw.height, header.path)
    data = read_spans(header.path, raw.spans)
    return np.frombuffer(data, "<u2").reshape(raw.height, raw.width)


def processing(header: Header) -> str:
    """Which of DJI's processings made the file (`iirp`, `hirp`, `girp`), or empty where it does not say."""
    for span in header.segments.get(0xE4, ())[:1]:
        try:
            block = read_spans(header.path, ((span[0], min(span[1], 16)),))
        except FrameError:
            return ""
        name = block[4:8]
        if name in (b"iirp", b"hirp", b"girp", b"dirp"):
            return name.decode("ascii")
        if len(block) == 16 and 0.05 <= struct.unpack_from("<f", block, 8)[0] <= 1.0 and span[1] == 224:
            return (
                "iirp"  # The M2EA's older block begins with three floats: reflected temperature, distance, emissivity.
            )
    return ""


def kelvin_scale(header: Header, counts: npt.NDArray[np.uint16]) -> FloatArray | None:
    """The counts as apparent temperature, float32 (H, W) °C, where the scale is known; None where it is not."""
    if header.model.upper().removeprefix("DJI ") not in KELVIN_MODELS or processing(header) != "iirp":
        return None
    if np.any(counts & 3):
        return None
    celsius = counts.astype(np.float32) / np.float32(COUNTS_PER_KELVIN) - np.float32(ZERO_CELSIUS)
    low, high = np.percentile(celsius, (1, 99))
    return celsius if PLAUSIBLE[0] <= low and high <= PLAUSIBLE[1] else None
