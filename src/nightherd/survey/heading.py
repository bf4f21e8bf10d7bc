"""Whether the recorded heading fits the pictures: neighbouring frames are registered and compared with the GPS track.

Files of real flights carry yaws that are tens of degrees wrong, which moves everything on the map that is not straight
below the camera. Two overlapping frames show which way the camera moved across the image; the GPS says which way it
moved over the ground; the difference is the heading. Registration is phase correlation (Kuglin and Hines 1975).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nightherd.survey.georeference import Placement, lonlat_to_ground
from nightherd.types import FloatArray

MAX_PITCH = -80.0
"""Degrees; frames that look less steeply down shear against each other and are not compared."""

MIN_SHIFT, MAX_SHIFT = 0.05, 0.6
"""Shares of the shorter side of the frame that two neighbours may lie apart."""

MIN_PEAK = 9.0
"""A registration counts when its peak stands this many standard deviations out of the correlation around it."""

MIN_PAIRS, PAIRS_TO_CORRECT = 3, 5

AGREEMENT = 15.0
"""Degrees that recorded and measured heading may differ before the reader is told."""

CLOSE = 8.0
"""Degrees around their median within which nine pairs in ten must lie for the recorded heading to be corrected."""


@dataclass(frozen=True, slots=True)
class HeadingCheck:
    """What the pictures say about the recorded heading of a flight.

    Attributes:
        offset: degrees clockwise from the recorded heading to the measured one, the median over pairs of frames.
        spread: degrees, the median distance of a pair from that.
        close: pairs within `CLOSE` of the median.
        pairs: registered pairs.
    """

    offset: float
    spread: float
    close: int
    pairs: int

    @property
    def agrees(self) -> bool:
        """Whether the recorded heading fits the pictures."""
        return abs(self.offset) <= AGREEMENT and self.spread <= AGREEMENT

    @property
    def corrects(self) -> bool:
        """Whether the recorded heading is off by one angle throughout, so that turning by `offset` mends it."""
        return not self.agrees and self.pairs >= PAIRS_TO_CORRECT and self.close >= 0.9 * self.pairs

    @property
    def sigma(self) -> float:
        """One sigma of the recorded heading, degrees, where it is used as it is."""
        return math.hypot(self.offset, 1.4826 * self.spread)


def are_comparable(first: Placement, second: Placement) -> bool:
    """Whether two frames look straight down, know their yaw, and overlap enough to be registered."""
    views = (first.view, second.view)
    if not (first.is_yaw_known and second.is_yaw_known) or any(view.pitch > MAX_PITCH for view in views):
        return False
    if (views[0].columns, views[0].rows) != (views[1].columns, views[1].rows):
        return False
    if abs(turn(views[1].yaw - views[0].yaw)) > 10 or abs(views[1].height / views[0].height - 1) > 0.1:
        return False
    moved = lonlat_to_ground(first.lon, first.lat, [second.lon], [second.lat])[0]
    shift = float(np.hypot(*moved)) / views[0].ground_sample_distance
    side = min(views[0].columns, views[0].rows)
    return MIN_SHIFT * side <= shift <= MAX_SHIFT * side


def measured_yaw(
    first: FloatArray, second: FloatArray, moved: tuple[float, float], metres_per_pixel: float
) -> float | None:
    """The yaw at which two frames that look straight down agree with the way the camera moved.

    Args:
        first, second: (H, W), neighbouring frames in any unit.
        moved: metres east and north that the camera moved between them.
        metres_per_pixel: on the ground.

    Returns:
        Degrees clockwise from north of the top of the image, or None where the frames cannot be registered.
    """
    correlation = _phase_correlation(_texture(first), _texture(second))
    rows, columns = correlation.shape
    y = np.fft.fftfreq(rows, 1 / rows)[:, None]
    x = np.fft.fftfreq(columns, 1 / columns)[None, :]
    expected = math.hypot(*moved) / metres_per_pixel
    distance = np.hypot(x, y)
    ring = (distance > 0.75 * expected) & (distance < 1.25 * expected)
    values = correlation[ring]
    if values.size < 50:
        return None
    peak = int(values.argmax())
    if values[peak] - np.median(values) <= MIN_PEAK * float(np.std(values)):
        return None
    at_y, at_x = np.argwhere(ring)[peak]
    across, up = float(x[0, at_x]), -float(y[at_y, 0])
    return turn(math.degrees(math.atan2(moved[0], moved[1]) - math.atan2(across, up)))


def check_heading(offsets: Sequence[float]) -> HeadingCheck | None:
    """Sums up the differences of measured and recorded yaw of pairs of frames.

    Args:
        offsets: degrees, measured minus recorded yaw.

    Returns:
        The check, or None for fewer than `MIN_PAIRS` pairs.
    """
    if len(offsets) < MIN_PAIRS:
        return None
    distances = [sorted(abs(turn(a - b)) for b in offsets) for a in offsets]
    middle = min(range(len(offsets)), key=lambda i: sum(distances[i]))
    close = sum(distance <= CLOSE for distance in distances[middle])
    return HeadingCheck(turn(offsets[middle]), float(np.median(distances[middle])), close, len(offsets))


def turn(degrees: float) -> float:
    """An angle brought to -180 (excluded) to 180 degrees."""
    return -((180.0 - degrees) % 360.0 - 180.0)


def _texture(pixels: FloatArray) -> FloatArray:
    """The image without its broad brightness and its edges, so that only texture registers."""
    image = np.where(np.isfinite(pixels), pixels, np.nanmedian(pixels) if np.isfinite(pixels).any() else 0.0)
    detail = ndimage.gaussian_filter(image.astype(np.float32), 1.0) - ndimage.gaussian_filter(image, 8.0)
    spread = float(detail.std())
    if spread <= 1e-6 * float(np.abs(image).max()):
        return np.zeros(image.shape, np.float32)
    limited = np.clip(detail / spread, -4, 4)
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])[None, :]
    return np.asarray(limited * window, np.float32)


def _phase_correlation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Correlation whose peak lies at the camera's shift from first to second, in pixels right and down."""
    spectrum = np.fft.rfft2(first) * np.conj(np.fft.rfft2(second))
    spectrum /= np.abs(spectrum) + 1e-9
    return np.asarray(ndimage.gaussian_filter(np.fft.irfft2(spectrum, first.shape), 1.0, mode="wrap"), np.float32)
