"""Where a frame was taken from: EXIF GPS, DJI's XMP and maker note, FLIR's camera record and the table of cameras.

DJI's XMP goes before EXIF where both tell. What a file does not tell stays None; nothing is guessed, least of all a
time zone.
Sources: Exif 3.0 (GPS directory), DJI's and ExifTool's documentation of `drone-dji`.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightherd.errors import FrameError
from nightherd.frames import dji, flir
from nightherd.frames.cameras import camera_of, equivalent_pitch, pixel_pitch_of
from nightherd.frames.header import Header, read_header
from nightherd.frames.tags import Tags, number, text
from nightherd.frames.xmp import xmp_number
from nightherd.types import Pose

_MAKER_NOTE_GIMBAL = re.compile(rb"\[GimbalDegree\(Y,P,R\):(-?\d{1,5}),(-?\d{1,5}),(-?\d{1,5})")
_MOMENT = re.compile(r"(\d{4})[-:](\d\d)[-:](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?\s*$")


def read_pose(path: Path) -> Pose | None:
    """Where the camera was when it took a file's frame; None where the file says nothing at all.

    The pixel pitch is that of the frame `read_frame` gives by default: of the raw image where there is one.

    Raises:
        FrameError: the file cannot be opened.
    """
    header = read_header(Path(path))
    return pose_of(header, *frame_size(header))


def frame_size(header: Header) -> tuple[int, int]:
    """Width and height, pixels, of the frame that `read_frame` gives by default."""
    if header.flir:
        try:
            width, height = flir.raw_size(flir.records(header).get(flir.RAW_RECORD, b""))
        except FrameError:
            return header.width, header.height
        return (width, height) if width else (header.width, header.height)
    raw = dji.find_raw(header) if header.kind == "jpeg" else None
    return (raw.width, raw.height) if raw else (header.width, header.height)


def camera_name(header: Header) -> str | None:
    """Maker and model for people, e.g. `DJI M2EA`; None where the file does not say."""
    make, model = header.make, header.model
    known = camera_of(make, model)
    if known is not None:
        return known.name
    maker = "FLIR" if make.upper().startswith("FLIR") else make
    name = model if model.upper().startswith(maker.upper()) else f"{maker} {model}"
    return name.strip() or None


def pose_of(header: Header, width: int, height: int) -> Pose | None:
    """The pose that a header tells, for a frame of a size in pixels; None where it tells nothing."""
    gps, xmp = header.exif.gps, header.xmp
    position = _position(
        xmp_number(xmp, "drone-dji:GpsLongitude", "drone-dji:GpsLongtitude", "drone-dji:GPSLongitude"),
        xmp_number(xmp, "drone-dji:GpsLatitude", "drone-dji:GPSLatitude"),
    ) or _position(_degrees(gps, 3, 4, "W"), _degrees(gps, 1, 2, "S"))
    lon, lat = position or (None, None)
    yaw, pitch, roll = _attitude(header)
    focal_length, pitch_um = _optics(header, width, height)
    pose = Pose(
        lon=lon,
        lat=lat,
        height=_within(xmp_number(xmp, "drone-dji:RelativeAltitude", "FLIR:MAVRelativeAltitude"), -1000, 20_000),
        altitude=_within(xmp_number(xmp, "drone-dji:AbsoluteAltitude") or _altitude(gps), -1000, 30_000),
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        focal_length=focal_length,
        pixel_pitch=pitch_um,
        time=_time(header),
    )
    return None if pose == Pose() else pose


def _position(lon: float | None, lat: float | None) -> tuple[float, float] | None:
    """Longitude and latitude where both can be; 0, 0 is what a receiver without a fix writes."""
    lon, lat = _within(lon, -180, 180), _within(lat, -90, 90)
    if lon is None or lat is None or (lon == 0 and lat == 0):
        return None
    return lon, lat


def _within(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and math.isfinite(value) and low <= value <= high else None


def _degrees(gps: Tags, reference: int, tag: int, negative: str) -> float | None:
    value = gps.get(tag)
    name = text(gps, reference).upper()[:1]
    if not isinstance(value, tuple) or not 1 <= len(value) <= 3 or name not in ("N", "S", "E", "W"):
        return None
    degrees = math.fsum(float(part) / 60.0**power for power, part in enumerate(value))
    return -degrees if name == negative else degrees


def _altitude(gps: Tags) -> float | None:
    altitude = number(gps, 6)
    if altitude is None:
        return None
    below = gps.get(5)
    return -altitude if below in (b"\1", (1,)) else altitude


def _attitude(header: Header) -> tuple[float | None, float | None, float | None]:
    """Yaw, pitch and roll of the camera, degrees, by DJI's gimbal convention."""
    xmp = header.xmp
    yaw = xmp_number(xmp, "drone-dji:GimbalYawDegree")
    pitch = xmp_number(xmp, "drone-dji:GimbalPitchDegree")
    roll = xmp_number(xmp, "drone-dji:GimbalRollDegree")
    note = header.exif.photo.get(37500)
    if pitch is None and isinstance(note, bytes) and (found := _MAKER_NOTE_GIMBAL.search(note)):
        yaw, pitch, roll = (int(part) / 10 for part in found.groups())
    if yaw is None:
        yaw = xmp_number(xmp, "drone-dji:FlightYawDegree")
    if yaw is None and text(header.exif.gps, 16).upper() == "T":
        yaw = number(header.exif.gps, 17)
    return _within(yaw, -360, 360), _within(pitch, -180, 180), _within(roll, -360, 360)


