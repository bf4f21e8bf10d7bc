"""The pinhole camera over flat ground: from a pixel of a frame to metres east and north of the camera, and back.

Pure geometry between `Frame` and the map. Angles follow DJI's gimbal convention (see `Pose`); the ground is a plane at
the height of the take-off point; the lens has no distortion and its axis meets the middle of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

Array = npt.NDArray[np.float64]

MIN_DEPRESSION = 10.0
"""Degrees below the horizon that a ray must point to be placed on the ground: at 10 the ground is 5.8 heights away
and one degree of pitch moves the point by 10 % of that; nearer the horizon flat ground says nothing."""


@dataclass(frozen=True, slots=True)
class View:
    """A camera with everything known that a position on the ground needs.

    Attributes:
        height: metres above the flat ground.
        yaw, pitch, roll: degrees, as in `Pose`.
        focal: focal length in pixels of this frame.
        columns, rows: size of the frame in pixels.
    """

    height: float
    yaw: float
    pitch: float
    roll: float
    focal: float
    columns: int
    rows: int

    @property
    def ground_sample_distance(self) -> float:
        """Metres a pixel covers on the ground straight below the camera."""
        return self.height / self.focal


def camera_axes(yaw: float, pitch: float, roll: float) -> Array:
    """The camera's right, down and forward axes as unit vectors in east, north, up.

    At yaw 0, pitch 0, roll 0 the camera looks north with the horizon level; yaw turns it clockwise seen from above,
    pitch raises the lens, roll turns it clockwise seen from behind.

    Args:
        yaw, pitch, roll: degrees.

    Returns:
        float64 (3, 3), the rows are right, down, forward.
    """
    psi, theta, phi = np.radians((yaw, pitch, roll))
    ahead = np.array([np.sin(psi), np.cos(psi), 0.0])
    right = np.array([np.cos(psi), -np.sin(psi), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    forward = np.cos(theta) * ahead + np.sin(theta) * up
    down = np.sin(theta) * ahead - np.cos(theta) * up
    return np.stack([np.cos(phi) * right + np.sin(phi) * down, np.cos(phi) * down - np.sin(phi) * right, forward])


def rays(view: View, pixels: npt.ArrayLike) -> Array:
    """The viewing ray of each pixel, scaled to a length of 1 along the lens axis.

    Args:
        view: the camera.
        pixels: (N, 2) x, y in pixels, origin at the outer corner of the top left pixel.

    Returns:
        float64 (N, 3) in east, north, up.
    """
    points = np.asarray(pixels, np.float64).reshape(-1, 2)
    x = (points[:, 0] - view.columns / 2) / view.focal
    y = (points[:, 1] - view.rows / 2) / view.focal
    camera = np.stack([x, y, np.ones_like(x)], axis=1)
    return np.asarray(camera @ camera_axes(view.yaw, view.pitch, view.roll))


def pixels_to_ground(view: View, pixels: npt.ArrayLike, min_depression: float = MIN_DEPRESSION) -> tuple[Array, Array]:
    """Where each pixel's ray meets the ground.

    Args:
        view: the camera.
        pixels: (N, 2) x, y in pixels, origin at the outer corner of the top left pixel.
        min_depression: degrees below the horizon that a ray must point, over 0.

    Returns:
        ground: float64 (N, 2), metres east and north of the point below the camera; NaN where the ray points less than
            `min_depression` below the horizon.
        depth: float64 (N,), metres from the camera along its axis; one pixel there spans depth / focal metres.
    """
    direction = rays(view, pixels)
    steep = -direction[:, 2] >= np.sin(np.radians(min_depression)) * np.linalg.norm(direction, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(steep, view.height / -direction[:, 2], np.nan)
    return direction[:, :2] * depth[:, None], depth


def ground_to_pixels(view: View, ground: npt.ArrayLike) -> Array:
    """Where points on the ground appear in the image, the inverse of `pixels_to_ground`.

    Args:
        view: the camera.
        ground: (N, 2), metres east and north of the point below the camera.

    Returns:
        float64 (N, 2) x, y in pixels, also outside the frame; NaN for points behind the camera.
    """
    points = np.asarray(ground, np.float64).reshape(-1, 2)
    below = np.concatenate([points, np.full((len(points), 1), -view.height)], axis=1)
    camera = below @ camera_axes(view.yaw, view.pitch, view.roll).T
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(camera[:, 2] > 0, view.focal / camera[:, 2], np.nan)
    pixels: Array = camera[:, :2] * scale[:, None] + np.array([view.columns / 2, view.rows / 2])
    return pixels


def footprint(view: View) -> Array:
    """The outline of the ground that a frame shows, cut off where it nears the horizon.

    Args:
        view: the camera.

    Returns:
        float64 (M, 2), metres east and north of the point below the camera, a convex ring whose last point is not its
        first: the four corners of the image from the top left where the whole frame lies below the horizon; empty
        (0, 2) where all of it looks at the sky.
    """
    width, height = float(view.columns), float(view.rows)
    corners = np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])
    ground, _ = pixels_to_ground(view, corners)
    if np.isfinite(ground).all():
        return ground
    kept = _clip_to_below(view, corners)
    if len(kept) < 3:
        return np.zeros((0, 2))
    direction = rays(view, kept)
    far = direction[:, :2] * (view.height / -direction[:, 2])[:, None]
    reach = view.height / np.tan(np.radians(MIN_DEPRESSION))
    disc = shapely.Point(0, 0).buffer(reach, quad_segs=32)
    seen = shapely.Polygon(far).intersection(disc)
    if seen.is_empty or seen.geom_type != "Polygon":
        return np.zeros((0, 2))
    ring = np.asarray(seen.exterior.coords, np.float64)[:-1]
    return ring[:, :2]


def _clip_to_below(view: View, corners: Array) -> Array:
    """The part of a convex polygon in the image whose rays point below the horizon (Sutherland-Hodgman, one edge)."""
    limit = -1e-3
    up = rays(view, corners)[:, 2]
    kept: list[Array] = []
    for i in range(len(corners)):
        j = (i + 1) % len(corners)
        if up[i] <= limit:
            kept.append(corners[i])
        if (up[i] <= limit) != (up[j] <= limit):
            kept.append(corners[i] + (corners[j] - corners[i]) * ((limit - up[i]) / (up[j] - up[i])))
    return np.array(kept).reshape(-1, 2)
