"""FLIR's radiometric JPEG: the 16-bit raw image, its calibration and its palette, out of the APP1 segments.

The segments hold one FFF structure of records. DJI's Zenmuse XT, XT R and XT2 write the same. Layout after
ExifTool's FLIR.pm, which documents it field by field.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from PIL import Image

from nightherd.errors import FrameError
from nightherd.frames.header import Header, read_spans
from nightherd.frames.limits import check_size
from nightherd.frames.planck import ZERO_CELSIUS, Calibration, temperature
from nightherd.types import FloatArray

RAW_RECORD, CAMERA_RECORD, PALETTE_RECORD = 0x01, 0x20, 0x22
MAX_RECORDS = 256
_SEGMENT_HEADER = 8
_IMPOSSIBLE = "its FLIR calibration holds impossible values; give --reader image to use its picture"


@dataclass(frozen=True, slots=True)
class FlirCamera:
    """The camera record: what took the image and when, as far as it is filled in.

    Attributes:
        calibration: Planck constants and the scene's parameters.
        model: e.g. `FLIR T640`; empty in Zenmuse files.
        field_of_view: horizontal, degrees; None where not filled in.
        time: UTC; None where the camera knew no time zone.
    """

    calibration: Calibration
    model: str = ""
    field_of_view: float | None = None
    time: datetime | None = None


NO_CAMERA = FlirCamera(Calibration(r1=1.0, r2=1.0, b=1.0, f=1.0, o=0.0))


def records(header: Header) -> Mapping[int, bytes]:
    """The records of the FFF structure by type, the first of each.

    Raises:
        FrameError: the structure is broken or cut short.
    """
    data = read_spans(header.path, header.flir, skip=_SEGMENT_HEADER)
    order = _order(data, header)
    offset, count = struct.unpack_from(order + "II", data, 0x18)
    found: dict[int, bytes] = {}
    for index in range(min(count, MAX_RECORDS)):
        entry = data[offset + 32 * index : offset + 32 * (index + 1)]
        if len(entry) < 32:
            raise FrameError("its FLIR records are cut short; copy it again from the card", header.path)
        kind = struct.unpack_from(order + "H", entry)[0]
        start, length = struct.unpack_from(order + "II", entry, 0x0C)
        if kind in (RAW_RECORD, CAMERA_RECORD, PALETTE_RECORD) and kind not in found and length:
            if start + length > len(data):
                raise FrameError("its FLIR records are cut short; copy it again from the card", header.path)
            found[kind] = data[start : start + length]
    return found


def _order(data: bytes, header: Header) -> str:
    if len(data) >= 64 and data[:4] == b"FFF\0":
        for order in (">", "<"):
            if 100 <= struct.unpack_from(order + "I", data, 0x14)[0] < 200:
                return order
    raise FrameError("its FLIR segments hold no image; copy it again from the card", header.path)


def _record_order(record: bytes) -> str:
    """Each record begins with the number 2 in its own byte order."""
    return ">" if record[:2] == b"\0\x02" else "<"


def raw_size(record: bytes) -> tuple[int, int]:
    """Width and height of the raw image, pixels; 0, 0 where the record is too short."""
    if len(record) < 32:
        return 0, 0
    width, height = struct.unpack_from(_record_order(record) + "HH", record, 2)
    return width, height


def raw_counts(record: bytes, header: Header) -> npt.NDArray[np.uint16]:
    """The raw image, uint16 (H, W).

    Raises:
        FrameError: it is broken, cut short or larger than any sensor.
    """
    width, height = raw_size(record)
    check_size(width, height, header.path)
    data = record[32:]
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        try:
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                if image.size != (width, height) or not image.mode.startswith("I"):
                    raise FrameError("its raw image is not what its FLIR header says", header.path)
                counts = np.asarray(image).astype(np.uint16)
        except (OSError, SyntaxError, ValueError, struct.error) as error:
            raise FrameError(f"its raw image is broken ({error}); copy it again from the card", header.path) from error
    else:
        if len(data) < 2 * width * height:
            raise FrameError("its raw image is cut short; copy it again from the card", header.path)
        counts = np.frombuffer(data, "<u2", width * height).reshape(height, width).astype(np.uint16)
    # Cameras write the samples of the PNG in the wrong byte order, but not all: the right one is the smooth one.
    swapped = counts.byteswap()
    return swapped if _roughness(swapped) < _roughness(counts) else counts


def _roughness(counts: npt.NDArray[np.uint16]) -> float:
    return float(np.abs(np.diff(counts.astype(np.float32), axis=-1)).mean()) if counts.shape[-1] > 1 else 0.0


def camera(record: bytes, header: Header) -> FlirCamera:
    """Parses the camera record.

    Raises:
        FrameError: its constants are missing or impossible.
    """
    if len(record) < 0x33C:
        raise FrameError("its FLIR calibration is cut short; copy it again from the card", header.path)
    order = _record_order(record)

    def real(offset: int) -> float:
        return float(struct.unpack_from(order + "f", record, offset)[0])

    humidity = real(0x3C)
    calibration = Calibration(
        r1=real(0x58), b=real(0x5C), f=real(0x60), r2=real(0x30C),
        o=float(struct.unpack_from(order + "i", record, 0x308)[0]),
        emissivity=real(0x20), distance=real(0x24), reflected=real(0x28) - ZERO_CELSIUS,
        air=real(0x2C) - ZERO_CELSIUS, window=real(0x30) - ZERO_CELSIUS, window_transmission=real(0x34),
        humidity=humidity / 100 if humidity > 2 else humidity,
        alpha1=real(0x70), alpha2=real(0x74), beta1=real(0x78), beta2=real(0x7C), x=real(0x80),
    )  # fmt: skip
    _check(calibration, header)
    view = real(0x1B4)
    return FlirCamera(
        calibration,
        record[0xD4:0xF4].split(b"\0")[0].decode("ascii", "replace").strip(),
        view if 0.5 < view < 170 else None,
        _time(record, order),
    )


def _check(c: Calibration, header: Header) -> None:
    temperatures = (c.reflected, c.air, c.window)
    constants = (c.f, c.o, c.alpha1, c.alpha2, c.beta1, c.beta2, c.x)
    good = (
        all(math.isfinite(value) for value in (*constants, *temperatures, c.r1, c.r2, c.b))
        and c.r1 > 0 and c.r2 > 0 and 100 < c.b < 10_000 and 0.5 <= c.f <= 3
        and 0.01 <= c.emissivity <= 1 and 0 <= c.distance < 100_000 and 0.01 <= c.window_transmission <= 1
        and 0 <= c.humidity <= 1 and all(-200 < value < 2000 for value in temperatures) and abs(c.x) < 100
        and all(abs(value) < 1 for value in (c.alpha1, c.alpha2, c.beta1, c.beta2))
    )  # fmt: skip
    if not good:
        raise FrameError(_IMPOSSIBLE, header.path)


def _time(record: bytes, order: str) -> datetime | None:
    if len(record) < 0x38E:
        return None
    seconds, milliseconds, zone = struct.unpack_from(order + "IIh", record, 0x384)
    # Cameras that know no zone write local time with a zone of 0, so only another zone can be believed.
    if not zone or not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=(milliseconds & 0xFFFF) % 1000 * 1000)


def palette_of(record: bytes, video_range: bool = False) -> tuple[str, FloatArray] | None:
    """The palette a file was shown with: its name and float32 (N, 3) RGB, 0 to 255, cold to hot; None where broken.

    Args:
        record: the palette record.
        video_range: whether the camera stores 16 to 235 for black to white, as the AX8 does; the record does not tell.
    """
    if len(record) < 0x73 or not 16 <= record[0] <= 255 or len(record) < 0x70 + 3 * record[0]:
        return None
    name = record[0x50:0x70].split(b"\0")[0].decode("ascii", "replace").strip()
    luma, red, blue = np.frombuffer(record, np.uint8, 3 * record[0], 0x70).reshape(-1, 3).astype(np.float32).T
    red, blue = red - 128, blue - 128
    if video_range:
        luma, red, blue = (luma - 16) * (255 / 219), red * (255 / 224), blue * (255 / 224)
    colours = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], 1)
    return name, np.clip(colours, 0, 255).astype(np.float32)


def read_celsius(header: Header) -> tuple[FloatArray, FlirCamera]:
    """The object temperatures of a FLIR radiometric JPEG, float32 (H, W) °C, and the camera that took it.

    Raises:
        FrameError: a record is missing, broken or cut short.
    """
    found = records(header)
    if RAW_RECORD not in found or CAMERA_RECORD not in found:
        raise FrameError("holds no raw thermal image; give --reader image to use its picture", header.path)
    taken_by = camera(found[CAMERA_RECORD], header)
    counts = raw_counts(found[RAW_RECORD], header).astype(np.float32)
    try:
        return temperature(counts, taken_by.calibration), taken_by
    except ArithmeticError as error:  # Each constant can be, all together cannot.
        raise FrameError(_IMPOSSIBLE, header.path) from error