def _optics(header: Header, width: int, height: int) -> tuple[float | None, float | None]:
    """Focal length (mm) and pixel pitch of the frame (µm)."""
    known = camera_of(header.make, header.model)
    focal_length = _within(number(header.exif.photo, 37386), 0.5, 1000)
    equivalent = _within(number(header.exif.photo, 41989), 5, 10_000)
    if focal_length is None and known is not None:
        focal_length = known.focal_length
    pitch = pixel_pitch_of(known, width, height) if known is not None else None
    zoom = _within(number(header.exif.photo, 41988), 1, 100)
    if pitch is not None and zoom is not None and not _has_raw(header):
        pitch /= zoom  # The picture shows a part of the sensor, enlarged; a raw image never does.
    if pitch is None and focal_length and width and (view := _flir_record(header).field_of_view):
        pitch = 2e3 * focal_length * math.tan(math.radians(view) / 2) / width
    if pitch is None and focal_length and equivalent and width and height:
        pitch = equivalent_pitch(focal_length, equivalent, width, height)
    return focal_length, pitch


def _has_raw(header: Header) -> bool:
    return bool(header.flir) or (header.kind == "jpeg" and dji.find_raw(header) is not None)


def _flir_record(header: Header) -> flir.FlirCamera:
    """The camera record of a FLIR file; an empty one for other files and where it is broken."""
    if header.flir:
        try:
            record = flir.records(header).get(flir.CAMERA_RECORD)
            if record:
                return flir.camera(record, header)
        except FrameError:
            pass
    return flir.NO_CAMERA


def local_time(header: Header) -> datetime | None:
    """When the frame was taken by the camera's own clock, without a zone; for ordering frames of one flight."""
    moment = parse_moment(text(header.exif.photo, 36867) or text(header.exif.image, 306))
    if moment is None:
        return None
    digits = re.match(r"\d{1,6}", text(header.exif.photo, 37521))
    fraction = int(digits.group().ljust(6, "0")) if digits else moment.microsecond
    return moment.replace(tzinfo=None, microsecond=fraction)


def _time(header: Header) -> datetime | None:
    """When the frame was taken, UTC, where the file tells a zone or a satellite's time; else None."""
    exposed = parse_moment(header.xmp.get("drone-dji:UTCAtExposure", ""))
    if exposed is not None:
        return exposed.replace(tzinfo=UTC)
    satellites = _satellite_time(header.exif.gps)
    if satellites is not None:
        return satellites
    local = local_time(header)
    zone = text(header.exif.photo, 36881) or text(header.exif.photo, 36880)
    if local is not None and zone:
        zoned = parse_moment(f"{local:%Y-%m-%d %H:%M:%S.%f}{zone}")
        if zoned is not None and zoned.tzinfo is not None:
            return zoned.astimezone(UTC)
    for name in ("xmp:CreateDate", "exif:DateTimeOriginal", "xmp:ModifyDate"):
        written = parse_moment(header.xmp.get(name, ""))
        if written is not None and written.tzinfo is not None:
            return written.astimezone(UTC)
    return _flir_record(header).time


def _satellite_time(gps: Tags) -> datetime | None:
    day = re.match(r"(\d{4})\D(\d\d)\D(\d\d)", text(gps, 29))
    clock = gps.get(7)
    if not day or not isinstance(clock, tuple) or len(clock) != 3 or not all(0 <= part < 61 for part in clock):
        return None
    seconds = float(clock[0]) * 3600 + float(clock[1]) * 60 + float(clock[2])
    try:
        return datetime(*(int(part) for part in day.groups()), tzinfo=UTC) + timedelta(seconds=seconds)  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        return None


def parse_moment(written: str) -> datetime | None:
    """Parses `2025:01:17 11:14:15.25+08:00` and its variants; aware only where a zone is written."""
    found = _MOMENT.match(written.strip())
    if not found:
        return None
    *parts, fraction, zone = found.groups()
    try:
        moment = datetime(*(int(part) for part in parts))  # type: ignore[arg-type]
        moment = moment.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0")))
        if zone == "Z":
            return moment.replace(tzinfo=UTC)
        if zone:
            minutes = int(zone[1:3]) * 60 + int(zone[-2:])
            offset = timedelta(minutes=-minutes if zone[0] == "-" else minutes)
            return (moment - offset).replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment
