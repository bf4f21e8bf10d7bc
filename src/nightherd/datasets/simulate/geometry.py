"""The pinhole camera over flat ground: where a point of the world falls in a frame, and what a frame sees of a plane.

Site coordinates are metres: x to the right of the first flight leg, y along it, z up from the ground. Angles follow
DJI's gimbal: yaw clockwise from the y axis, pitch -90 straight down, roll clockwise seen from behind the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure.

    Attributes:
        x, y, z: position of the camera, metres in site coordinates.
        yaw, pitch, roll: degrees.
        time: seconds since the first exposure.
        moment: date and time, UTC.
        speed: of the camera along its yaw over ground, metres a second, for motion blur.
    """

    x: float
    y: float
    z: float
    yaw: float
    pitch: float
    roll: float
    time: float
    moment: datetime
    speed: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """A shot through a lens: focal length in pixels, and size of the image in pixels."""

    shot: Shot
    focal: float
    width: int
    height: int

    def axes(self) -> tuple[Points, Points, Points]:
        """Unit vectors in the site, each (3,): to the right and down in the image, and out along the view."""
        yaw, pitch, roll = np.radians([self.shot.yaw, self.shot.pitch, self.shot.roll])
        forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
        right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
        down = np.cross(forward, right)
        c, s = np.cos(roll), np.sin(roll)
        return c * right + s * down, c * down - s * right, forward

    def project(self, points: Points) -> tuple[Points, Points]:
        """Projects points of the site.

        Args:
            points: (N, 3) metres.

        Returns:
            Pixels (N, 2), origin at the outer corner of the top left pixel, and distances along the view (N,) metres,
            zero or negative behind the camera.
        """
        right, down, forward = self.axes()
        relative = points - np.array([self.shot.x, self.shot.y, self.shot.z])
        depth = relative @ forward
        safe = np.where(depth > 1e-3, depth, np.nan)
        u = self.focal * (relative @ right) / safe + self.width / 2
        v = self.focal * (relative @ down) / safe + self.height / 2
        return np.stack([u, v], axis=1), depth

    def plane(self, elevation: float = 0.0) -> Points:
        """The homography (3, 3) from pixels (u, v, 1) to the site's plane z = elevation: (x·w, y·w, w)."""
        right, down, forward = self.axes()
        ray = np.stack([right, down, self.focal * forward - self.width / 2 * right - self.height / 2 * down], axis=1)
        drop = elevation - self.shot.z
        return np.stack([self.shot.x * ray[2] + drop * ray[0], self.shot.y * ray[2] + drop * ray[1], ray[2]], axis=0)

    def ground(self, pixels: Points, elevation: float = 0.0) -> Points:
        """Where pixels (N, 2) look at on the plane z = elevation, (N, 2) metres in site coordinates."""
        homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1) @ self.plane(elevation).T
        return homogeneous[:, :2] / homogeneous[:, 2:]

    def corners(self, elevation: float = 0.0) -> Points:
        """The four corners of the frame on the plane z = elevation, clockwise from the top left, (4, 2) metres."""
        w, h = float(self.width), float(self.height)
        return self.ground(np.array([[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]]), elevation)


@dataclass(frozen=True, slots=True)
class Raster:
    """A north-up raster of the site: the x of its left edge, the y of its top edge, and metres a pixel."""

    left: float
    top: float
    gsd: float

    def pixels(self, points: Points) -> Points:
        """Site (N, 2) metres to pixels of the raster (N, 2): columns, rows."""
        return np.stack([(points[:, 0] - self.left) / self.gsd, (self.top - points[:, 1]) / self.gsd], axis=1)

    def matrix(self) -> Points:
        """The same as a matrix (3, 3) on (x, y, 1)."""
        return np.array(
            [[1 / self.gsd, 0, -self.left / self.gsd], [0, -1 / self.gsd, self.top / self.gsd], [0, 0, 1.0]]
        )
