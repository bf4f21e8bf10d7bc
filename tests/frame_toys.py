"""Small files as thermal cameras write them, for the tests of frames."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

Counts = npt.NDArray[np.uint16]

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="DJI Meta Data" xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/" {properties}/>
</rdf:RDF></x:xmpmeta>"""

PLANCK = {"r1": 15848.854, "r2": 0.014533112, "b": 1414.9, "f": 1.0, "o": -4405}
"""The constants of a real FLIR T640."""


def scene(height: int = 64, width: int = 80, seed: int = 0) -> npt.NDArray[np.float64]:
    """A smooth scene with two warm bodies, about 0 to 1."""
    y, x = np.mgrid[:height, :width]
    field = 0.4 + 0.15 * np.sin(x / 17 + seed) + 0.15 * np.cos(y / 13)
    for row, column in ((height // 3, width // 4), (2 * height // 3, 3 * width // 4)):
        field += 0.5 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 18)
    return np.clip(field, 0, 1)


def grey(values: npt.NDArray[np.float64] | None = None) -> Image.Image:
    """An 8-bit grey picture of values from 0 to 1."""
    return Image.fromarray(((scene() if values is None else values) * 255).astype(np.uint8))


def photograph(height: int = 96, width: int = 128, seed: int = 1) -> Image.Image:
    """A picture in natural colours: grass, sky, a red roof and flowers, lit unevenly."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    picture[:] = (70, 120, 50)
    picture[: height // 3] = (120, 170, 230)
    picture[height // 2 : height // 2 + 20, 20:70] = (170, 60, 50)
    picture[height // 2 + 25 :, 60:] = (200, 190, 160)
    picture *= (0.7 + 0.5 * scene(height, width, seed))[..., None]
    picture += rng.normal(0, 12, picture.shape)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def exif(
    make: str = "",
    model: str = "",
    taken: str = "",
    lon: float | None = None,
    lat: float | None = None,
    altitude: float | None = None,
    description: str = "",
    photo: dict[int, object] | None = None,
    gps: dict[int, object] | None = None,
) -> Image.Exif:
    """EXIF with what is given; `photo` and `gps` are more tags by number."""
    made = Image.Exif()
    made[0x0131] = "toy"  # Pillow drops the other directories where the first is empty.
    for tag, value in ((0x010E, description), (0x010F, make), (0x0110, model)):
        if value:
            made[tag] = value
    inner = made.get_ifd(0x8769)
    if taken:
        inner[0x9003] = taken
    inner.update(photo or {})
    place = made.get_ifd(0x8825)
    if lon is not None and lat is not None:
        place[1], place[2] = ("N" if lat >= 0 else "S"), dms(lat)
        place[3], place[4] = ("E" if lon >= 0 else "W"), dms(lon)
    if altitude is not None:
        place[5], place[6] = (b"\x01" if altitude < 0 else b"\x00"), IFDRational(round(abs(altitude) * 1000), 1000)
    place.update(gps or {})
    return made


def dms(value: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    """Degrees, minutes and seconds to a millionth of a second."""
    micro = round(abs(value) * 3600e6)
    degrees, rest = divmod(micro, 3_600_000_000)
    minutes, seconds = divmod(rest, 60_000_000)
    return IFDRational(degrees, 1), IFDRational(minutes, 1), IFDRational(seconds, 1_000_000)


def xmp(**properties: object) -> bytes:
    """An XMP packet with properties of DJI's namespace."""
    return XMP.format(properties=" ".join(f'drone-dji:{k}="{v}"' for k, v in properties.items())).encode()


def jpeg(picture: Image.Image | None = None, made: Image.Exif | None = None, packet: bytes = b"") -> bytes:
    """A JPEG picture with EXIF and XMP."""
    out = io.BytesIO()
    options = {"xmp": packet} if packet else {}
    (picture or grey()).save(out, "JPEG", quality=92, exif=made or Image.Exif(), **options)
    return out.getvalue()


def with_segments(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with more segments (marker, payload) put in before its tables."""
    at = data.index(b"\xff\xdb")
    added = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return data[:at] + added + data[at:]


def pieces(data: bytes, most: int = 60_000) -> list[bytes]:
    """The data cut to the size of segments."""
    return [data[start : start + most] for start in range(0, len(data), most)]


def dji_counts(height: int = 64, width: int = 80) -> Counts:
    """Kelvin times 64 in steps of 4, 10 to 30 °C."""
    kelvin = 283.15 + 20 * scene(height, width)
    return ((kelvin * 16).astype(np.uint16) * 4).astype(np.uint16)


def dji(
    counts: Counts | None = None,
    model: str = "M3T",
    processing: bytes = b"iirp",
    marker: int = 0xE3,
    picture: Image.Image | None = None,
    made: Image.Exif | None = None,
    packet: bytes = b"",
) -> bytes:
    """A DJI radiometric JPEG: raw image in APP3, block of parameters in APP4."""
    raw = dji_counts() if counts is None else counts
    shown = picture or grey(np.asarray(raw, np.float64) / raw.max())
    block = [(0xE4, b"\xff\xd2\xd1\xff" + processing + bytes(248))] if marker == 0xE3 else []
    raw_segments = [(marker, piece) for piece in pieces(np.ascontiguousarray(raw, "<u2").tobytes())]
    return with_segments(jpeg(shown, made or exif("DJI", model), packet), *block, *raw_segments)


def flir_signal(celsius: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    """Counts of a black body, straight from Planck's law."""
    kelvin = np.asarray(celsius, np.float64) + 273.15
    signal: npt.NDArray[np.float64] = PLANCK["r1"] / (PLANCK["r2"] * (np.exp(PLANCK["b"] / kelvin) - PLANCK["f"]))
    return signal - PLANCK["o"]


def flir_raw(
    celsius: npt.NDArray[np.float64], emissivity: float, distance: float, reflected: float, air: float
) -> Counts:
    """The counts a camera sees: the measurement equation with humidity 0.5 and FLIR's constants of the air."""
    water = 0.5 * math.exp(1.5587 + 0.06939 * air - 0.00027816 * air**2 + 0.00000068455 * air**3)
    tau = 1.9 * math.exp(-math.sqrt(distance) * (0.006569 - 0.002276 * math.sqrt(water)))
    tau -= 0.9 * math.exp(-math.sqrt(distance) * (0.012620 - 0.006670 * math.sqrt(water)))
    seen = emissivity * tau * flir_signal(celsius)
    seen += (1 - emissivity) * tau * flir_signal(reflected) + (1 - tau) * flir_signal(air)
    return np.round(seen).astype(np.uint16)


def flir(
    counts: Counts | None = None,
    emissivity: float = 0.95,
    distance: float = 30.0,
    reflected: float = 12.0,
    air: float = 15.0,
    as_png: bool = True,
    made: Image.Exif | None = None,
    picture: Image.Image | None = None,
    view: float = 25.0,
    clock: tuple[int, int, int] = (0, 0, 0),
    palette: bytes = b"",
) -> bytes:
    """A FLIR radiometric JPEG: raw image, camera and palette records in one FFF structure over APP1 segments."""
    raw = flir_raw(scene() * 20 + 5, emissivity, distance, reflected, air) if counts is None else counts
    height, width = raw.shape
    body = io.BytesIO()
    if as_png:  # Cameras write the samples of the PNG in the wrong byte order.
        Image.fromarray(raw.byteswap()).save(body, "PNG")
    else:
        body.write(raw.astype("<u2").tobytes())
    raw_record = struct.pack("<HHH", 2, width, height) + bytes(26) + body.getvalue()
    camera = bytearray(0x500)
    struct.pack_into("<H", camera, 0, 2)
    for offset, value in {
        0x20: emissivity, 0x24: distance, 0x28: reflected + 273.15, 0x2C: air + 273.15, 0x30: 293.15, 0x34: 1.0,
        0x3C: 0.5, 0x58: PLANCK["r1"], 0x5C: PLANCK["b"], 0x60: PLANCK["f"], 0x70: 0.006569, 0x74: 0.012620,
        0x78: -0.002276, 0x7C: -0.006670, 0x80: 1.9, 0x1B4: view, 0x30C: PLANCK["r2"],
    }.items():  # fmt: skip
        struct.pack_into("<f", camera, offset, value)
    struct.pack_into("<i", camera, 0x308, int(PLANCK["o"]))
    camera[0xD4:0xE0] = b"FLIR T640\0\0\0"
    struct.pack_into("<IIh", camera, 0x384, *clock)
    records = [(0x01, raw_record), (0x20, bytes(camera))] + ([(0x22, palette)] if palette else [])
    return with_segments(jpeg(picture, made or exif("FLIR Systems AB", "FLIR T640")), *fff_segments(records))


def fff_segments(records: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """An FFF structure of records (type, body) cut into APP1 segments."""
    offset, entries, bodies = 64 + 32 * len(records), b"", b""
    for kind, record in records:
        entries += struct.pack(">HHIIII", kind, 0, 100, 1, offset + len(bodies), len(record)) + bytes(12)
        bodies += record
    head = b"FFF\0" + b"MADE".ljust(16, b"\0") + struct.pack(">III", 101, 64, len(records))
    parts = pieces(head.ljust(64, b"\0") + entries + bodies)
    return [(0xE1, b"FLIR\0\x01" + bytes([i, len(parts) - 1]) + part) for i, part in enumerate(parts)]


def flir_palette(colours: npt.NDArray[np.uint8], name: str = "Iron") -> bytes:
    """A palette record of RGB colours (N, 3), stored as FLIR does: Y, Cr, Cb."""
    rgb = colours.astype(np.float64)
    luma = rgb @ (0.299, 0.587, 0.114)
    stored = np.stack([luma, 128 + (rgb[:, 0] - luma) / 1.402, 128 + (rgb[:, 2] - luma) / 1.772], 1)
    record = bytearray(0x70)
    record[0] = len(colours)
    record[0x50 : 0x50 + len(name)] = name.encode()
    return bytes(record) + np.clip(np.round(stored), 0, 255).astype(np.uint8).tobytes()


def tiff(values: npt.NDArray[np.generic], **options: object) -> bytes:
    """A TIFF of any kind of values."""
    out = io.BytesIO()
    tifffile.imwrite(out, values, **options)  # type: ignore[arg-type]
    return out.getvalue()


def png(values: npt.NDArray[np.generic]) -> bytes:
    """A PNG, 8 or 16 bits."""
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def saved(folder: Path, name: str, data: bytes) -> Path:
    """Writes a file and gives its path."""
    path = folder / name
    path.write_bytes(data)
    return path
