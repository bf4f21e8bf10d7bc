"""What stands on the ground and is warm, or cold, and is not an animal: stones, logs, stumps, warm beds, puddles,
mounds, posts and buildings. It is drawn into the ground, so every frame of a flight sees it at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from nightherd.datasets.simulate.geometry import Raster
from nightherd.datasets.simulate.noise import Window
from nightherd.datasets.simulate.settings import ClutterSettings
from nightherd.types import FloatArray

KINDS = ("stone", "log", "stump", "bed", "puddle", "mound", "post", "building")
FIELDS = ("stones", "logs", "stumps", "beds", "puddles", "mounds", "posts", "buildings")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing: kind, place (m), length and width (m), turn (radians), warmth (spreads) and a seed for its shape."""

    kind: str
    x: float
    y: float
    length: float
    width: float
    turn: float
    warmth: float
    seed: int


def _item(kind: str, x: float, y: float, sun: float, rng: np.random.Generator) -> Item:
    warm = float(rng.gamma(2.0, 0.6 + 1.1 * sun))
    length = width = 0.5
    if kind == "stone":
        length = float(np.exp(rng.normal(np.log(0.45), 0.5)))
        width = length * rng.uniform(0.55, 1.0)
        warm = warm + 0.4
    elif kind == "log":
        length, width = np.exp(rng.uniform(-0.7, 1.7)), rng.uniform(0.08, 0.3)
        warm = warm * rng.choice([1.0, 1.0, 1.0, -0.6])
    elif kind == "stump":
        length = rng.uniform(0.25, 0.7)
        width = length * rng.uniform(0.8, 1.0)
    elif kind == "bed":
        length = rng.uniform(0.8, 1.5)
        width, warm = length * rng.uniform(0.55, 0.85), rng.uniform(0.6, 2.2)
    elif kind == "puddle":
        length = rng.uniform(0.8, 4.5)
        width, warm = length * rng.uniform(0.3, 0.9), rng.uniform(0.8, 2.4) * (1 if sun < 0.4 else -1)
    elif kind == "mound":
        length = rng.uniform(0.25, 0.7)
        width, warm = length * rng.uniform(0.8, 1.0), warm * rng.choice([1.0, 1.0, -0.7])
    elif kind == "post":
        length = width = 0.22
        warm = warm * rng.choice([1.0, -1.0])
    elif kind == "building":
        length = rng.uniform(4, 16)
        width, warm = length * rng.uniform(0.4, 0.9), rng.uniform(-3.0, 4.0)
    return Item(
        kind, x, y, float(length), float(width), float(rng.uniform(0, 2 * np.pi)), float(warm), int(rng.integers(2**31))
    )


def strew(
    settings: ClutterSettings, extent: tuple[float, float, float, float], sun: float, rng: np.random.Generator
) -> list[Item]:
    """Places clutter in an extent (x0, y0, x1, y1 in metres): half of each kind alone, half gathered in groups."""
    x0, y0, x1, y1 = extent
    hectares = (x1 - x0) * (y1 - y0) / 1e4
    items: list[Item] = []
    for kind, field in zip(KINDS, FIELDS, strict=True):
        count = int(rng.poisson(getattr(settings, field) * hectares))
        place = np.zeros(2)
        for index in range(count):
            if index == 0 or rng.random() < 0.5:
                place = np.array([rng.uniform(x0, x1), rng.uniform(y0, y1)])
            else:
                place = place + rng.normal(0, 2.2 if kind != "building" else 14.0, 2)
            if kind == "building" and any(
                np.hypot(place[0] - other.x, place[1] - other.y) < 14 for other in items if other.kind == kind
            ):
                continue
            items.append(_item(kind, float(place[0]), float(place[1]), sun, rng))
    return items


