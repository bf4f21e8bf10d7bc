"""How faithful a saliency map is: does the model lose the object where the map is hot, and find it from that alone?

Deletion and insertion follow Petsiuk et al. 2018 (https://arxiv.org/abs/1806.07421), the pointing game Zhang et al.
2016 (https://arxiv.org/abs/1608.00507). An animal of 20 pixels is a thousandth of a frame, so pixels are counted in
areas of the object's box, not in percent of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nightherd.explanation.drise import similarity
from nightherd.explanation.types import Network, Target, pixels_of
from nightherd.types import FloatArray

BUDGET = 4.0
"""Areas of the box that are deleted or inserted in all."""

STEPS = 12
"""Equal steps in which that is done."""

WINDOW = 256
"""The network looks at this many pixels of a side around the target, or at eight times its longer side."""

Score = Callable[[FloatArray], float]
"""An image (H, W) → the target's score in it."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores as pixels go or come, (STEPS + 1,), and the budget spent at each, in areas of the box."""

    budget: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]

    @property
    def area(self) -> float:
        """The mean height of the curve (trapezoids)."""
        return float(np.trapezoid(self.scores, self.budget) / (self.budget[-1] - self.budget[0]))


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """What one map is worth.

    Attributes:
        deletion: mean share of the score that is left while the hottest pixels are deleted; low is good. None where
            the target has no score to lose.
        insertion: mean share of the score that is reached while they are put into the bare background; high is good.
        pointing: whether the hottest pixel lies in the box, or within `slack` of it.
        energy: share of the map's sum in the box.
        gain: that share over the box's share of the image's area; 1 is chance.
    """

    deletion: float | None
    insertion: float | None
    pointing: bool
    energy: float
    gain: float


def ranked(heat: FloatArray) -> npt.NDArray[np.int64]:
    """int64 (H · W,), places in the flattened map (H, W), hottest first; ties as a fixed shuffle has them."""
    shuffle = np.random.default_rng(0).permutation(heat.size)
    order = np.argsort(-heat.ravel()[shuffle], kind="stable")
    places: npt.NDArray[np.int64] = shuffle[order]
    return places


def deletion(score: Score, image: FloatArray, heat: FloatArray, target: Target, background: FloatArray) -> Curve:
    """The score while the hottest pixels give way to the background, from the whole image on.

    Args:
        score: of the target in an image.
        image, background, heat: (H, W).
        target: whose box is the unit of area.
    """
    return _curve(score, image, background, heat, target)


def insertion(score: Score, image: FloatArray, heat: FloatArray, target: Target, background: FloatArray) -> Curve:
    """The score while the hottest pixels are put into the background, from the bare background on; as `deletion`."""
    return _curve(score, background, image, heat, target)


def _curve(score: Score, start: FloatArray, end: FloatArray, heat: FloatArray, target: Target) -> Curve:
    order = ranked(heat)
    budget = np.linspace(0, BUDGET, STEPS + 1)
    now = start.copy()
    scores = []
    for areas in budget:
        places = order[: round(areas * max(target.area, 1.0))]
        now.ravel()[places] = end.ravel()[places]
        scores.append(score(now))
    return Curve(budget, np.array(scores))


def background_of(image: FloatArray, target: Target, pooled: int = 4) -> FloatArray:
    """The image (H, W) without anything as small as the target: a median over three times its longer side.

    Worked out on blocks of `pooled` pixels, and drawn smoothly between them.
    """
    height, width = image.shape
    rows, columns = -(-height // pooled), -(-width // pooled)
    padded = np.pad(image, ((0, rows * pooled - height), (0, columns * pooled - width)), mode="edge")
    blocks = np.median(padded.reshape(rows, pooled, columns, pooled), axis=(1, 3))
    side = max(3, round(3 * target.longer_side / pooled)) | 1
    calm = ndimage.median_filter(blocks, size=(min(side, 2 * rows - 1), min(side, 2 * columns - 1)), mode="nearest")
    large = ndimage.affine_transform(
        calm, [1 / pooled] * 2, offset=(1 / pooled - 1) / 2, output_shape=(height, width), order=1, mode="nearest"
    )
    return np.asarray(large, np.float32)


def points_at(heat: FloatArray, target: Target, slack: int = 3) -> bool:
    """The pointing game: whether the hottest pixel lies in the box widened by `slack` pixels; no for a flat map.

    Args:
        heat: (H, W), of the image's size.
        target: its box in the image's pixels.
        slack: pixels on each side.
    """
    if not heat.max() > heat.min():
        return False
    x1, y1, x2, y2 = target.box
    rows, columns = pixels_of((x1 - slack, y1 - slack, x2 + slack, y2 + slack), *heat.shape)
    return bool(heat[rows, columns].max() >= heat.max())


def energy_in_box(heat: FloatArray, target: Target) -> tuple[float, float]:
    """The share of the map's sum in the box, and that over the box's share of the area (1 is chance).

    A map of zeros says nothing about where: its share is the box's own, its gain 1.

    Args:
        heat: (H, W), of the image's size, not negative.
        target: its box in the image's pixels.
    """
    rows, columns = pixels_of(target.box, *heat.shape)
    inside = heat[rows, columns]
    share_of_area = inside.size / heat.size
    total = float(heat.sum(dtype=np.float64))
    share = float(inside.sum(dtype=np.float64)) / total if total > 0 else share_of_area
    return share, share / share_of_area


def measure(network: Network, image: FloatArray, heat: FloatArray, target: Target, stride: int = 32) -> Faithfulness:
    """All figures of one map.

    Deletion and insertion run the network two dozen times, so they run it on a window around the target; the score is
    `drise.similarity` to the target there, as a black box sees it.

    Args:
        network: finds objects in a normalised image.
        image, heat: (H, W), the sides of the image multiples of the stride.
        target: in the image's pixels.
        stride: sides of the window are multiples of it.
    """
    rows, columns = window_around(target, image.shape[0], image.shape[1], stride)
    x, y = columns.start, rows.start
    x1, y1, x2, y2 = target.box
    local = Target((x1 - x, y1 - y, x2 - x, y2 - y), target.label)

    def score(seen: FloatArray) -> float:
        return float(similarity([local], network(seen))[0])

    part, part_heat = image[rows, columns], heat[rows, columns]
    base = score(part)
    lost = gained = None
    if base > 0:
        background = background_of(part, local)
        lost = deletion(score, part, part_heat, local, background).area / base
        gained = insertion(score, part, part_heat, local, background).area / base
    share, gain = energy_in_box(heat, target)
    return Faithfulness(lost, gained, points_at(heat, target), share, gain)


def window_around(target: Target, height: int, width: int, stride: int) -> tuple[slice, slice]:
    """Rows and columns of the part of an image that `measure` shows to the network; multiples of the stride long."""
    wanted = max(WINDOW, 8 * target.longer_side)
    x1, y1, x2, y2 = target.box

    def along(low: float, high: float, length: int) -> slice:
        side = min(int(np.ceil(wanted / stride)) * stride, length)
        start = int(np.clip(round((low + high - side) / 2), 0, length - side))
        return slice(start, start + side)

    return along(y1, y2, height), along(x1, x2, width)
