"""Crowns of trees as a layer above the ground: what share of the view they close, and how warm they read.

The layer lies at the height of the crowns, so that it shifts against the ground from frame to frame, and an animal
that one frame shows another hides. Crowns come from a small library of templates drawn once a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from nightherd.datasets.simulate.geometry import Raster, View
from nightherd.datasets.simulate.noise import Fractal, Window, smoothstep
from nightherd.datasets.simulate.settings import CanopySettings
from nightherd.types import FloatArray

SIZE = 192
"""Pixels across a template."""
VARIANTS = 10
WARMER = {"bare": (-0.3, -1.2), "dead": (1.0, 1.6), "leafy": (0.2, -0.2), "conifer": (0.0, -0.6), "shrub": (0.0, 0.0)}
"""How much warmer than the canopy's `contrast` a kind of crown is, in spreads: by night, and in full sun."""


def _bare(rng: np.random.Generator, dead: bool = False) -> tuple[FloatArray, FloatArray]:
    """Branches without leaves, from a trunk outward, thinner at every fork."""
    scale = 2
    image = Image.new("L", (SIZE * scale, SIZE * scale))
    draw = ImageDraw.Draw(image)
    middle = SIZE * scale / 2

    def grow(x: float, y: float, heading: float, length: float, width: float, depth: int) -> None:
        steps = 5
        for _ in range(steps):
            heading += rng.normal(0, 0.16)
            nx, ny = x + np.cos(heading) * length / steps, y + np.sin(heading) * length / steps
            draw.line([(x, y), (nx, ny)], fill=int(min(255, 110 + 60 * width)), width=max(1, round(width)))
            x, y = nx, ny
            if depth > 1 and rng.random() < (0.35 if dead else 0.6):
                turn = rng.choice([-1, 1]) * rng.uniform(0.4, 1.1)
                grow(x, y, heading + turn, length * rng.uniform(0.35, 0.6), width * 0.55, depth - 1)
        if depth > 0:
            for turn in (rng.uniform(-0.7, -0.15), rng.uniform(0.15, 0.7)):
                grow(x, y, heading + turn, length * rng.uniform(0.5, 0.75), width * 0.65, depth - 1)

    limbs = int(rng.integers(3, 6)) if dead else int(rng.integers(5, 10))
    lean = rng.uniform(0, 2 * np.pi)
    for limb in range(limbs):
        angle = 2 * np.pi * limb / limbs + rng.normal(0, 0.35)
        reach = SIZE * scale * rng.uniform(0.15, 0.23) * (1 + 0.35 * np.cos(angle - lean))
        grow(middle, middle, angle, reach, 5.5 * rng.uniform(0.6, 1.1), 2 if dead else 3)
    alpha = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX), np.float32) / np.float32(255)
    window = Window(0, 0, SIZE, SIZE)
    # Twigs too thin to draw: a haze about the branches, streaked outward.
    axis = ((np.arange(SIZE) + 0.5 - SIZE / 2) / (SIZE / 2)).astype(np.float32)
    azimuth = np.arctan2(axis[:, None], axis[None, :])
    streaks = np.cos(37 * azimuth + 2.5 * Fractal(rng, 30, 4).window(window)) + Fractal(rng, 5, 2, 0.8).window(window)
    near = ndimage.gaussian_filter(alpha, 7.0)
    haze: FloatArray = np.clip((0.5 if dead else 2.0) * near * (0.7 + 0.4 * streaks), 0, 0.6)
    haze = haze * smoothstep(1 - np.hypot(axis[:, None], axis[None, :]), 0.0, 0.25)
    branches = np.clip(alpha * 1.25, 0, 1)
    warmth = 0.3 * Fractal(rng, 40, 3).window(window) + 0.5 + 0.3 * branches
    return np.maximum(branches, haze).astype(np.float32), warmth.astype(np.float32)


