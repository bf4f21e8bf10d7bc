"""The one normalisation between a frame in any unit and the network's input, shared by training and inference.

It removes gain and offset (a camera's AGC, a season, a unit) with the median and the interquartile range, and keeps
what sticks out: beyond the bulk of the image the scale is logarithmic, so a hot animal neither saturates nor
flattens the rest, and 16-bit input keeps its 16 bits.
"""

from __future__ import annotations

import numpy as np

from nightherd.types import FloatArray

NORMALISATION = "robust-asinh-1"
"""Name and version of the rule, written into every model file; a model made with another is refused."""


def normalise(pixels: FloatArray) -> FloatArray:
    """Maps pixels of any unit to the network's input.

    z = (x - median) / (IQR / 1.349), the robust z-score (1.349 = IQR of a standard normal), then asinh(z): linear
    for |z| < 1, logarithmic beyond. Invariant to x -> a x + b for a > 0.

    Args:
        pixels: (H, W), any real dtype and unit, warm is high; NaN and infinities mark pixels without a value. A border
            of exact zeros (an undistorted frame) is left out of the statistics where it is under half of the image.

    Returns:
        float32 (H, W), 0 where there is no value, about -2 to 3 in ordinary scenes. An image with one value is all 0.
    """
    image = np.asarray(pixels, np.float32)
    finite = np.isfinite(image)
    usable = finite if finite.all() else image[finite]
    values = image.ravel() if usable is finite else usable
    if values.size == 0:
        return np.zeros(image.shape, np.float32)
    sample = values[:: max(1, values.size // 65_536)]
    nonzero = sample[sample != 0]
    if 2 * nonzero.size > sample.size:
        sample = nonzero
    low, median, high = np.percentile(sample.astype(np.float64), (25, 50, 75))
    spread = (high - low) / 1.349
    if spread <= 0:
        spread = float(np.std(values, dtype=np.float64))
    if spread <= 1e-12 * max(1.0, abs(median)):
        return np.zeros(image.shape, np.float32)
    z = (image - np.float32(median)) * np.float32(1.0 / spread)
    if usable is not finite:
        z[~finite] = 0.0
    result: FloatArray = np.arcsinh(z, dtype=np.float32)
    return result
