"""Random fields over an endless plane: the same value at a place however large the window that asks for it.

Every field is a lattice of normal deviates (periodic, its period far larger than a frame), smoothly interpolated.
Natural ground, foliage and snow are sums of such fields over octaves (Perlin 1985; Fournier, Fussell & Carpenter 1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from nightherd.types import FloatArray

PERIOD = 128
"""Points of a lattice along either side before it repeats."""


COARSE = (4, 2)
"""How many times coarser the rasters are on which long waves are summed."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a raster of the ground: first column and row (pixels of the whole raster), width and height."""

    left: int
    top: int
    width: int
    height: int


def _crop(lattice: FloatArray, x0: int, y0: int, x1: int, y1: int) -> Image.Image:
    rows = np.arange(y0, y1) % lattice.shape[0]
    columns = np.arange(x0, x1) % lattice.shape[1]
    return Image.fromarray(lattice[rows[:, None], columns])


class Field:
    """One octave of noise, zero mean, about unit variance.

    Args:
        rng: where its lattice comes from.
        wavelength: pixels of the raster between two points of the lattice, at least 1.
        stretch: how many times longer its grains are along their axis than across it.
        angle: direction of that axis, radians clockwise from the raster's columns; matters where stretch is not 1.
    """

    def __init__(self, rng: np.random.Generator, wavelength: float, stretch: float = 1.0, angle: float = 0.0) -> None:
        self.wavelength = max(1.0, float(wavelength))
        self.stretch = float(stretch)
        self.angle = float(angle)
        self.lattice = rng.standard_normal((PERIOD, PERIOD), dtype=np.float32)
        # Interpolation between independent points loses variance; give it back.
        self.gain = 1.0 if self.wavelength < 1.5 else 1.35

    def window(self, window: Window, zoom: int = 1) -> FloatArray:
        """Values in a window of the raster, or of a raster `zoom` times coarser, float32 (height, width)."""
        if self.stretch == 1.0:
            return self._straight(window, self.wavelength / zoom)
        return self._turned(window, self.wavelength / zoom)

    def _straight(self, window: Window, wavelength: float) -> FloatArray:
        size = (window.width, window.height)
        left, top = window.left / wavelength, window.top / wavelength
        right = (window.left + window.width) / wavelength
        bottom = (window.top + window.height) / wavelength
        x0, y0 = int(np.floor(left)) - 3, int(np.floor(top)) - 3
        crop = _crop(self.lattice, x0, y0, int(np.ceil(right)) + 3, int(np.ceil(bottom)) + 3)
        box = (left - x0, top - y0, right - x0, bottom - y0)
        image = crop.resize(size, Image.Resampling.BICUBIC, box=box)
        return np.asarray(image, np.float32) * np.float32(self.gain)

    def _turned(self, window: Window, wavelength: float) -> FloatArray:
        along, across = wavelength * self.stretch, wavelength
        c, s = np.cos(self.angle), np.sin(self.angle)
        matrix = np.array([[c / along, s / along], [-s / across, c / across]])
        corners = np.array([[0, 0], [window.width, 0], [0, window.height], [window.width, window.height]], float)
        corners += (window.left, window.top)
        low = np.floor((corners @ matrix.T).min(axis=0)).astype(int) - 3
        high = np.ceil((corners @ matrix.T).max(axis=0)).astype(int) + 3
        crop = _crop(self.lattice, int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        offset = matrix @ np.array([window.left, window.top], float) - low
        coefficients = (matrix[0, 0], matrix[0, 1], offset[0], matrix[1, 0], matrix[1, 1], offset[1])
        size = (window.width, window.height)
        image = crop.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
        return np.asarray(image, np.float32) * np.float32(self.gain)


class Fractal:
    """A sum of octaves, each half as long as the one before, its amplitude falling by `roughness`.

    Args:
        rng: where its lattices come from.
        wavelength: of the longest octave, pixels of the raster.
        octaves: how many, fewer where a wavelength would fall under a pixel.
        roughness: amplitude of an octave over that of the one before it, 0.4 smooth to 0.8 rough.
        stretch, angle: as in `Field`.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        wavelength: float,
        octaves: int = 4,
        roughness: float = 0.55,
        stretch: float = 1.0,
        angle: float = 0.0,
    ) -> None:
        self.parts: list[tuple[float, Field]] = []
        total = 0.0
        for octave in range(octaves):
            length = wavelength / 2**octave
            if length < 1.0 and self.parts:
                break
            amplitude = roughness**octave
            # A lattice that starts at the same corner at every octave would line up there; the odd factor breaks it.
            odd = max(1.0, length * (1 + 0.037 * octave))
            # Grain of a few pixels shows no direction, and turned fields cost ten times as much.
            turned = stretch if odd >= 3 * COARSE[0] else 1.0
            self.parts.append((amplitude, Field(rng, odd, turned, angle)))
            total += amplitude**2
        self.scale = 1.0 / np.sqrt(total)

    def window(self, window: Window) -> FloatArray:
        """Values in a window of the raster, float32 (height, width), about unit variance.

        Octaves much longer than a pixel are summed on rasters 4 and 2 times coarser, aligned to the whole raster.
        """
        result = np.zeros((window.height, window.width), np.float32)
        rest = list(self.parts)
        for zoom in COARSE:
            broad = [part for part in rest if part[1].wavelength >= 3 * zoom]
            rest = rest[len(broad) :]
            if broad:
                result += _enlarged(broad, window, zoom)
        for amplitude, part in rest:
            result += np.float32(amplitude) * part.window(window)
        result *= np.float32(self.scale)
        return result


def _enlarged(parts: list[tuple[float, Field]], window: Window, zoom: int) -> FloatArray:
    """The sum of some octaves on a raster `zoom` times coarser, enlarged to a window."""
    left, top = window.left // zoom - 2, window.top // zoom - 2
    right, bottom = -(-(window.left + window.width) // zoom) + 2, -(-(window.top + window.height) // zoom) + 2
    coarse = Window(left, top, right - left, bottom - top)
    total = np.zeros((coarse.height, coarse.width), np.float32)
    for amplitude, part in parts:
        total += np.float32(amplitude) * part.window(coarse, zoom)
    x0, y0 = window.left / zoom - left, window.top / zoom - top
    box = (x0, y0, x0 + window.width / zoom, y0 + window.height / zoom)
    image = Image.fromarray(total).resize((window.width, window.height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(image, np.float32)


def smoothstep(values: FloatArray, low: float, high: float) -> FloatArray:
    """0 below `low`, 1 above `high`, a smooth rise (3t² - 2t³) between."""
    t = np.clip((values - np.float32(low)) * np.float32(1.0 / max(high - low, 1e-6)), 0.0, 1.0)
    result: FloatArray = (t * t * (3.0 - 2.0 * t)).astype(np.float32, copy=False)
    return result