def _crown(rng: np.random.Generator, lumps: int, spread: float) -> tuple[FloatArray, FloatArray]:
    """A leafy crown: clumps of leaves at several heights over one another, ragged, with gaps between them."""
    axis = ((np.arange(SIZE) + 0.5 - SIZE / 2) / (SIZE / 2)).astype(np.float32)
    window = Window(0, 0, SIZE, SIZE)
    ragged = Fractal(rng, 16, 4, 0.75).window(window)
    top = np.full((SIZE, SIZE), -1.0, np.float32)
    warmth = np.zeros((SIZE, SIZE), np.float32)
    lobes = rng.normal(0, 0.09, 4)
    for _ in range(lumps):
        angle = rng.uniform(0, 2 * np.pi)
        reach = 0.86 + float(sum(lobe * np.cos((k + 2) * angle + k) for k, lobe in enumerate(lobes)))
        radius = float(rng.uniform(0.5, 1.0)) * spread
        r = (reach - radius) * np.sqrt(rng.random())
        cx, cy = r * np.cos(angle), r * np.sin(angle)
        columns = np.flatnonzero(np.abs(axis - cx) < radius * 1.3)
        rows = np.flatnonzero(np.abs(axis - cy) < radius * 1.3)
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        d2 = (np.square(axis[columns] - cx)[None, :] + np.square(axis[rows] - cy)[:, None]) / radius**2
        d2 = d2 * (1 + 0.35 * ragged[part])
        dome = np.sqrt(np.maximum(1 - d2, 0)) * radius
        height = np.where(d2 < 1, dome + 1.1 * (1 - r * r) + rng.normal(0, 0.14), -1).astype(np.float32)
        heat = 2.2 * (dome / radius - 0.6) + 0.8 * (height - 0.9) + rng.normal(0, 0.45)
        higher = height > top[part]
        top[part] = np.where(higher, height, top[part])
        warmth[part] = np.where(higher, heat, warmth[part])
    leaves = Fractal(rng, 7, 3, 0.85).window(window)
    alpha = smoothstep(top + 0.12 * ragged, 0.0, 0.25) * smoothstep(leaves + ragged, -2.9, -1.6)
    soft: FloatArray = ndimage.gaussian_filter(alpha, 0.6)
    return soft, (0.65 * warmth + 0.4 * leaves).astype(np.float32)


def _conifer(rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """A conifer from above: whorls of boughs about a bright tip, dark between them."""
    axis = (np.arange(SIZE) + 0.5 - SIZE / 2) / (SIZE / 2)
    x, y = np.meshgrid(axis, axis)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    window = Window(0, 0, SIZE, SIZE)
    boughs = int(rng.integers(11, 19))
    swirl = Fractal(rng, 34, 4, 0.6).window(window) * 0.16
    # Tips of boughs are points; a second whorl fills the notches between them, farther in.
    phase = boughs * (angle + swirl) / (2 * np.pi)
    tips = 1 - 2 * np.abs(phase - np.round(phase))
    between = 1 - 2 * np.abs(phase + 0.5 - np.round(phase + 0.5))
    lean = 0.06 * np.cos(angle - rng.uniform(0, 2 * np.pi))
    reach = np.maximum(0.46 + 0.46 * tips**1.3, 0.42 + 0.32 * between**1.3) + lean
    reach = reach + 0.06 * Fractal(rng, 9, 3, 0.8).window(window)
    spokes = np.maximum(tips, 0.8 * between) - 0.6
    alpha = smoothstep((reach - radius).astype(np.float32), -0.05, 0.09)
    needles = Fractal(rng, 7, 3, 0.8).window(window)
    warmth = 0.8 * (0.5 - radius) + 1.1 * spokes * np.minimum(radius * 1.6, 1) + 0.4 * needles
    return alpha, warmth.astype(np.float32)


@lru_cache(maxsize=128)
def template(kind: str, variant: int) -> tuple[Image.Image, ...]:
    """A crown as images `LA` (warmth, cover), whole size first and then halved: warmth 128 is 0, 32 levels a unit."""
    rng = np.random.default_rng([7, sum(kind.encode()), variant])
    if kind == "bare":
        alpha, warmth = _bare(rng)
    elif kind == "dead":
        alpha, warmth = _bare(rng, dead=True)
    elif kind == "conifer":
        alpha, warmth = _conifer(rng)
    elif kind == "shrub":
        alpha, warmth = _crown(rng, 26, 0.36)
    else:
        alpha, warmth = _crown(rng, 110, 0.2)
    alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1] = 0, 0, 0, 0
    levels = np.clip(128 + 32 * warmth, 0, 255).astype(np.uint8)
    cover = np.clip(255 * alpha, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.stack([levels, cover], axis=2))
    return image, image.reduce(2), image.reduce(4)


