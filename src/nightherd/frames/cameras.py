"""The thermal cameras that fly: focal length, pixel pitch and sensor size, for files that do not tell them.

Sources: the makers' specification pages (enterprise.dji.com: Mavic 2 Enterprise Advanced, Mavic 3T, Matrice 30T,
Matrice 3TD, Matrice 4T, Zenmuse H20, H20N, H30, XT S, XT2; flir.com: Vue Pro, Tau 2, Lepton). Where files give a
focal length and its 35 mm equivalent, the pitch agrees with them within the rounding of the equivalent. Not confirmed
by a file: M2ED, M3TA, M4TD, H30T and the pitch of the XT S, which follow from sensor size and stated field of view:
XT S: 2 atan(640 · 17 µm / (2 · 19 mm)) = 32 degrees wide; H30T: 2 atan(1639 · 12 µm / (2 · 24 mm)) = 45 degrees across.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FILM_DIAGONAL = 43.2666
"""Diagonal of 35 mm film (24 x 36), millimetres: what equivalents refer to."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A thermal camera.

    Attributes:
        name: short, maker first.
        pixel_pitch: micrometres between pixel centres of the sensor.
        sensors: widths and heights of the sensors it is sold with, pixels.
        focal_length: millimetres, of the only lens it is sold with; None where there are several.
    """

    name: str
    pixel_pitch: float
    sensors: tuple[tuple[int, int], ...]
    focal_length: float | None = None


_VGA, _MEGAPIXEL, _QUARTER, _LEPTON = (640, 512), (1280, 1024), (336, 256), (160, 120)

CAMERAS: Mapping[str, Camera] = {
    "MAVIC2-ENTERPRISE-ADVANCED": Camera("DJI M2EA", 12.0, (_VGA,), 9.0),
    "M2EA": Camera("DJI M2EA", 12.0, (_VGA,), 9.0),
    "MAVIC2-ENTERPRISE-DUAL": Camera("DJI M2ED", 12.0, (_LEPTON,), 1.77),
    "M3T": Camera("DJI M3T", 12.0, (_VGA,), 9.1),
    "M3TA": Camera("DJI M3TA", 12.0, (_VGA,), 9.1),
    "M3TD": Camera("DJI M3TD", 12.0, (_VGA,), 9.1),
    "M30T": Camera("DJI M30T", 12.0, (_VGA,), 9.1),
    "M4T": Camera("DJI M4T", 12.0, (_VGA,), 12.0),
    "M4TD": Camera("DJI M4TD", 12.0, (_VGA,), 12.0),
    "H20T": Camera("DJI H20T", 12.0, (_VGA,), 13.5),
    "H20N": Camera("DJI H20N", 12.0, (_VGA,)),
    "H30T": Camera("DJI H30T", 12.0, (_MEGAPIXEL,), 24.0),
    "XT S": Camera("DJI XT S", 17.0, (_VGA,), 19.0),
    "XT2": Camera("DJI XT2", 17.0, (_VGA, _QUARTER)),
    "FLIR": Camera("DJI Zenmuse XT", 17.0, (_VGA, _QUARTER)),
    "VUE PRO R": Camera("FLIR Vue Pro R", 17.0, (_VGA, _QUARTER)),
    "VUE PRO": Camera("FLIR Vue Pro", 17.0, (_VGA, _QUARTER)),
    "DUO PRO R": Camera("FLIR Duo Pro R", 17.0, (_VGA, _QUARTER)),
}
"""By model, as EXIF says it, upper case and without maker or the Z that DJI puts before its payloads' names."""


def camera_of(make: str, model: str) -> Camera | None:
    """The camera that EXIF's make and model name; None where the table has none."""
    name = " ".join(model.upper().split())
    for prefix in (make.upper().strip(), "DJI", "FLIR", "ZENMUSE"):
        if prefix and name != prefix:
            name = name.removeprefix(prefix).strip()
    if name == "FLIR" and not make.upper().startswith("DJI"):
        return None
    return CAMERAS.get(name) or CAMERAS.get(name.removeprefix("Z"))


def pixel_pitch_of(camera: Camera, width: int, height: int) -> float | None:
    """The pitch of a frame's pixels, micrometres: the sensor's, divided where the frame is upsampled from it.

    Args:
        camera: that took the frame.
        width, height: pixels of the frame.

    Returns:
        None where the size is neither a sensor's nor a whole multiple of one (a crop, a video frame).
    """
    for sensor_width, sensor_height in camera.sensors:
        if (width, height) == (sensor_width, sensor_height):
            return camera.pixel_pitch
    for sensor_width, sensor_height in camera.sensors:
        times = width // sensor_width
        if times > 1 and (width, height) == (times * sensor_width, times * sensor_height):
            return camera.pixel_pitch / times
    return None


def equivalent_pitch(focal_length: float, equivalent: float, width: int, height: int) -> float:
    """The pitch of a frame's pixels, micrometres, from a focal length and its 35 mm equivalent (diagonal), both mm."""
    return focal_length / equivalent * FILM_DIAGONAL * 1e3 / float((width**2 + height**2) ** 0.5)
