"""A frame as the drone's card holds it: JPEG or 16-bit TIFF with GPS in EXIF and DJI's own XMP.

Field names and formats follow real files of a DJI M3T and a Mavic 2 Enterprise Advanced.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyproj
from PIL import Image, TiffImagePlugin, TiffTags
from PIL.TiffImagePlugin import IFDRational

from nightherd.datasets.simulate.camera import Camera
from nightherd.datasets.simulate.geometry import Shot
from nightherd.datasets.simulate.scene import Rendered
from nightherd.datasets.simulate.settings import SimulationSettings
from nightherd.files import atomic_path

WGS84 = pyproj.Geod(ellps="WGS84")

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="DJI Meta Data"
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"
   xmp:CreateDate="{date}"
   tiff:Make="{make}"
   tiff:Model="{model}"
   drone-dji:Version="1.4"
   drone-dji:ImageSource="InfraredCamera"
   drone-dji:GpsStatus="Normal"
   drone-dji:AltitudeType="GpsFusionAlt"
   drone-dji:GpsLatitude="{lat:+.9f}"
   drone-dji:GpsLongitude="{lon:+.9f}"
   drone-dji:AbsoluteAltitude="{altitude:+.3f}"
   drone-dji:RelativeAltitude="{height:+.3f}"
   drone-dji:GimbalRollDegree="{roll:+.2f}"
   drone-dji:GimbalYawDegree="{yaw:+.2f}"
   drone-dji:GimbalPitchDegree="{pitch:+.2f}"
   drone-dji:FlightRollDegree="{flight_roll:+.2f}"
   drone-dji:FlightYawDegree="{yaw:+.2f}"
   drone-dji:FlightPitchDegree="{flight_pitch:+.2f}"
   drone-dji:FlightXSpeed="{north_speed:+.1f}"
   drone-dji:FlightYSpeed="{east_speed:+.1f}"
   drone-dji:FlightZSpeed="+0.0"
   drone-dji:CamReverse="0"
   drone-dji:UTCAtExposure="{utc}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


SCALE = """<GDALMetadata>
  <Item name="SCALE" sample="0" role="scale">0.01</Item>
  <Item name="OFFSET" sample="0" role="offset">-273.15</Item>
</GDALMetadata>"""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the site lies on Earth: its origin in degrees WGS 84, and its y axis in degrees clockwise from north."""

    lon: float
    lat: float
    bearing: float

    def degrees(self, x: float, y: float) -> tuple[float, float]:
        """Longitude and latitude of a place of the site: as far along the geodesic from its origin as on the plane."""
        azimuth = float(np.degrees(np.arctan2(x, y))) + self.bearing
        lon, lat, _ = WGS84.fwd(self.lon, self.lat, azimuth, float(np.hypot(x, y)))
        return float(lon), float(lat)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The pose that a frame's file tells, with the errors of a real receiver: degrees, metres, local time and UTC."""

    lon: float
    lat: float
    height: float
    altitude: float
    yaw: float
    pitch: float
    roll: float
    moment: datetime
    utc: datetime
    speed: float


def recorded(settings: SimulationSettings, shot: Shot, error: tuple[float, float]) -> Recorded:
    """What the drone writes of a shot.

    Args:
        settings: of the simulation.
        shot: where it really was.
        error: of the receiver, metres in x and y.
    """
    flight = settings.flight
    lon, lat = Placement(flight.lon, flight.lat, flight.bearing).degrees(shot.x + error[0], shot.y + error[1])
    yaw = (shot.yaw + flight.bearing + 180.0) % 360.0 - 180.0
    return Recorded(
        lon=lon,
        lat=lat,
        height=shot.z,
        altitude=flight.ground_altitude + shot.z,
        yaw=yaw,
        pitch=shot.pitch,
        roll=shot.roll,
        moment=shot.moment + timedelta(hours=flight.utc_offset),
        utc=shot.moment,
        speed=shot.speed,
    )