def _outline(item: Item, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """The outline about its own middle, metres, turned."""
    if item.kind == "building":
        a, b = item.length / 2, item.width / 2
        points = np.array([[-a, -b], [a, -b], [a, b], [-a, b]])
    elif item.kind == "log":
        t = np.linspace(-0.5, 0.5, 9)
        middle = np.cumsum(rng.normal(0, 0.012, 9)) * item.length
        half = item.width / 2 * (1 - 0.5 * (t + 0.5)) * rng.uniform(0.8, 1.15, 9)
        upper = np.stack([t * item.length, middle + half], axis=1)
        points = np.concatenate([upper, np.stack([t * item.length, middle - half], axis=1)[::-1]])
    else:
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        rough = {"stone": 0.14, "puddle": 0.25, "bed": 0.1}.get(item.kind, 0.07)
        radius = np.ones(24)
        for harmonic in range(2, 6):
            radius += rough / harmonic * 2 * rng.normal() * np.cos(harmonic * angle + rng.uniform(0, 6.3))
        points = np.stack([item.length / 2 * radius * np.cos(angle), item.width / 2 * radius * np.sin(angle)], axis=1)
    c, s = np.cos(item.turn), np.sin(item.turn)
    return np.asarray(points @ np.array([[c, s], [-s, c]]), np.float64)


SOFT = {"bed": 0.14, "puddle": 0.12, "mound": 0.06}
TALL = {"stone": 0.4, "log": 0.25, "stump": 0.5, "mound": 0.25, "post": 2.5, "building": 4.0}


class Clutter:
    """All items of a world, drawn into windows of its ground.

    Args:
        items: what there is.
        raster: of the ground.
        spread: K of a unit of warmth.
        sun: 0 to 1.
        azimuth: of the sun, degrees clockwise from the site's y axis.
        base: °C that the warmth of roofs counts from.
    """

    def __init__(
        self, items: list[Item], raster: Raster, spread: float, sun: float, azimuth: float, base: float
    ) -> None:
        self.items = items
        self.base = base
        self.raster = raster
        self.spread = spread
        self.sun = sun
        self.azimuth = float(np.radians(azimuth))
        places = np.array([[item.x, item.y] for item in items], np.float64).reshape(-1, 2)
        self.pixels = raster.pixels(places) if items else places
        self.reach = np.array([max(item.length, item.width) + 5 for item in items]) / raster.gsd

    def draw(self, ground: FloatArray, window: Window) -> None:
        """Draws what reaches into a window over its ground, in place (float32, °C)."""
        if not self.items:
            return
        local = self.pixels - (window.left, window.top)
        size = np.array([window.width, window.height])
        inside = np.all((local > -self.reach[:, None]) & (local < size + self.reach[:, None]), axis=1)
        for index in np.flatnonzero(inside):
            self._draw(ground, self.items[index], local[index])

    def _draw(self, ground: FloatArray, item: Item, centre: npt.NDArray[np.float64]) -> None:
        rng = np.random.default_rng(item.seed)
        outline = _outline(item, rng) * (1, -1) / self.raster.gsd + centre
        if self.sun > 0.1 and item.kind in TALL:
            length = TALL[item.kind] * (2.0 - self.sun) * rng.uniform(0.6, 1.0) / self.raster.gsd
            away = -length * np.array([np.sin(self.azimuth), -np.cos(self.azimuth)])
            hull = np.concatenate([outline + share * away for share in (0.0, 0.34, 0.67, 1.0)])
            parts = [hull[i : i + 2 * len(outline)] for i in range(0, 3 * len(outline), len(outline))]
            whole = np.concatenate([parts[0], parts[-1]])
            self._blend(ground, whole, -1.4 * self.sun, 0.8, 0.8, hull_of=True)
        value = item.warmth
        if item.kind == "building":
            self._roof(ground, item, outline, rng)
            return
        soft = max(0.45, SOFT.get(item.kind, 0.0) * item.length / self.raster.gsd)
        strength = 1.0 if item.kind in ("bed", "puddle") else rng.uniform(0.8, 1.0)
        self._blend(ground, outline, value, soft, strength, lit=item.kind not in ("bed", "puddle"))

    def _roof(self, ground: FloatArray, item: Item, outline: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
        middle = outline.mean(axis=0)
        ends = ((outline[0] + outline[3]) / 2, (outline[1] + outline[2]) / 2)
        slope = rng.uniform(-0.8, 0.8)
        base = self.base
        self._blend(
            ground, np.array([outline[0], outline[1], ends[1], ends[0]]), item.warmth + slope, 0.5, 1.0, opaque=base
        )
        self._blend(
            ground, np.array([outline[3], outline[2], ends[1], ends[0]]), item.warmth - slope, 0.5, 1.0, opaque=base
        )
        for _ in range(int(rng.integers(0, 7))):
            shares = rng.uniform(-0.8, 0.8, 2)
            place = middle + shares[0] * (outline[1] - outline[0]) / 2 + shares[1] * (outline[3] - outline[0]) / 2
            half = rng.uniform(0.15, 0.7) / self.raster.gsd
            square = place + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
            self._blend(ground, square, rng.normal(0, 1.5), 0.5, 1.0)

    def _blend(
        self,
        ground: FloatArray,
        outline: npt.NDArray[np.float64],
        value: float,
        soft: float,
        strength: float,
        lit: bool = False,
        hull_of: bool = False,
        opaque: float | None = None,
    ) -> None:
        """Adds `value` spreads inside an outline (pixels of the window), its edge blurred by `soft` pixels."""
        height, width = ground.shape
        margin = int(3 * soft) + 2
        x0, y0 = np.floor(outline.min(axis=0)).astype(int) - margin
        x1, y1 = np.ceil(outline.max(axis=0)).astype(int) + margin
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            return
        k = 3 if max(x1 - x0, y1 - y0) < 120 else 1
        mask = Image.new("L", ((x1 - x0) * k, (y1 - y0) * k))
        points = (outline - (x0, y0)) * k
        if hull_of:
            points = points[_hull(points)]
        ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in points], fill=255)
        if k > 1:
            mask = mask.reduce(k)
        alpha = ndimage.gaussian_filter(np.asarray(mask, np.float32) / np.float32(255), soft, truncate=2.5)
        amount = np.full(alpha.shape, value, np.float32)
        if lit:
            half = max(1.0, (x1 - x0) / 2)
            east = (np.arange(x0, x1) + 0.5 - (x0 + x1) / 2) / half
            south = (np.arange(y0, y1) + 0.5 - (y0 + y1) / 2) / half
            shade = np.sin(self.azimuth) * east[None, :] - np.cos(self.azimuth) * south[:, None]
            amount += (abs(value) * (0.2 + 0.6 * self.sun) * shade).astype(np.float32)
        a0, b0, a1, b1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        part = np.s_[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0]
        if opaque is not None:
            ground[b0:b1, a0:a1] += alpha[part] * (np.float32(opaque) - ground[b0:b1, a0:a1])
        ground[b0:b1, a0:a1] += np.float32(self.spread * strength) * alpha[part] * amount[part]


def _hull(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Indices of the convex hull, in order (Andrew's monotone chain)."""
    order = np.lexsort((points[:, 1], points[:, 0]))

    def half(indices: npt.NDArray[np.int64]) -> list[int]:
        chain: list[int] = []
        for i in indices:
            while len(chain) > 1:
                a, b = points[chain[-1]] - points[chain[-2]], points[i] - points[chain[-2]]
                if a[0] * b[1] - a[1] * b[0] > 0:
                    break
                chain.pop()
            chain.append(int(i))
        return chain[:-1]

    return np.array(half(order) + half(order[::-1]), np.int64)
