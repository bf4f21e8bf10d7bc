"""Which other training frames a frame may be mixed with, and at what magnification: for copy-paste and mosaic."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nightherd.datasets.types import Dataset, LabelledImage

TRIES = 8
MOST_TILT = 15.0
"""Objects are not pasted between frames whose camera angles differ by more degrees: one shows backs, one flanks."""
MAGNIFICATION = (0.5, 2.0)
"""Objects that would have to be shrunk or blown up by more are not pasted."""
UNKNOWN = (0.8, 1.25)
"""Magnification within a data set whose frames do not tell how large a pixel is on the ground."""


def _number(image: LabelledImage, name: str) -> float | None:
    value = image.attributes.get(name)
    return float(value) if isinstance(value, int | float) and value > 0 else None


def slant_range(image: LabelledImage) -> float | None:
    """Metres from the camera to the ground at the centre: altitude / sin(camera angle); None where unknown."""
    altitude, angle = _number(image, "altitude"), _number(image, "camera_angle")
    return None if altitude is None or angle is None else altitude / math.sin(math.radians(min(angle, 90.0)))


def magnification(source: LabelledImage, target: LabelledImage) -> float | None:
    """By how much an object of one frame is to be magnified to be as large on the ground in another; None if unknown.

    The ratio of `ground_sample_distance` where both frames tell it; else that of their slant ranges, which takes them
    to be of one camera, and holds at the centre of an oblique frame.
    """
    known = _number(source, "ground_sample_distance"), _number(target, "ground_sample_distance")
    if known[0] is not None and known[1] is not None:
        return known[0] / known[1]
    far = slant_range(source), slant_range(target)
    return far[0] / far[1] if far[0] is not None and far[1] is not None else None


class Companions:
    """Other frames of the data set that a frame is of."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self._datasets = datasets
        self._of = {id(image): n for n, dataset in enumerate(datasets) for image in dataset.images}
        self._with_boxes = [[image for image in dataset.images if len(image.boxes)] for dataset in datasets]

    def some(self, image: LabelledImage, n: int, generator: np.random.Generator) -> list[LabelledImage]:
        """Any n images of the same data set."""
        images = self._datasets[self._of[id(image)]].images
        return [images[int(i)] for i in generator.integers(len(images), size=n)]

    def donor(self, image: LabelledImage, generator: np.random.Generator) -> tuple[LabelledImage, float] | None:
        """An image with objects that fit into this one, and their magnification; None where none was found."""
        images = self._with_boxes[self._of[id(image)]]
        for i in generator.integers(len(images), size=TRIES) if images else ():
            source = images[int(i)]
            factor = magnification(source, image)
            if factor is None:
                return source, float(np.exp(generator.uniform(*np.log(UNKNOWN))))
            tilts = _number(source, "camera_angle"), _number(image, "camera_angle")
            tilt = abs((tilts[0] or 90.0) - (tilts[1] or 90.0))
            if MAGNIFICATION[0] <= factor <= MAGNIFICATION[1] and tilt <= MOST_TILT:
                return source, factor
        return None