def frame_name(pose: Recorded, number: int, output: str) -> str:
    """The file's name as DJI gives it: local time, number of the frame from 1, `T` for thermal."""
    suffix = "JPG" if output == "jpeg" else "tif"
    return f"DJI_{pose.moment:%Y%m%d%H%M%S}_{number + 1:04d}_T.{suffix}"


def _dms(value: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    value = abs(value)
    degrees = int(value)
    minutes = int((value - degrees) * 60)
    seconds = Fraction(round((value - degrees - minutes / 60) * 3600 * 1_000_000), 1_000_000)
    return IFDRational(degrees, 1), IFDRational(minutes, 1), IFDRational(seconds.numerator, seconds.denominator)


def _exif(settings: SimulationSettings, pose: Recorded) -> Image.Exif:
    camera = settings.camera
    exif = Image.Exif()
    date = f"{pose.moment:%Y:%m:%d %H:%M:%S}"
    exif[0x010E] = "default"
    exif[0x010F] = camera.make
    exif[0x0110] = camera.model
    exif[0x0131] = "nightherd simulate"
    exif[0x0132] = date
    photo = exif.get_ifd(0x8769)
    photo[0x9003] = date
    photo[0x9004] = date
    photo[0x920A] = IFDRational(round(camera.focal_length * 100), 100)
    photo[0xA002], photo[0xA003] = camera.width, camera.height
    gps = exif.get_ifd(0x8825)
    gps[0] = b"\x02\x03\x00\x00"
    gps[1], gps[2] = ("N" if pose.lat >= 0 else "S"), _dms(pose.lat)
    gps[3], gps[4] = ("E" if pose.lon >= 0 else "W"), _dms(pose.lon)
    gps[5], gps[6] = b"\x00" if pose.altitude >= 0 else b"\x01", IFDRational(round(abs(pose.altitude) * 1000), 1000)
    return exif


def _tags(exif: Image.Exif, xmp: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    """The same tags for a TIFF, with the scale of its counts as GDAL states it."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in exif.items():
        if tag not in (0x8769, 0x8825):
            tags[tag] = value
    for pointer in (0x8769, 0x8825):
        tags.tagtype[pointer] = TiffTags.LONG
        tags[pointer] = dict(exif.get_ifd(pointer))
    tags.tagtype[700] = TiffTags.BYTE
    tags[700] = xmp
    tags.tagtype[42112] = TiffTags.ASCII
    tags[42112] = SCALE
    return tags


def _xmp(settings: SimulationSettings, pose: Recorded) -> bytes:
    camera = settings.camera
    yaw = np.radians(pose.yaw)
    text = XMP.format(
        date=f"{pose.moment:%Y-%m-%d}",
        make=camera.make,
        model=camera.model,
        lat=pose.lat,
        lon=pose.lon,
        altitude=pose.altitude,
        height=pose.height,
        roll=pose.roll,
        yaw=pose.yaw,
        pitch=pose.pitch,
        flight_roll=0.4 * pose.roll,
        flight_pitch=-0.9 * pose.speed,
        north_speed=pose.speed * np.cos(yaw),
        east_speed=pose.speed * np.sin(yaw),
        utc=f"{pose.utc:%Y-%m-%dT%H:%M:%S}.{pose.utc.microsecond:06d}",
    )
    return text.encode("utf-8")


def write_frame(path: Path, settings: SimulationSettings, camera: Camera, rendered: Rendered, pose: Recorded) -> None:
    """Writes a frame with its pose, whole or not at all.

    Args:
        settings: of the frame's scene; `camera.output` says JPEG or TIFF.
        camera: the scene's.
    """
    exif, xmp = _exif(settings, pose), _xmp(settings, pose)
    with atomic_path(path) as temporary:
        if settings.camera.output == "jpeg":
            Image.fromarray(rendered.display).save(
                temporary, "JPEG", quality=settings.camera.quality, exif=exif, xmp=xmp
            )
        else:
            Image.fromarray(camera.counts(rendered.reading)).save(temporary, "TIFF", tiffinfo=_tags(exif, xmp))
