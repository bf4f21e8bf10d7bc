"""What a microbolometer adds to a scene: noise (NETD), fixed patterns of rows and columns, shading, dead pixels.

Every function takes an image float32 (H, W) in any unit and returns a new one of the same shape and unit.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from nightherd.types import FloatArray


def white_noise(image: FloatArray, low: float, high: float, generator: np.random.Generator) -> FloatArray:
    """Adds noise of a standard deviation between `low` and `high`, in the image's own unit."""
    noise = generator.standard_normal(image.shape, np.float32) * np.float32(generator.uniform(low, high))
    return (image + noise).astype(np.float32)


def stripes(image: FloatArray, low: float, high: float, generator: np.random.Generator) -> FloatArray:
    """Adds a shift to each row, or to each column, of a standard deviation between `low` and `high`, in its unit."""
    strength = np.float32(generator.uniform(low, high))
    axis = int(generator.integers(2))
    shape = (image.shape[0], 1) if axis == 0 else (1, image.shape[1])
    return (image + generator.standard_normal(shape, np.float32) * strength).astype(np.float32)


def shading(image: FloatArray, most: float, generator: np.random.Generator) -> FloatArray:
    """Adds a smooth ramp and vignette, as of a warm lens, of up to `most`, in its unit, between centre and corner."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in image.shape)
    ramp, tilt, bowl = generator.uniform(-0.5, 0.5), generator.uniform(-0.5, 0.5), generator.uniform(-1, 1)
    shade = ramp * x[None, :] + tilt * y[:, None] + bowl * (x[None, :] ** 2 + y[:, None] ** 2) / 2
    return (image + np.float32(most / 2) * shade).astype(np.float32)


def dead_pixels(image: FloatArray, share: float, generator: np.random.Generator) -> FloatArray:
    """Sets up to a `share` (0 to 1) of the pixels to the coldest or warmest of the image."""
    n = int(generator.uniform(0, share) * image.size) + 1
    where = generator.integers(image.size, size=n)
    result = np.array(image, np.float32)
    result.ravel()[where] = np.where(generator.random(n) < 0.5, image.min(), image.max())
    return result


def detail_enhanced(image: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Holds the base layer back and brings the detail out, as the detail enhancement of many cameras does.

    Bodies larger than the base layer's blur turn hollow, warmer at the rim than inside, with a dark seam around.
    """
    blur = float(np.exp(generator.uniform(np.log(1.5), np.log(10.0))))
    base = ndimage.gaussian_filter(image, blur)
    kept, raised = generator.uniform(0.35, 0.95), generator.uniform(1.0, 2.0)
    result: FloatArray = (base * np.float32(kept) + (image - base) * np.float32(raised)).astype(np.float32)
    return result
