"""Whether boxes were written in another order than they are read in, told by the truth that they should lie on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.coco import xywh
from nightherd.evaluation.matching import iou_matrix
from nightherd.evaluation.types import Truth
from nightherd.types import Detections, FloatArray

Boxes = npt.NDArray[np.float64]

FEWEST_BOXES = 5
"""Of truth, for any evidence at all."""

READINGS: Mapping[str, Callable[[Boxes], Boxes]] = {
    "x1, y1, x2, y2": lambda raw: raw,
    "centre x, centre y, width, height": lambda raw: np.concatenate(
        [raw[:, :2] - raw[:, 2:] / 2, raw[:, :2] + raw[:, 2:] / 2], axis=1
    ),
}
"""What else four numbers may mean, and the corners that they then stand for."""


def misread(truth: Sequence[Truth], detections: Sequence[Detections]) -> str | None:
    """How boxes that were read as x, y, width, height are rather to be read.

    Args:
        truth: one per image, boxes.
        detections: one per image, same order, whatever their class.

    Returns:
        A sentence with the evidence where it is strong (another reading finds a fifth of the boxes or more, and five
        times as many as the one used), else None.
    """
    n_boxes = sum(len(image.boxes) for image in truth)
    if n_boxes < FEWEST_BOXES:
        return None
    if (message := _fractions(truth, detections)) is not None:
        return message
    as_read = _found(truth, [one.boxes for one in detections])
    for meaning, corners in READINGS.items():
        others = [corners(xywh(one.boxes)).astype(np.float32) for one in detections]
        found = _found(truth, others)
        if found >= max(0.2 * n_boxes, 5 * as_read, FEWEST_BOXES):
            return (
                f"the boxes look like {meaning}: read so they lie on {found:,} of {n_boxes:,} labelled boxes, read as "
                f"x, y, width, height on {as_read:,}; COCO results hold x, y, width, height"
            )
    return None


def _fractions(truth: Sequence[Truth], detections: Sequence[Detections]) -> str | None:
    """Whether every box lies within one pixel, as shares of the image do."""
    every = np.concatenate([np.zeros((0, 4), np.float32), *(one.boxes for one in detections)])
    if len(every) < FEWEST_BOXES or min((image.width for image in truth), default=0) < 16 or every.max() > 2:
        return None
    return (
        f"all {len(every):,} boxes lie in the first pixel of their images: they look like shares of width and height; "
        "COCO results are in pixels"
    )


def _found(truth: Sequence[Truth], boxes: Sequence[FloatArray]) -> int:
    """Boxes of truth that some other box overlaps by half."""
    total = 0
    for image, found in zip(truth, boxes, strict=True):
        if len(found) and len(image.boxes):
            total += int((iou_matrix(image.boxes, found).max(axis=1) >= 0.5).sum())
    return total