@dataclass(frozen=True, slots=True)
class Trees:
    """All trees of a world: positions (N, 2) m, diameters (N,) m, turns (N,) radians, kinds, variants, warmth (N,)."""

    positions: npt.NDArray[np.float64]
    diameters: npt.NDArray[np.float64]
    turns: npt.NDArray[np.float64]
    kinds: tuple[str, ...]
    variants: npt.NDArray[np.int64]
    warmth: npt.NDArray[np.float64]

    def select(self, keep: list[bool]) -> Trees:
        """The trees that a list of N booleans keeps."""
        chosen = np.flatnonzero(keep)
        kinds = tuple(self.kinds[i] for i in chosen)
        return Trees(
            self.positions[chosen], self.diameters[chosen], self.turns[chosen], kinds, self.variants[chosen],
            self.warmth[chosen],
        )  # fmt: skip


def plant(
    settings: CanopySettings, extent: tuple[float, float, float, float], sun: float, rng: np.random.Generator
) -> Trees:
    """Places trees in an extent (x0, y0, x1, y1 in metres): woods and clearings, or strewn.

    Crowns are drawn on a jittered grid and kept where a smooth density field is high, so that `cover` of the ground
    ends up under crowns. `sun` (0 to 1) says how warm each kind is.
    """
    x0, y0, x1, y1 = extent
    margin = settings.crown
    step = settings.crown * 0.62
    xs = np.arange(x0 - margin, x1 + margin, step)
    ys = np.arange(y0 - margin, y1 + margin, step)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    grid = grid + rng.uniform(-0.55, 0.55, grid.shape) * step
    wood = Fractal(rng, 16.0, 3, 0.5)
    shape = Window(0, 0, int((x1 - x0 + 2 * margin) / 2) + 2, int((y1 - y0 + 2 * margin) / 2) + 2)
    density = wood.window(shape)
    columns = np.clip(((grid[:, 0] - x0 + margin) / 2).astype(int), 0, shape.width - 1)
    rows = np.clip(((grid[:, 1] - y0 + margin) / 2).astype(int), 0, shape.height - 1)
    score = settings.clumping * density[rows, columns] + (1 - settings.clumping) * rng.standard_normal(len(grid))
    score = score + 0.15 * rng.standard_normal(len(grid))
    share = min(0.999, settings.cover * 1.05)
    keep = score > np.quantile(score, 1 - share) if share > 0 and len(grid) else np.zeros(len(grid), bool)
    positions = grid[keep]
    n = len(positions)
    kinds = tuple(str(kind) for kind in rng.choice(np.array(settings.kinds), n)) if n else ()
    diameters = settings.crown * np.exp(rng.normal(0, 0.28, n))
    small = np.array([kind == "shrub" for kind in kinds], bool)
    diameters = np.where(small, diameters * 0.45, diameters)
    return Trees(
        positions=positions,
        diameters=diameters,
        turns=rng.uniform(0, 2 * np.pi, n),
        kinds=kinds,
        variants=rng.integers(0, VARIANTS, n),
        warmth=rng.normal(0, 0.35, n) + [WARMER[kind][0] * (1 - sun) + WARMER[kind][1] * sun for kind in kinds],
    )


