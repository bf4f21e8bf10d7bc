"""The confusion matrix of a detector: which class each box was taken for, with background as a row and a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nightherd.evaluation.matching import Overlaps, iou_matrix, match_one
from nightherd.evaluation.types import Truth, check_inputs, labels_among
from nightherd.types import Detections, IntArray

BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Counts of boxes by true and by predicted class.

    Attributes:
        labels: class names, then background.
        matrix: int64 (C + 1, C + 1); rows are the truth, columns the prediction; the last row holds false alarms, the
            last column misses; background against background has no meaning and is 0.
        iou: the overlap that a match needs.
        thresholds: the confidence of each class.
    """

    labels: tuple[str, ...]
    matrix: IntArray
    iou: float
    thresholds: Mapping[str, float]


def confusion_matrix(
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    classes: Sequence[str],
    thresholds: Mapping[str, float],
    iou: float = 0.5,
) -> ConfusionMatrix:
    """Matches in two rounds: within each class, as precision and recall do, then what is left over across classes.

    So the diagonal holds the boxes that precision and recall count as right, and a column adds up to the detections
    that they count. A detection left over that lies in a region to ignore counts nowhere.

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
    n = len(classes)
    floor = np.array([thresholds[name] for name in classes] or [0.0], np.float32)
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for image, one in zip(truth, detections, strict=True):
        labels = labels_among(one, classes)
        keep = np.flatnonzero((labels >= 0) & (one.scores >= floor[labels]))
        keep = keep[np.argsort(-one.scores[keep], kind="stable")]
        predicted, boxes = labels[keep], one.boxes[keep]
        overlaps = iou_matrix(boxes, image.boxes)
        same = predicted[:, None] == image.labels[None]
        taken_by = _match(np.where(same, overlaps, 0.0), iou)
        inside = iou_matrix(boxes, image.ignore, np.ones(len(image.ignore), bool))
        forgiven = (taken_by < 0) & (inside >= iou).any(axis=1)
        free = ~np.isin(np.arange(len(image.boxes)), taken_by)
        open_pairs = ((taken_by < 0) & ~forgiven)[:, None] & free[None]
        across = _match(np.where(open_pairs, overlaps, 0.0), iou)
        taken_by = np.where(taken_by < 0, across, taken_by)
        hit = taken_by >= 0
        alarms = predicted[~hit & ~forgiven]
        missed = np.delete(image.labels, taken_by[hit])
        rows += [image.labels[taken_by[hit]], np.full(len(alarms), n), missed]
        columns += [predicted[hit], alarms, np.full(len(missed), n)]
    cells = np.concatenate(rows) * (n + 1) + np.concatenate(columns)
    matrix = np.bincount(cells, minlength=(n + 1) ** 2).reshape(n + 1, n + 1).astype(np.int64)
    return ConfusionMatrix((*classes, BACKGROUND), matrix, iou, {name: float(thresholds[name]) for name in classes})


def _match(overlaps: Overlaps, iou: float) -> IntArray:
    """Greedy matching of boxes that all count: int64 (D,), -1 for none."""
    everything = np.zeros(overlaps.shape[1], bool)
    match: IntArray = match_one(overlaps, everything, everything[None], np.array([iou]))[0, 0]
    return match
