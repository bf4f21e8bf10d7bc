"""From temperatures to a file's pixels: optics, bolometer noise, fixed pattern, and the gain control of the display.

Gain control follows what cameras do: linear between percentiles, plateau equalisation (Vickers 1996), a base and
detail split with the detail enhanced, or a fixed span.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from nightherd.datasets.simulate.settings import CameraSettings
from nightherd.types import FloatArray

ByteArray = npt.NDArray[np.uint8]


class Camera:
    """One camera on one flight: its fixed pattern stays, its noise does not.

    Args:
        settings: lens to file.
        rng: where the fixed pattern comes from.
    """

    def __init__(self, settings: CameraSettings, rng: np.random.Generator) -> None:
        self.settings = settings
        h, w = settings.height, settings.width
        amount = settings.fixed_pattern
        columns = rng.normal(0, 0.6 * amount, w) + np.convolve(rng.normal(0, amount, w), np.ones(5) / 5, "same")
        rows = rng.normal(0, 0.35 * amount, h)
        blotches = Image.fromarray(rng.standard_normal((8, 10), dtype=np.float32)).resize(
            (w, h), Image.Resampling.BICUBIC
        )
        pattern = columns[None, :] + rows[:, None] + 0.8 * amount * np.asarray(blotches)
        y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
        centre = rng.normal(0, 0.12, 2)
        radius = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
        self.offset: FloatArray = (pattern - settings.vignetting * radius / 2).astype(np.float32)
        self.border = _border(w, h) if settings.undistorted_border else None

    def expose(self, scene: FloatArray, smear: float, rng: np.random.Generator) -> FloatArray:
        """What the bolometer reads.

        Args:
            scene: float32 (H, W), °C at infinite sharpness.
            smear: pixels that the image moves along its columns while the bolometer settles.
            rng: of this frame.
        """
        s = self.settings
        along = float(np.hypot(s.blur, smear / np.sqrt(12)))
        image = scene
        if max(s.blur, along) > 0.2:
            image = ndimage.gaussian_filter(scene, (along, s.blur), truncate=2.6)
        noise = rng.standard_normal(scene.shape, dtype=np.float32)
        if s.width > 700:
            # Larger frames are upsampled from a smaller sensor: the noise is too.
            noise = ndimage.gaussian_filter(noise, 0.7, truncate=2.5) * np.float32(2.2)
        result: FloatArray = image + self.offset + np.float32(s.netd) * noise
        return result

    def develop(self, reading: FloatArray) -> ByteArray:
        """8 bits as the display has them, uint8 (H, W)."""
        s = self.settings
        low, high = s.agc_levels
        sample = reading[::2, ::2]
        if s.agc == "fixed":
            middle = float(np.median(sample))
            level = (reading - np.float32(middle)) / np.float32(s.agc_span) + np.float32(0.4)
        elif s.agc == "plateau":
            level = _plateau(reading, sample, s.agc_clip)
        elif s.agc == "detail":
            level = _detail(reading, s.agc_clip)
        else:
            a, b = np.percentile(sample, (s.agc_clip, 100 - s.agc_clip))
            level = (reading - np.float32(a)) / np.float32(max(b - a, 0.3))
        if s.sharpening > 0.5:
            # What is too hot for the range is cut before it is sharpened, which leaves its rim brighter than itself.
            level = np.minimum(level, np.float32(0.93))
        if s.sharpening > 0:
            level = level + np.float32(s.sharpening) * (level - ndimage.gaussian_filter(level, 1.2, truncate=2.5))
        grey = np.clip(np.float32(low) + level * np.float32(high - low), 0, 255)
        pixels = (grey + np.float32(0.5)).astype(np.uint8)
        if s.smoothing > 0:
            soft = _median(pixels)
            if s.smoothing > 1:
                soft = _median(soft)
            share = np.float32(min(1.0, s.smoothing))
            pixels = (pixels * (1 - share) + soft * share + np.float32(0.5)).astype(np.uint8)
        if s.polarity == "black-hot":
            pixels = 255 - pixels
        if self.border is not None:
            pixels = np.where(self.border, pixels, 0).astype(np.uint8)
        return np.asarray(pixels, np.uint8)

    def counts(self, reading: FloatArray) -> npt.NDArray[np.uint16]:
        """16 bits in hundredths of a kelvin, as FLIR and Workswell write linear TIFFs: °C = counts / 100 - 273.15."""
        values = np.clip((reading + 273.15) * 100 + 0.5, 0, 65535)
        return np.asarray(values if self.border is None else values * self.border, np.uint16)


def _plateau(reading: FloatArray, sample: FloatArray, clip: float) -> FloatArray:
    """Histogram equalisation whose histogram is cut at a plateau, so that a flat ground does not take every level."""
    a, b = np.percentile(sample, (clip / 4, 100 - clip / 4))
    bins = 512
    scaled = np.clip((reading - np.float32(a)) * np.float32((bins - 1) / max(b - a, 0.3)), 0, bins - 1)
    histogram = np.bincount(scaled[::2, ::2].astype(np.int32).ravel(), minlength=bins).astype(np.float64)
    histogram = np.minimum(histogram, 3.0 * histogram.mean()) + 0.2 * histogram.mean()
    table = np.cumsum(histogram)
    table = (table - table[0]) / max(table[-1] - table[0], 1e-9)
    result: FloatArray = np.interp(scaled, np.arange(bins), table).astype(np.float32)
    return result


def _detail(reading: FloatArray, clip: float) -> FloatArray:
    """Broad structure compressed, detail enhanced: small warm bodies saturate and grow bright rims."""
    small = reading[::4, ::4]
    base_small = ndimage.gaussian_filter(small, 6.0, truncate=2.5)
    base = np.asarray(
        Image.fromarray(base_small.astype(np.float32)).resize(reading.shape[::-1], Image.Resampling.BILINEAR),
        np.float32,
    )
    detail = reading - base
    a, b = np.percentile(base_small, (clip, 100 - clip))
    spread = float(np.std(detail[::2, ::2])) or 1.0
    sigma = min(spread, 1.6 * float(np.diff(np.percentile(detail[::2, ::2], (25, 75)))[0]) + 1e-3)
    result: FloatArray = (
        np.float32(0.18)
        + np.float32(0.45) * (base - np.float32(a)) / np.float32(max(b - a, 0.3))
        + np.float32(0.13 / sigma) * detail
    )
    return result


def _median(pixels: ByteArray) -> ByteArray:
    """The median of three along rows and then along columns: flat patches with crisp edges, as coded video has them."""
    result = pixels.copy()
    a, b, c = pixels[:, :-2], pixels[:, 1:-1], pixels[:, 2:]
    result[:, 1:-1] = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    a, b, c = result[:-2].copy(), result[1:-1].copy(), result[2:].copy()
    result[1:-1] = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    return result


def _border(width: int, height: int) -> npt.NDArray[np.bool_]:
    """Where an undistorted frame has pixels: inside edges that bow outward at the corners, as BAMBI's frames do."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    rows = 0.80 + 0.055 * x**2 if width == height else 0.965 + 0.03 * x**2
    columns = 0.98 + 0.03 * y**2
    return np.asarray((np.abs(y) < rows) & (np.abs(x) < columns), np.bool_)
