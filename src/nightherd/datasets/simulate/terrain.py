"""Temperature of the ground: covers that meet along ragged edges, each with its own texture; paths and water.

Until the last line everything is in units of the scene's `spread` about the air temperature: contrast is one knob.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from nightherd.datasets.simulate.geometry import Raster
from nightherd.datasets.simulate.noise import Field, Fractal, Window, smoothstep
from nightherd.datasets.simulate.settings import TerrainSettings
from nightherd.types import FloatArray


@dataclass(frozen=True, slots=True)
class Cover:
    """How a ground cover looks in the thermal: offsets by night and in full sun, and amplitudes of its textures.

    Attributes:
        night, day: offset from the air temperature in spreads.
        broad, middle, tuft, fine, grain: amplitude of noise of about 12 m, 3 m, 0.6 m, 2 pixels and 1 pixel.
        relief: how rough its surface is to low sun and cold sky.
        clumps: cold (negative) or warm plants and stones that stand in it as separate blots.
        spikes: skewness of the tufts: only the tips stick out.
        rows: amplitude of parallel furrows.
    """

    night: float
    day: float
    broad: float
    middle: float
    tuft: float
    fine: float
    grain: float
    relief: float
    clumps: float = 0.0
    spikes: float = 0.0
    rows: float = 0.0


COVERS: dict[str, Cover] = {
    "meadow": Cover(-0.6, 0.2, 0.5, 0.35, 0.25, 0.15, 0.06, 0.3, clumps=-0.3),
    "pasture": Cover(-0.5, 0.4, 0.6, 0.45, 0.3, 0.25, 0.1, 0.5, spikes=0.2),
    "snow": Cover(-1.2, -1.5, 0.5, 0.2, 0.2, 0.1, 0.05, 1.0),
    "tussock": Cover(-0.2, 0.6, 0.4, 0.3, 0.55, 0.3, 0.1, 1.4, spikes=0.3),
    "soil": Cover(0.5, 1.4, 0.5, 0.5, 0.3, 0.3, 0.15, 0.7),
    "rock": Cover(1.0, 1.8, 0.5, 0.6, 0.5, 0.4, 0.2, 1.3, clumps=1.2),
    "forest-floor": Cover(0.7, -0.5, 0.4, 0.55, 0.4, 0.3, 0.15, 0.4, spikes=0.3),
    "heath": Cover(0.2, 0.3, 0.5, 0.5, 0.4, 0.2, 0.1, 0.4, clumps=-1.6),
    "crops": Cover(-0.2, 0.2, 0.4, 0.25, 0.25, 0.25, 0.15, 0.6, rows=0.6),
    "asphalt": Cover(1.6, 2.0, 0.25, 0.15, 0.06, 0.05, 0.03, 0.1),
}

BANDS = ("broad", "middle", "tuft", "fine", "grain")
METRES = {"broad": 12.0, "middle": 3.0, "tuft": 0.6}


@dataclass(frozen=True, slots=True)
class Path:
    """A path, road, ditch or line of melted snow: points in metres of the site, width in metres, offset in spreads."""

    points: npt.NDArray[np.float64]
    width: float
    offset: float
    soft: float


def _curve(rng: np.random.Generator, extent: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
    """A gently winding line through the extent (x0, y0, x1, y1) and well beyond it."""
    x0, y0, x1, y1 = extent
    size = max(x1 - x0, y1 - y0)
    centre = np.array([rng.uniform(x0, x1), rng.uniform(y0, y1)])
    heading = rng.uniform(0, 2 * np.pi)
    steps = 48
    turning = np.cumsum(rng.normal(0, 0.10 * rng.uniform(0.1, 1.4), steps))
    turning -= turning[steps // 2]
    headings = heading + turning
    stride = 2.4 * size / steps
    line = np.cumsum(np.stack([np.cos(headings), np.sin(headings)], axis=1) * stride, axis=0)
    return np.asarray(line - line[steps // 2] + centre, np.float64)


class Ground:
    """The ground of one world.

    Args:
        settings: what it is made of.
        raster: where its pixels lie; wavelengths follow from its metres a pixel.
        extent: x0, y0, x1, y1 of the surveyed site, metres.
        rng: where everything random comes from.
    """

    def __init__(
        self,
        settings: TerrainSettings,
        raster: Raster,
        extent: tuple[float, float, float, float],
        rng: np.random.Generator,
    ) -> None:
        self.settings = settings
        self.raster = raster
        gsd = raster.gsd
        wind = rng.uniform(0, np.pi)
        stretch = float(rng.choice([1.0, 1.0, 1.6, 2.5]))
        self.bands: dict[str, Fractal | Field] = {
            "broad": Fractal(rng, METRES["broad"] * float(np.exp(rng.normal(0.2, 0.5))) / gsd, 3, 0.55),
            "middle": Fractal(rng, METRES["middle"] / gsd, 5, 0.62, stretch, wind),
            "tuft": Fractal(rng, max(1.2, METRES["tuft"] * rng.uniform(0.6, 1.4) / gsd), 5, 0.72, stretch, wind),
            "fine": Field(rng, max(1.3, rng.uniform(0.06, 0.16) / gsd)),
            "grain": Field(rng, 1.0),
        }
        self.broad = np.float32(rng.uniform(0.1, 0.9))
        self.middle = np.float32(rng.uniform(0.5, 1.1))
        patch = settings.patch_size / gsd
        self.edges = [Fractal(rng, patch, 6, 0.55) for _ in settings.covers[1:]]
        self.thresholds = [float(rng.uniform(-0.3, 0.9)) for _ in self.edges]
        self.softness = [float(np.exp(rng.uniform(np.log(0.1), np.log(1.1)))) for _ in self.edges]
        self.clumps = Fractal(rng, rng.uniform(1.0, 2.6) / gsd, 4, 0.55)
        self.clump_threshold = float(rng.uniform(0.7, 1.4))
        self.clump_softness = float(rng.uniform(0.5, 1.2))
        self.gather = Fractal(rng, rng.uniform(12, 40) / gsd, 3, 0.5)
        self.tilt = rng.normal(0, 0.35, 2) / max(20.0, max(extent[2] - extent[0], extent[3] - extent[1]) / 2)
        self.centre = ((extent[0] + extent[2]) / 2, (extent[1] + extent[3]) / 2)
        self.row_angle = float(rng.uniform(0, np.pi))
        self.row_spacing = float(rng.uniform(0.5, 3.0))
        self.paths = self._paths(rng, extent)
        self.shore = Fractal(rng, rng.uniform(20, 60) / gsd, 7, 0.58)
        self.water_level = float(np.quantile(rng.standard_normal(4096), 1 - settings.water)) if settings.water else 9.0
        self.water_offset = float(rng.uniform(0.5, 3.0) * (1 if settings.sun < 0.4 else -1.2))
        self.light = np.radians(settings.sun_azimuth) if settings.sun > 0.05 else float(rng.uniform(0, 2 * np.pi))

    def _paths(self, rng: np.random.Generator, extent: tuple[float, float, float, float]) -> list[Path]:
        paths: list[Path] = []
        for _ in range(self.settings.paths):
            curve = _curve(rng, extent)
            offset = float(rng.choice([1.0, 1.0, -0.7]) * rng.uniform(0.4, 1.8))
            if rng.random() < 0.35:
                # The two ruts of a vehicle track.
                step = np.gradient(curve, axis=0)
                normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(step[:, 0], step[:, 1])[:, None]
                paths += [Path(curve + side * 0.9 * normal, 0.5, offset, 0.12) for side in (-1, 1)]
            else:
                width = float(np.exp(rng.uniform(np.log(0.35), np.log(4.5))))
                paths.append(Path(curve, width, offset, float(rng.uniform(0.03, 0.2))))
        return paths

    def is_water(self, x: float, y: float) -> bool:
        """Whether a place of the site, metres, is under water."""
        if self.settings.water <= 0:
            return False
        column, row = self.raster.pixels(np.array([[x, y]]))[0].astype(int)
        return float(self.shore.window(Window(int(column), int(row), 1, 1))[0, 0]) > self.water_level

    def window(self, window: Window) -> FloatArray:
        """Temperature of a window of the raster, float32 (height, width), °C, without anything that stands on it."""
        pad = 2
        wide = Window(window.left - pad, window.top - pad, window.width + 2 * pad, window.height + 2 * pad)
        covers = [COVERS[name] for name in self.settings.covers]
        bands = {band: source.window(wide) for band, source in self.bands.items()}
        masks = self._masks(wide, np.float32(0.16) * bands["tuft"])
        weights = {band: self._mix(masks, [getattr(cover, band) for cover in covers]) for band in BANDS}
        texture = np.float32(self.settings.texture)

        sun = self.settings.sun
        level = self._mix(masks, [cover.night * (1 - sun) + cover.day * sun for cover in covers])
        level = level + self.broad * weights["broad"] * bands["broad"]
        level = level + self.middle * weights["middle"] * bands["middle"]
        spikes = self._mix(masks, [cover.spikes for cover in covers])
        tufts = bands["tuft"] + spikes * (np.square(np.maximum(bands["tuft"], 0)) - np.float32(0.5))
        small = weights["tuft"] * tufts + weights["fine"] * bands["fine"] + weights["grain"] * bands["grain"]
        level = level + texture * small

        relief = self.settings.relief
        if relief > 0:
            rough = self._mix(masks, [cover.relief for cover in covers])
            height = bands["tuft"] * np.float32(0.8) + bands["fine"] * np.float32(0.35)
            slope = np.zeros_like(height)
            slope[:, 1:] += np.float32(np.sin(self.light)) * (height[:, 1:] - height[:, :-1])
            slope[1:] -= np.float32(np.cos(self.light)) * (height[1:] - height[:-1])
            reach = max(1.0, METRES["tuft"] / self.raster.gsd / 4)
            level = level + np.float32(relief * reach * (0.5 + sun)) * rough * slope

        clumps = self._mix(masks, [cover.clumps for cover in covers])
        if np.any(clumps):
            field = self.clumps.window(wide) + np.float32(0.7) * self.gather.window(wide)
            shape = smoothstep(field, self.clump_threshold, self.clump_threshold + self.clump_softness)
            level = level + clumps * shape * (1 + np.float32(0.35) * bands["tuft"])
        level = level + self._rows(wide, masks, covers, bands["tuft"])
        level = level[pad:-pad, pad:-pad]
        x = self.raster.left + (window.left + np.arange(window.width) + 0.5) * self.raster.gsd - self.centre[0]
        y = self.raster.top - (window.top + np.arange(window.height) + 0.5) * self.raster.gsd - self.centre[1]
        level = level + (self.tilt[0] * x[None, :] + self.tilt[1] * y[:, None]).astype(np.float32)
        level = self._drawn(level, window, bands["tuft"][pad:-pad, pad:-pad])
        result: FloatArray = (np.float32(self.settings.air) + np.float32(self.settings.spread) * level).astype(
            np.float32
        )
        return result

    def _masks(self, window: Window, ragged: FloatArray) -> list[FloatArray]:
        """Share of every cover in every pixel; they sum to one."""
        rest = np.ones((window.height, window.width), np.float32)
        others = []
        for edge, threshold, soft in zip(self.edges, self.thresholds, self.softness, strict=True):
            mask = smoothstep(edge.window(window) + ragged, threshold - soft / 2, threshold + soft / 2) * rest
            others.append(mask)
            rest = rest - mask
        return [rest, *others]

    @staticmethod
    def _mix(masks: list[FloatArray], values: list[float]) -> FloatArray:
        result = masks[0] * np.float32(values[0])
        for mask, value in zip(masks[1:], values[1:], strict=True):
            if value:
                result += mask * np.float32(value)
        return result

    def _rows(self, window: Window, masks: list[FloatArray], covers: list[Cover], tuft: FloatArray) -> FloatArray:
        amplitude = self._mix(masks, [cover.rows for cover in covers])
        if not np.any(amplitude):
            return amplitude
        spacing = self.row_spacing / self.raster.gsd
        x = (window.left + np.arange(window.width)) * np.cos(self.row_angle)
        y = (window.top + np.arange(window.height)) * np.sin(self.row_angle)
        phase = (2 * np.pi / spacing * (x[None, :] + y[:, None])).astype(np.float32) + np.float32(0.3) * tuft
        result: FloatArray = amplitude * np.sin(phase) * (1 + np.float32(0.3) * tuft)
        return result

    def _drawn(self, level: FloatArray, window: Window, ragged: FloatArray) -> FloatArray:
        """Paths and water over the ground."""
        for path in self.paths:
            points = self.raster.pixels(path.points) - (window.left, window.top)
            width = path.width / self.raster.gsd
            margin = width + 4
            inside = (
                (points[:, 0].max() > -margin)
                & (points[:, 1].max() > -margin)
                & (points[:, 0].min() < window.width + margin)
                & (points[:, 1].min() < window.height + margin)
            )
            if not inside:
                continue
            mask = Image.new("L", (window.width, window.height))
            ImageDraw.Draw(mask).line([tuple(p) for p in points], fill=255, width=max(1, round(width)), joint="curve")
            soft = max(0.7, path.soft / self.raster.gsd)
            alpha = ndimage.gaussian_filter(np.asarray(mask, np.float32) / np.float32(255), soft, truncate=2.5)
            alpha = smoothstep(alpha + np.float32(0.13) * ragged * (alpha > 0.02), 0.15, 0.85)
            level = level * (1 - np.float32(0.5) * alpha) + np.float32(path.offset) * alpha
        if self.settings.water > 0:
            wet = smoothstep(self.shore.window(window), self.water_level, self.water_level + 0.08)
            level = level * (1 - wet) + np.float32(self.water_offset) * wet
        return level
