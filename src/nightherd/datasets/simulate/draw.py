"""Bodies and boxes in space to pixels: how much of each pixel a thing covers, and how warm it is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from nightherd.datasets.simulate.body import Capsules
from nightherd.datasets.simulate.geometry import View
from nightherd.types import FloatArray

OVERSAMPLING = 3


@dataclass(frozen=True, slots=True)
class Sprite:
    """Something drawn: the column and row of its top left pixel, its cover (0 to 1) and its warmth, both (h, w)."""

    left: int
    top: int
    cover: FloatArray
    warmth: FloatArray

    def on(self, width: int, height: int) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
        """Slices of a frame and of the sprite where the two meet, or None where they do not."""
        h, w = self.cover.shape
        x0, y0, x1, y1 = max(self.left, 0), max(self.top, 0), min(self.left + w, width), min(self.top + h, height)
        if x1 <= x0 or y1 <= y0:
            return None
        part = np.s_[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
        return (slice(y0, y1), slice(x0, x1)), part


def _frame(points: npt.NDArray[np.float64], margin: float, limit: int = 1200) -> tuple[int, int, int, int] | None:
    low = np.floor(points.min(axis=0) - margin).astype(int)
    high = np.ceil(points.max(axis=0) + margin).astype(int)
    w, h = int(high[0] - low[0]), int(high[1] - low[1])
    if w > limit or h > limit or not np.isfinite(points).all():
        return None
    return int(low[0]), int(low[1]), w, h


def draw_body(view: View, body: Capsules, warmth: float, limb: float = 0.25) -> Sprite | None:
    """Draws a body placed in the site.

    Args:
        view: camera.
        body: in site coordinates.
        warmth: K of its back above what it stands on.
        limb: how much colder it reads where the fur is seen at a grazing angle, 0 to 1.

    Returns:
        The sprite, warmth in K, or None where the body is not in front of the camera.
    """
    n = len(body.warmth)
    pixels, depth = view.project(np.concatenate([body.start, body.end]))
    if np.any(depth < 1.0):
        return None
    radii = body.radius.T.reshape(-1) * view.focal / depth
    # Thin parts stay visible as a share of a pixel.
    frame = _frame(pixels, float(radii.max()) + 2)
    if frame is None:
        return None
    left, top, w, h = frame
    if left + w < 0 or top + h < 0 or left > view.width or top > view.height:
        return None
    k = OVERSAMPLING
    cover = np.zeros((h * k, w * k), np.float32)
    heat = np.zeros((h * k, w * k), np.float32)
    local = (pixels - (left, top)) * k
    r = radii * k
    order = np.argsort(-(depth[:n] + depth[n:]), kind="stable")
    for i in order:
        a, b, ra, rb = local[i], local[n + i], max(r[i], 0.35), max(r[n + i], 0.35)
        reach = max(ra, rb) + 1
        x0, x1 = max(0, int(min(a[0], b[0]) - reach)), min(w * k, int(max(a[0], b[0]) + reach) + 2)
        y0, y1 = max(0, int(min(a[1], b[1]) - reach)), min(h * k, int(max(a[1], b[1]) + reach) + 2)
        if x1 <= x0 or y1 <= y0:
            continue
        xs = (np.arange(x0, x1) + 0.5 - a[0]).astype(np.float32)[None, :]
        ys = (np.arange(y0, y1) + 0.5 - a[1]).astype(np.float32)[:, None]
        dx, dy = np.float32(b[0] - a[0]), np.float32(b[1] - a[1])
        squared = dx * dx + dy * dy
        t = np.clip((xs * dx + ys * dy) / max(squared, np.float32(1e-6)), 0, 1)
        radius = np.float32(ra) + t * np.float32(rb - ra)
        distance = np.sqrt(np.square(xs - t * dx) + np.square(ys - t * dy))
        inside = np.clip(radius - distance + np.float32(0.5), 0, 1)
        # Lambert-like: full warmth where the surface faces the camera, less towards the outline.
        facing = np.sqrt(np.clip(1 - np.square(distance / (radius + np.float32(0.5))), 0, 1))
        value = np.float32(body.warmth[i]) * (np.float32(1 - limb) + np.float32(limb) * facing)
        part = np.s_[y0:y1, x0:x1]
        # The warmest part wins where parts overlap, so that a chain of them shows no joints.
        np.maximum(heat[part], value * inside, out=heat[part])
        np.maximum(cover[part], inside, out=cover[part])
    return _reduce(left, top, w, h, cover, heat, warmth)


def _reduce(left: int, top: int, w: int, h: int, cover: FloatArray, heat: FloatArray, scale: float) -> Sprite:
    k = OVERSAMPLING
    shares: FloatArray = cover.reshape(h, k, w, k).mean(axis=(1, 3))
    sums = heat.reshape(h, k, w, k).mean(axis=(1, 3))
    warmth: FloatArray = np.divide(sums, shares, out=np.zeros_like(sums), where=shares > 1e-4)
    return Sprite(left, top, shares, (warmth * np.float32(scale)).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Panel:
    """A flat polygon in space, (N, 3) metres of the site, with its warmth in K against its surroundings."""

    corners: npt.NDArray[np.float64]
    warmth: float


def draw_panels(view: View, panels: list[Panel]) -> Sprite | None:
    """Draws panels in the order given, later ones over earlier ones."""
    projected = []
    for panel in panels:
        pixels, depth = view.project(panel.corners)
        if np.any(depth < 1.0):
            return None
        projected.append(pixels)
    frame = _frame(np.concatenate(projected), 2)
    if frame is None:
        return None
    left, top, w, h = frame
    if left + w < 0 or top + h < 0 or left > view.width or top > view.height:
        return None
    k = OVERSAMPLING
    mask = Image.new("L", (w * k, h * k))
    heat = Image.new("F", (w * k, h * k))
    for pixels, panel in zip(projected, panels, strict=True):
        polygon = [(float(x), float(y)) for x, y in (pixels - (left, top)) * k]
        ImageDraw.Draw(mask).polygon(polygon, fill=255)
        ImageDraw.Draw(heat).polygon(polygon, fill=float(panel.warmth))
    return _reduce(left, top, w, h, np.asarray(mask, np.float32) / np.float32(255), np.asarray(heat, np.float32), 1.0)