def stamp(image: Image.Image, turn: float, scale: float, centre: tuple[float, float]) -> tuple[Image.Image, int, int]:
    """An image turned about its middle and scaled, with the column and row at which its top left corner belongs.

    Args:
        turn: radians clockwise.
        scale: pixels of the target per pixel of the image.
        centre: column and row in the target of the image's middle.
    """
    half = scale * max(image.size) / 2 * (abs(np.cos(turn)) + abs(np.sin(turn)))
    left, top = int(np.floor(centre[0] - half)), int(np.floor(centre[1] - half))
    side = int(np.ceil(2 * half)) + 2
    c, s = np.cos(turn) / scale, np.sin(turn) / scale
    cx, cy = centre[0] - left, centre[1] - top
    mx, my = image.size[0] / 2, image.size[1] / 2
    coefficients = (c, s, mx - c * cx - s * cy, -s, c, my + s * cx - c * cy)
    turned = image.transform((side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return turned, left, top


def draw_trunks(view: View, trees: Trees, height: float) -> FloatArray:
    """Share of every pixel (H, W) that trunks cover, from the ground to the crowns: they lean away from the middle."""
    scale = 2
    image = Image.new("L", (view.width * scale, view.height * scale))
    draw = ImageDraw.Draw(image)
    tall = np.flatnonzero([kind != "shrub" for kind in trees.kinds])
    foot = np.column_stack([trees.positions[tall], np.zeros(len(tall))])
    pixels, depth = view.project(np.concatenate([foot, foot + np.array([0.0, 0.0, height])]))
    lower, upper = pixels[: len(tall)], pixels[len(tall) :]
    near = (depth[: len(tall)] > 1) & (depth[len(tall) :] > 1)
    size = np.array([view.width, view.height])
    near &= np.all((np.maximum(lower, upper) > 0) & (np.minimum(lower, upper) < size), axis=1)
    for i in np.flatnonzero(near):
        a, b = lower[i] * scale, upper[i] * scale
        half = max(0.5, scale * view.focal * 0.024 * trees.diameters[tall[i]] / depth[i])
        aside = np.array([a[1] - b[1], b[0] - a[0]]) * half / max(float(np.hypot(*(b - a))), 1e-6)
        corners = (a + aside, b + 0.55 * aside, b - 0.55 * aside, a - aside)
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    return np.asarray(image.reduce(scale), np.float32) / np.float32(255)


class Canopy:
    """The layer of crowns of one world, on a raster in the plane of the crowns."""

    def __init__(self, settings: CanopySettings, trees: Trees, raster: Raster, sun: float, azimuth: float) -> None:
        self.settings = settings
        self.trees = trees
        self.raster = raster
        self.sun = sun
        self.azimuth = np.radians(azimuth)
        self.pixels = raster.pixels(trees.positions) if len(trees.positions) else np.zeros((0, 2))

    def window(self, window: Window) -> tuple[FloatArray, FloatArray]:
        """Cover (0 to 1) and warmth (in spreads) of a window of the raster, each float32 (height, width)."""
        cover = np.zeros((window.height, window.width), np.float32)
        warmth = np.zeros((window.height, window.width), np.float32)
        for index in self.within(window):
            self._add(cover, warmth, int(index), window)
        return cover, warmth

    def within(self, window: Window) -> npt.NDArray[np.int64]:
        """The trees whose crowns reach into a window, smaller ones first."""
        reach = self.trees.diameters / self.raster.gsd
        local = self.pixels - (window.left, window.top)
        inside = np.all(
            (local > -reach[:, None]) & (local < np.array([window.width, window.height]) + reach[:, None]), 1
        )
        found = np.flatnonzero(inside)
        return np.asarray(found[np.argsort(self.trees.diameters[found], kind="stable")], np.int64)

    def _add(self, cover: FloatArray, warmth: FloatArray, index: int, window: Window) -> None:
        trees = self.trees
        across = trees.diameters[index] / self.raster.gsd
        levels = template(trees.kinds[index], int(trees.variants[index]))
        level = 0 if across > SIZE * 0.66 else 1 if across > SIZE * 0.33 else 2
        image = levels[level]
        centre = self.pixels[index] - (window.left, window.top)
        turned, left, top = stamp(
            image, float(trees.turns[index]), across / image.size[0], (float(centre[0]), float(centre[1]))
        )
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + turned.size[0], window.width), min(top + turned.size[1], window.height)
        if x1 <= x0 or y1 <= y0:
            return
        values = np.asarray(turned)[y0 - top : y1 - top, x0 - left : x1 - left]
        alpha = values[:, :, 1].astype(np.float32) / np.float32(255)
        heat = (values[:, :, 0].astype(np.float32) - 128) / np.float32(32)
        heat = heat + np.float32(self.settings.contrast + trees.warmth[index])
        if self.sun > 0.05:
            # The side towards the sun is warmer.
            east = (np.arange(x0, x1) - centre[0]) / across
            south = (np.arange(y0, y1) - centre[1]) / across
            lit = np.sin(self.azimuth) * east[None, :] - np.cos(self.azimuth) * south[:, None]
            heat = heat + (1.6 * self.sun * lit).astype(np.float32)
        part = np.s_[y0:y1, x0:x1]
        warmth[part] = warmth[part] * (1 - alpha) + heat * alpha
        cover[part] = cover[part] + alpha * (1 - cover[part])
