"""From boxes in a frame to places on the map: position, its uncertainty, and size in metres.

Stands between `Detections` and the store. Ground is flat at the height of the take-off point; the uncertainty is
first-order propagation of what is stated in `PoseSigma` and of the box itself (JCGM 100:2008, section 5.1.2). Offsets
in metres become degrees along geodesics of WGS 84 (Karney 2013, through pyproj).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from nightherd.errors import PoseError
from nightherd.survey.camera import MIN_DEPRESSION, Array, View, footprint, pixels_to_ground
from nightherd.types import FloatArray, Pose

BOX_CENTRE_SIGMA = 0.25
"""One sigma of where the animal stands in its box, as a share of each side."""


@dataclass(frozen=True, slots=True)
class PoseSigma:
    """One sigma of what a pose says, where the file does not tell: a drone without RTK over gently rolling ground.

    Attributes:
        position: metres, each of east and north (a satellite fix without corrections).
        height: metres (a drifting barometer, and ground that is not at the height of the take-off point).
        yaw: degrees (a compass; flights are known where the yaw in the files is tens of degrees wrong).
        pitch, roll: degrees (a levelled gimbal).
    """

    position: float = 3.0
    height: float = 4.0
    yaw: float = 10.0
    pitch: float = 1.0
    roll: float = 1.0


@dataclass(frozen=True, slots=True)
class Placement:
    """The view of one frame and what had to be assumed for it.

    Attributes:
        lon, lat: degrees, WGS 84, of the camera.
        view: the camera; its yaw is 0 where unknown.
        is_yaw_known: whether the file says which way the image points.
        assumptions: one short sentence each.
    """

    lon: float
    lat: float
    view: View
    is_yaw_known: bool = True
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroundBoxes:
    """Boxes of one frame on the ground; NaN where a box is too near the horizon to be placed.

    Attributes:
        lon, lat: float64 (N,), degrees, WGS 84, of the box centre.
        uncertainty: float64 (N,), metres, one sigma along the worst direction.
        length, width: float64 (N,), metres, the longer and the shorter side of the box, across the line of sight.
    """

    lon: Array = field(default_factory=lambda: np.zeros(0))
    lat: Array = field(default_factory=lambda: np.zeros(0))
    uncertainty: Array = field(default_factory=lambda: np.zeros(0))
    length: Array = field(default_factory=lambda: np.zeros(0))
    width: Array = field(default_factory=lambda: np.zeros(0))


def place(pose: Pose | None, columns: int, rows: int) -> Placement:
    """Completes a pose to a camera, or says what is missing.

    A missing pitch is taken as straight down and a missing roll as level, and said. A missing yaw leaves the position
    of the camera as the best position of everything in the frame.

    Args:
        pose: as read from the file.
        columns, rows: size of the frame in pixels.

    Returns:
        The placement.

    Raises:
        PoseError: no position, no height above ground, or no focal length and pixel pitch.
    """
    if pose is None or pose.lon is None or pose.lat is None:
        raise PoseError("no GPS position")
    if not (abs(pose.lat) <= 90 and abs(pose.lon) <= 180):
        raise PoseError(f"its GPS position cannot be: longitude {pose.lon}, latitude {pose.lat}")
    if pose.height is None:
        raise PoseError("no height above ground in the file; give it with --height")
    if not (0 < pose.height < 10_000):
        raise PoseError(f"its height above ground cannot be: {pose.height:g} m")
    if not pose.focal_length or not pose.pixel_pitch:
        raise PoseError("the camera's focal length and pixel pitch are not known")
    yaw, pitch, roll = (v if v is not None and math.isfinite(v) else None for v in (pose.yaw, pose.pitch, pose.roll))
    assumptions = []
    if pitch is None:
        assumptions.append("no pitch in the file: taken as straight down")
    if yaw is None:
        assumptions.append("no yaw in the file: everything is placed below the camera")
    view = View(
        height=pose.height,
        yaw=yaw or 0.0,
        pitch=-90.0 if pitch is None else pitch,
        roll=roll or 0.0,
        focal=pose.focal_length * 1e3 / pose.pixel_pitch,
        columns=columns,
        rows=rows,
    )
    return Placement(pose.lon, pose.lat, view, yaw is not None, tuple(assumptions))


def georeference(placement: Placement, boxes: FloatArray, sigma: PoseSigma | None = None) -> GroundBoxes:
    """Places boxes on the ground.

    Args:
        placement: of the frame, from `place`.
        boxes: float32 (N, 4), x1 y1 x2 y2 in pixels of the frame.
        sigma: one sigma of the pose; None takes the defaults of `PoseSigma`.

    Returns:
        Position, uncertainty and size of each box.
    """
    sigma = sigma or PoseSigma()
    edges = np.asarray(boxes, np.float64).reshape(-1, 4)
    centres = (edges[:, :2] + edges[:, 2:]) / 2
    sides = edges[:, 2:] - edges[:, :2]
    ground, depth = pixels_to_ground(placement.view, centres)
    metres = sides * (depth / placement.view.focal)[:, None]
    covariance = _covariance(placement.view, centres, sides, sigma, placement.is_yaw_known)
    if not placement.is_yaw_known:
        distance = np.linalg.norm(ground, axis=1)
        covariance += np.eye(2) * (distance**2 / 2)[:, None, None]
        ground = np.where(np.isfinite(ground), 0.0, np.nan)
    lon, lat = ground_to_lonlat(placement.lon, placement.lat, ground)
    return GroundBoxes(lon, lat, _worst_direction(covariance), metres.max(axis=1), metres.min(axis=1))


def _covariance(view: View, centres: Array, sides: Array, sigma: PoseSigma, is_yaw_known: bool) -> Array:
    """Covariance (N, 2, 2) in m² of positions on the ground, from central differences of each uncertain quantity."""
    total = np.zeros((len(centres), 2, 2)) + np.eye(2) * sigma.position**2

    def ground(moved: View, pixels: Array) -> Array:
        return pixels_to_ground(moved, pixels, MIN_DEPRESSION / 2)[0]

    def add(plus: Array, minus: Array, spread: Array | float) -> None:
        slope = (plus - minus) / 2 * np.reshape(spread, (-1, 1))
        total[...] += slope[:, :, None] * slope[:, None, :]

    step = 0.05
    for name in ("height", "yaw", "pitch", "roll"):
        if name == "yaw" and not is_yaw_known:
            continue
        value = getattr(view, name)
        plus = ground(replace(view, **{name: value + step}), centres)
        minus = ground(replace(view, **{name: value - step}), centres)
        add(plus, minus, getattr(sigma, name) / step)
    for axis in (0, 1):
        shift = np.zeros(2)
        shift[axis] = step
        plus = ground(view, centres + shift)
        minus = ground(view, centres - shift)
        add(plus, minus, BOX_CENTRE_SIGMA * sides[:, axis] / step)
    return total


def _worst_direction(covariance: Array) -> Array:
    """Square root of the larger eigenvalue of each 2 x 2 covariance."""
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    return np.asarray(np.sqrt((a + c) / 2 + np.hypot((a - c) / 2, b)))


@functools.cache
def _ellipsoid() -> pyproj.Geod:
    return pyproj.Geod(ellps="WGS84")


def ground_to_lonlat(lon: float, lat: float, ground: npt.ArrayLike) -> tuple[Array, Array]:
    """Longitude and latitude of points given in metres from a place, along geodesics of WGS 84.

    Args:
        lon, lat: degrees, WGS 84, of the place.
        ground: (N, 2), metres east and north of it; NaN stays NaN.

    Returns:
        lon, lat: float64 (N,), degrees.
    """
    points = np.asarray(ground, np.float64).reshape(-1, 2)
    known = np.isfinite(points).all(axis=1)
    result = np.full((2, len(points)), np.nan)
    east, north = points[known].T
    start = np.ones(len(east))
    azimuth = np.degrees(np.arctan2(east, north))
    lons, lats, _ = _ellipsoid().fwd(start * lon, start * lat, azimuth, np.hypot(east, north))
    result[:, known] = lons, lats
    return result[0], result[1]


def lonlat_to_ground(lon: float, lat: float, lons: npt.ArrayLike, lats: npt.ArrayLike) -> Array:
    """Metres east and north of a place, the inverse of `ground_to_lonlat`.

    Args:
        lon, lat: degrees, WGS 84, of the place.
        lons, lats: (N,), degrees.

    Returns:
        float64 (N, 2).
    """
    x, y = np.asarray(lons, np.float64).ravel(), np.asarray(lats, np.float64).ravel()
    azimuth, _, distance = _ellipsoid().inv(np.full_like(x, lon), np.full_like(y, lat), x, y)
    angle = np.radians(azimuth)
    return np.stack([np.sin(angle) * distance, np.cos(angle) * distance], axis=1)


def footprint_lonlat(placement: Placement) -> Array | None:
    """The outline of the ground a frame shows, float64 (M, 2) longitude and latitude.

    None where the yaw is not known or the frame looks at the sky.
    """
    if not placement.is_yaw_known:
        return None
    ring = footprint(placement.view)
    if len(ring) < 3:
        return None
    return np.stack(ground_to_lonlat(placement.lon, placement.lat, ring), axis=1)


def ring_area(ring: Array) -> float:
    """Square metres inside a ring (M, 2) of longitude and latitude, on WGS 84."""
    area, _ = _ellipsoid().polygon_area_perimeter(ring[:, 0], ring[:, 1])
    return abs(float(area))


def covered_area(footprints: Sequence[Array]) -> float:
    """Square metres that footprints cover together, ground seen twice counted once.

    Args:
        footprints: rings (M, 2) of longitude and latitude in degrees.

    Returns:
        The area of their union in an equal-area projection (Lambert azimuthal) around the first of them.
    """
    if not footprints:
        return 0.0
    lon, lat = footprints[0][0]
    flat = pyproj.Transformer.from_crs(
        "EPSG:4326", f"+proj=laea +lon_0={lon} +lat_0={lat} +ellps=WGS84", always_xy=True
    )
    rings = [shapely.Polygon(np.stack(flat.transform(ring[:, 0], ring[:, 1]), axis=1)) for ring in footprints]
    return float(shapely.union_all(rings).area)
