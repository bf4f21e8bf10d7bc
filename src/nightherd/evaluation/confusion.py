"""The confusion matrix of a detector: which class each box was taken for, with background as a row and a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.outcomes import Outcome, image_outcomes
from nightherd.evaluation.types import Truth
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
        matched, right: float64 (I,), detections in each image that stand for a box of any class, and for one of their
            own class.
    """

    labels: tuple[str, ...]
    matrix: IntArray
    iou: float
    thresholds: Mapping[str, float]
    matched: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]

    def class_accuracy(self, weights: npt.NDArray[np.float64] | None = None) -> float:
        """The share of the matched boxes that have the right class; NaN where none is matched.

        Args:
            weights: float64 (I,), how often each image counts; None once.
        """
        weigh = np.ones(len(self.matched)) if weights is None else weights
        matched = float(self.matched @ weigh)
        return float(self.right @ weigh) / matched if matched else float("nan")


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
    return count_outcomes(truth, image_outcomes(truth, detections, classes, thresholds, iou), classes, thresholds, iou)


def count_outcomes(
    truth: Sequence[Truth],
    outcomes: Sequence[Outcome],
    classes: Sequence[str],
    thresholds: Mapping[str, float],
    iou: float,
) -> ConfusionMatrix:
    """The confusion matrix of outcomes that `image_outcomes` made with the same arguments."""
    n = len(classes)
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for image, one in zip(truth, outcomes, strict=True):
        hit = one.taken >= 0
        alarms, missed = one.label[one.false_alarm], image.labels[one.missed]
        rows += [image.labels[one.taken[hit]], np.full(len(alarms), n), missed]
        columns += [one.label[hit], alarms, np.full(len(missed), n)]
    cells = np.concatenate(rows) * (n + 1) + np.concatenate(columns)
    matrix = np.bincount(cells, minlength=(n + 1) ** 2).reshape(n + 1, n + 1).astype(np.int64)
    return ConfusionMatrix(
        (*classes, BACKGROUND), matrix, iou, {name: float(thresholds[name]) for name in classes},
        np.array([(one.taken >= 0).sum() for one in outcomes], np.float64),
        np.array([one.right.sum() for one in outcomes], np.float64),
    )  # fmt: skip
