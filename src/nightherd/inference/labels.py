"""One object, one label: a body that two classes claim keeps the claim with the higher score."""

from __future__ import annotations

import numpy as np

from nightherd.inference.tiles import iou
from nightherd.types import Detections

SAME_OBJECT = 0.7
"""Overlap (intersection over union) from which boxes of two classes are taken for one object."""


def one_label_each(detections: Detections, same_object: float = SAME_OBJECT) -> Detections:
    """Drops each detection that overlaps a kept one of another class with a higher score.

    The network suppresses duplicates within a class only (Ren et al. 2015); a count must not take one body twice.

    Args:
        detections: of one frame, highest score first.
        same_object: the least intersection over union of two boxes on one object. A rider overlaps the bicycle less.

    Returns:
        The detections that are left, in the same order.
    """
    if len(detections) < 2 or np.all(detections.labels == detections.labels[0]):
        return detections
    rivals = (iou(detections.boxes[:, None], detections.boxes[None]) >= same_object) & (
        detections.labels[:, None] != detections.labels[None, :]
    )
    keep = np.ones(len(detections), np.bool_)
    for i in range(1, len(detections)):
        keep[i] = not np.any(rivals[i, :i] & keep[:i])
    return detections.select(keep)
