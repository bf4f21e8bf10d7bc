"""What became of every box of an image at the confidence that is worked at: found, taken for another class, missed.

The confusion matrix counts these, the pictures of a report draw them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nightherd.evaluation.matching import BoolArray, Overlaps, match_one, overlap_matrix
from nightherd.evaluation.types import Truth, check_inputs, labels_among
from nightherd.types import Detections, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Outcome:
    """The detections of one image that reach their threshold, and what each stands for.

    Attributes:
        place: int64 (D,), index of each in the image's `Detections`, highest score first.
        label: int64 (D,), its class.
        taken: int64 (D,), the box of truth that it stands for, -1 for none.
        right: bool (D,), whether that box is of its class.
        forgiven: bool (D,), whether it lies in a region to ignore and counts nowhere.
        missed: int64 (M,), boxes of truth that no detection stands for.
    """

    place: IntArray
    label: IntArray
    taken: IntArray
    right: BoolArray
    forgiven: BoolArray
    missed: IntArray

    @property
    def false_alarm(self) -> BoolArray:
        """bool (D,), whether it stands for nothing and is not forgiven."""
        alarm: BoolArray = (self.taken < 0) & ~self.forgiven
        return alarm


def image_outcomes(
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    classes: Sequence[str],
    thresholds: Mapping[str, float],
    iou: float = 0.5,
) -> tuple[Outcome, ...]:
    """Matches in two rounds: within each class, as precision and recall do, then what is left over across classes.

    A detection left over that lies in a region to ignore counts nowhere.

    Args:
        truth: one per image; labels index `classes`.
        detections: one per image, same order; matched to `classes` by name, other classes left out.
        classes: names of the classes.
        thresholds: the confidence of each class, by name; a detection counts when its score is at least that.
        iou: the overlap that a match needs.

    Raises:
        ResultsError: a score or a box is not finite.
        ValueError: lengths or labels do not agree.
    """
    check_inputs(truth, detections, classes)
    floor = np.array([thresholds[name] for name in classes] or [0.0], np.float32)
    return tuple(
        _outcome(image, one, labels_among(one, classes), floor, iou)
        for image, one in zip(truth, detections, strict=True)
    )


def _outcome(image: Truth, one: Detections, labels: IntArray, floor: FloatArray, iou: float) -> Outcome:
    keep = np.flatnonzero((labels >= 0) & (one.scores >= floor[labels]))
    keep = keep[np.argsort(-one.scores[keep], kind="stable")]
    predicted, boxes = labels[keep], one.boxes[keep]
    no_regions, regions = (np.full(n, inside) for n, inside in ((len(image.boxes), False), (len(image.ignore), True)))
    overlaps = overlap_matrix(boxes, image, image.boxes, no_regions)
    same = predicted[:, None] == image.labels[None]
    own = _match(np.where(same, overlaps, 0.0), iou)
    forgiven = (own < 0) & (overlap_matrix(boxes, image, image.ignore, regions) >= iou).any(axis=1)
    free = ~np.isin(np.arange(len(image.boxes)), own)
    open_pairs = ((own < 0) & ~forgiven)[:, None] & free[None]
    across = _match(np.where(open_pairs, overlaps, 0.0), iou)
    taken = np.where(own < 0, across, own)
    missed = np.setdiff1d(np.arange(len(image.boxes)), taken).astype(np.int64)
    return Outcome(keep.astype(np.int64), predicted, taken, own >= 0, forgiven, missed)


def _match(overlaps: Overlaps, iou: float) -> IntArray:
    """Greedy matching of boxes that all count: int64 (D,), -1 for none."""
    everything = np.zeros(overlaps.shape[1], bool)
    match: IntArray = match_one(overlaps, everything, everything[None], np.array([iou]))[0, 0]
    return match
